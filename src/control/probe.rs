//! Asking a service whether it can serve.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a service is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeSpec {
    /// nats-server's monitoring: it serves, and JetStream is enabled.
    Nats(SocketAddr),
    /// ClickHouse's HTTP interface: `/ping` answers `Ok.`.
    Clickhouse(SocketAddr),
    /// A worker's `/health`: 200.
    Worker(SocketAddr),
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
    let (address, path) = match spec {
        ProbeSpec::Nats(address) => (*address, "/healthz?js-enabled-only=true"),
        ProbeSpec::Clickhouse(address) => (*address, "/ping"),
        ProbeSpec::Worker(address) => (*address, "/health"),
    };
    let (ready, detail) = match mprism_runtime::probe::get(address, path, within).await {
        Ok((status, body)) => {
            let expected = match spec {
                ProbeSpec::Nats(_) => body.contains("ok"),
                ProbeSpec::Clickhouse(_) => body.starts_with("Ok."),
                ProbeSpec::Worker(_) => true,
            };
            let ready = status == 200 && expected;
            let complaint = complaint(&body).filter(|_| !ready);
            let said = || format!("http://{address}{path} answered {status}: {}", one_line(&body));
            (ready, complaint.unwrap_or_else(said))
        }
        Err(error) => (false, format!("http://{address}{path}: {error}")),
    };
    Answer {
        ready,
        detail,
        took: began.elapsed(),
    }
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
        assert!(ask(&ProbeSpec::Clickhouse(ok), WITHIN).await.ready);
        let stranger = answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
        let answer = ask(&ProbeSpec::Clickhouse(stranger), WITHIN).await;
        assert!(!answer.ready);
        assert!(answer.detail.ends_with("answered 200: hello"), "{}", answer.detail);
        let ill =
            answering("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"status\": \"unhealthy\"}").await;
        let answer = ask(&ProbeSpec::Worker(ill), WITHIN).await;
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
        let answer = ask(&ProbeSpec::Worker(address), Duration::from_millis(20)).await;
        assert!(answer.detail.contains("no answer within 20 ms"), "{}", answer.detail);
        drop(listener);
        let answer = ask(&ProbeSpec::Worker(address), WITHIN).await;
        assert!(answer.detail.contains("refused"), "{}", answer.detail);
    }
}
