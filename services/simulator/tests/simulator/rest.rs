//! REST: depth, trades, weights and bans.

use std::time::Duration;

use mprism_simulator::{SimulatorOptions, Tuning};
use serde_json::Value;

use crate::support::*;

fn api(path: &str) -> String {
    format!("/binance-spot/api/v3/{path}")
}

/// Starts a market and lets it run through.
async fn settled(trades: u64, tuning: Tuning) -> Simulator {
    let simulator = Simulator::start(SimulatorOptions {
        limit_trades: Some(trades),
        tuning,
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@trade").await;
    texts(&mut client, usize::try_from(trades).expect("few")).await;
    simulator
}

#[tokio::test]
async fn depth_is_the_true_book_cut_to_the_limit() {
    let simulator = settled(1_000, options().tuning).await;
    for (limit, rows) in [
        ("", 100),
        ("&limit=5", 5),
        ("&limit=1000", 1_000),
        ("&limit=9999", 1_500),
    ] {
        let snapshot = read(&simulator.get(&api(&format!("depth?symbol=BTCUSDT{limit}"))).await);
        let id = snapshot["lastUpdateId"].as_u64().expect("an identifier");
        let levels = if limit.ends_with("9999") { 5_000 } else { rows };
        let truth = &simulator.true_books("BTC-USDT", &[id], levels).await[0];
        assert!(top_of(&snapshot) == top_of(truth), "{limit}");
        let count = snapshot["bids"].as_array().expect("rows").len();
        assert!(count == rows || (rows == 1_500 && count > rows), "{limit}: {count}");
    }
    for (query, code) in [
        ("", -1102),
        ("symbol=", -1105),
        ("symbol=NO", -1121),
        ("symbol=BTCUSDT&limit=x", -1100),
        ("symbol=BTCUSDT&limit=0", -1130),
        ("symbol=BTCUSDT&zz=1", -1103),
    ] {
        let (status, body) = simulator
            .http(reqwest::Method::GET, &api(&format!("depth?{query}")), "")
            .await;
        assert_eq!(
            (status, &read(&body)["code"]),
            (400, &Value::from(code)),
            "{query}: {body}"
        );
    }
    simulator.end().await;
}

#[tokio::test]
async fn depth_costs_by_its_limit() {
    let simulator = settled(10, options().tuning).await;
    let mut used = 0;
    for (limit, weight) in [
        (100, 5),
        (101, 25),
        (500, 25),
        (501, 50),
        (1_000, 50),
        (1_001, 250),
        (5_000, 250),
    ] {
        let url = format!(
            "http://{}{}",
            simulator.address,
            api(&format!("depth?symbol=BTCUSDT&limit={limit}"))
        );
        let answer = reqwest::get(url).await.expect("answers");
        let header = answer.headers()["x-mbx-used-weight-1m"].to_str().expect("text");
        let now = header.parse::<u64>().expect("a number");
        // A new minute begins from nothing.
        assert!(now == used + weight || now == weight, "{limit}: {used}, then {now}");
        used = now;
    }
    simulator.end().await;
}

#[tokio::test]
async fn every_trade_can_be_read_again() {
    let simulator = settled(2_500, options().tuning).await;
    let truth = simulator.truth("BTC-USDT").await;
    let id = |row: &Value| row["id"].as_u64().expect("an identifier");
    let mut rows = Vec::new();
    let mut next = truth[0]["id"].as_str().expect("text").parse::<u64>().expect("a number");
    let first = next;
    loop {
        let path = api(&format!("historicalTrades?symbol=BTCUSDT&fromId={next}&limit=1000"));
        let page = read(&simulator.get(&path).await);
        let page = page.as_array().expect("rows");
        let Some(last) = page.last() else { break };
        assert_eq!(id(&page[0]), next, "inclusive");
        next = id(last) + 1;
        rows.extend(page.clone());
    }
    let same = rows.iter().map(|row| {
        let side = if row["isBuyerMaker"] == true { "sell" } else { "buy" };
        let notional = |key: &str| row[key].as_str().expect("text").parse::<f64>().expect("a number");
        assert!((notional("quoteQty") - notional("price") * notional("qty")).abs() < 1e-3);
        serde_json::json!({"id": id(row).to_string(), "price": row["price"], "quantity": row["qty"], "side": side,
            "ts_ms": row["time"]})
    });
    assert!(same.eq(truth), "not the true trades");
    let newest = read(&simulator.get(&api("trades?symbol=BTCUSDT")).await);
    assert_eq!(newest.as_array().expect("rows")[..], rows[2_000..]);
    let aggregates = all_aggregates(&simulator).await;
    assert_eq!(aggregates[0]["f"].as_u64(), Some(first));
    for pair in aggregates.windows(2) {
        assert_eq!(pair[1]["a"].as_u64(), pair[0]["a"].as_u64().map(|id| id + 1));
        assert_eq!(pair[1]["f"].as_u64(), pair[0]["l"].as_u64().map(|id| id + 1));
    }
    let last = aggregates.last().expect("some")["l"].as_u64().expect("l");
    assert!(last + 10 > first + 2_499, "only an open order may be missing");
    simulator.end().await;
}

async fn all_aggregates(simulator: &Simulator) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = 0;
    loop {
        let path = api(&format!("aggTrades?symbol=BTCUSDT&fromId={next}&limit=700"));
        let page = read(&simulator.get(&path).await);
        let page = page.as_array().expect("rows");
        let Some(last) = page.last() else { return all };
        next = last["a"].as_u64().expect("a") + 1;
        all.extend(page.clone());
    }
}

#[tokio::test]
async fn trades_reach_rest_a_little_later() {
    let tuning = Tuning {
        trades_lag: Duration::from_secs(3_600),
        ..options().tuning
    };
    let simulator = settled(100, tuning).await;
    assert_eq!(simulator.get(&api("trades?symbol=BTCUSDT")).await, "[]");
    simulator.end().await;
}

#[tokio::test]
async fn who_uses_too_much_is_refused_and_then_banned() {
    let simulator = settled(10, options().tuning).await;
    let url = format!("http://{}{}", simulator.address, api("depth?symbol=BTCUSDT&limit=5000"));
    let mut statuses = Vec::new();
    let banned = loop {
        let answer = reqwest::get(&url).await.expect("answers");
        statuses.push(answer.status().as_u16());
        match answer.status().as_u16() {
            200 => assert!(statuses.len() < 100, "never too much"),
            429 => assert!(answer.headers().contains_key("retry-after")),
            418 => break answer,
            other => panic!("HTTP {other}"),
        }
    };
    assert!(statuses.contains(&429), "{statuses:?}");
    let seconds = banned.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse::<u64>()
        .expect("a number");
    assert!((100..=121).contains(&seconds), "{seconds} s");
    let body = read(&banned.text().await.expect("a body"));
    assert_eq!(body["code"], -1003);
    assert!(
        body["msg"].as_str().expect("text").contains("IP banned until"),
        "{body}"
    );
    let still = reqwest::get(&url).await.expect("answers");
    assert_eq!(still.status().as_u16(), 418);
    simulator.end().await;
}
