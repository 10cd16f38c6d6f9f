//! `mprism replay` of OKX: every fact that somebody else read from the recorded frames.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use crate::support::Home;

/// Folders with facts, and how many rows each has that must be met.
const FOLDERS: [(&str, usize); 13] = [
    ("futures/liquidation", 2),
    ("futures/orderbook", 28),
    ("futures/trade", 14),
    ("spot/bbo", 1),
    ("spot/orderbook", 147),
    ("spot/trade", 100),
    ("swap/bbo", 2),
    ("swap/funding_rate", 14),
    ("swap/lsr_all_account", 5),
    ("swap/lsr_top_account", 5),
    ("swap/lsr_top_position", 5),
    ("swap/open_interest", 6),
    ("swap/orderbook", 33),
];
const SWAP_TRADES: (&str, usize) = ("swap/trade", 25);

/// A replayed folder: its messages by file, line and item, and what else was said.
struct Replayed {
    messages: HashMap<(String, u64, u64), Value>,
    gaps: HashSet<(String, u64)>,
    stderr: String,
    path: String,
}

impl Replayed {
    fn new(folder: &Path) -> Self {
        let path = folder.display().to_string();
        let done = Home::new().mprism(&["replay", &path, "--books", "every", "--trace"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let (mut messages, mut gaps) = (HashMap::new(), HashSet::new());
        for line in done.stdout.lines() {
            let message: Value = serde_json::from_str(line).expect("JSON");
            let number = |name: &str| message[name].as_u64().expect("a number");
            let (file, line) = (text(&message, "_file"), number("_line"));
            if message["data_type"] == "gap" {
                assert!(gaps.insert((file, line)), "{message}");
                continue;
            }
            let before = messages.insert((file, line, number("_item")), message);
            assert_eq!(before, None, "two messages of one place");
        }
        Self {
            messages,
            gaps,
            stderr: done.stderr,
            path,
        }
    }

    fn at(&self, fact: &Value) -> Option<&Value> {
        let number = |name: &str| fact[name].as_u64().unwrap_or(0);
        self.messages.get(&(text(fact, "file"), number("line"), number("item")))
    }

    /// Returns the books of a fact's file and symbol, up to a line, in order.
    fn books(&self, fact: &Value, until: u64) -> Vec<&Value> {
        let file = text(fact, "file");
        let of = |message: &&Value| message["_file"] == file.as_str() && message["instrument_id"] == fact["symbol"];
        let mut books: Vec<_> = self.messages.values().filter(of).collect();
        books.retain(|book| book["_line"].as_u64() <= Some(until));
        books.sort_by_key(|book| book["_line"].as_u64());
        books
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// Returns a side's best levels as the corpus writes them: price and the venue's own size.
fn levels(message: &Value, side: &str, count: usize) -> Value {
    let venues = |level: &Value| level.get("contracts").unwrap_or(&level["quantity"]).clone();
    let side = message[side].as_array().expect("a list");
    let pair = |level: &Value| Value::from(vec![level["price"].clone(), venues(level)]);
    side.iter().take(count).map(pair).collect()
}

/// Compares fields of a message with a fact's; numbers stand as texts there, and an empty text says nothing.
fn same(message: &Value, fact: &Value, fields: &[(&str, &str)]) {
    for (ours, theirs) in fields {
        let plain = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(
            plain(&message[*ours]),
            plain(&fact[*theirs]),
            "{ours}: {fact}\n{message}"
        );
    }
}

/// Returns which of our fields are which of the corpus', for rows of a single item.
fn fields(data_type: &str, in_contracts: bool) -> &'static [(&'static str, &'static str)] {
    match data_type {
        "trade" if in_contracts => &[
            ("instrument_id", "symbol"),
            ("trade_id", "trade_id"),
            ("price", "price"),
            ("contracts", "quantity"),
            ("side", "side"),
            ("ts_ms", "event_time_ms"),
            ("trade_ts_ms", "event_time_ms"),
        ],
        "trade" => &[
            ("instrument_id", "symbol"),
            ("trade_id", "trade_id"),
            ("price", "price"),
            ("quantity", "quantity"),
            ("side", "side"),
            ("ts_ms", "event_time_ms"),
            ("trade_ts_ms", "event_time_ms"),
        ],
        "funding_rate" => &[
            ("instrument_id", "symbol"),
            ("current_funding_rate", "funding_rate"),
            ("funding_ts_ms", "funding_time_ms"),
            ("estimated_funding_rate", "next_funding_rate"),
            ("next_funding_ts_ms", "next_funding_time_ms"),
            ("ts_ms", "event_time_ms"),
        ],
        "open_interest" => &[
            ("instrument_id", "symbol"),
            ("contracts", "open_interest"),
            ("open_interest_value", "open_interest_ccy"),
            ("open_interest_usd", "open_interest_usd"),
            ("ts_ms", "event_time_ms"),
        ],
        "liquidation" => &[
            ("instrument_id", "symbol"),
            ("side", "side"),
            ("price", "bankruptcy_price"),
            ("bankruptcy_price", "bankruptcy_price"),
            ("contracts", "quantity"),
            ("liquidation_ts_ms", "event_time_ms"),
            ("ts_ms", "event_time_ms"),
        ],
        "lsr_top_position" | "lsr_all_account" => &[
            ("instrument_id", "symbol"),
            ("long_short_ratio", "ratio"),
            ("period_ts_ms", "event_time_ms"),
        ],
        other => panic!("no such type: {other}"),
    }
}

#[test]
fn every_fact_of_the_recordings_is_met() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    for (name, rows) in FOLDERS.into_iter().chain([SWAP_TRADES]) {
        let folder = corpus.join("okx").join(name);
        let replayed = Replayed::new(&folder);
        let facts = std::fs::read_to_string(folder.join("expected.jsonl")).expect("facts");
        let (mut met, mut gaps) = (0, HashSet::new());
        for fact in facts.lines() {
            let fact: Value = serde_json::from_str(fact).expect("JSON");
            if fact["kind"] == "gap" {
                gaps.insert((text(&fact, "file"), fact["line"].as_u64().expect("a number")));
            } else {
                check(&replayed, &fact);
            }
            met += 1;
        }
        assert_eq!(met, rows, "{name}");
        assert_eq!(replayed.gaps, gaps, "{name}");
    }
}

fn check(replayed: &Replayed, fact: &Value) {
    let data_type = text(fact, "type");
    // Neither best prices nor the accounts of large traders are stored.
    if matches!(&*data_type, "bbo" | "lsr_top_account") {
        assert!(
            replayed.messages.is_empty() && replayed.stderr.contains("skipped: "),
            "{fact}"
        );
        return;
    }
    let line = || fact["line"].as_u64().expect("a number");
    match fact["kind"].as_str() {
        None => {
            let message = replayed.at(fact).unwrap_or_else(|| panic!("no message: {fact}"));
            assert_eq!(message["data_type"], fact["type"]);
            same(message, fact, fields(&data_type, fact["quantity_unit"] == "contracts"));
        }
        Some("count") => {
            let of = |key: &&(String, u64, u64)| (&*key.0, key.1) == (&*text(fact, "file"), line());
            let count = replayed.messages.keys().filter(of).count() as u64;
            assert_eq!(Some(count), fact["rows"].as_u64(), "{fact}");
        }
        Some("stream_summary") if data_type == "trade" => summary(replayed, fact),
        // A frame whose checksum differs, or that does not continue the book, would be a gap instead of a book.
        Some("stream_summary") => {
            let count = replayed.books(fact, u64::MAX).len() as u64;
            let gaps = replayed.gaps.iter().filter(|(file, _)| fact["file"] == file.as_str());
            assert_eq!(Some(count), fact["frames"].as_u64(), "{fact}");
            assert_eq!(Some(gaps.count() as u64), fact["seq_gaps"].as_u64(), "{fact}");
        }
        Some("book_state" | "book_final") => {
            let books = replayed.books(fact, fact["after_line"].as_u64().expect("a number"));
            let book = books.last().expect("a book");
            assert_eq!(book["ts_ms"].to_string(), text(fact, "event_time_ms"), "{fact}");
            for (side, count) in [("bids", "bid_levels"), ("asks", "ask_levels")] {
                let best = fact[side].as_array().expect("a list").len();
                assert_eq!(levels(book, side, best), fact[side], "{fact}");
                let told = book[side].as_array().map(|levels| levels.len() as u64);
                assert_eq!(told, fact[count].as_u64().map(|count| count.min(400)), "{fact}");
            }
        }
        Some("snapshot" | "topk") => {
            let book = replayed.at(fact).unwrap_or_else(|| panic!("no book: {fact}"));
            assert_eq!(book["update_type"], "snapshot");
            same(book, fact, &[("instrument_id", "symbol"), ("ts_ms", "event_time_ms")]);
            for (side, best) in [("bids", "best_bid"), ("asks", "best_ask")] {
                assert_eq!(
                    book[side].as_array().map(Vec::len),
                    fact[side].as_u64().map(|n| n as usize),
                    "{fact}"
                );
                let row = fact[best][0].as_array().expect("a level");
                assert_eq!(levels(book, side, 1)[0], Value::from(row[..2].to_vec()), "{fact}");
            }
        }
        // What a single update says is the parser's; here it is that it did, or did not, continue a book.
        Some("update") => assert!(
            !replayed
                .stderr
                .contains(&format!("{}:{}: ", text(fact, "file"), line())),
            "{fact}"
        ),
        Some("must_be_rejected") => {
            let place = format!("{}/{}:{}: ", replayed.path, text(fact, "file"), line());
            assert!(
                replayed.stderr.contains(&place) && replayed.at(fact).is_none(),
                "{fact}"
            );
        }
        Some(other) => panic!("no such fact: {other}"),
    }
}

/// Checks what is known of all trades of a symbol in a file.
fn summary(replayed: &Replayed, fact: &Value) {
    let trades = replayed.books(fact, u64::MAX);
    let size = |trade: &Value| {
        text(
            trade,
            if trade["contracts"].is_null() {
                "quantity"
            } else {
                "contracts"
            },
        )
    };
    assert_eq!(Some(trades.len() as u64), fact["trades"].as_u64(), "{fact}");
    let (first, last) = (trades.first().expect("a trade"), trades.last().expect("a trade"));
    same(
        first,
        fact,
        &[("trade_id", "first_trade_id"), ("ts_ms", "first_event_time_ms")],
    );
    same(
        last,
        fact,
        &[("trade_id", "last_trade_id"), ("ts_ms", "last_event_time_ms")],
    );
    let decimal = |text: &str| text.parse::<mprism_model::Decimal>().expect("a decimal").scaled();
    let sum: i128 = trades.iter().map(|trade| decimal(&size(trade))).sum();
    assert_eq!(sum, decimal(&text(fact, "quantity_sum")), "{fact}");
    let buys = trades.iter().filter(|trade| trade["side"] == "buy").count() as u64;
    assert_eq!(Some(buys), fact["buys"].as_u64(), "{fact}");
    let prices = || trades.iter().map(|trade| decimal(&text(trade, "price")));
    assert_eq!(prices().min(), Some(decimal(&text(fact, "min_price"))), "{fact}");
    assert_eq!(prices().max(), Some(decimal(&text(fact, "max_price"))), "{fact}");
}

#[test]
fn every_recorded_checksum_is_equal() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let checks = std::fs::read_to_string(corpus.join("checks.jsonl")).expect("checks");
    let mut replays: HashMap<String, Replayed> = HashMap::new();
    let mut equal = 0;
    for check in checks.lines() {
        let check: Value = serde_json::from_str(check).expect("JSON");
        let (Some(told), Some(path)) = (check["checksum_ok"].as_u64(), check["file"].as_str()) else {
            continue;
        };
        let (folder, file) = path.rsplit_once('/').expect("a folder");
        let replayed = replays
            .entry(folder.to_owned())
            .or_insert_with(|| Replayed::new(&corpus.join(folder)));
        // A book whose checksum differs is not told, and leaves a gap.
        assert!(!replayed.gaps.iter().any(|(name, _)| name == file), "{check}");
        let of = serde_json::json!({"file": file, "symbol": check["symbol"]});
        assert_eq!(replayed.books(&of, u64::MAX).len() as u64, told, "{check}");
        equal += told;
    }
    assert_eq!(equal, 4_575);
}

#[test]
fn a_wrong_checksum_and_a_broken_chain_are_gaps_where_they_are_noticed() {
    let home = Home::new();
    let book = |action: &str, ask: &str, numbers: &str| {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"{action}","data":[{{"asks":[["64000.2","{ask}","0","1"]],"bids":[["64000.1","12","0","1"]],"ts":"1795176000200",{numbers}}}]}}"#
        )
    };
    let old = [
        book("snapshot", "4", "\"checksum\":-889972680"),
        book("update", "4", "\"checksum\":-889972680"),
        book("update", "5", "\"checksum\":-889972680"),
        book("update", "4", "\"checksum\":-889972680"),
        book("snapshot", "4", "\"checksum\":-889972680"),
    ];
    let chained = |seq: i64, before: i64| format!("\"checksum\":0,\"seqId\":{seq},\"prevSeqId\":{before}");
    let new = [
        book("snapshot", "4", &chained(10, -1)),
        book("update", "5", &chained(15, 10)),
        book("update", "5", &chained(15, 15)),
        book("update", "6", &chained(3, 15)),
        book("update", "7", &chained(5, 3)),
        book("update", "8", &chained(9, 7)),
        book("update", "9", &chained(12, 9)),
        book("snapshot", "4", &chained(20, -1)),
    ];
    let told = |name: &str, lines: &[String]| {
        let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
        home.write(&format!("{name}/okx/spot/orderbook/a.jsonl"), &lines.concat());
        let path = home.path().join(name).display().to_string();
        let done = home.mprism(&["replay", &path, "--books", "every", "--trace"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let told = done.stdout.lines().map(|line| {
            let message: Value = serde_json::from_str(line).expect("JSON");
            match message["data_type"].as_str() {
                Some("gap") => format!("{}: {} gap", message["_line"], text(&message, "cause")),
                _ => format!("{}: {}", message["_line"], text(&message["asks"][0], "quantity")),
            }
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told("old", &old), ["1: 4", "2: 4", "3: desync gap", "5: 4"]);
    assert_eq!(
        told("new", &new),
        ["1: 4", "2: 5", "4: 6", "5: 7", "6: sequence gap", "8: 4"]
    );
}
