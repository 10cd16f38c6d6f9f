//! Asking a service whether it can serve.

use std::time::{Duration, Instant};

use mprism_runtime::endpoint::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::broker_reach::BrokerReach;

/// How a service is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeSpec {
    /// nats-server's monitoring: it serves, and JetStream is enabled.
    Nats(Endpoint),
    /// A broker of somebody else's: it takes us.
    Broker(Box<BrokerReach>),
    /// ClickHouse's HTTP interface: `/ping` answers `Ok.`.
    Clickhouse(Endpoint),
    /// A ClickHouse of somebody else's: it knows us, and answers a query.
    Store(Endpoint),
    /// A worker's `/health`: 200.
    Worker(Endpoint),
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the service can serve.
    pub ready: bool,
    /// What it said, or why it could not be asked, on one line.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
}

/// Asks once. A service that cannot be asked is not ready; that is an answer, not an error.
pub async fn ask(spec: &ProbeSpec, within: Duration) -> Answer {
    let began = Instant::now();
    let (at, path) = match spec {
        ProbeSpec::Broker(reach) => {
            let (ready, detail) = match try_out(reach, within).await {
                Ok(()) => (true, "takes us".to_owned()),
                Err(why) => (false, one_line(&why)),
            };
            let took = began.elapsed();
            return Answer { ready, detail, took };
        }
        ProbeSpec::Nats(at) => (at, "/healthz?js-enabled-only=true"),
        ProbeSpec::Clickhouse(at) => (at, "/ping"),
        ProbeSpec::Store(at) => (at, "/?query=SELECT%201"),
        ProbeSpec::Worker(at) => (at, "/health"),
    };
    let (ready, detail) = match mprism_runtime::probe::get(at, path, within).await {
        Ok((status, body)) => {
            let expected = match spec {
                ProbeSpec::Nats(_) => body.contains("ok"),
                ProbeSpec::Clickhouse(_) => body.starts_with("Ok."),
                ProbeSpec::Store(_) => body.trim() == "1",
                ProbeSpec::Worker(_) | ProbeSpec::Broker(_) => true,
            };
            let ready = status == 200 && expected;
            let complaint = complaint(&body).filter(|_| !ready);
            let said = || format!("{at}{path} answered {status}: {}", one_line(&body));
            (ready, complaint.unwrap_or_else(said))
        }
        Err(error) => (false, format!("{at}{path}: {error}")),
    };
    Answer {
        ready,
        detail,
        took: began.elapsed(),
    }
}

/// Connects to a broker once.
async fn try_out(reach: &BrokerReach, within: Duration) -> Result<(), String> {
    let options = reach
        .options("mprism-probe")
        .map_err(|e| mprism_runtime::log::chain(&e))?;
    let tried = mprism_bus::try_out(options, within).await;
    tried.map(|_| ()).map_err(|e| mprism_runtime::log::chain(&e))
}

/// Returns what a worker says is wrong with it, where it says so: its reason, or the checks that failed.
fn complaint(body: &str) -> Option<String> {
    let document: Value = serde_json::from_str(body).ok()?;
    if let Some(reason) = document.get("reason").and_then(Value::as_str) {
        return Some(one_line(reason));
    }
    let checks = document.get("checks")?.as_object()?;
    let failed = checks.iter().filter_map(|(name, check)| {
        let error = check.get("error_message")?.as_str()?;
        Some(format!("{name}: {error}"))
    });
    let failed: Vec<String> = failed.collect();
    (!failed.is_empty()).then(|| one_line(&failed.join("; ")))
}

/// Shortens an answer to one line of at most 200 characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn answering(response: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("asked");
            let mut request = [0; 1024];
            let _length = stream.read(&mut request).await.expect("a request");
            stream.write_all(response.as_bytes()).await.expect("answered");
        });
        address
    }

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn only_the_expected_answer_is_ready() {
        let ok = answering("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nOk.\n").await;
        assert!(ask(&ProbeSpec::Clickhouse(ok.into()), WITHIN).await.ready);
        let stranger = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
        let answer = ask(&ProbeSpec::Clickhouse(stranger.into()), WITHIN).await;
        assert!(!answer.ready);
        assert!(answer.detail.ends_with("answered 200: hello"), "{}", answer.detail);
        let ill =
            answering("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"status\": \"unhealthy\"}").await;
        let answer = ask(&ProbeSpec::Worker(ill.into()), WITHIN).await;
        assert!(!answer.ready && answer.detail.contains("503"), "{}", answer.detail);
    }

    #[test]
    fn a_workers_own_words_are_told() {
        let checks =
            r#"{"checks": {"nats": {"error_message": null}, "binance_spot": {"error_message": "not connected"}}}"#;
        assert_eq!(complaint(checks).as_deref(), Some("binance_spot: not connected"));
        let reason = r#"{"status": "unhealthy", "reason": "nats is not connected"}"#;
        assert_eq!(complaint(reason).as_deref(), Some("nats is not connected"));
        assert_eq!(complaint(r#"{"reason": null, "checks": {}}"#), None);
        assert_eq!(complaint("Ok."), None);
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_answering_are_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let answer = ask(&ProbeSpec::Worker(address.into()), Duration::from_millis(20)).await;
        assert!(answer.detail.contains("no answer within 20 ms"), "{}", answer.detail);
        drop(listener);
        let answer = ask(&ProbeSpec::Worker(address.into()), WITHIN).await;
        assert!(answer.detail.contains("refused"), "{}", answer.detail);
    }
}
