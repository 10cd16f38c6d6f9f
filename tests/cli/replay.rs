//! `mprism replay`: recorded frames through the collector's own code, against what somebody else read from them.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Done, Home};

/// Returns the messages of a run by file, line and item.
fn traced(done: &Done) -> HashMap<(String, u64, u64), Value> {
    let messages = done.stdout.lines().map(|line| {
        let message: Value = serde_json::from_str(line).expect("JSON");
        let number = |name: &str| message[name].as_u64().expect("a number");
        let place = (
            message["_file"].as_str().expect("a text").to_owned(),
            number("_line"),
            number("_item"),
        );
        (place, message)
    });
    messages
        .filter(|(_, message)| message["data_type"] == "trade")
        .collect()
}

#[test]
fn every_expected_trade_is_read_to_the_letter() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let folder = corpus.join("binance/spot/trade");
    let done = Home::new().mprism(&["replay", &folder.display().to_string(), "--to", "stdout", "--trace"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let messages = traced(&done);
    let expected = std::fs::read_to_string(folder.join("expected.jsonl")).expect("facts");
    let (mut rows, mut trades) = (0, 0);
    for fact in expected.lines() {
        let fact: Value = serde_json::from_str(fact).expect("JSON");
        let file = fact["file"].as_str().expect("a text").to_owned();
        if let Some(count) = fact["trades"].as_u64() {
            let found = messages.iter().filter(|((name, ..), message)| {
                let symbol = message["instrument_id"] == fact["symbol"];
                *name == file && symbol
            });
            assert_eq!(found.count() as u64, count, "{fact}");
            trades += count;
        }
        if fact.get("kind").is_some() {
            continue;
        }
        let number = |name: &str| fact[name].as_u64().expect("a number");
        let message = &messages[&(file, number("line"), number("item"))];
        for (ours, theirs) in [
            ("instrument_id", "symbol"),
            ("trade_id", "trade_id"),
            ("price", "price"),
            ("quantity", "quantity"),
            ("side", "side"),
        ] {
            assert_eq!(message[ours], fact[theirs], "{ours}: {fact}");
        }
        for (ours, theirs) in [("ts_ms", "event_time_ms"), ("trade_ts_ms", "trade_time_ms")] {
            if let Some(time) = fact[theirs].as_str() {
                assert_eq!(message[ours].to_string(), time, "{ours}: {fact}");
            }
        }
        rows += 1;
    }
    assert!(rows > 40 && trades > 19_000, "{rows} {trades}");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let home = Home::new();
    let trade = |id: u64| {
        format!(
            r#"{{"e":"trade","E":1795176000123,"s":"BTCUSDT","t":{id},"p":"64000.10","q":"0.015","T":1795176000121,"m":true}}"#
        )
    };
    let torn = &trade(2)[..40];
    let ticker = r#"{"e":"24hrTicker","E":1795176000123,"s":"BTCUSDT"}"#;
    let lines = [&trade(1), torn, ticker, &trade(4)].map(|line| format!("{line}\n"));
    home.write("binance/spot/trade/a.jsonl", &lines.concat());
    let path = home.path().join("binance/spot/trade/a.jsonl").display().to_string();
    let done = home.mprism(&["replay", &path, "--trace"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains(&format!("{path}:2: ")), "{}", done.stderr);
    assert!(done.stderr.contains("skipped: 1 × 24hrTicker"), "{}", done.stderr);
    let messages: Vec<Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let told: Vec<_> = messages
        .iter()
        .map(|message| (message["data_type"].as_str(), message["_line"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("trade"), Some(1)),
            (Some("gap"), Some(4)),
            (Some("trade"), Some(4))
        ]
    );
    let gap = &messages[1];
    assert_eq!(
        (&gap["from_id"], &gap["to_id"], &gap["cause"], &gap["source"]),
        (&"2".into(), &"3".into(), &"sequence".into(), &"replay".into())
    );
    assert_eq!(messages[0]["collected_ts_ms"], Value::Null, "nobody recorded it");
    assert_eq!(messages[0]["_file"], "a.jsonl");

    // Elsewhere it has to be said what it is; nothing readable at all is an error.
    home.write("elsewhere/a.jsonl", &format!("{}\n", trade(1)));
    let path = home.path().join("elsewhere").display().to_string();
    assert_eq!(home.mprism(&["replay", &path]).code, 1);
    let named = home.mprism(&["replay", &path, "--exchange", "binance", "--market", "spot"]);
    assert_eq!((named.code, named.stdout.lines().count()), (0, 1), "{}", named.stderr);
    assert_eq!(home.mprism(&["replay", "/nonexistent"]).code, 1);
}
