//! The same as a file for Docker Compose.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::spec::{
    Container, HEALTH_EVERY, HEALTH_RETRIES, HEALTH_START, HEALTH_WITHIN, Infrastructure, Network, PUBLISHED_ON,
    SECURITY,
};

/// Returns a compose file that makes what [`crate::plan_up`] and its steps make.
pub fn compose(project: &str, wanted: &Infrastructure) -> String {
    let services = wanted.containers.iter();
    let services = services.map(|container| (container.service.clone(), Service::of(container, wanted)));
    let labelled = |name: &str| {
        (
            name.to_owned(),
            Named {
                name: name.to_owned(),
                labels: literals(wanted.labels()),
            },
        )
    };
    let volumes = wanted
        .containers
        .iter()
        .filter_map(|container| container.volume.as_ref());
    let file = File {
        name: project.to_owned(),
        services: services.collect(),
        networks: match &wanted.network {
            Network::Host => BTreeMap::new(),
            Network::Bridge(name) => [labelled(name)].into(),
        },
        volumes: volumes.map(|volume| labelled(&volume.name)).collect(),
    };
    serde_yaml::to_string(&file).unwrap_or_else(|e| unreachable!("plain data has a YAML form: {e}"))
}

#[derive(Serialize)]
struct File {
    name: String,
    services: BTreeMap<String, Service>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Named>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, Named>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Service {
    container_name: String,
    image: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    volumes: Vec<Mounted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tmpfs: Vec<String>,
    healthcheck: Healthcheck,
    restart: &'static str,
    stop_grace_period: String,
    mem_limit: u64,
    cpus: f64,
    read_only: bool,
    cap_drop: [&'static str; 1],
    security_opt: [&'static str; 1],
    logging: LoggingOptions,
}

#[derive(Serialize)]
struct Mounted {
    r#type: &'static str,
    source: String,
    target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

#[derive(Serialize)]
struct Healthcheck {
    test: Vec<String>,
    interval: String,
    timeout: String,
    retries: u8,
    start_period: String,
}

#[derive(Serialize)]
struct LoggingOptions {
    driver: &'static str,
    options: BTreeMap<String, String>,
}

impl Service {
    fn of(container: &Container, wanted: &Infrastructure) -> Self {
        let volume = container.volume.iter().map(|volume| Mounted {
            r#type: "volume",
            source: volume.name.clone(),
            target: volume.target.clone(),
            read_only: false,
        });
        let binds = container.binds.iter().map(|bind| Mounted {
            r#type: "bind",
            source: literal(&bind.source.display().to_string()),
            target: literal(&bind.target),
            read_only: bind.read_only,
        });
        let published = container.is_published();
        let ports = container.ports.iter().filter(|_| published);
        let environment = container.environment.iter();
        Self {
            container_name: container.name.clone(),
            image: container.image.clone(),
            command: container.command.iter().map(|word| literal(word)).collect(),
            environment: environment
                .map(|(name, value)| (name.clone(), literal(value)))
                .collect(),
            user: container.user.clone(),
            labels: literals(container.labels(wanted)),
            network_mode: (!published).then_some("host"),
            networks: if published {
                vec![container.network.name().to_owned()]
            } else {
                Vec::new()
            },
            ports: ports.map(|port| format!("{PUBLISHED_ON}:{port}:{port}")).collect(),
            volumes: volume.chain(binds).collect(),
            tmpfs: container.scratch.iter().map(|folder| literal(folder)).collect(),
            healthcheck: Healthcheck {
                test: container.health_test().iter().map(|word| literal(word)).collect(),
                interval: seconds(HEALTH_EVERY),
                timeout: seconds(HEALTH_WITHIN),
                retries: HEALTH_RETRIES,
                start_period: seconds(HEALTH_START),
            },
            restart: "unless-stopped",
            stop_grace_period: seconds(container.stop_within),
            mem_limit: container.memory_bytes_max,
            cpus: container.cpu_percent_max as f64 / 100.0,
            read_only: true,
            cap_drop: ["ALL"],
            security_opt: [SECURITY],
            logging: LoggingOptions {
                driver: "json-file",
                options: container.logging.options(),
            },
        }
    }
}

fn seconds(span: std::time::Duration) -> String {
    format!("{}s", span.as_secs())
}

fn literals(labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels
        .into_iter()
        .map(|(name, value)| (name, literal(&value)))
        .collect()
}

/// Compose puts variables in place of `$`; two of them are one.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}
