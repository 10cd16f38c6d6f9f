//! Why containers cannot be had, and what to type.

use std::io;
use std::time::Duration;

/// Why something about containers did not work.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No engine listens.
    #[error("no Docker Engine at {host}")]
    Absent {
        /// Where it was looked for.
        host: String,
        /// What was met.
        source: io::Error,
    },
    /// The engine takes connections and does not answer.
    #[error("the Docker Engine at {host} does not answer within {within:?}")]
    Mute {
        /// Where it listens.
        host: String,
        /// How long was waited.
        within: Duration,
    },
    /// The socket is not for us.
    #[error("no permission to use the Docker Engine at {host}")]
    Permission {
        /// Where it listens.
        host: String,
        /// What was met.
        source: io::Error,
    },
    /// `DOCKER_HOST` names something that cannot be reached from here.
    #[error("the Docker Engine at {host} cannot be reached: only unix:// and tcp:// are spoken")]
    Scheme {
        /// What was named.
        host: String,
    },
    /// An image cannot be had.
    #[error("image {image} is not there and cannot be pulled: {reason}")]
    Pull {
        /// The image.
        image: String,
        /// What the engine says.
        reason: String,
    },
    /// A port of a container is somebody else's.
    #[error("a port of container {container} is taken: {reason}")]
    Port {
        /// The container.
        container: String,
        /// What the engine says.
        reason: String,
    },
    /// A container did not come up.
    #[error("container {container} does not become healthy: {reason}")]
    Unhealthy {
        /// The container.
        container: String,
        /// How it is.
        reason: String,
        /// What it wrote last.
        log: Vec<String>,
    },
    /// A container was made anew and does not work: it is gone again, and the one of before is back in its place.
    #[error("container {container} made anew does not work")]
    NotReplaced {
        /// The container.
        container: String,
        /// What was met.
        source: Box<ContainerError>,
    },
    /// A container was made anew and does not work, and the one of before cannot be put back.
    #[error(
        "container {container} made anew does not work, and {before}, the one of before, cannot be put back: {reason}"
    )]
    NotPutBack {
        /// The container.
        container: String,
        /// The name under which the one of before is there.
        before: String,
        /// What kept it from being put back.
        reason: String,
        /// What was met first.
        source: Box<ContainerError>,
    },
    /// The engine refused something.
    #[error("cannot {action} {what}: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On what.
        what: String,
        /// What the engine says.
        reason: String,
    },
    /// The engine did not answer as it should.
    #[error("cannot {action} {what}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// On what.
        what: String,
        /// What was met.
        source: bollard::errors::Error,
    },
}

impl ContainerError {
    /// Returns a stable slug.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "docker_absent",
            Self::Mute { .. } => "docker_mute",
            Self::Permission { .. } => "docker_permission",
            Self::Scheme { .. } => "docker_host",
            Self::Pull { .. } => "no_image",
            Self::Port { .. } => "port_taken",
            Self::Unhealthy { .. } => "container_unhealthy",
            Self::NotReplaced { .. } => "container_not_replaced",
            Self::NotPutBack { .. } => "container_not_put_back",
            Self::Refused { .. } | Self::Failed { .. } => "docker_failed",
        }
    }

    /// Returns what to type next.
    pub fn hints(&self) -> Vec<String> {
        let hint = |text: &str| vec![text.to_owned()];
        match self {
            Self::Absent { .. } => vec![
                "start it: `systemctl start docker`, or name another: `DOCKER_HOST=unix:///run/user/1000/docker.sock`"
                    .to_owned(),
                "or run without containers: `infra: {nats: {mode: embedded}, clickhouse: {mode: embedded}}`".to_owned(),
            ],
            Self::Mute { .. } => hint("see why: `journalctl -u docker`, and start it anew: `systemctl restart docker`"),
            Self::Permission { .. } => hint("join its group and log in again: `sudo usermod -aG docker $USER`"),
            Self::Scheme { .. } => hint("name a socket: `DOCKER_HOST=unix:///var/run/docker.sock`"),
            Self::Pull { image, .. } => vec![
                format!("bring it along: `docker save {image}` there, `docker load` here"),
                "or name an image that is here: `docker images`, then `mprism config edit`".to_owned(),
            ],
            Self::Port { .. } => hint("see who has it: `mprism diagnose`"),
            Self::Unhealthy { .. } => hint("see what it writes: `mprism infra logs`"),
            Self::NotReplaced { .. } => vec![
                "name an image that works, or take back what was changed: `mprism config edit`, then `mprism infra up`"
                    .to_owned(),
            ],
            Self::NotPutBack { container, before, .. } => vec![
                "let it be put back: `mprism infra up`".to_owned(),
                format!(
                    "or do so by hand: `docker rm -f {container}; docker rename {before} {container} && docker start {container}`"
                ),
            ],
            Self::Refused { .. } | Self::Failed { .. } => hint("see what is there: `mprism infra status`"),
        }
    }

    /// Returns what a container that does not come up wrote last.
    pub fn log(&self) -> &[String] {
        match self {
            Self::Unhealthy { log, .. } => log,
            Self::NotReplaced { source, .. } | Self::NotPutBack { source, .. } => source.log(),
            _ => &[],
        }
    }

    /// Returns whether the engine is away or does not answer: asking again later may help.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::Mute { .. } => true,
            Self::Failed { source, .. } => !matches!(source, bollard::errors::Error::JsonDataError { .. }),
            Self::Permission { .. }
            | Self::Scheme { .. }
            | Self::Pull { .. }
            | Self::Port { .. }
            | Self::Unhealthy { .. }
            | Self::NotReplaced { .. }
            | Self::NotPutBack { .. }
            | Self::Refused { .. } => false,
        }
    }
}
