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

/// Returns the best levels of one side as the corpus writes them.
fn best(levels: &Value, count: usize) -> Value {
    let levels = levels.as_array().expect("a list");
    let pair = |level: &Value| Value::from(vec![level["price"].clone(), level["quantity"].clone()]);
    levels.iter().take(count).map(pair).collect()
}

#[test]
fn every_recorded_book_is_what_somebody_else_made_of_the_frames() {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let folder = corpus.join("binance/spot/orderbook").display().to_string();
    let done = Home::new().mprism(&["replay", &folder, "--books", "every", "--trace"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("anyutkinz-malformed.jsonl:1: "), "{}", done.stderr);
    let (mut books, mut applied, mut gaps) = (HashMap::new(), HashMap::new(), Vec::new());
    // By instrument and update id, to be held against what the venue said of its best prices.
    let mut touches = HashMap::new();
    for line in done.stdout.lines() {
        let message: Value = serde_json::from_str(line).expect("JSON");
        let file = message["_file"].as_str().expect("a text").to_owned();
        if message["data_type"] == "gap" {
            gaps.push((file, message["_line"].clone()));
            continue;
        }
        let symbol = message["instrument_id"].as_str().map(str::to_owned);
        *applied.entry((file.clone(), symbol.clone())).or_insert(0_u64) += 1;
        let touch = |side: &str| best(&message[side], 1)[0].clone();
        let id = message["last_update_id"].as_u64().expect("a number");
        touches.insert((symbol, id), (touch("bids"), touch("asks")));
        books.insert((file, message["_line"].as_u64().expect("a number")), message);
    }
    let expected = std::fs::read_to_string(corpus.join("binance/spot/orderbook/expected.jsonl")).expect("facts");
    let (mut states, mut finals, mut total) = (0, 0, HashMap::new());
    for fact in expected.lines() {
        let fact: Value = serde_json::from_str(fact).expect("JSON");
        let file = fact["file"].as_str().expect("a text").to_owned();
        let symbol = fact["symbol"].as_str().map(str::to_owned);
        let message = match fact["kind"].as_str() {
            Some("book_state") => {
                states += 1;
                &books[&(file, fact["after_line"].as_u64().expect("a number"))]
            }
            Some("snapshot") => &books[&(file, fact["line"].as_u64().expect("a number"))],
            Some("book_final") => {
                finals += 1;
                // Days that continue each other are one stream from one snapshot: what was applied adds up.
                let stream = (fact["snapshot_file"].to_string(), symbol.clone());
                let sum = total.entry(stream).or_insert(0);
                *sum += applied[&(file.clone(), symbol.clone())];
                assert_eq!(fact["applied"].as_u64(), Some(*sum), "{fact}");
                let last = books
                    .iter()
                    .filter(|((name, _), m)| *name == file && m["instrument_id"] == fact["symbol"]);
                last.max_by_key(|((_, line), _)| *line).expect("a book").1
            }
            _ => continue,
        };
        assert_eq!(
            message["last_update_id"].to_string(),
            fact["update_id"].as_str().expect("a text"),
            "{fact}"
        );
        for side in ["bids", "asks"] {
            match fact[side].as_array() {
                Some(levels) => assert_eq!(best(&message[side], levels.len()), fact[side], "{fact}"),
                None => assert_eq!(
                    message[side].as_array().map(Vec::len),
                    fact[side].as_u64().map(|n| n as usize)
                ),
            }
        }
    }
    assert!(states > 120 && finals == 16, "{states} {finals}");
    // Frames of another recording of the same instrument do not continue the first one's book.
    assert_eq!(gaps, [("anyutkinz-20260711.jsonl".to_owned(), Value::from(1))]);
    assert_eq!(touches_agree(&corpus, "hft-btcusdt-20240808.jsonl.zst", &touches), 565);
    assert_eq!(touches_agree(&corpus, "hft-btcusdt-20240809.jsonl.zst", &touches), 507);
}

type Touches = HashMap<(Option<String>, u64), (Value, Value)>;

/// Holds books against the best prices that the venue told at the same update; returns how many there were.
fn touches_agree(corpus: &std::path::Path, name: &str, touches: &Touches) -> usize {
    let file = std::fs::File::open(corpus.join("binance/spot/bbo").join(name)).expect("recorded");
    let frames = std::io::read_to_string(zstd::Decoder::new(file).expect("packed")).expect("text");
    let mut compared = 0;
    for frame in frames.lines() {
        let frame: Value = serde_json::from_str(frame).expect("JSON");
        let told = frame.get("data").unwrap_or(&frame);
        let symbol = told["s"].as_str().map(str::to_owned);
        let Some(id) = told["u"].as_u64() else { continue };
        let Some((bid, ask)) = touches.get(&(symbol, id)) else {
            continue;
        };
        assert_eq!(
            (&bid[0], &bid[1], &ask[0], &ask[1]),
            (&told["b"], &told["B"], &told["a"], &told["A"])
        );
        compared += 1;
    }
    compared
}

#[test]
fn final_and_paced_books_are_fewer_and_a_hole_is_told_where_it_is_noticed() {
    let home = Home::new();
    let diff = |first: u64, last: u64, ms: u64| {
        format!(
            r#"{{"e":"depthUpdate","E":{},"s":"BTCUSDT","U":{first},"u":{last},"b":[["64000.10","{last}"]],"a":[]}}"#,
            1_795_176_000_000 + ms
        )
    };
    let lines = [
        diff(90, 100, 0),
        diff(101, 103, 40),
        diff(104, 105, 90),
        diff(106, 106, 110),
        diff(110, 111, 200),
    ];
    let folder = "binance/spot/orderbook";
    home.write(
        &format!("{folder}/a.jsonl"),
        &lines.map(|line| format!("{line}\n")).concat(),
    );
    let snapshot = r#"{"lastUpdateId":100,"bids":[["64000.00","1"]],"asks":[["64000.20","2"]]}"#;
    home.write(&format!("{folder}/a.rest.jsonl"), &format!("{snapshot}\n"));
    home.write(
        &format!("{folder}/a.rest.meta.jsonl"),
        "{\"line\":1,\"symbol\":\"BTCUSDT\"}\n",
    );
    let path = home.path().join(folder).display().to_string();
    let told = |books: &str| {
        let done = home.mprism(&["replay", &path, "--books", books, "--trace"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let messages = done
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let tell = |m: Value| match m["data_type"].as_str() {
            Some("gap") => format!("{}: gap {} to {}", m["_line"], m["from_id"], m["to_id"]),
            _ => format!("{}: {} after {}", m["_line"], m["last_update_id"], m["prev_update_id"]),
        };
        messages.map(tell).collect::<Vec<_>>()
    };
    let gap = "5: gap \"107\" to \"109\"";
    assert_eq!(
        told("every"),
        ["2: 103 after null", "3: 105 after 103", "4: 106 after 105", gap]
    );
    assert_eq!(told("cadence"), ["2: 103 after null", gap]);
    // The book is not valid any more at the end.
    assert_eq!(told("final"), [gap]);
    let alone = home.mprism(&[
        "replay",
        &format!("{path}/a.rest.jsonl"),
        "--exchange",
        "binance",
        "--market",
        "spot",
    ]);
    let alone: Value = serde_json::from_str(alone.stdout.trim()).expect("one message");
    assert_eq!(
        (&alone["update_type"], &alone["ts_ms"]),
        (&"snapshot".into(), &Value::Null)
    );
}
