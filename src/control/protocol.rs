//! What a command and the supervisor say to each other: one JSON document a line over a Unix socket.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::deployment::Deployment;
use super::events::Event;
use super::service::Service;

/// Longest line taken, in bytes: a deployment is a few kilobytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(super) enum Request {
    /// How is everything?
    Status,
    /// Start these, each as soon as what it needs is ready.
    Start {
        /// The options from now on.
        deployment: Deployment,
        /// What to start.
        services: Vec<Service>,
        /// Milliseconds until what does not answer has failed.
        wait_ms: u64,
    },
    /// Stop these, in stages.
    Stop {
        /// What to stop.
        services: Vec<Service>,
        /// Milliseconds that each may drain, instead of its own deadline.
        drain_ms: Option<u64>,
        /// Whether what should be up still should: something keeps it from starting for as long as it has to be away.
        #[serde(default)]
        for_now: bool,
    },
}

/// What the supervisor says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(super) enum Message {
    /// Something happened; more follows.
    Event(Event),
    /// The answer to [`Request::Status`].
    Status {
        /// The supervisor's process.
        pid: u32,
        /// The options of the last start.
        deployment: Option<Box<Deployment>>,
        /// Every service of the deployment, in start order.
        units: Vec<UnitStatus>,
    },
    /// The answer to the others: what became of each service.
    Done {
        /// In the order of the request.
        outcomes: Vec<Outcome>,
    },
    /// The request is not possible now.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What is told of a service that is not ours to start or stop.
pub(super) const SOMEBODY_ELSES: &str = "somebody else runs it";

/// What became of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The service.
    pub name: Service,
    /// What was done.
    pub action: Action,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// What was done to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It was started and answers.
    Started,
    /// It was running.
    AlreadyRunning,
    /// It was stopped.
    Stopped,
    /// It was not running.
    AlreadyStopped,
    /// It did not start or stop.
    Failed,
    /// It was left as it was.
    Skipped,
}

/// How one service is, as `status` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// The service.
    pub name: Service,
    /// What it should be.
    pub desired: Desired,
    /// What it is.
    pub state: UnitState,
    /// What its last probe said; `None` where it was not asked.
    pub healthy: Option<bool>,
    /// Its process.
    pub pid: Option<u32>,
    /// Seconds since its process started.
    pub uptime_s: Option<f64>,
    /// Restarts since a command started it.
    pub restarts: u32,
    /// CPU use of its process group, or its container, since the last look, 100 being one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory of its process group, or what its container uses, in bytes.
    pub rss_bytes: Option<u64>,
    /// Where it is reached.
    pub address: String,
    /// Its version, where known.
    pub version: Option<String>,
    /// Why it last ended against our will, or what its probe says against it.
    pub last_error: Option<String>,
}

/// What a service should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Running.
    Up,
    /// Not running.
    Down,
}

/// What a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitState {
    /// Its process lives and has answered its probe.
    Running,
    /// Its process lives and has not answered yet.
    Starting,
    /// It has no process and should have none.
    Stopped,
    /// It ended too often without ever becoming ready, or cannot work as it is configured.
    Failed,
    /// It ended and is started again after a while.
    Backoff,
    /// Somebody else runs it.
    External,
}

/// Sends one document.
///
/// # Errors
/// Where the other side is gone.
pub(super) async fn send(writer: &mut (impl AsyncWrite + Unpin), document: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(document).map_err(io::Error::other)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Receives one document; `None` is the end.
///
/// # Errors
/// Where the other side breaks off, sends more than a line may hold, or something else than expected.
pub(super) async fn receive<T: DeserializeOwned>(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let length = reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if length == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that does not end"));
    }
    serde_json::from_slice(&line).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn documents_travel_one_a_line_and_a_torn_one_is_an_error() {
        let mut wire = Vec::new();
        send(&mut wire, &Request::Status).await.expect("written");
        let stop = Request::Stop {
            services: vec![Service::Hot],
            drain_ms: None,
            for_now: false,
        };
        send(&mut wire, &stop).await.expect("written");
        wire.extend(b"{\"request\":\"sta");
        let mut reader = wire.as_slice();
        assert_eq!(receive(&mut reader).await.expect("whole"), Some(Request::Status));
        assert_eq!(receive(&mut reader).await.expect("whole"), Some(stop));
        receive::<Request>(&mut reader).await.expect_err("torn");
        assert_eq!(receive::<Request>(&mut reader).await.expect("the end"), None);
    }

    #[test]
    fn outcomes_and_states_use_the_words_of_the_contract() {
        let json = |value: serde_json::Result<String>| value.expect("serialisable");
        assert_eq!(
            json(serde_json::to_string(&Action::AlreadyRunning)),
            "\"already-running\""
        );
        assert_eq!(json(serde_json::to_string(&UnitState::Backoff)), "\"backoff\"");
        assert_eq!(json(serde_json::to_string(&Desired::Up)), "\"up\"");
        assert_eq!(json(serde_json::to_string(&Service::Clickhouse)), "\"clickhouse\"");
    }
}
