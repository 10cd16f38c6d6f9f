//! Recorded frames through the whole line: every trade once, to the last digit, and the venue's own text on the bus.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use futures_util::StreamExt;
use mprism_testkit::PATIENCE;
use serde_json::Value;

use crate::support::Home;

/// A trade as its frame says it.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    price: String,
    quantity: String,
    side: &'static str,
}

const DAYS: [&str; 2] = ["hft-btcusdt-20240808.jsonl.zst", "hft-btcusdt-20240809.jsonl.zst"];

/// Reads frames without any of the collector's code.
fn frames(folder: &Path) -> HashMap<String, Frame> {
    let mut frames = HashMap::new();
    for day in DAYS {
        let file = std::fs::File::open(folder.join(day)).expect("recorded");
        let lines = std::io::BufReader::new(zstd::Decoder::new(file).expect("packed")).lines();
        for line in lines {
            let frame: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            let event = frame.get("data").unwrap_or(&frame);
            let text = |name: &str| event[name].as_str().expect("a text").to_owned();
            let frame = Frame {
                price: text("p"),
                quantity: text("q"),
                side: if event["m"] == true { "sell" } else { "buy" },
            };
            let id = event["t"].as_u64().expect("an id").to_string();
            assert!(frames.insert(id, frame).is_none(), "recorded once");
        }
    }
    frames
}

/// Returns how many trades the two days hold, as counted by somebody else.
fn expected(folder: &Path) -> u64 {
    let facts = std::fs::read_to_string(folder.join("expected.jsonl")).expect("facts");
    let facts = facts
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let days = facts.filter(|fact| DAYS.iter().any(|day| fact["file"] == *day));
    days.filter_map(|fact| fact["trades"].as_u64()).sum()
}

/// As a decimal, two texts are equal if only zeros at the end differ.
fn shortest(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[tokio::test]
async fn every_recorded_trade_is_stored_once_and_exact() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let folder = corpus.join("binance/spot/trade");
    let home = Home::new();
    let served = home.beside().join("binance/spot/trade");
    std::fs::create_dir_all(&served).expect("made");
    for day in DAYS {
        std::os::unix::fs::symlink(folder.join(day), served.join(day)).expect("linked");
    }
    let frames = frames(&folder);
    assert_eq!(
        frames.len() as u64,
        expected(&folder),
        "every frame of both days is a trade of its own"
    );

    // Whoever listens on the bus sees what the venue wrote.
    home.good(&["start", "nats", "clickhouse", "hot"]);
    let password = std::fs::read_to_string(home.path().join("secrets/nats-operator")).expect("a credential");
    let bus = async_nats::ConnectOptions::with_user_and_password("operator".into(), password.trim().into())
        .subscription_capacity(frames.len() + 1_000)
        .connect(format!("nats://{}", home.address(4222)))
        .await
        .expect("connected");
    let mut heard = bus
        .subscribe("trade.binance_spot.spot.BTC-USDT")
        .await
        .expect("allowed");
    bus.flush().await.expect("subscribed");
    let corpus = home.beside().display().to_string();
    home.good(&["start", "--sim", "--sim-corpus", &corpus, "--sim-rate", "max"]);

    let mut on_the_bus = HashMap::new();
    while on_the_bus.len() < frames.len() {
        let message = tokio::time::timeout(PATIENCE, heard.next()).await;
        let message = message.unwrap_or_else(|_| panic!("{} of {} on the bus", on_the_bus.len(), frames.len()));
        let message: Value = serde_json::from_slice(&message.expect("connected").payload).expect("JSON");
        let text = |name: &str| message[name].as_str().expect("a text").to_owned();
        let side = if text("side") == "sell" { "sell" } else { "buy" };
        let said = Frame {
            price: text("price"),
            quantity: text("quantity"),
            side,
        };
        on_the_bus.insert(text("trade_id"), said);
    }
    assert!(on_the_bus == frames, "the bus carries the venue's own texts");

    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    let rows = home.query("SELECT trade_id, toString(price), toString(quantity), side FROM marketprism_hot.trades");
    let mut stored = HashMap::new();
    for row in rows.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let [id, price, quantity, side] = fields[..] else {
            panic!("{row}")
        };
        let frame = &frames[id];
        assert_eq!(
            (shortest(price), shortest(quantity), side),
            (shortest(&frame.price), shortest(&frame.quantity), frame.side),
            "trade {id}"
        );
        assert!(stored.insert(id, ()).is_none(), "trade {id} is stored twice");
    }
    assert_eq!(stored.len(), frames.len());
    let integrity = home.good(&["integrity"]);
    assert_eq!(integrity["verdict"], "pass", "{integrity}");
}
