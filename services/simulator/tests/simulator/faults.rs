//! Scripted faults.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_simulator::{Fault, Rate, SimulatorOptions};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

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
        ("[{at: 1, fault: snapshot_error, status: 200}]", "not an HTTP status"),
        ("[{at: 1, fault: clock_skew}]", "`ms`"),
    ] {
        let error = Fault::parse_yaml(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

async fn strike(simulator: &Simulator, fault: &str) {
    assert_eq!(simulator.post("/control/fault", fault).await, 202, "{fault}");
}

/// Waits until a fault's record tells what was hit.
async fn hit(simulator: &Simulator, fault: &str) -> (u64, u64) {
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let records = read(&simulator.get("/truth/faults").await);
        let records = records.as_array().expect("records").clone();
        let record = records.iter().rev().find(|record| record["fault"] == fault);
        if let Some(ids) = record.and_then(|record| record["ids"].get(0)) {
            let number = |key: &str| ids[key].as_str().and_then(|id| id.parse::<u64>().ok());
            if let (Some(first), Some(last)) = (number("first_id"), number("last_id")) {
                return (first, last);
            }
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "no record of what {fault} hit: {records:?}"
        );
        tokio::task::yield_now().await;
    }
}

/// A market that goes on, and a client of its book.
async fn live() -> (Simulator, Client) {
    let simulator = Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(1_000.0),
        limit_trades: None,
        ..options()
    })
    .await;
    let client = simulator.connect("/ws/btcusdt@depth@100ms").await;
    (simulator, client)
}

fn range(diff: &Value) -> (u64, u64) {
    (diff["U"].as_u64().expect("U"), diff["u"].as_u64().expect("u"))
}

#[tokio::test]
async fn faults_of_the_book_bend_its_stream_and_not_the_truth() {
    let (simulator, mut client) = live().await;
    let mut last = range(&read(&text(&mut client).await)).1;
    strike(
        &simulator,
        r#"{"fault":"gap","stream":"depth","symbol":"BTC-USDT","count":2}"#,
    )
    .await;
    let (after, swallowed) = loop {
        let (first, end) = range(&read(&text(&mut client).await));
        if first != last + 1 {
            break (first, (last + 1, first - 1));
        }
        last = end;
    };
    assert_eq!(hit(&simulator, "gap").await, swallowed);
    let truth = simulator.true_books("BTC-USDT", &[swallowed.0, after], 5).await;
    assert!(
        truth.iter().all(|book| book["error"].is_null()),
        "the truth has no hole"
    );
    let mut before = text(&mut client).await;
    strike(
        &simulator,
        r#"{"fault":"duplicate","stream":"depth","symbol":"BTC-USDT"}"#,
    )
    .await;
    loop {
        let frame = text(&mut client).await;
        if frame == before {
            break;
        }
        before = frame;
    }
    let mut last = range(&read(&text(&mut client).await)).1;
    strike(
        &simulator,
        r#"{"fault":"reorder","stream":"depth","symbol":"BTC-USDT"}"#,
    )
    .await;
    let late = loop {
        let (first, end) = range(&read(&text(&mut client).await));
        if first != last + 1 {
            break (last + 1, first - 1);
        }
        last = end;
    };
    assert_eq!(
        range(&read(&text(&mut client).await)),
        late,
        "the frame before comes after"
    );
    for (kind, part) in [("nan", "NaN"), ("unknown_event", "zzFuture")] {
        strike(
            &simulator,
            &format!(r#"{{"fault":"malformed","stream":"depth","kind":"{kind}"}}"#),
        )
        .await;
        while !text(&mut client).await.contains(part) {}
    }
    strike(&simulator, r#"{"fault":"huge_frame","stream":"depth"}"#).await;
    while text(&mut client).await.len() < 5_000_000 {}
    simulator.end().await;
}

#[tokio::test]
async fn one_stream_falls_silent_and_others_go_on() {
    let (simulator, mut client) = live().await;
    client
        .send(Message::text(
            r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#,
        ))
        .await
        .expect("sent");
    while !text(&mut client).await.contains(r#""e":"trade""#) {}
    let mut last = None;
    let (mut trades, mut struck) = (0, false);
    let hole = loop {
        let frame = read(&text(&mut client).await);
        if frame["e"] != "depthUpdate" {
            trades += 1;
            continue;
        }
        let (first, end) = range(&frame);
        if let Some(last) = last.filter(|last| first != last + 1) {
            break (last + 1, first - 1);
        }
        last = Some(end);
        if !std::mem::replace(&mut struck, true) {
            strike(
                &simulator,
                r#"{"fault":"silent_stream","stream":"depth","duration":"1s"}"#,
            )
            .await;
        }
        trades = 0;
    };
    assert!(trades > 100, "{trades} trades while the book was silent");
    assert_eq!(hit(&simulator, "silent_stream").await, hole);
    simulator.end().await;
}

#[tokio::test]
async fn snapshots_fail_as_they_are_told_to() {
    let (simulator, mut client) = live().await;
    let begin = range(&read(&text(&mut client).await)).0;
    for _ in 0..5 {
        text(&mut client).await;
    }
    let path = "/binance-spot/api/v3/depth?symbol=BTCUSDT&limit=20";
    let depth = || async { simulator.http(reqwest::Method::GET, path, "").await };
    strike(
        &simulator,
        r#"{"fault":"stale_snapshot","count":2,"symbol":"BTC-USDT"}"#,
    )
    .await;
    text(&mut client).await;
    let mut stale = 0;
    loop {
        let snapshot = read(&depth().await.1);
        let id = snapshot["lastUpdateId"].as_u64().expect("an identifier");
        let truth = &simulator.true_books("BTC-USDT", &[id], 20).await[0];
        assert_eq!(top_of(&snapshot), top_of(truth), "stale, and never inconsistent");
        if id + 1 >= begin {
            break;
        }
        stale += 1;
    }
    assert_eq!(stale, 2);
    strike(&simulator, r#"{"fault":"bad_snapshot"}"#).await;
    text(&mut client).await;
    let snapshot = read(&depth().await.1);
    let id = snapshot["lastUpdateId"].as_u64().expect("an identifier");
    let truth = &simulator.true_books("BTC-USDT", &[id], 20).await[0];
    assert_eq!(snapshot["asks"], truth["asks"]);
    assert_eq!(snapshot["bids"][2], truth["bids"][2]);
    assert_eq!(snapshot["bids"][3], truth["bids"][4], "one level is missing");
    assert_eq!(hit(&simulator, "bad_snapshot").await, (id, id));
    strike(&simulator, r#"{"fault":"snapshot_error","status":503,"count":2}"#).await;
    text(&mut client).await;
    assert_eq!(depth().await.0, 503);
    assert_eq!(read(&depth().await.1)["code"], -1008);
    assert_eq!(depth().await.0, 200);
    strike(&simulator, r#"{"fault":"snapshot_delay","duration":"300ms"}"#).await;
    text(&mut client).await;
    let asked = std::time::Instant::now();
    assert_eq!(depth().await.0, 200);
    assert!(asked.elapsed() >= Duration::from_millis(300));
    strike(&simulator, r#"{"fault":"http_429","retry_after":7,"count":1}"#).await;
    text(&mut client).await;
    let url = format!("http://{}{path}", simulator.address);
    let answer = reqwest::get(&url).await.expect("answers");
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["retry-after"].to_str().expect("text")
        ),
        (429, "7")
    );
    strike(&simulator, r#"{"fault":"http_418","duration":"5m"}"#).await;
    text(&mut client).await;
    let answer = reqwest::get(&url).await.expect("answers");
    assert_eq!(answer.status().as_u16(), 418);
    simulator.end().await;
}

#[tokio::test]
async fn connections_die_in_every_way() {
    let (simulator, mut client) = live().await;
    text(&mut client).await;
    strike(&simulator, r#"{"fault":"silent_after_ack"}"#).await;
    text(&mut client).await;
    let mut deaf = simulator.connect("/ws").await;
    let ack = ask(&mut deaf, r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#).await;
    assert_eq!(ack, r#"{"result":null,"id":1}"#);
    let silent = tokio::time::timeout(Duration::from_millis(500), deaf.next()).await;
    assert!(silent.is_err(), "a frame in spite of the fault: {silent:?}");
    strike(&simulator, r#"{"fault":"half_open"}"#).await;
    // What was on its way arrives; then nothing, not even an end.
    let quiet = async {
        while let Some(frame) = client.next().await {
            frame.expect("the socket stays open");
        }
    };
    let quiet = tokio::time::timeout(Duration::from_secs(1), quiet).await;
    assert!(quiet.is_err(), "the connection ended");
    strike(&simulator, r#"{"fault":"handshake_error","status":503}"#).await;
    strike(&simulator, r#"{"fault":"handshake_slow","duration":"300ms"}"#).await;
    while read(&simulator.get("/truth/faults").await)
        .as_array()
        .map_or(0, Vec::len)
        < 4
    {
        tokio::task::yield_now().await;
    }
    let url = format!("ws://{}/binance-spot/ws/btcusdt@trade", simulator.address);
    let asked = std::time::Instant::now();
    let refused = tokio_tungstenite::connect_async(&url).await.expect_err("refused");
    assert!(refused.to_string().contains("503"), "{refused}");
    assert!(asked.elapsed() >= Duration::from_millis(300));
    let mut client = simulator.connect("/ws/btcusdt@trade").await;
    text(&mut client).await;
    strike(&simulator, r#"{"fault":"connection_life","duration":"500ms"}"#).await;
    let closed = loop {
        match message(&mut client).await {
            Some(Message::Text(_) | Message::Ping(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(closed, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1_001));
    simulator.end().await;
}

#[tokio::test]
async fn clocks_skew_and_markets_burst() {
    let (simulator, mut client) = live().await;
    let first = read(&text(&mut client).await)["E"].as_i64().expect("E");
    strike(&simulator, r#"{"fault":"clock_skew","ms":-5000}"#).await;
    while read(&text(&mut client).await)["E"].as_i64().expect("E") > first {}
    strike(&simulator, r#"{"fault":"clock_skew","ms":0}"#).await;
    while read(&text(&mut client).await)["E"].as_i64().expect("E") < first {}
    let size = |diff: &Value| range(diff).1 - range(diff).0;
    let usual = size(&read(&text(&mut client).await));
    strike(&simulator, r#"{"fault":"burst","factor":20,"duration":"1s"}"#).await;
    while size(&read(&text(&mut client).await)) < usual * 5 {}
    simulator.end().await;
}
