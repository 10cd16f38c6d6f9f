//! What is wanted, as plain data.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The label that says which home a container, a volume or a network belongs to.
pub const OWNER_LABEL: &str = "io.mprism.home";
/// The label that says where that home is, so that whoever finds it can tell whether it is still there.
pub const HOME_LABEL: &str = "io.mprism.home.path";
/// The label that says what a container was made of: another value is another container.
pub const CONFIGURATION_LABEL: &str = "io.mprism.configuration";

/// Between looks of a health check, how long one may take, how many fail, and how long starting may take.
pub(crate) const HEALTH_EVERY: Duration = Duration::from_secs(5);
pub(crate) const HEALTH_WITHIN: Duration = Duration::from_secs(5);
pub(crate) const HEALTH_RETRIES: u8 = 3;
pub(crate) const HEALTH_START: Duration = Duration::from_secs(60);
/// The only address that anything is published on.
pub(crate) const PUBLISHED_ON: &str = "127.0.0.1";
/// No process in a container gains what its image would let it.
pub(crate) const SECURITY: &str = "no-new-privileges:true";

/// Everything that a home wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infrastructure {
    /// The home's id.
    pub owner: String,
    /// Where the home is.
    pub home: PathBuf,
    /// How long a container that takes another's place may take to become healthy, before that one is put back.
    pub healthy_within: Duration,
    /// The network of all containers.
    pub network: Network,
    /// The containers, in start order.
    pub containers: Vec<Container>,
}

/// Where a container listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// On the machine itself.
    Host,
    /// On a bridge of this name; its ports are published.
    Bridge(String),
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// What runs in it, by the name that commands use.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The words after the image's entry point; none are the image's own.
    pub command: Vec<String>,
    /// Its environment. No secrets: whoever may look at containers reads it.
    pub environment: BTreeMap<String, String>,
    /// `uid:gid`; `None` is the image's own user.
    pub user: Option<String>,
    /// Where its data stays.
    pub volume: Option<Volume>,
    /// Files and folders of the machine that it sees.
    pub binds: Vec<Bind>,
    /// Folders that are writable and forgotten; everything else of its root is read-only.
    pub scratch: Vec<String>,
    /// Ports, the same inside and on the loopback of the machine.
    pub ports: Vec<u16>,
    /// The words of its health check: a program of the image, without a shell.
    pub health: Vec<String>,
    /// Memory in bytes.
    pub memory_bytes_max: u64,
    /// CPU in percent, 100 being one core.
    pub cpu_percent_max: u64,
    /// How long it may take to stop, in whole seconds.
    pub stop_within: Duration,
    /// What the engine keeps of what it writes.
    pub logging: Logging,
    /// A hash of the files that it reads at its start.
    pub content: String,
    /// Where it listens.
    pub network: Network,
}

/// Where a container's data stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The volume's name.
    pub name: String,
    /// Where the container sees it.
    pub target: String,
    /// The folder in it that is given to the container's user, because the engine makes volumes for root; `None` where the image
    /// has a folder of the user's there, which the engine copies.
    pub folder: Option<String>,
    /// Whether somebody said that it is this one: then it may be anybody's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_named: bool,
}

/// A file or folder of the machine that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// On the machine.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
    /// Whether it may only be read.
    pub read_only: bool,
}

/// What the engine keeps of what a container writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// A larger file is rotated, in bytes.
    pub file_bytes_max: u64,
    /// Files kept, the one that is written among them.
    pub files_max: u32,
}

impl Infrastructure {
    /// Returns a container by its name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Returns the labels that everything of the home wears.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let owner = (OWNER_LABEL.to_owned(), self.owner.clone());
        // What could only be said in part would name a place that is not there.
        let home = self.home.to_str().map(|home| (HOME_LABEL.to_owned(), home.to_owned()));
        std::iter::once(owner).chain(home).collect()
    }
}

impl Network {
    /// Returns what the engine calls it.
    pub fn name(&self) -> &str {
        match self {
            Self::Host => "host",
            Self::Bridge(name) => name,
        }
    }
}

impl Container {
    /// Returns a hash of everything that the container is made of.
    pub fn configuration(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_else(|e| unreachable!("plain data has a JSON form: {e}"));
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the labels of the container.
    pub fn labels(&self, of: &Infrastructure) -> BTreeMap<String, String> {
        let mut labels = of.labels();
        labels.insert(CONFIGURATION_LABEL.to_owned(), self.configuration());
        labels
    }

    /// Returns the user and the group of the container, where they are numbers.
    pub(crate) fn ids(&self) -> Option<(u64, u64)> {
        let (user, group) = self.user.as_deref()?.split_once(':')?;
        Some((user.parse().ok()?, group.parse().ok()?))
    }

    /// Returns the container as the engine is asked for it.
    pub(crate) fn body(&self, of: &Infrastructure) -> ContainerCreateBody {
        let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: some(&self.command),
            user: self.user.clone(),
            env: Some(
                self.environment
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            exposed_ports: self
                .is_published()
                .then(|| self.ports.iter().map(|port| format!("{port}/tcp")).collect()),
            healthcheck: Some(HealthConfig {
                test: Some(self.health_test()),
                interval: Some(nanos(HEALTH_EVERY)),
                timeout: Some(nanos(HEALTH_WITHIN)),
                retries: Some(i64::from(HEALTH_RETRIES)),
                start_period: Some(nanos(HEALTH_START)),
                start_interval: None,
            }),
            labels: Some(self.labels(of).into_iter().collect()),
            stop_timeout: Some(signed(self.stop_within.as_secs())),
            host_config: Some(self.host_config()),
            ..ContainerCreateBody::default()
        }
    }

    /// Returns the words of the health check as the engine reads them.
    pub(crate) fn health_test(&self) -> Vec<String> {
        let words = std::iter::once("CMD".to_owned());
        words.chain(self.health.iter().cloned()).collect()
    }

    pub(crate) fn is_published(&self) -> bool {
        matches!(self.network, Network::Bridge(_))
    }

    fn host_config(&self) -> HostConfig {
        let binding = |port: &u16| {
            let binding = PortBinding {
                host_ip: Some(PUBLISHED_ON.to_owned()),
                host_port: Some(port.to_string()),
            };
            (format!("{port}/tcp"), Some(vec![binding]))
        };
        HostConfig {
            memory: Some(signed(self.memory_bytes_max)),
            nano_cpus: Some(signed(self.cpu_percent_max * 10_000_000)),
            network_mode: Some(self.network.name().to_owned()),
            port_bindings: self.is_published().then(|| self.ports.iter().map(binding).collect()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            mounts: Some(self.mounts()),
            tmpfs: Some(
                self.scratch
                    .iter()
                    .map(|folder| (folder.clone(), String::new()))
                    .collect(),
            ),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec![SECURITY.to_owned()]),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(self.logging.options().into_iter().collect::<HashMap<_, _>>()),
            }),
            ..HostConfig::default()
        }
    }

    fn mounts(&self) -> Vec<Mount> {
        let volume = self.volume.iter().map(|volume| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.name.clone()),
            target: Some(volume.target.clone()),
            ..Mount::default()
        });
        let binds = self.binds.iter().map(|bind| Mount {
            typ: Some(MountType::BIND),
            source: Some(bind.source.display().to_string()),
            target: Some(bind.target.clone()),
            read_only: Some(bind.read_only),
            ..Mount::default()
        });
        volume.chain(binds).collect()
    }
}

impl Logging {
    /// Returns the options of the engine's `json-file` driver.
    pub(crate) fn options(self) -> BTreeMap<String, String> {
        [
            ("max-size".to_owned(), self.file_bytes_max.to_string()),
            ("max-file".to_owned(), self.files_max.max(1).to_string()),
        ]
        .into()
    }
}

fn nanos(span: Duration) -> i64 {
    signed(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn container() -> Container {
        Container {
            service: "nats".into(),
            name: "marketprism-nats".into(),
            image: "nats:1".into(),
            command: vec!["--config".into(), "/etc/nats.conf".into()],
            environment: [("GOGC".to_owned(), "50".to_owned())].into(),
            user: Some("1000:1000".into()),
            volume: Some(Volume {
                name: "marketprism-nats-data".into(),
                target: "/data".into(),
                folder: Some("nats".into()),
                is_named: false,
            }),
            binds: vec![Bind {
                source: "/home/me/nats.conf".into(),
                target: "/etc/nats.conf".into(),
                read_only: true,
            }],
            scratch: vec!["/tmp".into()],
            ports: vec![4222, 8222],
            health: vec!["wget".into(), "http://127.0.0.1:8222/healthz".into()],
            memory_bytes_max: 1 << 30,
            cpu_percent_max: 150,
            stop_within: Duration::from_secs(10),
            logging: Logging {
                file_bytes_max: 1 << 20,
                files_max: 3,
            },
            content: "abc".into(),
            network: Network::Bridge("marketprism".into()),
        }
    }

    pub(crate) fn infrastructure() -> Infrastructure {
        Infrastructure {
            owner: "me".into(),
            home: "/home/me".into(),
            healthy_within: Duration::from_secs(1),
            network: Network::Bridge("marketprism".into()),
            containers: vec![container()],
        }
    }

    #[test]
    fn whatever_a_container_is_made_of_changes_its_configuration() {
        let one = container();
        assert_eq!(one.configuration(), container().configuration());
        let others = [
            Container {
                image: "nats:2".into(),
                ..container()
            },
            Container {
                content: "abd".into(),
                ..container()
            },
            Container {
                memory_bytes_max: 1,
                ..container()
            },
            Container {
                network: Network::Host,
                ..container()
            },
        ];
        for other in others {
            assert_ne!(one.configuration(), other.configuration(), "{other:?}");
        }
    }

    #[test]
    fn nothing_is_published_beyond_the_loopback_and_nothing_is_allowed() {
        let body = container().body(&infrastructure());
        assert_eq!(body.labels.expect("some")[HOME_LABEL], "/home/me");
        let host = body.host_config.expect("some");
        let bindings = host.port_bindings.expect("published");
        assert_eq!(bindings.len(), 2);
        for binding in bindings.values().flatten().flatten() {
            assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
        }
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!((host.readonly_rootfs, host.privileged), (Some(true), None));
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
        let alone = Container {
            network: Network::Host,
            ..container()
        }
        .body(&infrastructure());
        assert_eq!(alone.host_config.expect("some").port_bindings, None);
    }
}
