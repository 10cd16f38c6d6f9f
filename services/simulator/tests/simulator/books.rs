//! Order books: what is put together from the streams is the truth at every identifier.

use std::time::Duration;

use mprism_simulator::{Rate, SimulatorOptions, Tuning};
use serde_json::{Value, json};

use crate::support::*;

/// Returns the payloads of one stream.
fn payloads(frames: &[String], stream: &str) -> Vec<Value> {
    let frames = frames.iter().map(|frame| read(frame));
    frames
        .filter(|frame| frame["stream"] == stream)
        .map(|frame| frame["data"].clone())
        .collect()
}

#[tokio::test]
async fn a_book_from_the_streams_is_the_true_book_at_every_event() {
    let simulator = Simulator::start(SimulatorOptions {
        limit_trades: Some(256 * 20),
        unknown_fields: true,
        ..options()
    })
    .await;
    let names = "btcusdt@trade/btcusdt@aggTrade/btcusdt@depth@100ms/btcusdt@depth/btcusdt@bookTicker/btcusdt@depth5@100ms/btcusdt@depth20";
    let mut client = simulator.connect(&format!("/stream?streams={names}")).await;
    let mut frames = Vec::new();
    // The second slow window ends the recording: 20 turns of 256 steps.
    while payloads(&frames[frames.len().saturating_sub(1)..], "btcusdt@depth20").is_empty()
        || payloads(&frames, "btcusdt@depth20").len() < 2
    {
        frames.push(text(&mut client).await);
    }
    for stream in ["btcusdt@depth@100ms", "btcusdt@depth"] {
        let diffs = payloads(&frames, stream);
        assert_eq!(diffs.len(), if stream == "btcusdt@depth" { 2 } else { 20 });
        let before = diffs[0]["U"].as_u64().expect("U") - 1;
        let first = simulator.true_books("BTC-USDT", &[before], 100_000).await;
        let mut book = Book::from_snapshot(&first[0]);
        assert!(first[0]["bids"].as_array().expect("rows").len() >= 1_500);
        let ids = diffs
            .iter()
            .map(|diff| diff["u"].as_u64().expect("u"))
            .collect::<Vec<_>>();
        let truth = simulator.true_books("BTCUSDT", &ids, 100_000).await;
        for (diff, truth) in diffs.iter().zip(&truth) {
            assert_eq!(diff["U"].as_u64(), Some(book.id + 1), "each continues the one before");
            book.apply(diff).expect("no hole");
            assert!(!book.is_crossed());
            assert!(book == Book::from_snapshot(truth), "not the true book at {}", book.id);
        }
    }
    best_levels_agree(&simulator, &frames).await;
    aggregates_hold_every_trade(&frames);
    simulator.end().await;
}

/// Best levels that are told at an identifier are those of the true book there.
async fn best_levels_agree(simulator: &Simulator, frames: &[String]) {
    let tickers = payloads(frames, "btcusdt@bookTicker");
    assert!(tickers.len() > 1_000, "{} tickers", tickers.len());
    let ids = tickers
        .iter()
        .map(|ticker| ticker["u"].as_u64().expect("u"))
        .collect::<Vec<_>>();
    let truth = simulator.true_books("BTC-USDT", &ids, 1).await;
    assert_eq!(truth.len(), tickers.len());
    for (ticker, truth) in tickers.iter().zip(truth) {
        let best = json!({"bids": [[ticker["b"], ticker["B"]]], "asks": [[ticker["a"], ticker["A"]]]});
        assert_eq!(best, top_of(&truth));
    }
    for (stream, levels) in [("btcusdt@depth5@100ms", 5), ("btcusdt@depth20", 20)] {
        for top in payloads(frames, stream) {
            let id = top["lastUpdateId"].as_u64().expect("an identifier");
            let truth = simulator.true_books("BTC-USDT", &[id], levels).await;
            assert_eq!(top_of(&top), top_of(&truth[0]));
        }
    }
}

fn aggregates_hold_every_trade(frames: &[String]) {
    let trades = payloads(frames, "btcusdt@trade");
    let aggregates = payloads(frames, "btcusdt@aggTrade");
    let mut rest = trades.iter();
    for pair in aggregates.windows(2) {
        assert_eq!(pair[1]["a"].as_u64(), pair[0]["a"].as_u64().map(|id| id + 1));
        assert_eq!(pair[1]["f"].as_u64(), pair[0]["l"].as_u64().map(|id| id + 1));
    }
    for aggregate in &aggregates {
        let count = aggregate["l"].as_u64().expect("l") - aggregate["f"].as_u64().expect("f") + 1;
        for _ in 0..count {
            let trade = rest.next().expect("a trade");
            assert_eq!(
                (&trade["p"], &trade["m"], &trade["T"]),
                (&aggregate["p"], &aggregate["m"], &aggregate["T"])
            );
        }
    }
    assert!(aggregates.len() < trades.len());
    assert!(rest.count() <= 10, "only an open order may be left");
}

#[tokio::test]
async fn a_client_joins_by_the_venues_rules_while_the_market_goes_on() {
    let simulator = Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(2_000.0),
        limit_trades: None,
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@depth@100ms").await;
    let mut buffer = vec![read(&text(&mut client).await)];
    let snapshot = read(
        &simulator
            .get("/binance-spot/api/v3/depth?symbol=BTCUSDT&limit=5000")
            .await,
    );
    let mut book = Book::from_snapshot(&snapshot);
    assert!(
        book.id >= buffer[0]["U"].as_u64().expect("U"),
        "fresh snapshots join the buffer"
    );
    for _ in 0..10 {
        buffer.push(read(&text(&mut client).await));
    }
    for diff in &buffer {
        book.apply(diff).expect("no hole");
    }
    let truth = &simulator.true_books("BTC-USDT", &[book.id], 100_000).await[0];
    assert!(book == Book::from_snapshot(truth), "not the true book at {}", book.id);
    // About a tenth of a second of 1,000 steps a second.
    let changes = buffer[5]["u"].as_u64().expect("u") - buffer[5]["U"].as_u64().expect("U") + 1;
    assert!((20..3_000).contains(&changes), "{changes} changes in a window");
    simulator.end().await;
}

#[tokio::test]
async fn two_clients_hear_the_same_diffs() {
    let simulator = Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(500.0),
        limit_trades: None,
        ..options()
    })
    .await;
    let mut first = simulator.connect("/ws/btcusdt@depth@100ms").await;
    texts(&mut first, 2).await;
    let mut second = simulator.connect("/ws/btcusdt@depth@100ms").await;
    let late = texts(&mut second, 5).await;
    let mut early = texts(&mut first, 1).await;
    while early.last() != late.last() {
        early.push(text(&mut first).await);
    }
    assert!(early.ends_with(&late), "{early:?} and {late:?}");
    simulator.end().await;
}

#[tokio::test]
async fn snapshots_are_as_stale_as_they_are_told_to_be() {
    for (stale, at_end) in [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)] {
        let simulator = Simulator::start(SimulatorOptions {
            rate: Rate::PerSecond(2_000.0),
            limit_trades: None,
            tuning: Tuning {
                stale_snapshots: stale,
                snapshots_at_event_end: at_end,
                trades_lag: Duration::ZERO,
                ..Tuning::default()
            },
            ..options()
        })
        .await;
        let mut client = simulator.connect("/ws/btcusdt@depth@100ms").await;
        let first = read(&text(&mut client).await);
        let (begin, end) = (first["U"].as_u64().expect("U"), first["u"].as_u64().expect("u"));
        let snapshot = read(
            &simulator
                .get("/binance-spot/api/v3/depth?symbol=BTCUSDT&limit=10")
                .await,
        );
        let id = snapshot["lastUpdateId"].as_u64().expect("an identifier");
        if stale > 0.0 {
            assert!(id < begin, "{id} is not before {begin}");
        } else {
            assert!(id >= end, "{id} is before {end}");
        }
        let truth = &simulator.true_books("BTC-USDT", &[id], 10).await[0];
        assert_eq!(top_of(&snapshot), top_of(truth), "old, and never inconsistent");
        if at_end > 0.0 {
            // It ends where this or one of the next events does.
            let mut last = end;
            while last < id {
                last = read(&text(&mut client).await)["u"].as_u64().expect("u");
            }
            assert_eq!(last, id);
        }
        simulator.end().await;
    }
}

#[tokio::test]
async fn the_truth_says_why_it_cannot_tell_a_book() {
    let simulator = Simulator::start(SimulatorOptions {
        limit_trades: Some(256),
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@depth@100ms").await;
    text(&mut client).await;
    let known = read(
        &simulator
            .get("/truth/books?exchange=binance_spot&symbol=BTC-USDT")
            .await,
    );
    let number = |key: &str| known[key].as_str().expect("a text").parse::<u64>().expect("a number");
    let (first, last) = (number("first_id"), number("last_id"));
    assert!(last - first > 256);
    let get = |id: u64| {
        let path = format!("/truth/book?exchange=binance_spot&symbol=BTC-USDT&id={id}&levels=3");
        let simulator = &simulator;
        async move { simulator.http(reqwest::Method::GET, &path, "").await }
    };
    let (status, book) = get(last).await;
    assert_eq!((status, read(&book)["bids"].as_array().map(Vec::len)), (200, Some(3)));
    assert_eq!(read(&book)["symbol"], "BTC-USDT");
    let (status, why) = get(first - 1).await;
    assert!(status == 404 && why.contains("too old"), "{why}");
    let (status, why) = get(last + 1).await;
    assert!(status == 404 && why.contains("has not happened"), "{why}");
    let lines = simulator.true_books("BTC-USDT", &[last + 1, first], 2).await;
    assert_eq!(lines[0]["id"], first.to_string());
    assert_eq!(lines[1]["error"], "unknown or too old");
    let (status, _) = simulator
        .http(reqwest::Method::GET, "/truth/books?exchange=okx&symbol=BTC-USDT", "")
        .await;
    assert_eq!(status, 404);
    simulator.end().await;
}

#[tokio::test]
async fn a_market_goes_on_where_it_stopped_and_identifiers_never_go_back() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = SimulatorOptions {
        places: Some(folder.path().join("sim.json")),
        limit_trades: Some(1_000),
        ..options()
    };
    let venues = [
        (
            "/binance-spot/ws/btcusdt@trade/btcusdt@depth@100ms",
            "binance_spot",
            "t",
        ),
        (
            "/binance-usdm/public/ws/btcusdt@trade/btcusdt@depth@100ms",
            "binance_derivatives",
            "t",
        ),
    ];
    let mut before = Vec::new();
    for round in 0..2 {
        let simulator = Simulator::start(options.clone()).await;
        for (index, (path, exchange, key)) in venues.into_iter().enumerate() {
            let mut client = simulator.connect_to(path).await;
            let (mut trades, mut last) = (Vec::new(), 0);
            while trades.len() < 1_000 || last == 0 {
                let frame = read(&text(&mut client).await);
                match frame[key].as_u64() {
                    Some(id) => trades.push(id),
                    None => last = frame["u"].as_u64().expect("u"),
                }
            }
            let known = read(
                &simulator
                    .get(&format!("/truth/books?exchange={exchange}&symbol=BTC-USDT"))
                    .await,
            );
            let number = |key: &str| known[key].as_str().expect("text").parse::<u64>().expect("a number");
            let (first_id, last_id) = (number("first_id"), number("last_id"));
            if round == 0 {
                let book = simulator.true_books_of(exchange, "BTC-USDT", &[last_id], 100_000).await[0].clone();
                before.push((*trades.last().expect("trades"), last_id, book));
            } else {
                let (last_trade, last_change, book) = &before[index];
                assert_eq!(trades[0], last_trade + 1, "{exchange}");
                assert_eq!(first_id, *last_change, "{exchange}");
                let begin = &simulator
                    .true_books_of(exchange, "BTC-USDT", &[first_id], 100_000)
                    .await[0];
                assert!(top_of(begin) == top_of(book), "{exchange}: another book");
            }
        }
        simulator.end().await;
    }
}
