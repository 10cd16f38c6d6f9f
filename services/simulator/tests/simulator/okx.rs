//! OKX: control messages, chained books, fills and aggregates, what happens by the clock.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::SinkExt;
use mprism_simulator::{PingRule, Rate, SimulatorOptions, Tuning};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

const PUBLIC: &str = "/okx/ws/v5/public";
const BUSINESS: &str = "/okx/ws/v5/business";

/// A market that goes on, with its clock 100 times as fast.
fn live() -> SimulatorOptions {
    SimulatorOptions {
        rate: Rate::PerSecond(1_000.0),
        limit_trades: None,
        tuning: Tuning {
            pace: 100,
            ..options().tuning
        },
        ..options()
    }
}

async fn subscribe(client: &mut Client, args: Value) {
    let request = json!({"id": "7", "op": "subscribe", "args": args}).to_string();
    client.send(Message::text(request)).await.expect("sent");
}

/// Returns the next frame with data.
async fn data(client: &mut Client) -> Value {
    loop {
        let frame = read(&text(client).await);
        if frame["data"].is_array() {
            return frame;
        }
    }
}

/// A book by the venue's rules: rows have four columns.
fn apply(book: &mut Book, data: &Value) {
    let cut = |rows: &Value| {
        let rows = rows.as_array().expect("rows").iter().map(|row| {
            assert_eq!(row[2], "0");
            // Prices of one length, so that they can be compared as texts without a point.
            let price = format!(
                "{:.2}",
                row[0].as_str().expect("a price").parse::<f64>().expect("a number")
            );
            json!([price, row[1]])
        });
        rows.collect::<Value>()
    };
    book.set(&cut(&data["bids"]), &cut(&data["asks"]));
    book.id = data["seqId"].as_u64().expect("seqId");
}

#[tokio::test]
async fn control_messages_are_answered_each_by_itself() {
    let simulator = Simulator::start(live()).await;
    let mut client = simulator.connect_to(PUBLIC).await;
    client.send(Message::text("ping")).await.expect("sent");
    assert_eq!(text(&mut client).await, "pong");
    let answer = read(&ask(&mut client, "{").await);
    assert_eq!((&answer["event"], &answer["code"]), (&json!("error"), &json!("60012")));
    let args = json!([
        {"channel": "books5", "instId": "BTC-USDT"},
        {"channel": "books", "instId": "NO-NO"},
        {"channel": "trades-all", "instId": "BTC-USDT"},
        {"channel": "funding-rate", "instId": "BTC-USDT-SWAP"}
    ]);
    subscribe(&mut client, args).await;
    let (mut acks, mut errors) = (BTreeSet::new(), BTreeSet::new());
    while acks.len() + errors.len() < 4 {
        let frame = read(&text(&mut client).await);
        match frame["event"].as_str() {
            Some("subscribe") => acks.insert(frame["arg"]["channel"].to_string()),
            Some("error") => errors.insert(frame["code"].to_string()),
            _ => continue,
        };
        assert_eq!(frame["id"], "7");
        assert!(frame["connId"].is_string());
    }
    assert_eq!(acks, BTreeSet::from(["\"books5\"".into(), "\"funding-rate\"".into()]));
    assert_eq!(errors, BTreeSet::from(["\"60018\"".into(), "\"64001\"".into()]));
    simulator.end().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_a_text_ping_keeps_it() {
    let pings = PingRule {
        interval: Duration::from_millis(400),
        timeout: Duration::from_secs(60),
    };
    let simulator = Simulator::start_with(live(), pings).await;
    let mut client = simulator.connect_to(PUBLIC).await;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        client.send(Message::text("ping")).await.expect("open");
        assert_eq!(text(&mut client).await, "pong");
    }
    let closed = message(&mut client).await;
    assert!(matches!(closed, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 4_004));
    simulator.end().await;
}

#[tokio::test]
async fn chained_books_are_the_true_book_at_every_update() {
    let simulator = Simulator::start(live()).await;
    for (exchange, instrument, symbol) in [
        ("okx_derivatives", "BTC-USDT-SWAP", "BTC-USDT"),
        ("okx_spot", "ETH-USDT", "ETH-USDT"),
    ] {
        let mut client = simulator.connect_to(PUBLIC).await;
        subscribe(&mut client, json!([{"channel": "books", "instId": instrument}])).await;
        let first = data(&mut client).await;
        assert_eq!(
            (&first["action"], &first["data"][0]["prevSeqId"]),
            (&json!("snapshot"), &json!(-1))
        );
        assert_eq!(first["data"][0]["bids"].as_array().map(Vec::len), Some(400));
        let mut book = Book::default();
        apply(&mut book, &first["data"][0]);
        for _ in 0..10 {
            let update = data(&mut client).await;
            let row = &update["data"][0];
            assert_eq!(update["action"], "update");
            assert_eq!(row["prevSeqId"].as_u64(), Some(book.id));
            apply(&mut book, row);
            let truth = &simulator.true_books_of(exchange, symbol, &[book.id], 400).await[0];
            let mut true_book = Book::default();
            let rows = |side: &str| {
                truth[side]
                    .as_array()
                    .expect("rows")
                    .iter()
                    .map(|row| json!([row[0], row[1], "0"]))
                    .collect::<Value>()
            };
            apply(
                &mut true_book,
                &json!({"bids": rows("bids"), "asks": rows("asks"), "seqId": book.id}),
            );
            assert!(
                book == true_book,
                "{instrument}: not the true best 400 levels at {}",
                book.id
            );
        }
        let rest = read(
            &simulator
                .get(&format!("/okx/api/v5/market/books?instId={instrument}&sz=5"))
                .await,
        );
        let row = &rest["data"][0];
        let truth = &simulator
            .true_books_of(exchange, symbol, &[row["seqId"].as_u64().expect("seqId")], 5)
            .await[0];
        assert_eq!(
            (rest["code"].as_str(), &row["bids"][4][0]),
            (Some("0"), &truth["bids"][4][0])
        );
    }
    simulator.end().await;
}

#[tokio::test]
async fn aggregates_cover_the_fills_and_history_has_them_all() {
    let simulator = Simulator::start(live()).await;
    let mut client = simulator.connect_to(PUBLIC).await;
    subscribe(&mut client, json!([{"channel": "trades", "instId": "BTC-USDT-SWAP"}])).await;
    let mut fills = simulator.connect_to(BUSINESS).await;
    subscribe(
        &mut fills,
        json!([{"channel": "trades-all", "instId": "BTC-USDT-SWAP"}]),
    )
    .await;
    let number = |row: &Value, key: &str| row[key].as_str().expect("a text").parse::<u64>().expect("a number");
    let mut last = None;
    for _ in 0..200 {
        let row = data(&mut client).await["data"][0].clone();
        let (id, count) = (number(&row, "tradeId"), number(&row, "count"));
        assert!(last.is_none_or(|last| id - count == last), "a hole before {id}");
        last = Some(id);
    }
    let mut previous = None;
    let mut newest = Value::Null;
    for _ in 0..200 {
        newest = data(&mut fills).await["data"][0].clone();
        let id = number(&newest, "tradeId");
        assert!(previous.is_none_or(|previous| id == previous + 1));
        previous = Some(id);
    }
    let end = previous.expect("some") + 1;
    let path = format!("/okx/api/v5/market/history-trades?instId=BTC-USDT-SWAP&after={end}&limit=100");
    let rows = read(&simulator.get(&path).await)["data"].clone();
    assert_eq!(rows.as_array().map(Vec::len), Some(100));
    for key in ["tradeId", "px", "sz", "side", "ts"] {
        assert_eq!(
            rows[0][key], newest[key],
            "the newest one first, and `after` is exclusive"
        );
    }
    let truth = simulator.series("trade", "okx_derivatives", "BTC-USDT").await;
    let told = truth
        .iter()
        .find(|trade| trade["id"] == newest["tradeId"])
        .expect("true");
    assert_eq!((&told["price"], &told["quantity"]), (&newest["px"], &newest["sz"]));
    let refused = read(&simulator.get("/okx/api/v5/market/history-trades?instId=NO-NO").await);
    assert_eq!(refused["code"], "51001");
    simulator.end().await;
}

#[tokio::test]
async fn what_happens_by_the_clock_is_the_truth() {
    let simulator = Simulator::start(live()).await;
    let mut client = simulator.connect_to(PUBLIC).await;
    let args = json!([
        {"channel": "funding-rate", "instId": "BTC-USDT-SWAP"},
        {"channel": "open-interest", "instId": "BTC-USDT-SWAP"},
        {"channel": "liquidation-orders", "instType": "SWAP"}
    ]);
    subscribe(&mut client, args.clone()).await;
    let (mut funding, mut interest, mut liquidations) = (Vec::new(), Vec::new(), Vec::new());
    while funding.len() < 3 || interest.len() < 10 || liquidations.len() < 5 {
        let frame = data(&mut client).await;
        let row = frame["data"][0].clone();
        match frame["arg"]["channel"].as_str().expect("a channel") {
            "funding-rate" => funding.push(row),
            "open-interest" => interest.push(row),
            _ if row["instId"] == "BTC-USDT-SWAP" => liquidations.push(row["details"][0].clone()),
            _ => {}
        }
    }
    let of = |data_type: &'static str| {
        let simulator = &simulator;
        async move { simulator.series(data_type, "okx_derivatives", "BTC-USDT").await }
    };
    let truth = of("funding_rate").await;
    for row in &funding {
        let at = row["ts"].as_str().expect("text").parse::<u64>().expect("a number");
        let told = truth.iter().find(|told| told["ts_ms"] == at);
        assert!(
            told.is_none_or(|told| told["funding_rate"] == row["fundingRate"]),
            "{row}"
        );
        let time = |key: &str| row[key].as_str().expect("text").parse::<u64>().expect("a number");
        assert_eq!(
            time("nextFundingTime") - time("fundingTime"),
            288_000,
            "eight hours, 100 times as fast"
        );
    }
    let truth = of("open_interest").await;
    for row in &interest {
        assert!(truth.iter().any(|told| told["open_interest"] == row["oi"]), "{row}");
    }
    let truth = of("liquidation").await;
    for row in &liquidations {
        assert!(
            truth
                .iter()
                .any(|told| told["price"] == row["bkPx"] && told["quantity"] == row["sz"]),
            "{row}"
        );
    }
    // A later subscriber is told old ones first.
    let mut late = simulator.connect_to(PUBLIC).await;
    subscribe(&mut late, json!([args[2]])).await;
    let old = data(&mut late).await["data"][0]["details"]
        .as_array()
        .expect("rows")
        .len();
    assert!(old > 1, "{old} old liquidations");
    for (path, data_type) in [
        ("long-short-position-ratio-contract-top-trader", "lsr_top_position"),
        ("long-short-account-ratio-contract", "lsr_all_account"),
    ] {
        let path = format!("/okx/api/v5/rubik/stat/contracts/{path}?instId=BTC-USDT-SWAP&limit=5");
        let rows = read(&simulator.get(&path).await)["data"].clone();
        let rows = rows.as_array().expect("rows");
        assert_eq!(rows.len(), 5);
        let truth = of(data_type).await;
        for row in rows {
            let at = row[0].as_str().expect("text").parse::<u64>().expect("a number");
            let told = truth.iter().find(|told| told["ts_ms"] == at).expect("true");
            assert_eq!(told["ratio"], row[1]);
        }
    }
    let path = "/okx/api/v5/rubik/stat/contracts/long-short-account-ratio-contract?instId=BTC-USDT-SWAP";
    let mut last = (200, String::new());
    for _ in 0..6 {
        last = simulator.http(reqwest::Method::GET, path, "").await;
    }
    assert_eq!((last.0, &read(&last.1)["code"]), (429, &json!("50011")));
    simulator.end().await;
}

#[tokio::test]
async fn books_lose_updates_and_connections_are_told_to_go() {
    let simulator = Simulator::start(live()).await;
    let mut client = simulator.connect_to(PUBLIC).await;
    subscribe(&mut client, json!([{"channel": "books", "instId": "BTC-USDT-SWAP"}])).await;
    let mut last = data(&mut client).await["data"][0]["seqId"].clone();
    let gap = r#"{"fault":"gap","exchange":"okx_derivatives","stream":"depth"}"#;
    assert_eq!(simulator.post("/control/fault", gap).await, 202);
    loop {
        let row = data(&mut client).await["data"][0].clone();
        if row["prevSeqId"] != last {
            break;
        }
        last = row["seqId"].clone();
    }
    let notice = r#"{"fault":"server_shutdown","exchange":"okx_derivatives","after":"50ms"}"#;
    assert_eq!(simulator.post("/control/fault", notice).await, 202);
    let mut noticed = false;
    loop {
        match message(&mut client).await {
            Some(Message::Text(text)) => noticed |= text.contains("64008"),
            Some(Message::Close(_)) | None => break,
            Some(_) => {}
        }
    }
    assert!(noticed);
    simulator.end().await;
}

#[tokio::test]
async fn who_does_not_read_is_told_that_its_buffer_is_full() {
    let simulator = Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(100_000.0),
        ..live()
    })
    .await;
    let mut client = simulator.connect_to(BUSINESS).await;
    subscribe(
        &mut client,
        json!([{"channel": "trades-all", "instId": "BTC-USDT-SWAP"}]),
    )
    .await;
    data(&mut client).await;
    // Nothing is read until the venue has had enough; then what it had sent, and its reason.
    let deadline = tokio::time::Instant::now() + 4 * WAIT;
    while !simulator.get("/health").await.contains("buffer is full") {
        assert!(tokio::time::Instant::now() < deadline, "never too slow");
        tokio::task::yield_now().await;
    }
    loop {
        match message(&mut client).await {
            Some(Message::Close(Some(frame))) => break assert_eq!(u16::from(frame.code), 4_005),
            Some(_) => {}
            // The close frame found no room either: the connection was just cut.
            None => break,
        }
    }
    simulator.end().await;
}

#[tokio::test]
async fn numbers_begin_anew_and_the_chain_holds() {
    let simulator = Simulator::start(live()).await;
    let mut client = simulator.connect_to(PUBLIC).await;
    subscribe(&mut client, json!([{"channel": "books", "instId": "BTC-USDT-SWAP"}])).await;
    let number = |row: &Value, key: &str| row[key].as_u64().expect("a number");
    let mut last = number(&data(&mut client).await["data"][0], "seqId");
    let before = last;
    let fault = r#"{"fault":"seq_reset","exchange":"okx_derivatives","symbol":"BTC-USDT"}"#;
    assert_eq!(simulator.post("/control/fault", fault).await, 202);
    let mut resets = 0;
    for _ in 0..8 {
        let row = data(&mut client).await["data"][0].clone();
        assert_eq!(number(&row, "prevSeqId"), last);
        resets += u64::from(number(&row, "seqId") < last);
        last = number(&row, "seqId");
    }
    assert_eq!(resets, 1);
    let truth = simulator
        .true_books_of("okx_derivatives", "BTC-USDT", &[last, before], 5)
        .await;
    assert_eq!(
        (&truth[0]["id"], &truth[1]["id"]),
        (&json!(before.to_string()), &json!(last.to_string()))
    );
    assert!(
        truth
            .iter()
            .all(|book| book["bids"].as_array().map(Vec::len) == Some(5)),
        "{truth:?}"
    );
    let rest = read(
        &simulator
            .get("/okx/api/v5/market/books?instId=BTC-USDT-SWAP&sz=1")
            .await,
    );
    assert!(number(&rest["data"][0], "seqId") < before);
    simulator.end().await;
}
