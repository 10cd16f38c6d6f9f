//! The Docker Engine: connected to within seconds or not at all, and asked with an end in time.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{ListContainersOptionsBuilder, LogsOptionsBuilder};
use futures_util::{Stream, StreamExt};

use crate::error::ContainerError;

/// Where the engine listens unless `DOCKER_HOST` says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long the first answer may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// How long a look may take.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// How long a change may take that copies no image from afar.
const CHANGE_WITHIN: Duration = Duration::from_secs(120);

/// A Docker Engine that has answered.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) docker: Docker,
    host: String,
}

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, as the engine says it (RFC 3339).
    pub ts: String,
    /// What.
    pub message: String,
}

impl Engine {
    /// Connects to the engine at `host` (`DOCKER_HOST`), [`DEFAULT_HOST`] where none is named, and agrees on an API version.
    ///
    /// # Errors
    /// Within four seconds where it is absent, mute, not for us, or cannot be spoken to.
    pub async fn connect(host: Option<&str>) -> Result<Self, ContainerError> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST).to_owned();
        let timeout_s = CHANGE_WITHIN.as_secs();
        let version = bollard::API_DEFAULT_VERSION;
        let docker = if host.starts_with("unix://") {
            Docker::connect_with_unix(&host, timeout_s, version)
        } else if host.starts_with("tcp://") {
            Docker::connect_with_http(&host, timeout_s, version)
        } else {
            return Err(ContainerError::Scheme { host });
        };
        let docker = docker.map_err(|error| unreachable_engine(&host, error))?;
        match tokio::time::timeout(CONNECT_WITHIN, docker.negotiate_version()).await {
            Ok(Ok(docker)) => Ok(Self { docker, host }),
            Ok(Err(error)) => Err(unreachable_engine(&host, error)),
            Err(_) => Err(ContainerError::Mute {
                host,
                within: CONNECT_WITHIN,
            }),
        }
    }

    /// Returns where the engine listens.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Looks; what is not there is `None`.
    pub(crate) async fn look<T>(
        &self,
        action: &'static str,
        what: &str,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, ContainerError> {
        match self.bounded(LOOK_WITHIN, asked).await? {
            Ok(found) => Ok(Some(found)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(failed(action, what, error)),
        }
    }

    /// Changes something.
    pub(crate) async fn change<T>(
        &self,
        action: &'static str,
        what: &str,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ContainerError> {
        self.bounded(CHANGE_WITHIN, asked)
            .await?
            .map_err(|error| failed(action, what, error))
    }

    async fn bounded<T>(
        &self,
        within: Duration,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, ContainerError> {
        let mute = || ContainerError::Mute {
            host: self.host.clone(),
            within,
        };
        match tokio::time::timeout(within, asked).await {
            Ok(Err(Error::RequestTimeoutError)) | Err(_) => Err(mute()),
            Ok(answer) => Ok(answer),
        }
    }

    /// Returns the name of the running container that publishes a port on this machine, if one does.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn publisher(&self, port: u16) -> Result<Option<String>, ContainerError> {
        let all = ListContainersOptionsBuilder::default().build();
        let found = self
            .look("list", "containers", self.docker.list_containers(Some(all)))
            .await?
            .unwrap_or_default();
        let publishes = |ports: &Vec<bollard::models::PortSummary>| ports.iter().any(|p| p.public_port == Some(port));
        let container = found
            .into_iter()
            .find(|container| container.ports.as_ref().is_some_and(publishes));
        let name = container.and_then(|container| container.names?.into_iter().next());
        Ok(name.map(|name| name.trim_start_matches('/').to_owned()))
    }

    /// Returns the last lines that a container wrote, and those that it writes from now on where they are followed.
    pub fn logs(
        &self,
        container: &str,
        lines: usize,
        follow: bool,
    ) -> impl Stream<Item = Result<LogLine, ContainerError>> + use<> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(follow)
            .tail(&lines.to_string())
            .build();
        let name = container.to_owned();
        let stream = self.docker.logs(container, Some(options));
        stream.map(move |output| output.map(log_line).map_err(|e| failed("read the log of", &name, e)))
    }

    /// Returns the last lines that a container wrote; none where they cannot be had.
    pub async fn last_lines(&self, container: &str, lines: usize) -> Vec<String> {
        let read = self.logs(container, lines, false).collect::<Vec<_>>();
        let read = tokio::time::timeout(LOOK_WITHIN, read).await.unwrap_or_default();
        read.into_iter().flatten().map(|line| line.message).collect()
    }
}

fn log_line(output: LogOutput) -> LogLine {
    let text = output.to_string();
    let (ts, message) = text.trim_end().split_once(' ').unwrap_or(("", text.trim_end()));
    LogLine {
        ts: ts.to_owned(),
        message: message.chars().filter(|c| !c.is_control() || *c == '\t').collect(),
    }
}

fn failed(action: &'static str, what: &str, error: Error) -> ContainerError {
    let what = what.to_owned();
    match error {
        Error::DockerResponseServerError { message, .. } if is_port_taken(&message) => ContainerError::Port {
            container: what,
            reason: message,
        },
        Error::DockerResponseServerError { message, .. } => ContainerError::Refused {
            action,
            what,
            reason: message,
        },
        source => ContainerError::Failed { action, what, source },
    }
}

fn is_port_taken(message: &str) -> bool {
    message.contains("port is already allocated") || message.contains("address already in use")
}

/// Says why the engine cannot be reached at all.
fn unreachable_engine(host: &str, error: Error) -> ContainerError {
    let host = host.to_owned();
    if let Error::SocketNotFoundError(path) = &error {
        let source = io::Error::new(io::ErrorKind::NotFound, format!("there is no socket {path}"));
        return ContainerError::Absent { host, source };
    }
    match io_error(&error) {
        Some(source) if source.kind() == io::ErrorKind::PermissionDenied => ContainerError::Permission { host, source },
        Some(source) => ContainerError::Absent { host, source },
        None => failed("talk to the Docker Engine at", &host, error),
    }
}

/// Returns the kernel's word among the causes of an error, if it has one.
fn io_error(error: &Error) -> Option<io::Error> {
    let mut cause = error.source();
    if let Error::IOError { err } = error {
        cause = Some(err);
    }
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(io::Error::new(found.kind(), found.to_string()));
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn an_engine_that_is_absent_or_mute_is_told_within_five_seconds() {
        let folder = std::env::temp_dir().join(format!("mprism-engine-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        let socket = folder.join("docker.sock");
        let host = format!("unix://{}", socket.display());
        let error = Engine::connect(Some(&host)).await.expect_err("no socket");
        assert_eq!(error.code(), "docker_absent", "{error:?}");
        let listener = UnixListener::bind(&socket).expect("bound");
        let began = Instant::now();
        let error = Engine::connect(Some(&host)).await.expect_err("it never answers");
        assert_eq!(error.code(), "docker_mute", "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(listener);
        let error = Engine::connect(Some(&host)).await.expect_err("nobody listens");
        assert_eq!(error.code(), "docker_absent", "{error:?}");
        let error = Engine::connect(Some("ssh://lake")).await.expect_err("not spoken");
        assert_eq!(error.code(), "docker_host");
        assert!(!error.hints().is_empty());
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_line_is_split_from_its_time() {
        let output = LogOutput::StdErr {
            message: "2026-01-01T00:00:00Z [1] \u{1b}[31mready\n".to_owned().into(),
        };
        let line = log_line(output);
        assert_eq!(line.ts, "2026-01-01T00:00:00Z");
        assert_eq!(line.message, "[1] [31mready");
    }
}
