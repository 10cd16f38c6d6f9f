//! Trades and control messages, as a client of the venue hears them.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_simulator::{PingRule, Rate, SimulatorOptions};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

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
