//! The simulator from outside: as a client of the venue, and as a test that asks for the truth.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_simulator::{Fault, PingRule, Rate, SimulatorError, SimulatorOptions, run_on};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;
const WAIT: Duration = Duration::from_secs(20);

fn options() -> SimulatorOptions {
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
    }
}

struct Simulator {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SimulatorError>>,
}

impl Simulator {
    async fn start(options: SimulatorOptions) -> Self {
        Self::start_with(options, PingRule::default()).await
    }

    async fn start_with(options: SimulatorOptions, pings: PingRule) -> Self {
        let listener = TcpListener::bind(options.listen).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(run_on(listener, options, pings, stop.clone()));
        Self { address, stop, task }
    }

    async fn connect(&self, path: &str) -> Client {
        let url = format!("ws://{}/binance-spot{path}", self.address);
        tokio_tungstenite::connect_async(url).await.expect("connects").0
    }

    async fn http(&self, method: reqwest::Method, path: &str, body: &str) -> (u16, String) {
        // One provider in the process; a second call is refused and harmless.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}{path}", self.address);
        let request = reqwest::Client::new().request(method, url).body(body.to_owned());
        let answer = request.send().await.expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    async fn get(&self, path: &str) -> String {
        self.http(reqwest::Method::GET, path, "").await.1
    }

    async fn post(&self, path: &str, body: &str) -> u16 {
        self.http(reqwest::Method::POST, path, body).await.0
    }

    async fn truth(&self, symbol: &str) -> Vec<Value> {
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

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(WAIT, self.task).await.expect("ends in time");
        ended.expect("no panic").expect("ends well");
    }
}

async fn message(client: &mut Client) -> Option<Message> {
    let next = tokio::time::timeout(WAIT, client.next())
        .await
        .expect("a frame in time");
    next.and_then(Result::ok)
}

/// Returns the next text frame.
async fn text(client: &mut Client) -> String {
    loop {
        match message(client).await {
            Some(Message::Text(text)) => return text.to_string(),
            Some(Message::Ping(_)) => {}
            other => panic!("not a text: {other:?}"),
        }
    }
}

async fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(text(client).await);
    }
    all
}

async fn ask(client: &mut Client, request: &str) -> String {
    client.send(Message::text(request)).await.expect("sent");
    text(client).await
}

fn ids(frames: &[String]) -> Vec<u64> {
    let id = |frame: &String| serde_json::from_str::<Value>(frame).ok()?["t"].as_u64();
    frames.iter().filter_map(id).collect()
}

/// What the truth has to say about one payload.
fn as_truth(payload: &Value) -> Value {
    let side = if payload["m"] == true { "sell" } else { "buy" };
    let id = payload["t"].as_u64().expect("an id").to_string();
    json!({"id": id, "price": payload["p"], "quantity": payload["q"], "side": side, "ts_ms": payload["T"]})
}

#[tokio::test]
async fn control_messages_are_answered_word_by_word() {
    let simulator = Simulator::start(options()).await;
    let cases = [
        (
            r#"{"method":"SUBSCRIBE","params":["NOSUCH@trade"],"id":1}"#,
            r#"{"result":null,"id":1}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","id":"a1"}"#,
            r#"{"result":["NOSUCH@trade"],"id":"a1"}"#,
        ),
        (
            r#"{"method":"UNSUBSCRIBE","params":["x@trade"],"id":-5}"#,
            r#"{"result":null,"id":-5}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":["combined"],"id":null}"#,
            r#"{"result":false,"id":null}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["combined",true],"id":2}"#,
            r#"{"result":null,"id":2}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":["zz"],"id":"x"}"#,
            r#"{"code":0,"msg":"Unknown property","id":"x"}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["combined",1],"id":1}"#,
            r#"{"code":1,"msg":"Invalid value type: expected Boolean"}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":[1],"id":1}"#,
            r#"{"code":2,"msg":"Invalid request: property name must be a string"}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","params":[],"id":1.5}"#,
            r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}"#,
        ),
        (
            r#"{"method":"NO","id":1}"#,
            r#"{"code":2,"msg":"Invalid request: unknown variant NO, expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY at line 1 column 14"}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}"#,
            r#"{"code":2,"msg":"Invalid request: too many parameters"}"#,
        ),
        (
            r#"{"id":1}"#,
            r#"{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 8"}"#,
        ),
        (
            "zz",
            r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#,
        ),
    ];
    // No more than five frames a second are allowed on one connection, so state that spans cases stays in one chunk.
    for chunk in cases.chunks(5) {
        let mut client = simulator.connect("/ws").await;
        for (request, answer) in chunk {
            assert_eq!(ask(&mut client, request).await, *answer, "{request}");
        }
    }
    let mut client = simulator.connect("/ws").await;
    let names = (0..1_025).map(|number| format!("s{number}@trade")).collect::<Vec<_>>();
    let request = json!({"method": "SUBSCRIBE", "params": names, "id": 1}).to_string();
    assert_eq!(
        ask(&mut client, &request).await,
        r#"{"code":2,"msg":"Invalid request: too many streams"}"#
    );
    let list = ask(&mut client, r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#).await;
    assert_eq!(list, r#"{"result":[],"id":1}"#);
    simulator.end().await;
}

#[tokio::test]
async fn six_frames_in_a_second_close_the_connection() {
    let simulator = Simulator::start(options()).await;
    let mut client = simulator.connect("/ws").await;
    for _ in 0..6 {
        client
            .send(Message::text(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#))
            .await
            .expect("sent");
    }
    loop {
        match message(&mut client).await {
            Some(Message::Text(_)) => {}
            Some(Message::Close(Some(frame))) => break assert_eq!(u16::from(frame.code), 1_008),
            other => panic!("no close frame: {other:?}"),
        }
    }
    simulator.end().await;
}

#[tokio::test]
async fn what_a_client_hears_is_the_truth_and_the_seed_decides_it() {
    let mut markets = Vec::new();
    for _ in 0..2 {
        let simulator = Simulator::start(options()).await;
        let mut client = simulator
            .connect("/stream?streams=btcusdt%40trade&timeUnit=MILLISECOND")
            .await;
        let frames = texts(&mut client, 1_000).await;
        let data = frames.iter().map(|frame| {
            let frame = serde_json::from_str::<Value>(frame).expect("JSON");
            assert_eq!(frame["stream"], "btcusdt@trade");
            frame["data"].clone()
        });
        let heard = data.map(|data| as_truth(&data)).collect::<Vec<_>>();
        assert_eq!(heard, simulator.truth("BTC-USDT").await);
        let counts = serde_json::from_str::<Value>(&simulator.get("/truth/counts").await).expect("JSON");
        assert_eq!(
            counts,
            json!({"trade": {"binance_spot": {"BTC-USDT": 1_000, "ETH-USDT": 0}}})
        );
        let untimed = heard.into_iter().map(|mut trade| {
            trade["ts_ms"] = Value::Null;
            trade
        });
        markets.push(untimed.collect::<Vec<_>>());
        simulator.end().await;
    }
    assert_eq!(markets[0], markets[1]);
}

#[tokio::test]
async fn a_trade_has_the_venues_form() {
    let simulator = Simulator::start(options()).await;
    let mut client = simulator.connect("/ws/btcusdt@trade?timeUnit=microsecond").await;
    let frame = text(&mut client).await;
    let value = serde_json::from_str::<Value>(&frame).expect("JSON");
    let (e, t, p, q, at, m) = (
        &value["E"],
        &value["t"],
        &value["p"],
        &value["q"],
        &value["T"],
        &value["m"],
    );
    let form = format!(r#"{{"e":"trade","E":{e},"s":"BTCUSDT","t":{t},"p":{p},"q":{q},"T":{at},"m":{m},"M":true}}"#);
    assert_eq!(frame, form);
    assert!(
        e.as_u64().expect("a number") > 1_000_000_000_000_000,
        "microseconds: {e}"
    );
    assert_eq!(p.as_str().expect("a text").split_once('.').expect("a point").1.len(), 8);
    simulator.end().await;
}

#[tokio::test]
async fn a_missing_pong_ends_the_connection_and_an_answered_ping_does_not() {
    let pings = PingRule {
        interval: Duration::from_millis(300),
        timeout: Duration::from_millis(700),
    };
    let simulator = Simulator::start_with(options(), pings).await;
    let mut client = simulator.connect("/ws").await;
    // Reading answers; four pings take longer than one may stay unanswered.
    for _ in 0..4 {
        let Some(Message::Ping(payload)) = message(&mut client).await else {
            panic!("no ping")
        };
        let payload = std::str::from_utf8(&payload).expect("text");
        assert!(payload.parse::<u64>().expect("a time") > 1_000_000_000_000);
    }
    let mut tcp = TcpStream::connect(simulator.address).await.expect("connects");
    let request = "GET /binance-spot/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut tcp, request.as_bytes())
        .await
        .expect("sent");
    let mut all = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut all);
    tokio::time::timeout(WAIT, read)
        .await
        .expect("closed in time")
        .expect("closed");
    assert!(
        all.windows(12).any(|part| part == b"Pong timeout"),
        "closed for another reason"
    );
    simulator.end().await;
}

#[tokio::test]
async fn scripted_faults_bend_the_stream_and_not_the_truth() {
    let faults = "[{at: 0, exchange: binance_spot, symbol: BTC-USDT, fault: gap, count: 3},
        {at: 0, fault: malformed, kind: nan}, {at: 0, fault: reorder},
        {at: 0, fault: malformed_replace, kind: truncated}]";
    let faults = Fault::parse_yaml(faults).expect("faults");
    let simulator = Simulator::start(SimulatorOptions {
        limit_trades: Some(20),
        faults,
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@trade").await;
    // 20 trades, 3 swallowed, one more broken frame.
    let frames = texts(&mut client, 18).await;
    assert!(frames[0].contains("NaN"), "{}", frames[0]);
    let truth = simulator.truth("BTC-USDT").await;
    assert_eq!(truth.len(), 20);
    let first = truth[0]["id"].as_str().expect("a text").parse::<u64>().expect("an id");
    // The fourth trade is the broken one and changes places with the fifth.
    assert_eq!(ids(&frames[1..]), (first + 4..first + 20).collect::<Vec<_>>());
    assert!(serde_json::from_str::<Value>(&frames[2]).is_err(), "{}", frames[2]);
    assert_eq!(
        simulator
            .post("/control/fault", r#"{"fault":"duplicate","count":2}"#)
            .await,
        202
    );
    assert_eq!(ids(&texts(&mut client, 2).await), [first + 18, first + 19]);
    let told = serde_json::from_str::<Value>(&simulator.get("/truth/faults").await).expect("JSON");
    assert_eq!(told[0]["fault"], "gap");
    let gap = json!([{"symbol": "BTCUSDT", "first_id": first.to_string(), "last_id": (first + 2).to_string()}]);
    assert_eq!(told[0]["ids"], gap);
    assert_eq!(
        simulator
            .post("/control/fault", r#"{"fault":"server_shutdown","after":0.05}"#)
            .await,
        202
    );
    assert!(text(&mut client).await.starts_with(r#"{"e":"serverShutdown","E":"#));
    assert!(matches!(message(&mut client).await, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1_001));
    let mut client = simulator.connect("/ws/ethusdt@trade").await;
    // 20 trades and the broken frame that was meant for every symbol.
    texts(&mut client, 21).await;
    assert_eq!(simulator.post("/control/fault", r#"{"fault":"disconnect"}"#).await, 202);
    assert!(message(&mut client).await.is_none(), "cut without a close frame");
    simulator.end().await;
}

#[test]
fn wrong_faults_are_named() {
    for (text, why) in [
        ("{}", "faults are a list"),
        ("[{fault: gap}]", "fault 1: `at` is missing"),
        ("[{at: 1, fault: zz}]", "`zz` is not one of"),
        ("[{at: 10s, fault: reorder, zz: 1}]", "`zz` is not a key of `reorder`"),
        ("[{at: soon, fault: reorder}]", "is not a duration"),
        ("[{at: 1, exchange: okx, fault: reorder}]", "no faults for `okx`"),
    ] {
        let error = Fault::parse_yaml(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_paused_market_stands_still() {
    let simulator = Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(2_000.0),
        limit_trades: None,
        places: None,
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@trade").await;
    let mut heard = texts(&mut client, 200).await;
    assert_eq!(simulator.post("/control/pause", "").await, 200);
    let paused = simulator.truth("BTC-USDT").await;
    heard.extend(texts(&mut client, paused.len() - heard.len()).await);
    let more = tokio::time::timeout(Duration::from_millis(300), client.next()).await;
    assert!(more.is_err(), "a frame in spite of the pause");
    assert_eq!(simulator.truth("BTC-USDT").await, paused);
    assert_eq!(simulator.post("/control/resume", "").await, 200);
    heard.extend(texts(&mut client, 200).await);
    let ids = ids(&heard);
    assert!(
        ids.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "a hole around the pause"
    );
    simulator.end().await;
}

#[tokio::test]
async fn rest_answers_and_refuses_as_the_venue_does() {
    let simulator = Simulator::start(options()).await;
    let api = |path: &str| format!("/binance-spot/api/v3/{path}");
    assert_eq!(simulator.get(&api("ping")).await, "{}");
    assert!(simulator.get(&api("time")).await.starts_with(r#"{"serverTime":"#));
    let info = serde_json::from_str::<Value>(&simulator.get(&api("exchangeInfo?symbol=BTCUSDT")).await).expect("JSON");
    assert_eq!(info["symbols"][0]["status"], "TRADING");
    let wrong = simulator
        .http(reqwest::Method::GET, &api("exchangeInfo?symbol=ZZ"), "")
        .await;
    assert_eq!(wrong, (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#.into()));
    assert_eq!(simulator.http(reqwest::Method::GET, &api("nothing"), "").await.0, 404);
    assert!(simulator.get("/health").await.contains(r#""status": "healthy""#));
    let url = format!("http://{}{}", simulator.address, api("ping"));
    let answer = reqwest::get(url).await.expect("answers");
    // Three cheap calls with this one, and two for 20.
    assert_eq!(answer.headers()["x-mbx-used-weight-1m"], "43");
    simulator.end().await;
}

/// Returns the corpus, or tells that the test is skipped; a run that requires it fails instead.
fn corpus() -> Option<PathBuf> {
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

#[tokio::test]
async fn recorded_frames_keep_every_byte() {
    let Some(corpus) = corpus() else { return };
    let mut recorded = Vec::new();
    for day in ["20240808", "20240809"] {
        let path = corpus.join(format!("binance/spot/trade/hft-btcusdt-{day}.jsonl.zst"));
        let file = std::fs::File::open(path).expect("there");
        let all = std::io::read_to_string(zstd::Decoder::new(file).expect("zstd")).expect("text");
        recorded.extend(all.lines().map(str::to_owned));
    }
    let options = SimulatorOptions {
        corpus: Some(corpus),
        limit_trades: None,
        places: None,
        ..options()
    };
    for keep_time in [true, false] {
        let simulator = Simulator::start(SimulatorOptions {
            keep_time,
            ..options.clone()
        })
        .await;
        let mut client = simulator.connect("/stream?streams=btcusdt@trade").await;
        let heard = texts(&mut client, recorded.len()).await;
        let data = |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["data"].clone();
        let truth = heard.iter().map(|line| as_truth(&data(line))).collect::<Vec<_>>();
        assert!(
            truth == simulator.truth("BTC-USDT").await,
            "truth is not what was heard"
        );
        if keep_time {
            assert!(heard == recorded, "a frame changed");
        }
        let shift = |name: &str, index: usize| {
            data(&heard[index])[name].as_i64().expect("a time") - data(&recorded[index])[name].as_i64().expect("a time")
        };
        let constant = shift("E", 0);
        assert_eq!(constant == 0, keep_time);
        for index in 0..recorded.len() {
            assert_eq!((shift("E", index), shift("T", index)), (constant, constant));
            let old = data(&recorded[index]);
            let time = |name: &str| {
                (
                    format!("\"{name}\":{}", old[name]),
                    format!("\"{name}\":{}", old[name].as_i64().expect("a time") + constant),
                )
            };
            let ((event, event_now), (trade, trade_now)) = (time("E"), time("T"));
            assert_eq!(
                heard[index],
                recorded[index].replace(&event, &event_now).replace(&trade, &trade_now)
            );
        }
        simulator.end().await;
    }
}

#[tokio::test]
async fn damaged_recordings_are_played_and_not_counted() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let trades = folder.path().join("binance/spot/trade");
    std::fs::create_dir_all(&trades).expect("created");
    let sound = r#"{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":5,"p":"1.10","q":"2.0","T":1723161255342,"m":true,"M":true,"zz":[1]}"#;
    let lines = format!("{{\"e\":\"trade\",\"s\"\n{sound}\n{{\"e\":\"trade\"}}\n");
    std::fs::write(trades.join("broken-malformed.jsonl"), &lines).expect("written");
    let corpus = Some(folder.path().to_owned());
    let simulator = Simulator::start(SimulatorOptions {
        corpus,
        keep_time: true,
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@trade").await;
    assert_eq!(texts(&mut client, 3).await, lines.lines().collect::<Vec<_>>());
    assert_eq!(simulator.truth("BTC-USDT").await.len(), 1);
    simulator.end().await;
}
