//! `mprism replay` on the recordings of Binance USDⓈ-M: every fact that somebody else read from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Home;

const MARKET: &str = "binance/usdm";

/// A message's place: file, line, item.
type Place = (String, u64, u64);

/// Replays one type's folder; returns its messages in order.
fn replayed(corpus: &Path, data_type: &str) -> (Vec<Value>, String) {
    let folder = corpus.join(MARKET).join(data_type).display().to_string();
    let done = Home::new().mprism(&["replay", &folder, "--books", "every", "--trace"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let messages = done.stdout.lines();
    let messages = messages.map(|line| serde_json::from_str(line).expect("JSON"));
    (messages.collect(), done.stderr)
}

fn facts(corpus: &Path, data_type: &str) -> Vec<Value> {
    let path = corpus.join(MARKET).join(data_type).join("expected.jsonl");
    let text = std::fs::read_to_string(path).expect("facts");
    let facts = text.lines();
    facts.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn place(message: &Value) -> Place {
    (
        text(&message["_file"]),
        number(&message["_line"]),
        number(&message["_item"]),
    )
}

/// Holds what both say against each other; returns how many facts there were.
fn agree(data_type: &str, fields: &[(&str, &str)]) -> usize {
    let Some(corpus) = mprism_testkit::corpus() else {
        return usize::MAX;
    };
    let (messages, complaints) = replayed(&corpus, data_type);
    assert_eq!(complaints, "", "all of it is understood");
    let by_place: HashMap<Place, &Value> = messages.iter().map(|message| (place(message), message)).collect();
    assert_eq!(by_place.len(), messages.len(), "one place, one message");
    let mut rows = 0;
    for fact in facts(&corpus, data_type) {
        if fact["kind"] == "count" {
            let of_line = |message: &&Value| message["_file"] == fact["file"] && message["_line"] == fact["line"];
            assert_eq!(
                messages.iter().filter(of_line).count() as u64,
                number(&fact["rows"]),
                "{fact}"
            );
            continue;
        }
        let at = (text(&fact["file"]), number(&fact["line"]), number(&fact["item"]));
        let message = by_place.get(&at).unwrap_or_else(|| panic!("nothing at {at:?}"));
        assert_eq!(message["data_type"], data_type);
        for (ours, theirs) in fields {
            if let Some(theirs) = fact.get(*theirs).filter(|value| !value.is_null()) {
                assert_eq!(text(&message[*ours]), text(theirs), "{ours}: {fact}");
            }
        }
        rows += 1;
    }
    rows
}

#[test]
fn every_rate_ratio_interest_and_liquidation_is_read_to_the_letter() {
    let rates = agree(
        "funding_rate",
        &[
            ("instrument_id", "symbol"),
            ("current_funding_rate", "funding_rate"),
            ("funding_ts_ms", "funding_time_ms"),
            ("next_funding_ts_ms", "next_funding_time_ms"),
            ("mark_price", "mark_price"),
            ("index_price", "index_price"),
            ("ts_ms", "event_time_ms"),
        ],
    );
    let interests = agree(
        "open_interest",
        &[
            ("instrument_id", "symbol"),
            ("open_interest_value", "open_interest"),
            ("open_interest_usd", "open_interest_value"),
            ("ts_ms", "event_time_ms"),
        ],
    );
    let liquidations = agree(
        "liquidation",
        &[
            ("instrument_id", "symbol"),
            ("side", "side"),
            ("price", "price"),
            ("average_price", "average_price"),
            ("quantity", "quantity"),
            ("filled_quantity", "filled_quantity"),
            ("ts_ms", "event_time_ms"),
            ("liquidation_ts_ms", "trade_time_ms"),
        ],
    );
    let shares = |long, short| {
        [
            ("instrument_id", "symbol"),
            ("long_short_ratio", "ratio"),
            (long, "long"),
            (short, "short"),
            ("period_ts_ms", "event_time_ms"),
            ("ts_ms", "event_time_ms"),
        ]
    };
    let positions = agree(
        "lsr_top_position",
        &shares("long_position_ratio", "short_position_ratio"),
    );
    let accounts = agree("lsr_all_account", &shares("long_account_ratio", "short_account_ratio"));
    for (rows, least) in [
        (rates, 14),
        (interests, 13),
        (liquidations, 1),
        (positions, 30),
        (accounts, 40),
    ] {
        assert!(rows >= least, "{rows} of {least}");
    }
}

#[test]
fn what_is_not_stored_is_counted_and_no_message() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    for (data_type, skipped, count) in [
        ("bbo", "bookTicker", 66_703),
        ("lsr_top_account", "long/short ratio", 2),
    ] {
        let (messages, complaints) = replayed(&corpus, data_type);
        assert_eq!(messages, Vec::<Value>::new());
        assert!(
            complaints.contains(&format!("skipped: {count} × {skipped}")),
            "{complaints}"
        );
        assert!(!complaints.contains("not understood"), "{complaints}");
    }
}

/// What a stream's trades come to.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    trades: u64,
    buys: u64,
    sells: u64,
    first: Option<String>,
    last: Option<String>,
    min: Option<String>,
    max: Option<String>,
    quantity: i128,
    notional: i128,
    first_ms: Option<String>,
    last_ms: Option<String>,
}

/// Reads a decimal in units of 10⁻¹².
fn units(text: &str) -> i128 {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{places:0<12}")
        .parse()
        .expect("a decimal of at most twelve places")
}

impl Sum {
    fn add(&mut self, trade: &Value) {
        let (price, quantity) = (text(&trade["price"]), text(&trade["quantity"]));
        self.trades += 1;
        *if trade["side"] == "buy" {
            &mut self.buys
        } else {
            &mut self.sells
        } += 1;
        self.first.get_or_insert(text(&trade["trade_id"]));
        self.last = Some(text(&trade["trade_id"]));
        self.first_ms.get_or_insert(text(&trade["ts_ms"]));
        self.last_ms = Some(text(&trade["ts_ms"]));
        self.quantity += units(&quantity);
        self.notional += units(&price) * units(&quantity) / 10_i128.pow(12);
        let beyond = |old: &Option<String>, is_less: bool| {
            old.as_deref()
                .is_none_or(|old| (units(&price) < units(old)) == is_less && units(&price) != units(old))
        };
        if beyond(&self.min, true) {
            self.min = Some(price.clone());
        }
        if beyond(&self.max, false) {
            self.max = Some(price);
        }
    }
}

#[test]
fn every_trade_is_read_to_the_letter_and_the_sums_agree() {
    let fields = [
        ("instrument_id", "symbol"),
        ("trade_id", "trade_id"),
        ("price", "price"),
        ("quantity", "quantity"),
        ("side", "side"),
        ("ts_ms", "event_time_ms"),
        ("trade_ts_ms", "trade_time_ms"),
    ];
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let (messages, complaints) = replayed(&corpus, "trade");
    assert_eq!(complaints, "", "all of it is understood");
    assert!(
        messages.iter().all(|message| message["data_type"] == "trade"),
        "no hole anywhere"
    );
    let by_place: HashMap<Place, &Value> = messages.iter().map(|message| (place(message), message)).collect();
    let mut sums: HashMap<(String, String), Sum> = HashMap::new();
    for message in &messages {
        let stream = (text(&message["_file"]), text(&message["instrument_id"]));
        sums.entry(stream).or_default().add(message);
    }
    let (mut rows, mut summaries) = (0, 0);
    for fact in facts(&corpus, "trade") {
        match fact["kind"].as_str() {
            Some("stream_summary") => {
                let sum = &sums[&(text(&fact["file"]), text(&fact["symbol"]))];
                let told = |name: &str| Some(text(&fact[name]));
                let expected = Sum {
                    trades: number(&fact["trades"]),
                    buys: number(&fact["buys"]),
                    sells: number(&fact["sells"]),
                    first: told("first_trade_id"),
                    last: told("last_trade_id"),
                    min: told("min_price"),
                    max: told("max_price"),
                    quantity: units(&text(&fact["quantity_sum"])),
                    notional: units(&text(&fact["notional_sum"])),
                    first_ms: told("first_event_time_ms"),
                    last_ms: told("last_event_time_ms"),
                };
                assert_eq!(sum, &expected, "{fact}");
                summaries += 1;
            }
            Some("count") => {
                let of_line = |message: &&Value| message["_file"] == fact["file"] && message["_line"] == fact["line"];
                assert_eq!(
                    messages.iter().filter(of_line).count() as u64,
                    number(&fact["rows"]),
                    "{fact}"
                );
            }
            _ => {
                let message = by_place[&(text(&fact["file"]), number(&fact["line"]), number(&fact["item"]))];
                for (ours, theirs) in fields {
                    if let Some(theirs) = fact.get(theirs).filter(|value| !value.is_null()) {
                        assert_eq!(text(&message[ours]), text(theirs), "{ours}: {fact}");
                    }
                }
                rows += 1;
            }
        }
    }
    assert!(rows >= 40 && summaries == 5, "{rows} {summaries}");
}

/// Returns the best levels of one side as the corpus writes them.
fn best(levels: &Value, count: usize) -> Value {
    let levels = levels.as_array().expect("a list");
    let pair = |level: &Value| Value::from(vec![level["price"].clone(), level["quantity"].clone()]);
    levels.iter().take(count).map(pair).collect()
}

#[test]
fn every_book_is_what_somebody_else_made_of_the_frames() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let (messages, complaints) = replayed(&corpus, "orderbook");
    assert!(!complaints.contains("not understood"), "{complaints}");
    let (gaps, books): (Vec<&Value>, Vec<&Value>) = messages.iter().partition(|message| message["data_type"] == "gap");
    assert_eq!(gaps, Vec::<&Value>::new(), "no hole anywhere");
    let at: HashMap<(String, u64), &Value> = books
        .iter()
        .map(|book| ((text(&book["_file"]), number(&book["_line"])), *book))
        .collect();
    let of = |fact: &Value| {
        let (file, symbol) = (fact["file"].clone(), fact["symbol"].clone());
        let is_same = move |book: &&&Value| book["_file"] == file && book["instrument_id"] == symbol;
        books.iter().filter(is_same).copied().collect::<Vec<_>>()
    };
    let (mut states, mut finals, mut summaries) = (0, 0, 0);
    for fact in facts(&corpus, "orderbook") {
        let book = match fact["kind"].as_str() {
            Some("book_state") => {
                states += 1;
                at[&(text(&fact["file"]), number(&fact["after_line"]))]
            }
            Some("snapshot") => {
                let book = at[&(text(&fact["file"]), number(&fact["line"]))];
                assert_eq!(book["instrument_id"], fact["symbol"], "{fact}");
                assert_eq!(text(&book["ts_ms"]), text(&fact["event_time_ms"]), "{fact}");
                assert_eq!(best(&book["bids"], 1), fact["best_bid"], "{fact}");
                assert_eq!(best(&book["asks"], 1), fact["best_ask"], "{fact}");
                book
            }
            Some("book_final") => {
                finals += 1;
                let told = of(&fact);
                assert_eq!(told.len() as u64, number(&fact["applied"]), "{fact}");
                assert_eq!(told[0]["_line"], fact["first_applied_line"], "{fact}");
                told[told.len() - 1]
            }
            Some("stream_summary") => {
                summaries += 1;
                let told = of(&fact);
                let last = told[told.len() - 1];
                assert_eq!(fact["gaps"], 0);
                assert_eq!(text(&last["last_update_id"]), text(&fact["last_update_id"]), "{fact}");
                assert_eq!(text(&last["ts_ms"]), text(&fact["last_event_time_ms"]), "{fact}");
                continue;
            }
            Some("update") if fact["file"] == "crypto-msg-parser-topk.jsonl" => {
                let book = at[&(text(&fact["file"]), number(&fact["line"]))];
                assert_eq!(text(&book["ts_ms"]), text(&fact["event_time_ms"]), "{fact}");
                assert_eq!(book["instrument_id"], fact["symbol"], "{fact}");
                book
            }
            // A diff by itself makes no book: held against the fact where frames are parsed.
            Some("update") => continue,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(&book["last_update_id"]), text(&fact["update_id"]), "{fact}");
        for side in ["bids", "asks"] {
            match fact[side].as_array() {
                Some(levels) => assert_eq!(best(&book[side], levels.len()), fact[side], "{fact}"),
                None => assert_eq!(book[side].as_array().map(|l| l.len() as u64), fact[side].as_u64()),
            }
        }
    }
    assert!(
        states >= 40 && finals == 5 && summaries == 5,
        "{states} {finals} {summaries}"
    );
    checked(&corpus, &books);
}

/// Holds the books against the checks of the whole corpus: how many diffs were in the snapshot already, how many were applied,
/// and the best prices that the venue told at the same update.
fn checked(corpus: &Path, books: &[&Value]) {
    let checks = std::fs::read_to_string(corpus.join("checks.jsonl")).expect("checks");
    let mut touches = 0;
    for check in checks.lines() {
        let check: Value = serde_json::from_str(check).expect("JSON");
        let path = text(&check["file"]);
        let Some(file) = path.strip_prefix(&format!("{MARKET}/orderbook/")) else {
            continue;
        };
        if check["check"] != "snapshot splice and replay" {
            assert_eq!(check["gaps"], 0, "no gap was told, either");
            continue;
        }
        let told = books
            .iter()
            .filter(|book| book["_file"] == file && book["instrument_id"] == check["symbol"]);
        let told: HashMap<u64, &&Value> = told.map(|book| (number(&book["last_update_id"]), book)).collect();
        assert_eq!(told.len() as u64, number(&check["applied"]), "{check}");
        let mut compared = 0;
        for frame in frames(&corpus.join(MARKET).join("bbo").join(file)) {
            let frame = frame.get("data").unwrap_or(&frame);
            let at = frame["u"].as_u64().and_then(|id| told.get(&id));
            if let Some(book) = at.filter(|_| frame["s"] == check["symbol"]) {
                let touch = |side: &str| best(&book[side], 1)[0].clone();
                let of = |price: &str, quantity: &str| Value::from(vec![frame[price].clone(), frame[quantity].clone()]);
                assert_eq!((touch("bids"), touch("asks")), (of("b", "B"), of("a", "A")), "{frame}");
                compared += 1;
            }
        }
        assert_eq!(compared, number(&check["bbo_compared"]), "{check}");
        touches += compared;
    }
    assert!(touches > 600, "{touches}");
}

fn frames(path: &PathBuf) -> Vec<Value> {
    let file = std::fs::File::open(path).expect("recorded");
    let text = match path.extension().is_some_and(|end| end == "zst") {
        true => std::io::read_to_string(zstd::Decoder::new(file).expect("packed")),
        false => std::io::read_to_string(file),
    };
    let text = text.expect("text");
    let frames = text.lines();
    frames.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
