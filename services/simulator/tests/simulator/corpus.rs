//! Recorded frames.

use mprism_simulator::SimulatorOptions;
use serde_json::Value;

use crate::support::*;

#[tokio::test]
async fn recorded_frames_keep_every_byte() {
    let Some(corpus) = corpus() else { return };
    let mut recorded = Vec::new();
    for day in ["20240808", "20240809"] {
        let path = corpus.join(format!("binance/spot/trade/hft-btcusdt-{day}.jsonl.zst"));
        let file = std::fs::File::open(path).expect("there");
        let all = std::io::read_to_string(zstd::Decoder::new(file).expect("zstd")).expect("text");
        recorded.extend(all.lines().map(str::to_owned));
    }
    let options = SimulatorOptions {
        corpus: Some(corpus),
        limit_trades: None,
        places: None,
        ..options()
    };
    for keep_time in [true, false] {
        let simulator = Simulator::start(SimulatorOptions {
            keep_time,
            ..options.clone()
        })
        .await;
        let mut client = simulator.connect("/stream?streams=btcusdt@trade").await;
        let heard = texts(&mut client, recorded.len()).await;
        let data = |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["data"].clone();
        let truth = heard.iter().map(|line| as_truth(&data(line))).collect::<Vec<_>>();
        assert!(
            truth == simulator.truth("BTC-USDT").await,
            "truth is not what was heard"
        );
        if keep_time {
            assert!(heard == recorded, "a frame changed");
        }
        let shift = |name: &str, index: usize| {
            data(&heard[index])[name].as_i64().expect("a time") - data(&recorded[index])[name].as_i64().expect("a time")
        };
        let constant = shift("E", 0);
        assert_eq!(constant == 0, keep_time);
        for index in 0..recorded.len() {
            assert_eq!((shift("E", index), shift("T", index)), (constant, constant));
            let old = data(&recorded[index]);
            let time = |name: &str| {
                (
                    format!("\"{name}\":{}", old[name]),
                    format!("\"{name}\":{}", old[name].as_i64().expect("a time") + constant),
                )
            };
            let ((event, event_now), (trade, trade_now)) = (time("E"), time("T"));
            assert_eq!(
                heard[index],
                recorded[index].replace(&event, &event_now).replace(&trade, &trade_now)
            );
        }
        simulator.end().await;
    }
}

#[tokio::test]
async fn damaged_recordings_are_played_and_not_counted() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let trades = folder.path().join("binance/spot/trade");
    std::fs::create_dir_all(&trades).expect("created");
    let sound = r#"{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":5,"p":"1.10","q":"2.0","T":1723161255342,"m":true,"M":true,"zz":[1]}"#;
    let lines = format!("{{\"e\":\"trade\",\"s\"\n{sound}\n{{\"e\":\"trade\"}}\n");
    std::fs::write(trades.join("broken-malformed.jsonl"), &lines).expect("written");
    let corpus = Some(folder.path().to_owned());
    let simulator = Simulator::start(SimulatorOptions {
        corpus,
        keep_time: true,
        ..options()
    })
    .await;
    let mut client = simulator.connect("/ws/btcusdt@trade").await;
    assert_eq!(texts(&mut client, 3).await, lines.lines().collect::<Vec<_>>());
    assert_eq!(simulator.truth("BTC-USDT").await.len(), 1);
    simulator.end().await;
}

/// Starts the recorded market at full speed.
async fn played(corpus: &std::path::Path) -> Simulator {
    Simulator::start(SimulatorOptions {
        corpus: Some(corpus.to_owned()),
        limit_trades: None,
        keep_time: true,
        ..options()
    })
    .await
}

#[tokio::test]
async fn recorded_books_join_at_the_start_and_in_the_middle() {
    let Some(corpus) = corpus() else { return };
    let simulator = played(&corpus.join("binance/spot")).await;
    let rest = "/binance-spot/api/v3/depth?symbol=BTCUSDT&limit=5000";
    // Before anything is sent the recording of the first file is told: it has none.
    assert_eq!(read(&simulator.get(rest).await)["lastUpdateId"], -1);
    let mut client = simulator
        .connect("/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker")
        .await;
    let mut tickers = std::collections::HashMap::new();
    let (mut diffs, mut book, mut compared) = (Vec::new(), None::<Book>, 0);
    // Of both days, which continue each other: 3,451 and 3,044 diffs.
    while diffs.len() < 6_495 {
        let frame = read(&text(&mut client).await);
        let data = &frame["data"];
        if frame["stream"] == "btcusdt@bookTicker" {
            tickers.insert(data["u"].as_u64().expect("u"), data.clone());
        } else if data["u"].as_u64() >= Some(50_093_239_189) && data["u"].as_u64() < Some(60_000_000_000) {
            diffs.push(data.clone());
        }
    }
    let snapshot = simulator.true_books("BTC-USDT", &[50_093_239_218], 5_000).await;
    for diff in &diffs {
        let last = diff["u"].as_u64().expect("u");
        match &mut book {
            None if last > 50_093_239_218 => book = Some(Book::from_snapshot(&snapshot[0])),
            _ => {}
        }
        let Some(book) = &mut book else { continue };
        book.apply(diff).expect("no hole");
        if let Some(ticker) = tickers.get(&last) {
            let best = serde_json::json!({"bids": [[ticker["b"], ticker["B"]]], "asks": [[ticker["a"], ticker["A"]]]});
            assert_eq!(best, book.top(1), "at {last}");
            compared += 1;
        }
    }
    assert!(compared > 500, "only {compared} best levels could be compared");
    let ids = diffs
        .iter()
        .skip(10)
        .step_by(500)
        .map(|diff| diff["u"].as_u64().expect("u"))
        .collect::<Vec<_>>();
    let mut again = Book::from_snapshot(&snapshot[0]);
    let mut truth = simulator.true_books("BTC-USDT", &ids, 5_000).await.into_iter();
    for diff in &diffs {
        again.apply(diff).expect("no hole");
        if ids.contains(&again.id) {
            assert!(
                again == Book::from_snapshot(&truth.next().expect("a book")),
                "at {}",
                again.id
            );
        }
    }
    assert!(truth.next().is_none());
    simulator.end().await;
}

#[tokio::test]
async fn a_late_client_joins_a_recorded_book() {
    let Some(corpus) = corpus() else { return };
    let simulator = Simulator::start(SimulatorOptions {
        corpus: Some(corpus.join("binance/spot/orderbook")),
        limit_trades: None,
        rate: mprism_simulator::Rate::PerSecond(2_000.0),
        ..options()
    })
    .await;
    let mut early = simulator.connect("/ws/btcusdt@depth@100ms").await;
    texts(&mut early, 1_000).await;
    let mut client = simulator.connect("/ws/btcusdt@depth@100ms").await;
    let mut diffs = vec![read(&text(&mut client).await)];
    let snapshot = read(
        &simulator
            .get("/binance-spot/api/v3/depth?symbol=BTCUSDT&limit=5000")
            .await,
    );
    let mut book = Book::from_snapshot(&snapshot);
    assert!(
        book.id >= diffs[0]["u"].as_u64().expect("u"),
        "everything sent is in it"
    );
    for _ in 0..50 {
        diffs.push(read(&text(&mut client).await));
    }
    for diff in &diffs {
        book.apply(diff).expect("no hole");
    }
    let truth = &simulator.true_books("BTC-USDT", &[book.id], 5_000).await[0];
    assert!(book == Book::from_snapshot(truth), "not the true book");
    simulator.end().await;
}

#[tokio::test]
async fn recordings_of_many_symbols_are_played_in_the_order_of_arrival() {
    let Some(corpus) = corpus() else { return };
    let simulator = played(&corpus).await;
    let mut told_ahead = 0;
    for symbol in ["BUSDTRY", "LRCBTC", "NKNUSDT"] {
        let lower = symbol.to_lowercase();
        let rest = format!("/binance-spot/api/v3/depth?symbol={symbol}&limit=5000");
        let snapshot = read(&simulator.get(&rest).await);
        assert!(
            snapshot["lastUpdateId"].as_u64() > Some(0),
            "{symbol}: the recorded snapshot itself"
        );
        let mut client = simulator
            .connect(&format!("/ws/{lower}@depth@100ms/{lower}@bookTicker/{lower}@aggTrade"))
            .await;
        let mut book = Book::from_snapshot(&snapshot);
        let (begin, mut ahead, mut diffs) = (book.id, 0, 0);
        let known = |books: &str| read(books)["last_id"].as_str().and_then(|id| id.parse::<u64>().ok());
        loop {
            let frame = read(&text(&mut client).await);
            if frame["e"] == "depthUpdate" {
                book.apply(&frame).expect("no hole");
                diffs += 1;
            } else if frame["e"].is_null() {
                // A best bid and ask is told before the diff that has it: 100 ms are waited for there.
                ahead += u64::from(frame["u"].as_u64() > Some(book.id));
            }
            let end = known(
                &simulator
                    .get(&format!("/truth/books?exchange=binance_spot&symbol={symbol}"))
                    .await,
            );
            if Some(book.id) == end {
                break;
            }
        }
        assert!(book.id > begin && diffs > 0, "{symbol}");
        told_ahead += ahead;
        let truth = &simulator.true_books(symbol, &[book.id], 5_000).await[0];
        assert!(book == Book::from_snapshot(truth), "{symbol}: not the true book");
    }
    assert!(told_ahead > 0, "no best bid and ask came before its diff");
    simulator.end().await;
}
