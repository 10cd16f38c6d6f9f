//! From settings to containers, and the files that they read at their start. The files are written by whoever makes the
//! containers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mprism_containers::{Bind, Container, Infrastructure, Logging, Network, Volume};
use mprism_settings::{ClickhouseServer, ContainerSettings, HomeFolders, Settings, WRITER_USER};
use sha2::{Digest, Sha256};

use crate::commands::reach::{WRITER_SECRET, read_secret};
use crate::commands::worker;
use crate::control::Service;
use crate::error::CliError;

/// Where the official image of ClickHouse reads settings and users beside its own.
const CLICKHOUSE_CONFIG: &str = "/etc/clickhouse-server/config.d/mprism.xml";
const CLICKHOUSE_USERS: &str = "/etc/clickhouse-server/users.d/mprism.xml";
/// The user of the official image.
const CLICKHOUSE_USER: &str = "101:101";
/// The home within a container of ours.
const INNER_HOME: &str = "/var/lib/mprism";
/// How long a container that takes another's place may take to become healthy.
pub(super) const HEALTHY_WITHIN: Duration = Duration::from_secs(120);
/// What a worker in a container of ours may keep of its own log, which is in memory there.
const INNER_LOG_BYTES: u64 = 1 << 20;

/// What a home wants in containers, and the files that have to be there first.
pub(crate) struct Wanted {
    pub(crate) infrastructure: Infrastructure,
    /// Path, text, and whether others than its owner may read it: its folder is closed to them.
    pub(crate) files: Vec<(PathBuf, String, u32)>,
}

/// Decides the containers of services.
///
/// # Errors
/// Where a credential cannot be read: containers are made of a home that is ready.
pub(crate) fn wanted(settings: &Settings, services: &[Service]) -> Result<Wanted, CliError> {
    decided(settings, services, &|name| read_secret(settings, name))
}

/// As [`wanted`], for who only looks, or takes away: credentials may still have to be made. No container is made of such.
///
/// # Errors
/// Where a credential is there and cannot be read.
pub(crate) fn looked_for(settings: &Settings, services: &[Service]) -> Result<Wanted, CliError> {
    decided(settings, services, &|name| {
        if settings.home.secret(name).exists() {
            read_secret(settings, name)
        } else {
            Ok(String::new())
        }
    })
}

/// How a credential is read, by its name.
type Credential<'a> = &'a dyn Fn(&str) -> Result<String, CliError>;

fn decided(settings: &Settings, services: &[Service], credential: Credential<'_>) -> Result<Wanted, CliError> {
    let mut wanted = Wanted {
        infrastructure: Infrastructure {
            owner: owner(&settings.home),
            home: settings.home.root().to_path_buf(),
            healthy_within: HEALTHY_WITHIN,
            network: network(settings),
            containers: Vec::new(),
        },
        files: Vec::new(),
    };
    if services.contains(&Service::Nats) {
        wanted.nats(settings, credential)?;
    }
    if services.contains(&Service::Clickhouse) {
        match settings.infra.clickhouse_server {
            ClickhouseServer::Clickhouse => wanted.clickhouse(settings, credential)?,
            ClickhouseServer::Mprism => wanted.engine(settings, credential)?,
        }
    }
    Ok(wanted)
}

/// Returns the home's id: made of where it is, so that whoever finds it again finds its containers.
pub(crate) fn owner(home: &HomeFolders) -> String {
    hash(home.root().as_os_str().as_encoded_bytes())
}

/// Returns the name of a service's container. A home whose ports are moved has names of its own.
pub(crate) fn container_name(settings: &Settings, service: Service) -> String {
    let name = match service {
        Service::Nats => "marketprism-nats",
        Service::Clickhouse => "marketprism-clickhouse-hot",
        Service::Hot => "marketprism-hot-storage-service",
        Service::Collector => "marketprism-data-collector",
        Service::Cold => "marketprism-cold-storage-service",
        Service::Sim => "marketprism-simulator",
    };
    moved(name, settings)
}

/// Returns the volume of a server, which its container sees at `target`: the home's own, or the one that the settings name.
fn volume(settings: &Settings, service: Service, target: String) -> Volume {
    let named = match service {
        Service::Nats => settings.infra.nats_volume.as_ref(),
        _ => settings.infra.clickhouse_volume.as_ref(),
    };
    let folder = named
        .and_then(|named| named.folder.clone())
        .unwrap_or_else(|| service.name().to_owned());
    Volume {
        name: named.map_or_else(|| own_volume(settings, service), |named| named.name.clone()),
        target,
        folder: (folder != ".").then_some(folder),
        is_named: named.is_some(),
    }
}

/// Returns the name of a server's volume that is the home's own.
pub(crate) fn own_volume(settings: &Settings, service: Service) -> String {
    let name = match service {
        Service::Nats => "marketprism-nats-data",
        _ => "marketprism-clickhouse-hot-data",
    };
    moved(name, settings)
}

pub(super) fn moved(name: &str, settings: &Settings) -> String {
    match settings.port_offset {
        0 => name.to_owned(),
        offset => format!("{name}-{offset}"),
    }
}

pub(super) fn network(settings: &Settings) -> Network {
    match settings.infra.network.as_str() {
        "host" => Network::Host,
        name => Network::Bridge(moved(name, settings)),
    }
}

/// Returns the user whose home it is, as containers know users.
pub(super) fn home_user() -> String {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    format!("{user}:{group}")
}

/// Returns a container of a service with what all of them have in common.
pub(super) fn container(settings: &Settings, service: Service, of: &ContainerSettings) -> Container {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    Container {
        service: service.name().to_owned(),
        name: container_name(settings, service),
        image: of.image.clone(),
        command: Vec::new(),
        environment: BTreeMap::new(),
        user: Some(home_user()),
        volume: None,
        binds: Vec::new(),
        scratch: vec!["/tmp".to_owned()],
        ports: Vec::new(),
        health: Vec::new(),
        memory_bytes_max: of.memory_bytes_max,
        // Engines refuse more than the machine has.
        cpu_percent_max: of.cpu_percent_max.min(cores * 100),
        stop_within: Duration::from_secs(10),
        logging: Logging {
            file_bytes_max: settings.logging.file_bytes_max,
            files_max: settings.logging.files_max + 1,
        },
        content: String::new(),
        network: network(settings),
    }
}

impl Wanted {
    fn nats(&mut self, settings: &Settings, credential: Credential<'_>) -> Result<(), CliError> {
        let infra = &settings.infra;
        let passwords = worker::broker_passwords(credential)?;
        let options = worker::container_broker(settings, matches!(network(settings), Network::Host), passwords)?;
        let text = mprism_broker::container_config(&options);
        let monitor = settings.nats.monitor_port;
        let file = settings.home.infra().join("nats.conf");
        let container = Container {
            // Words that begin with a dash go to the server in each of the official images.
            command: vec!["--config".to_owned(), "/etc/mprism/nats.conf".to_owned()],
            // As for the server that is our child.
            environment: [("GOGC".to_owned(), "50".to_owned())].into(),
            volume: Some(volume(settings, Service::Nats, "/data".to_owned())),
            binds: vec![read_only(&file, "/etc/mprism/nats.conf")],
            ports: vec![settings.nats.port, monitor],
            health: fetch(&format!("http://127.0.0.1:{monitor}/healthz?js-enabled-only=true")),
            stop_within: settings.supervisor.stop_timeout.nats,
            content: hash(text.as_bytes()),
            ..container(settings, Service::Nats, &infra.nats)
        };
        self.files.push((file, text, 0o600));
        self.infrastructure.containers.push(container);
        Ok(())
    }

    /// ClickHouse's own server.
    fn clickhouse(&mut self, settings: &Settings, credential: Credential<'_>) -> Result<(), CliError> {
        let infra = &settings.infra;
        let (http, native) = (settings.clickhouse.port, infra.clickhouse_native_port);
        let config = settings.home.infra().join("clickhouse-config.xml");
        let users = settings.home.infra().join("clickhouse-users.xml");
        let listen = match network(settings) {
            Network::Host => "127.0.0.1",
            Network::Bridge(_) => "0.0.0.0",
        };
        let config_text = format!(
            "<!-- Written by mprism: changes made here are lost. -->\n<clickhouse>\n  <listen_host>{listen}</listen_host>\n  \
             <http_port>{http}</http_port>\n  <tcp_port>{native}</tcp_port>\n  <mysql_port remove=\"1\"/>\n  \
             <postgresql_port remove=\"1\"/>\n  <logger><console>1</console><level>information</level></logger>\n</clickhouse>\n"
        );
        let users_text = clickhouse_users(&credential(WRITER_SECRET)?);
        let container = Container {
            // Users are in a file: the image makes none.
            environment: [("CLICKHOUSE_SKIP_USER_SETUP".to_owned(), "1".to_owned())].into(),
            user: Some(CLICKHOUSE_USER.to_owned()),
            volume: Some(Volume {
                folder: None,
                ..volume(settings, Service::Clickhouse, "/var/lib/clickhouse".to_owned())
            }),
            binds: vec![
                read_only(&config, CLICKHOUSE_CONFIG),
                read_only(&users, CLICKHOUSE_USERS),
            ],
            scratch: vec!["/tmp".to_owned(), "/var/log/clickhouse-server".to_owned()],
            ports: vec![http, native],
            health: fetch(&format!("http://127.0.0.1:{http}/ping")),
            stop_within: settings.supervisor.stop_timeout.clickhouse,
            content: hash(format!("{config_text}{users_text}").as_bytes()),
            ..container(settings, Service::Clickhouse, &infra.clickhouse)
        };
        // The image's user is not ours; the folder is for us alone, and passwords stand here as hashes.
        self.files.push((config, config_text, 0o644));
        self.files.push((users, users_text, 0o644));
        self.infrastructure.containers.push(container);
        Ok(())
    }

    /// The embedded engine, in an image of mprism's. The library comes from this home: it is verified, and too large to be in
    /// every image.
    fn engine(&mut self, settings: &Settings, credential: Credential<'_>) -> Result<(), CliError> {
        let home = &settings.home;
        let file = home.infra().join("clickhouse.yaml");
        let text = engine_settings(settings);
        let inner = |path: &Path| {
            let below = path.strip_prefix(home.root()).unwrap_or(path);
            Path::new(INNER_HOME).join(below).display().to_string()
        };
        let library = home.libchdb();
        // The link leads out of the home.
        let library_file = std::fs::canonicalize(&library).unwrap_or_else(|_| library.clone());
        let secret = home.secret(WRITER_SECRET);
        let password = credential(WRITER_SECRET)?;
        let mut command = vec!["worker".to_owned(), "clickhouse".to_owned()];
        if let Network::Bridge(_) = network(settings) {
            command.push("--container".to_owned());
        }
        let container = Container {
            command,
            environment: [
                ("MPRISM_HOME".to_owned(), INNER_HOME.to_owned()),
                ("MPRISM_PORT_OFFSET".to_owned(), settings.port_offset.to_string()),
            ]
            .into(),
            volume: Some(volume(settings, Service::Clickhouse, format!("{INNER_HOME}/data"))),
            binds: vec![
                read_only(&file, &format!("{INNER_HOME}/config/infra.yaml")),
                read_only(&secret, &inner(&secret)),
                read_only(&library_file, &inner(&library)),
            ],
            scratch: vec!["/tmp".to_owned(), inner(&home.run()), inner(&home.logs())],
            ports: vec![settings.clickhouse.port],
            health: ["mprism", "worker", "clickhouse", "--probe"]
                .map(str::to_owned)
                .to_vec(),
            stop_within: settings.supervisor.stop_timeout.clickhouse,
            content: hash(format!("{text}{password}").as_bytes()),
            ..container(settings, Service::Clickhouse, &settings.infra.clickhouse)
        };
        self.files.push((file, text, 0o600));
        self.infrastructure.containers.push(container);
        Ok(())
    }
}

/// Returns the settings of the engine in its container: what this home decided.
fn engine_settings(settings: &Settings) -> String {
    let clickhouse = &settings.clickhouse;
    let base = clickhouse.port - settings.port_offset;
    let level = serde_json::Value::from(settings.logging.level.as_str());
    let mut text = String::from("# Written by mprism: changes made here are lost.\n");
    let lines = [
        format!("clickhouse: {{port: {base}, readers_max: {},", clickhouse.readers_max),
        format!("  reader_wait: {}ms,", clickhouse.reader_wait.as_millis()),
        format!(
            "  reader_memory_max: {}, writers_max: {},",
            clickhouse.reader_memory_max, clickhouse.writers_max
        ),
        format!("  body_bytes_max: {}}}", clickhouse.body_bytes_max),
        format!("logging: {{level: {level}, file_bytes_max: {INNER_LOG_BYTES}, files_max: 1}}"),
    ];
    for line in lines {
        let _infallible = writeln!(text, "{line}");
    }
    text
}

/// Returns the users of ClickHouse's own server: everybody who reaches it may read, as with the embedded engine, and the
/// writer may do everything. A generated password of 256 bits cannot be guessed from its hash.
fn clickhouse_users(password: &str) -> String {
    let digest = hex(&Sha256::digest(password.as_bytes()));
    format!(
        "<!-- Written by mprism: changes made here are lost. -->\n<clickhouse>\n  <profiles>\n    \
         <mprism_reader><readonly>2</readonly></mprism_reader>\n  </profiles>\n  <users>\n    <default replace=\"replace\">\n      \
         <password></password>\n      <networks><ip>::/0</ip></networks>\n      <profile>mprism_reader</profile>\n      \
         <quota>default</quota>\n    </default>\n    <{WRITER_USER}>\n      <password_sha256_hex>{digest}</password_sha256_hex>\n      \
         <networks><ip>::/0</ip></networks>\n      <profile>default</profile>\n      <quota>default</quota>\n      \
         <access_management>1</access_management>\n    </{WRITER_USER}>\n  </users>\n</clickhouse>\n"
    )
}

fn read_only(source: &Path, target: &str) -> Bind {
    Bind {
        source: source.to_path_buf(),
        target: target.to_owned(),
        read_only: true,
    }
}

/// Returns the words of a health check that asks over HTTP; `wget` is in every image that it is for.
fn fetch(url: &str) -> Vec<String> {
    ["wget", "-q", "-O", "/dev/null", url].map(str::to_owned).to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
