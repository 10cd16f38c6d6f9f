//! Recorded order books through the whole line, held against what the venue said of its best prices.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::Home;

const DAYS: [(&str, usize); 2] = [
    ("hft-btcusdt-20240808.jsonl.zst", 564),
    ("hft-btcusdt-20240809.jsonl.zst", 507),
];

/// The last update of the second day.
const LAST: &str = "50093696318";

/// Returns the best bid and ask of each update that somebody recorded.
fn touches(corpus: &std::path::Path, day: &str) -> HashMap<String, [String; 4]> {
    let file = std::fs::File::open(corpus.join("binance/spot/bbo").join(day)).expect("recorded");
    let frames = std::io::read_to_string(zstd::Decoder::new(file).expect("packed")).expect("text");
    let touches = frames.lines().map(|frame| {
        let frame: Value = serde_json::from_str(frame).expect("JSON");
        let told = frame.get("data").unwrap_or(&frame);
        let value = |name: &str| {
            let text = told[name].as_str().expect("a text");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        (told["u"].to_string(), ["b", "B", "a", "A"].map(value))
    });
    touches.collect()
}

#[tokio::test]
async fn every_stored_book_has_the_best_prices_that_the_venue_told() {
    stored_books_agree("3000", 1_000).await;
}

#[tokio::test]
async fn however_fast_a_recording_is_played_its_books_are_joined_and_stored() {
    // Minutes of a market within a second run beyond what a snapshot of 1,000 levels is certain of before the next one is here; of one
    // that gives fewer levels than were asked for, all are.
    stored_books_agree("max", 5_000).await;
}

async fn stored_books_agree(rate: &str, snapshot_limit: usize) {
    let Some(corpus) = mprism_testkit::corpus() else { return };
    let home = Home::new();
    home.configure(&format!(
        "collector: {{orderbook: {{cadence: every, snapshot_limit: {snapshot_limit}}}, \
         exchanges: {{binance_spot: {{symbols: [BTCUSDT]}}}}}}\n"
    ));
    let served = home.beside().join("binance/spot");
    for kind in ["orderbook", "trade"] {
        std::fs::create_dir_all(served.join(kind)).expect("made");
        for entry in std::fs::read_dir(corpus.join("binance/spot").join(kind)).expect("there") {
            let entry = entry.expect("readable");
            if entry.file_name().to_string_lossy().starts_with("hft-") {
                std::os::unix::fs::symlink(entry.path(), served.join(kind).join(entry.file_name())).expect("linked");
            }
        }
    }
    let corpus_folder = home.beside().display().to_string();
    home.good(&["start", "--sim", "--sim-corpus", &corpus_folder, "--sim-rate", rate]);
    home.until("the recording is at its end", || {
        match home
            .query("SELECT max(last_update_id) FROM marketprism_hot.orderbooks")
            .as_str()
        {
            LAST => Ok(()),
            id => Err(id.to_owned()),
        }
    })
    .await;
    let found = home.settled(|_| 0).await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    for (day, count) in DAYS {
        let touches = touches(&corpus, day);
        let ids: Vec<&str> = touches.keys().map(String::as_str).collect();
        let mut compared = 0;
        for ids in ids.chunks(5_000) {
            let rows = home.query(&format!(
                "SELECT last_update_id, toString(best_bid_price), toString(best_bid_quantity), toString(best_ask_price), \
                 toString(best_ask_quantity) FROM marketprism_hot.orderbooks WHERE last_update_id IN ({})",
                ids.join(",")
            ));
            for row in rows.lines() {
                let (id, values) = row.split_once('\t').expect("five columns");
                assert_eq!(values, touches[id].join("\t"), "{id}");
                compared += 1;
            }
        }
        assert!(compared >= count, "{compared} of {count} on {day}");
    }
    let original = home.query("SELECT bids FROM marketprism_hot.orderbooks LIMIT 1");
    let original: Value = serde_json::from_str(&original).expect("the original's JSON text");
    assert!(
        original[0]["price"].is_string() && original[0]["quantity"].is_string(),
        "{original}"
    );
}
