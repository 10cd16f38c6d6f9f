//! Deribit: JSON-RPC, chained books, trades, the volatility index, maintenance.

use futures_util::SinkExt;
use mprism_simulator::{Rate, SimulatorOptions, Tuning};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

const VENUE: &str = "deribit_derivatives";
const SOCKET: &str = "/deribit/ws/api/v2";

/// A market that goes on, with its clock 10 times as fast.
async fn live() -> Simulator {
    Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(1_000.0),
        limit_trades: None,
        tuning: Tuning {
            pace: 10,
            ..options().tuning
        },
        ..options()
    })
    .await
}

async fn call(client: &mut Client, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 42, "method": method, "params": params}).to_string();
    client.send(Message::text(request)).await.expect("sent");
    loop {
        let answer = read(&text(client).await);
        if answer["id"] == 42 || answer["error"].is_object() {
            return answer;
        }
    }
}

/// Returns the next notification of a channel.
async fn next(client: &mut Client, channel: &str) -> Value {
    loop {
        let frame = read(&text(client).await);
        if frame["params"]["channel"] == channel {
            return frame["params"]["data"].clone();
        }
    }
}

/// Applies rows with actions; each has to fit what is there.
fn apply(book: &mut std::collections::BTreeMap<String, Value>, side: &str, rows: &Value) {
    for row in rows.as_array().expect("rows") {
        let key = format!("{side}{}", row[1]);
        let known = book.contains_key(&key);
        match row[0].as_str() {
            Some("new") => assert!(!known, "{key} is there already"),
            Some("change" | "delete") => assert!(known, "{key} is not there"),
            other => panic!("{other:?} is no action"),
        }
        if row[0] == "delete" {
            book.remove(&key);
        } else {
            book.insert(key, row[2].clone());
        }
    }
}

#[tokio::test]
async fn calls_are_answered_by_json_rpc() {
    let simulator = live().await;
    let mut client = simulator.connect_to(SOCKET).await;
    let answer = call(&mut client, "public/test", json!({})).await;
    assert!(answer["result"]["version"].is_string() && answer["usDiff"].is_u64());
    assert_eq!(
        call(&mut client, "public/zz", json!({})).await["error"]["code"],
        -32_601
    );
    client.send(Message::text("{")).await.expect("sent");
    assert_eq!(read(&text(&mut client).await)["error"]["code"], -32_700);
    let channels = json!({"channels": ["book.BTC-PERPETUAL.100ms", "book.NO.100ms", "trades.ETH-PERPETUAL.100ms"]});
    let answer = call(&mut client, "public/subscribe", channels).await;
    assert_eq!(
        answer["result"],
        json!(["book.BTC-PERPETUAL.100ms", "trades.ETH-PERPETUAL.100ms"])
    );
    let raw = json!({"channels": ["book.BTC-PERPETUAL.raw"]});
    assert_eq!(
        call(&mut client, "public/subscribe", raw).await["error"]["code"],
        13_778
    );
    let gone = call(
        &mut client,
        "public/unsubscribe",
        json!({"channels": ["book.BTC-PERPETUAL.100ms"]}),
    )
    .await;
    assert_eq!(gone["result"], json!(["book.BTC-PERPETUAL.100ms"]));
    let rest = read(
        &simulator
            .get("/deribit/api/v2/public/get_instruments?currency=BTC&kind=future")
            .await,
    );
    assert_eq!(rest["result"][0]["instrument_name"], "BTC-PERPETUAL");
    let short = call(&mut client, "public/set_heartbeat", json!({"interval": 9})).await;
    assert_eq!(short["error"]["code"], -32_602);
    // Eleven subscriptions at once are more than there are credits for.
    for _ in 0..11 {
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":[]}}"#;
        client.send(Message::text(request)).await.expect("sent");
    }
    let mut refused = false;
    loop {
        match message(&mut client).await {
            Some(Message::Text(text)) => refused |= text.contains("10028"),
            Some(Message::Close(_)) | None => break,
            Some(_) => {}
        }
    }
    assert!(refused, "the session ends with too_many_requests");
    simulator.end().await;
}

#[tokio::test]
async fn a_heartbeat_wants_an_answer() {
    let simulator = live().await;
    let mut client = simulator.connect_to(SOCKET).await;
    assert_eq!(
        call(&mut client, "public/set_heartbeat", json!({"interval": 10})).await["result"],
        "ok"
    );
    let beat = read(&text(&mut client).await);
    assert_eq!(
        (&beat["method"], &beat["params"]["type"]),
        (&json!("heartbeat"), &json!("heartbeat"))
    );
    assert_eq!(read(&text(&mut client).await)["params"]["type"], "test_request");
    let closed = message(&mut client).await;
    assert!(matches!(closed, Some(Message::Close(Some(_)))), "{closed:?}");
    simulator.end().await;
}

#[tokio::test]
async fn chained_books_are_the_true_book_at_every_change() {
    let simulator = live().await;
    for (channel, instrument, symbol) in [
        ("book.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", "BTC-USD"),
        ("book.ETH-PERPETUAL.agg2", "ETH-PERPETUAL", "ETH-USD"),
    ] {
        let mut client = simulator.connect_to(SOCKET).await;
        call(&mut client, "public/subscribe", json!({"channels": [channel]})).await;
        let first = next(&mut client, channel).await;
        assert_eq!(
            (&first["type"], first.get("prev_change_id")),
            (&json!("snapshot"), None)
        );
        let mut book = std::collections::BTreeMap::new();
        apply(&mut book, "b", &first["bids"]);
        apply(&mut book, "a", &first["asks"]);
        let mut last = first["change_id"].as_u64().expect("change_id");
        for _ in 0..3 {
            let change = next(&mut client, channel).await;
            assert_eq!(
                (&change["type"], change["prev_change_id"].as_u64()),
                (&json!("change"), Some(last))
            );
            apply(&mut book, "b", &change["bids"]);
            apply(&mut book, "a", &change["asks"]);
            last = change["change_id"].as_u64().expect("change_id");
            let truth = &simulator.true_books_of(VENUE, symbol, &[last], 100_000).await[0];
            let mut true_book = std::collections::BTreeMap::new();
            for (side, key) in [("b", "bids"), ("a", "asks")] {
                for row in truth[key].as_array().expect("rows") {
                    let number = |text: &Value| read(text.as_str().expect("a text"));
                    true_book.insert(format!("{side}{}", number(&row[0])), number(&row[1]));
                }
            }
            assert!(book == true_book, "{channel}: not the true book at {last}");
        }
        let path = format!("/deribit/api/v2/public/get_order_book?instrument_name={instrument}&depth=10");
        let rest = read(&simulator.get(&path).await)["result"].clone();
        let id = rest["change_id"].as_u64().expect("change_id");
        let truth = &simulator.true_books_of(VENUE, symbol, &[id], 10).await[0];
        assert_eq!(rest["bids"][9][0], read(truth["bids"][9][0].as_str().expect("a text")));
        assert_eq!(rest["instrument_name"], instrument);
    }
    simulator.end().await;
}

#[tokio::test]
async fn trades_are_numbered_without_a_hole_and_can_be_read_again() {
    let simulator = live().await;
    let mut client = simulator.connect_to(SOCKET).await;
    let channel = "trades.BTC-PERPETUAL.100ms";
    call(&mut client, "public/subscribe", json!({"channels": [channel]})).await;
    let mut heard = Vec::new();
    while heard.len() < 300 {
        heard.extend(next(&mut client, channel).await.as_array().expect("trades").clone());
    }
    let number = |trade: &Value| trade["trade_seq"].as_u64().expect("trade_seq");
    assert!(heard.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]) + 1));
    let (start, end) = (number(&heard[0]), number(&heard[299]));
    let path = format!(
        "/deribit/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL&start_seq={start}&end_seq={end}&count=1000&sorting=asc"
    );
    let rest = read(&simulator.get(&path).await)["result"].clone();
    assert_eq!(
        (rest["has_more"].as_bool(), rest["trades"].as_array().map(Vec::as_slice)),
        (Some(false), Some(&heard[..300]))
    );
    let flagged = heard
        .iter()
        .filter(|trade| trade["liquidation"] == "T")
        .map(|trade| number(trade).to_string());
    let truth = simulator.series("liquidation", VENUE, "BTC-USD").await;
    let told = truth
        .iter()
        .map(|trade| trade["id"].as_str().expect("text").to_owned())
        .collect::<Vec<_>>();
    let flagged = flagged.collect::<Vec<_>>();
    assert!(
        flagged.len() >= 3 && flagged.iter().all(|id| told.contains(id)),
        "{flagged:?} of {told:?}"
    );
    let start = start.to_string();
    let truth = simulator.series("trade", VENUE, "BTC-USD").await;
    let told = truth.iter().find(|trade| trade["id"] == start.as_str()).expect("true");
    assert_eq!(read(told["price"].as_str().expect("text")), heard[0]["price"]);
    simulator.end().await;
}

#[tokio::test]
async fn tickers_and_volatility_are_the_truth() {
    let simulator = live().await;
    let mut client = simulator.connect_to(SOCKET).await;
    let index = "deribit_volatility_index.btc_usd";
    let channels = json!({"channels": ["ticker.BTC-PERPETUAL.100ms", index]});
    call(&mut client, "public/subscribe", channels).await;
    let quote = next(&mut client, "ticker.BTC-PERPETUAL.100ms").await;
    assert!(quote["best_bid_price"].as_f64() < quote["best_ask_price"].as_f64());
    assert!(quote["funding_8h"].is_number() && quote["open_interest"].is_number());
    let mut points = Vec::new();
    while points.len() < 10 {
        points.push(next(&mut client, index).await);
    }
    let truth = simulator.series("volatility_index", VENUE, "BTC").await;
    for point in &points {
        let told = truth
            .iter()
            .find(|told| told["ts_ms"] == point["timestamp"])
            .expect("true");
        assert_eq!(read(told["volatility"].as_str().expect("text")), point["volatility"]);
    }
    // Candles are folds of the same points, the newest page first.
    let first = truth[0]["ts_ms"].as_i64().expect("a time");
    let last = points[9]["timestamp"].as_i64().expect("a time");
    let page = |end: i64, resolution: &str| {
        let path = format!(
            "/deribit/api/v2/public/get_volatility_index_data?currency=BTC&start_timestamp={first}&end_timestamp={end}&resolution={resolution}"
        );
        let simulator = &simulator;
        async move { read(&simulator.get(&path).await)["result"].clone() }
    };
    let minutes = page(last, "60").await;
    assert!(minutes["continuation"].is_null());
    let minute = minutes["data"][1].clone();
    let begin = minute[0].as_i64().expect("a time");
    let within = truth.iter().filter(|told| {
        let at = told["ts_ms"].as_i64().expect("a time");
        (begin..begin + 60_000).contains(&at)
    });
    let values = within.map(|told| {
        told["volatility"]
            .as_str()
            .expect("text")
            .parse::<f64>()
            .expect("a number")
    });
    let values = values.collect::<Vec<_>>();
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    assert_eq!(minute, json!([begin, values[0], high, low, values[values.len() - 1]]));
    let wrong = read(&simulator.get("/deribit/api/v2/public/get_volatility_index_data?currency=ZZ&start_timestamp=0&end_timestamp=1&resolution=60").await);
    assert_eq!(wrong["error"]["code"], -32_602);
    simulator.end().await;
}

#[tokio::test]
async fn maintenance_ends_connections_and_refuses_calls() {
    let simulator = live().await;
    let mut client = simulator.connect_to(SOCKET).await;
    call(
        &mut client,
        "public/subscribe",
        json!({"channels": ["book.BTC-PERPETUAL.100ms"]}),
    )
    .await;
    let fault = r#"{"fault":"maintenance","exchange":"deribit_derivatives","duration":"1m"}"#;
    assert_eq!(simulator.post("/control/fault", fault).await, 202);
    let mut told = false;
    loop {
        match message(&mut client).await {
            Some(Message::Text(text)) => told |= text.contains(r#"{"maintenance":true}"#),
            Some(Message::Close(_)) | None => break,
            Some(_) => {}
        }
    }
    assert!(told);
    let answer = read(&simulator.get("/deribit/api/v2/public/get_time").await);
    assert_eq!(answer["error"]["code"], 11_051);
    let url = format!("ws://{}{SOCKET}", simulator.address);
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());
    simulator.end().await;
}
