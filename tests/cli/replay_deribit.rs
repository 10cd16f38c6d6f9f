//! `mprism replay` of Deribit: every fact that somebody else read from the frames.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::support::Home;

/// Messages by type, file, line and position in the frame.
type Messages = HashMap<(String, String, u64, u64), Value>;

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Replays a folder of the corpus; books are told after every frame.
fn replay(folder: &Path) -> (Vec<Value>, String) {
    let folder = folder.display().to_string();
    let done = Home::new().mprism(&["replay", &folder, "--books", "every", "--trace"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let messages = done.stdout.lines();
    let messages = messages.map(|line| serde_json::from_str(line).expect("JSON"));
    (messages.collect(), done.stderr)
}

fn placed(messages: &[Value]) -> Messages {
    let place = |message: &Value| {
        let number = |name: &str| message[name].as_u64().expect("a number");
        let (data_type, file) = (text(&message["data_type"]), text(&message["_file"]));
        ((data_type, file, number("_line"), number("_item")), message.clone())
    };
    messages.iter().map(place).collect()
}

fn facts(folder: &Path) -> Vec<Value> {
    let facts = std::fs::read_to_string(folder.join("expected.jsonl")).expect("facts");
    facts
        .lines()
        .map(|fact| serde_json::from_str(fact).expect("JSON"))
        .collect()
}

/// Holds fields of a message against those of a fact, where the fact says them.
fn agree(message: &Value, fact: &Value, fields: &[(&str, &str)]) {
    for (ours, theirs) in fields {
        match fact.get(*theirs) {
            None => {}
            Some(Value::Null) => assert_eq!(message[*ours], Value::Null, "{ours}: {message} {fact}"),
            // Our numbers are texts, our ids and times are not.
            Some(said) if message[*ours].is_number() => {
                assert_eq!(message[*ours].to_string(), text(said), "{ours}: {message} {fact}");
            }
            Some(said) => assert_eq!(&message[*ours], said, "{ours}: {message} {fact}"),
        }
    }
}

/// Returns the levels of one side as the corpus writes them: with the venue's own sizes.
fn levels(side: &Value) -> Vec<Value> {
    let pair = |level: &Value| {
        let size = level.get("contracts").unwrap_or(&level["quantity"]);
        Value::from(vec![level["price"].clone(), size.clone()])
    };
    side.as_array().expect("a list").iter().map(pair).collect()
}

#[test]
fn every_recorded_fact_is_read_to_the_letter() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let mut read = HashMap::new();
    for market in ["perpetual", "option", "index"] {
        for folder in std::fs::read_dir(corpus.join("deribit").join(market)).expect("recorded") {
            let folder = folder.expect("an entry").path();
            if !folder.join("expected.jsonl").is_file() {
                continue;
            }
            let (messages, stderr) = replay(&folder);
            assert!(!stderr.contains("not understood"), "{stderr}");
            let placed = placed(&messages);
            for fact in facts(&folder) {
                *read.entry(check(&fact, &messages, &placed, &stderr)).or_insert(0) += 1;
            }
        }
    }
    let count = |kind: &str| read.get(kind).copied().unwrap_or(0);
    assert_eq!(
        (count("trade"), count("liquidation"), count("bbo")),
        (5, 1, 1),
        "{read:?}"
    );
    assert_eq!((count("open_interest"), count("funding_rate")), (96, 3), "{read:?}");
    assert_eq!((count("volatility_index"), count("gap")), (4, 1), "{read:?}");
    assert_eq!((count("snapshot"), count("book_final")), (6, 11), "{read:?}");
}

/// Holds a fact against what was told; returns what the fact is about.
fn check(fact: &Value, messages: &[Value], placed: &Messages, stderr: &str) -> &'static str {
    let file = text(&fact["file"]);
    let at = |data_type: &str| {
        let number = |name: &str| fact[name].as_u64().unwrap_or(0);
        let place = (data_type.to_owned(), file.clone(), number("line"), number("item"));
        placed.get(&place).unwrap_or_else(|| panic!("nothing at {fact}"))
    };
    let about = [("instrument_id", "symbol"), ("ts_ms", "event_time_ms")];
    let prices = [("mark_price", "mark_price"), ("index_price", "index_price")];
    match (fact["type"].as_str(), fact["kind"].as_str()) {
        (Some("trade"), None) => {
            let trade = at("trade");
            agree(trade, fact, &about);
            let size = match fact["quantity_unit"] == "base" {
                true => "quantity",
                false => "contracts",
            };
            agree(
                trade,
                fact,
                &[(size, "quantity"), ("trade_id", "trade_id"), ("side", "side")],
            );
            agree(trade, fact, &[("price", "price"), ("trade_ts_ms", "event_time_ms")]);
            assert_eq!(trade["trade_seq"].to_string(), text(&fact["trade_seq"]), "{fact}");
            if let Some(flag) = fact["liquidation"].as_str() {
                let liquidation = at("liquidation");
                assert_eq!(flag, "T");
                agree(liquidation, fact, &about);
                agree(
                    liquidation,
                    fact,
                    &[(size, "quantity"), ("price", "price"), ("side", "side")],
                );
                return "liquidation";
            }
            "trade"
        }
        (Some("open_interest"), None) => {
            let interest = at("open_interest");
            agree(interest, fact, &about);
            agree(interest, fact, &prices);
            let venues = match interest["contracts"].is_null() {
                true => "open_interest_value",
                false => "contracts",
            };
            agree(interest, fact, &[(venues, "open_interest")]);
            "open_interest"
        }
        (Some("funding_rate"), None) => {
            let rate = at("funding_rate");
            agree(rate, fact, &about);
            agree(rate, fact, &prices);
            agree(rate, fact, &[("current_funding_rate", "funding_rate_8h")]);
            agree(rate, fact, &[("premium_index", "current_funding")]);
            "funding_rate"
        }
        (Some("volatility_index"), None) => {
            let index = at("volatility_index");
            agree(index, fact, &about);
            let value = if fact.get("close").is_some() {
                "close"
            } else {
                "volatility"
            };
            agree(index, fact, &[("vol_index", value), ("volatility_index", value)]);
            "volatility_index"
        }
        (Some("bbo"), None) => {
            assert!(stderr.contains("skipped: 1 × quote"), "{stderr}");
            "bbo"
        }
        (Some("orderbook"), Some("snapshot")) => {
            let book = at("orderbook");
            agree(book, fact, &about);
            agree(book, fact, &[("last_update_id", "update_id")]);
            assert_eq!(book["update_type"], "snapshot");
            for (side, first) in [("bids", "first_bid"), ("asks", "first_ask")] {
                let told = levels(&book[side]);
                assert_eq!(Some(told.len() as u64), fact[side].as_u64(), "{fact}");
                // The corpus keeps the action before the level.
                let row = fact[first][0].as_array().expect("a row");
                let level = row.iter().skip(row.len() - 2).cloned();
                assert_eq!(told[0], level.collect::<Value>(), "{fact}");
            }
            "snapshot"
        }
        // A change of a book that is not in the recording: the parser's own tests read it.
        (Some("orderbook"), Some("change")) => "change",
        (Some("orderbook"), Some("book_final")) => {
            let told = messages.iter().filter(|m| m["_file"] == fact["file"]);
            let told: Vec<_> = told.filter(|m| m["instrument_id"] == fact["symbol"]).collect();
            assert_eq!(Some(told.len() as u64), fact["frames"].as_u64(), "{fact}");
            let book = told.last().expect("a book");
            agree(book, fact, &about);
            agree(book, fact, &[("last_update_id", "update_id")]);
            assert_eq!(book["_line"], fact["after_line"], "{fact}");
            for (side, count) in [("bids", "bid_levels"), ("asks", "ask_levels")] {
                let told = levels(&book[side]);
                assert_eq!(Some(told.len() as u64), fact[count].as_u64(), "{fact}");
                let best: Value = told.into_iter().take(20).collect();
                assert_eq!(best, fact[side], "{fact}");
            }
            "book_final"
        }
        (Some("orderbook"), Some("gap")) => {
            let gap = messages
                .iter()
                .find(|m| m["data_type"] == "gap" && m["_line"] == fact["line"]);
            let gap = gap.unwrap_or_else(|| panic!("no gap at {fact}"));
            let before: u64 = text(&fact["book_update_id"]).parse().expect("a number");
            assert_eq!(gap["from_id"], Value::from((before + 1).to_string()));
            assert_eq!(gap["to_id"], fact["previous_update_id"]);
            let after = messages
                .iter()
                .filter(|m| m["data_type"] == "orderbook" && m["_file"] == fact["file"]);
            assert!(
                after.clone().all(|m| m["_line"].as_u64() < fact["line"].as_u64()),
                "{fact}"
            );
            assert_eq!(after.count(), 4, "as checks.jsonl counts");
            "gap"
        }
        other => panic!("no such fact is known: {other:?}"),
    }
}

#[test]
fn sides_without_levels_are_told_after_each_frame_and_not_at_the_cadence() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let folder = corpus.join("deribit/option/orderbook").display().to_string();
    for (books, expected) in [("every", 1), ("final", 1), ("cadence", 0)] {
        let done = Home::new().mprism(&["replay", &folder, "--books", books]);
        let told = done.stdout.lines().filter(|line| line.contains("ETH-27AUG21-4000-P"));
        assert_eq!(told.count(), expected, "{books}");
    }
}
