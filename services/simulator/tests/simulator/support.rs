//! The simulator, a client of the venue, and what the tests read from frames.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_simulator::{Instruments, PingRule, Rate, SimulatorError, SimulatorOptions, Tuning, run_on};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;
pub(crate) const WAIT: Duration = Duration::from_secs(20);

pub(crate) fn options() -> SimulatorOptions {
    SimulatorOptions {
        places: None,
        listen: ([127, 0, 0, 1], 0).into(),
        symbols: vec!["BTCUSDT".into(), "ETHUSDT".into()],
        rate: Rate::Max,
        seed: 7,
        corpus: None,
        keep_time: false,
        faults: Vec::new(),
        unknown_fields: false,
        limit_trades: Some(1_000),
        connection_life: Duration::from_secs(86_400),
        tuning: Tuning {
            stale_snapshots: 0.0,
            snapshots_at_event_end: 0.0,
            trades_lag: Duration::ZERO,
            ..Tuning::default()
        },
        instruments: Instruments::default(),
    }
}

pub(crate) struct Simulator {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), SimulatorError>>,
}

impl Simulator {
    pub(crate) async fn start(options: SimulatorOptions) -> Self {
        Self::start_with(options, PingRule::default()).await
    }

    pub(crate) async fn start_with(options: SimulatorOptions, pings: PingRule) -> Self {
        let listener = TcpListener::bind(options.listen).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(run_on(listener, options, pings, stop.clone()));
        Self { address, stop, task }
    }

    pub(crate) async fn connect(&self, path: &str) -> Client {
        self.connect_to(&format!("/binance-spot{path}")).await
    }

    /// Connects to any venue.
    pub(crate) async fn connect_to(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.address);
        tokio_tungstenite::connect_async(url).await.expect("connects").0
    }

    pub(crate) async fn http(&self, method: reqwest::Method, path: &str, body: &str) -> (u16, String) {
        // One provider in the process; a second call is refused and harmless.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}{path}", self.address);
        let request = reqwest::Client::new().request(method, url).body(body.to_owned());
        let answer = request.send().await.expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.http(reqwest::Method::GET, path, "").await.1
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> u16 {
        self.http(reqwest::Method::POST, path, body).await.0
    }

    pub(crate) async fn truth(&self, symbol: &str) -> Vec<Value> {
        let lines = self
            .get(&format!(
                "/truth/events?type=trade&exchange=binance_spot&symbol={symbol}"
            ))
            .await;
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(WAIT, self.task).await.expect("ends in time");
        ended.expect("no panic").expect("ends well");
    }
}

pub(crate) async fn message(client: &mut Client) -> Option<Message> {
    let next = tokio::time::timeout(WAIT, client.next())
        .await
        .expect("a frame in time");
    next.and_then(Result::ok)
}

/// Returns the next text frame.
pub(crate) async fn text(client: &mut Client) -> String {
    loop {
        match message(client).await {
            Some(Message::Text(text)) => return text.to_string(),
            Some(Message::Ping(_)) => {}
            other => panic!("not a text: {other:?}"),
        }
    }
}

pub(crate) async fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(text(client).await);
    }
    all
}

pub(crate) async fn ask(client: &mut Client, request: &str) -> String {
    client.send(Message::text(request)).await.expect("sent");
    text(client).await
}

pub(crate) fn ids(frames: &[String]) -> Vec<u64> {
    let id = |frame: &String| serde_json::from_str::<Value>(frame).ok()?["t"].as_u64();
    frames.iter().filter_map(id).collect()
}

/// What the truth has to say about one payload.
pub(crate) fn as_truth(payload: &Value) -> Value {
    let side = if payload["m"] == true { "sell" } else { "buy" };
    let id = payload["t"].as_u64().expect("an id").to_string();
    json!({"id": id, "price": payload["p"], "quantity": payload["q"], "side": side, "ts_ms": payload["T"]})
}

/// Returns the corpus, or tells that the test is skipped; a run that requires it fails instead.
pub(crate) fn corpus() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("MPRISM_CORPUS").map_or(beside, PathBuf::from);
    if folder.join("binance/spot/trade").is_dir() {
        return Some(folder);
    }
    let required = std::env::var("MPRISM_TEST_REQUIRE").is_ok_and(|list| list.contains("corpus"));
    assert!(!required, "no corpus in {}", folder.display());
    writeln!(std::io::stderr(), "SKIPPED: no corpus in {}", folder.display()).expect("standard error");
    None
}

/// Reads a document.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A book put together by the rules of the venue, from nothing but what it sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Book {
    pub(crate) id: u64,
    bids: std::collections::BTreeMap<u128, (String, String)>,
    asks: std::collections::BTreeMap<u128, (String, String)>,
}

impl Book {
    /// Reads a snapshot of the venue, or a book of the truth.
    pub(crate) fn from_snapshot(snapshot: &Value) -> Self {
        let id = match &snapshot["id"] {
            Value::String(id) => id.parse().expect("an identifier"),
            _ => snapshot["lastUpdateId"].as_u64().expect("an identifier"),
        };
        let mut book = Self { id, ..Self::default() };
        book.set(&snapshot["bids"], &snapshot["asks"]);
        book
    }

    /// Applies a diff; what the book holds already is left out, and a hole is told.
    pub(crate) fn apply(&mut self, diff: &Value) -> Result<(), (u64, u64)> {
        let (first, last) = (diff["U"].as_u64().expect("U"), diff["u"].as_u64().expect("u"));
        if last <= self.id {
            return Ok(());
        }
        if first > self.id + 1 {
            return Err((self.id, first));
        }
        self.set(&diff["b"], &diff["a"]);
        self.id = last;
        Ok(())
    }

    pub(crate) fn set(&mut self, bids: &Value, asks: &Value) {
        for (side, rows) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for row in rows.as_array().expect("rows") {
                let (price, quantity) = (row[0].as_str().expect("a price"), row[1].as_str().expect("a quantity"));
                let key = price.replace('.', "").parse::<u128>().expect("a number");
                if quantity.trim_matches(['0', '.']).is_empty() {
                    side.remove(&key);
                } else {
                    side.insert(key, (price.to_owned(), quantity.to_owned()));
                }
            }
        }
    }

    /// Returns the best levels of both sides.
    pub(crate) fn top(&self, count: usize) -> Value {
        let row = |(price, quantity): &(String, String)| json!([price, quantity]);
        let bids = self.bids.values().rev().take(count).map(row).collect::<Vec<_>>();
        let asks = self.asks.values().take(count).map(row).collect::<Vec<_>>();
        json!({"bids": bids, "asks": asks})
    }

    pub(crate) fn is_crossed(&self) -> bool {
        let best = (self.bids.keys().next_back(), self.asks.keys().next());
        matches!(best, (Some(bid), Some(ask)) if bid >= ask)
    }
}

/// Returns the best levels of a document with books.
pub(crate) fn top_of(book: &Value) -> Value {
    json!({"bids": book["bids"], "asks": book["asks"]})
}

impl Simulator {
    /// Asks for everything that happened in a series.
    pub(crate) async fn series(&self, data_type: &str, exchange: &str, symbol: &str) -> Vec<Value> {
        let path = format!("/truth/events?type={data_type}&exchange={exchange}&symbol={symbol}");
        let (status, lines) = self.http(reqwest::Method::GET, &path, "").await;
        assert_eq!(status, 200, "{lines}");
        lines.lines().map(read).collect()
    }

    /// Asks for the true books at these identifiers.
    pub(crate) async fn true_books(&self, symbol: &str, ids: &[u64], levels: usize) -> Vec<Value> {
        self.true_books_of("binance_spot", symbol, ids, levels).await
    }

    /// As [`Simulator::true_books`], of any exchange.
    pub(crate) async fn true_books_of(&self, exchange: &str, symbol: &str, ids: &[u64], levels: usize) -> Vec<Value> {
        let path = format!("/truth/books?exchange={exchange}&symbol={symbol}&levels={levels}");
        let (status, lines) = self.http(reqwest::Method::POST, &path, &json!(ids).to_string()).await;
        assert_eq!(status, 200, "{lines}");
        lines.lines().map(read).collect()
    }
}
