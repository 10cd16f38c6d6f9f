//! Binance USDⓈ-M: categories, the chain of books, what happens by the clock.

use std::time::Duration;

use futures_util::StreamExt;
use mprism_simulator::{LegacyPath, Rate, SimulatorOptions, Tuning};
use serde_json::{Value, json};

use crate::support::*;

const VENUE: &str = "binance_derivatives";

/// A market that goes on, with its clock 100 times as fast.
async fn live() -> Simulator {
    Simulator::start(SimulatorOptions {
        rate: Rate::PerSecond(1_000.0),
        limit_trades: None,
        tuning: Tuning {
            pace: 100,
            ..options().tuning
        },
        ..options()
    })
    .await
}

#[tokio::test]
async fn a_wrong_category_is_acknowledged_and_silent() {
    let simulator = live().await;
    let subscribe =
        r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","!forceOrder@arr","btcusdt@markPrice@1s"],"id":1}"#;
    for path in [
        "/binance-usdm/public/ws",
        "/binance-usdm/private/ws",
        "/binance-usdm/ws",
    ] {
        let mut client = simulator.connect_to(path).await;
        assert_eq!(ask(&mut client, subscribe).await, r#"{"result":null,"id":1}"#);
        let silent = tokio::time::timeout(Duration::from_millis(300), client.next()).await;
        assert!(silent.is_err(), "{path}: {silent:?}");
    }
    // Without a category what is public still comes.
    let mut client = simulator
        .connect_to("/binance-usdm/stream?streams=btcusdt@depth@100ms")
        .await;
    assert_eq!(read(&text(&mut client).await)["data"]["e"], "depthUpdate");
    let mut client = simulator.connect_to("/binance-usdm/market/ws").await;
    assert_eq!(ask(&mut client, subscribe).await, r#"{"result":null,"id":1}"#);
    let mut events = std::collections::BTreeSet::new();
    while events.len() < 3 {
        events.insert(read(&text(&mut client).await)["e"].to_string());
    }
    simulator.end().await;
}

#[tokio::test]
async fn the_chain_of_a_book_is_proven_by_its_previous_identifier() {
    let simulator = live().await;
    let mut client = simulator
        .connect_to("/binance-usdm/public/ws/btcusdt@depth@100ms")
        .await;
    let mut buffer = vec![read(&text(&mut client).await)];
    let snapshot = read(
        &simulator
            .get("/binance-usdm/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
            .await,
    );
    assert!(snapshot["E"].is_u64() && snapshot["T"].is_u64());
    let mut book = Book::from_snapshot(&snapshot);
    for _ in 0..10 {
        buffer.push(read(&text(&mut client).await));
    }
    let number = |diff: &Value, key: &str| diff[key].as_u64().expect("a number");
    let mut previous = None;
    for diff in &buffer {
        assert_eq!(diff["st"], 1);
        assert!(number(diff, "U") > number(diff, "pu") + 1, "identifiers jump");
        if let Some(previous) = previous.replace(number(diff, "u")) {
            assert_eq!(number(diff, "pu"), previous);
        }
        if number(diff, "u") < book.id {
            continue;
        }
        assert!(number(diff, "pu") <= book.id, "no hole");
        book.set(&diff["b"], &diff["a"]);
        book.id = number(diff, "u");
    }
    let truth = &simulator.true_books_of(VENUE, "BTC-USDT", &[book.id], 400).await[0];
    assert_eq!(book.top(400), top_of(truth));
    let (status, body) = simulator
        .http(
            reqwest::Method::GET,
            "/binance-usdm/fapi/v1/depth?symbol=BTCUSDT&limit=7",
            "",
        )
        .await;
    assert_eq!((status, &read(&body)["code"]), (400, &json!(-1130)));
    simulator.end().await;
}

#[tokio::test]
async fn aggregates_are_numbered_without_a_hole_and_can_be_read_again() {
    let simulator = live().await;
    let mut client = simulator.connect_to("/binance-usdm/market/ws/btcusdt@aggTrade").await;
    let heard = texts(&mut client, 500).await;
    let heard = heard.iter().map(|frame| read(frame)).collect::<Vec<_>>();
    let number = |row: &Value| row["a"].as_u64().expect("a");
    assert!(heard.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]) + 1));
    let path = format!(
        "/binance-usdm/fapi/v1/aggTrades?symbol=BTCUSDT&limit=500&fromId={}",
        number(&heard[0])
    );
    let rows = read(&simulator.get(&path).await);
    let keys = ["a", "p", "q", "nq", "f", "l", "T", "m"];
    for (heard, row) in heard.iter().zip(rows.as_array().expect("rows")) {
        assert!(keys.iter().all(|key| heard[*key] == row[*key]), "{heard} and {row}");
    }
    let truth = simulator.series("trade", VENUE, "BTC-USDT").await;
    let at = truth
        .iter()
        .position(|trade| trade["id"] == number(&heard[0]).to_string().as_str());
    for (heard, told) in heard.iter().zip(&truth[at.expect("there")..]) {
        let side = if heard["m"] == true { "sell" } else { "buy" };
        let trade = json!({"id": number(heard).to_string(), "price": heard["p"], "quantity": heard["q"], "side": side,
            "ts_ms": heard["T"]});
        assert_eq!(trade, *told);
    }
    simulator.end().await;
}

#[tokio::test]
async fn what_happens_by_the_clock_is_the_truth() {
    let simulator = live().await;
    let names = "btcusdt@markPrice@1s/btcusdt@markPrice/!forceOrder@arr/ethusdt@forceOrder";
    let mut client = simulator
        .connect_to(&format!("/binance-usdm/market/stream?streams={names}"))
        .await;
    let (mut marks, mut slow, mut liquidations, mut foreign) = (Vec::new(), 0, Vec::new(), 0);
    while marks.len() < 50 || liquidations.len() < 5 || foreign == 0 {
        let frame = read(&text(&mut client).await);
        let data = frame["data"].clone();
        match frame["stream"].as_str().expect("a stream") {
            "btcusdt@markPrice@1s" => marks.push(data),
            "btcusdt@markPrice" => slow += 1,
            "!forceOrder@arr" if data["st"] == 2 => foreign += 1,
            "!forceOrder@arr" if data["o"]["s"] == "BTCUSDT" => liquidations.push(data["o"].clone()),
            _ => {}
        }
    }
    assert!(slow * 3 <= marks.len() + 3 && slow > 5);
    let truth = simulator.series("funding_rate", VENUE, "BTC-USDT").await;
    for (mark, truth) in marks.iter().zip(&truth) {
        let told = json!({"ts_ms": mark["E"], "funding_rate": mark["r"], "mark_price": mark["p"], "index_price": mark["i"],
            "next_funding_ms": mark["T"]});
        assert_eq!(told, *truth);
    }
    let truth = simulator.series("liquidation", VENUE, "BTC-USDT").await;
    for (order, truth) in liquidations.iter().zip(&truth) {
        assert_eq!(
            (&order["p"], &order["ap"], &order["q"]),
            (&truth["price"], &truth["average_price"], &truth["quantity"])
        );
        assert_eq!(
            order["S"].as_str().map(str::to_lowercase).as_deref(),
            truth["side"].as_str()
        );
    }
    let get = |path: &str| {
        let path = format!("/binance-usdm{path}");
        let simulator = &simulator;
        async move { read(&simulator.get(&path).await) }
    };
    let premium = get("/fapi/v1/premiumIndex?symbol=BTCUSDT").await;
    assert!(premium["lastFundingRate"].is_string() && premium["nextFundingTime"].is_u64());
    let interest = get("/fapi/v1/openInterest?symbol=BTCUSDT").await;
    let truth = simulator.series("open_interest", VENUE, "BTC-USDT").await;
    assert!(
        truth
            .iter()
            .any(|point| point["open_interest"] == interest["openInterest"] && point["ts_ms"] == interest["time"])
    );
    for (path, data_type) in [
        ("topLongShortPositionRatio", "lsr_top_position"),
        ("globalLongShortAccountRatio", "lsr_all_account"),
    ] {
        let rows = get(&format!("/futures/data/{path}?symbol=BTCUSDT&period=5m&limit=10")).await;
        let truth = simulator.series(data_type, VENUE, "BTC-USDT").await;
        let rows = rows.as_array().expect("rows");
        assert_eq!(rows.len(), 10);
        for row in rows {
            let told = truth
                .iter()
                .find(|point| point["ts_ms"] == row["timestamp"])
                .expect("true");
            assert_eq!(
                (&row["longShortRatio"], &row["longAccount"]),
                (&told["ratio"], &told["long"])
            );
        }
    }
    let refused = get("/futures/data/topLongShortPositionRatio?symbol=BTCUSDT&period=7m").await;
    assert_eq!(refused["code"], -1130);
    let counts = read(&simulator.get("/truth/counts").await);
    assert!(counts["liquidation"][VENUE]["BTC-USDT"].as_u64() >= Some(5), "{counts}");
    simulator.end().await;
}

#[tokio::test]
async fn an_engine_that_starts_anew_breaks_the_chain_and_loses_nothing() {
    let simulator = live().await;
    let mut client = simulator
        .connect_to("/binance-usdm/public/ws/btcusdt@depth@100ms")
        .await;
    let number = |diff: &Value, key: &str| diff[key].as_u64().expect("a number");
    let first = read(&text(&mut client).await);
    let before = number(&first, "u");
    let mut book = Book::from_snapshot(&simulator.true_books_of(VENUE, "BTC-USDT", &[before], 100_000).await[0]);
    let fault = r#"{"fault":"engine_restart","exchange":"binance_derivatives"}"#;
    assert_eq!(simulator.post("/control/fault", fault).await, 202);
    let (mut last, mut broken) = (before, 0);
    for _ in 0..8 {
        let diff = read(&text(&mut client).await);
        broken += u64::from(number(&diff, "pu") != last);
        last = number(&diff, "u");
        book.set(&diff["b"], &diff["a"]);
        book.id = last;
    }
    assert_eq!(broken, 1);
    assert!(last > before + 3_000_000, "identifiers jump");
    let truth = &simulator.true_books_of(VENUE, "BTC-USDT", &[last], 100_000).await[0];
    assert!(book == Book::from_snapshot(truth), "nothing is lost");
    let snapshot = read(
        &simulator
            .get("/binance-usdm/fapi/v1/depth?symbol=BTCUSDT&limit=5")
            .await,
    );
    let id = number(&snapshot, "lastUpdateId");
    let truth = &simulator.true_books_of(VENUE, "BTC-USDT", &[id], 5).await[0];
    assert_eq!(top_of(&snapshot), top_of(truth));
    simulator.end().await;
}

#[tokio::test]
async fn the_address_without_a_category_is_what_it_is_told_to_be() {
    for (legacy_path, works) in [(LegacyPath::Served, true), (LegacyPath::Refused, false)] {
        let simulator = Simulator::start(SimulatorOptions {
            rate: Rate::PerSecond(1_000.0),
            limit_trades: None,
            tuning: Tuning {
                legacy_path,
                ..options().tuning
            },
            ..options()
        })
        .await;
        let url = format!("ws://{}/binance-usdm/ws/btcusdt@aggTrade", simulator.address);
        match tokio_tungstenite::connect_async(&url).await {
            Ok((mut client, _)) => {
                assert!(works);
                assert_eq!(read(&text(&mut client).await)["e"], "aggTrade");
            }
            Err(error) => assert!(!works && error.to_string().contains("404"), "{error}"),
        }
        simulator.end().await;
    }
}

#[tokio::test]
async fn instruments_change_while_they_are_watched() {
    let simulator = live().await;
    let mut client = simulator
        .connect_to("/binance-usdm/market/ws/btcusdt@markPrice@1s/btcusdt@aggTrade")
        .await;
    let interval = |frame: &Value| frame["T"].as_i64().expect("T") - frame["E"].as_i64().expect("E");
    let info = "/binance-usdm/fapi/v1/fundingInfo";
    assert_eq!(simulator.get(info).await, "[]");
    let fault = r#"{"fault":"interval_change","symbol":"BTC-USDT","hours":1}"#;
    assert_eq!(simulator.post("/control/fault", fault).await, 202);
    loop {
        let frame = read(&text(&mut client).await);
        // An hour, 100 times as fast.
        if frame["e"] == "markPriceUpdate" && read(&simulator.get(info).await)[0]["fundingIntervalHours"] == 1 {
            let next = read(&text(&mut client).await);
            if next["e"] == "markPriceUpdate" && interval(&next) <= 36_000 {
                break;
            }
        }
    }
    let halt = r#"{"fault":"symbol_halt","symbol":"BTC-USDT","duration":"1s"}"#;
    assert_eq!(simulator.post("/control/fault", halt).await, 202);
    let status = || async {
        let info = read(&simulator.get("/binance-usdm/fapi/v1/exchangeInfo").await);
        let symbols = info["symbols"].as_array().expect("symbols").clone();
        symbols
            .iter()
            .find(|symbol| symbol["symbol"] == "BTCUSDT")
            .expect("there")["status"]
            .clone()
    };
    while status().await != "BREAK" {
        tokio::task::yield_now().await;
    }
    while status().await != "TRADING" {
        tokio::task::yield_now().await;
    }
    while read(&text(&mut client).await)["e"] != "aggTrade" {}
    simulator.end().await;
}
