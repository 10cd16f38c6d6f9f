//! `mprism smoke`, and that its verdict can fail.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Home, table};

#[test]
fn the_whole_pipeline_is_sound() {
    let home = Home::new();
    let document = home.good(&["smoke", "--sample", "10s"]);
    let steps = document["steps"].as_array().expect("a list");
    let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    assert!(names.contains(&"kill hot"), "{names:?}");
    assert!(steps.iter().all(|step| step["ok"] == true), "{steps:?}");
    assert!(document["rows"]["trade"].as_u64() >= Some(50_000), "{document}");
    assert!(document["rows"]["orderbook"].as_u64() >= Some(500), "{document}");
    for wrong in ["lost", "duplicated", "wrong_books"] {
        assert_eq!(document[wrong], 0, "{document}");
    }
    assert!(!home.path().exists(), "it has a home of its own");
    // Rows by type over time: they grow, and the last are no more than what is there in the end.
    let samples = document["samples"].as_array().expect("a list");
    assert!(samples.len() >= 3, "{document}");
    let trades: Vec<u64> = samples
        .iter()
        .filter_map(|sample| sample["rows"]["trade"].as_u64())
        .collect();
    assert_eq!(trades.len(), samples.len(), "{document}");
    assert!(trades.is_sorted() && trades.first() < trades.last(), "{trades:?}");
    assert!(
        trades.last() <= document["rows"]["trade"].as_u64().as_ref(),
        "{document}"
    );
    let times: Vec<f64> = samples.iter().filter_map(|sample| sample["at_s"].as_f64()).collect();
    assert!(times.is_sorted() && times[0] >= 10.0, "{times:?}");
    let types = samples[0]["rows"].as_object().expect("by type");
    assert_eq!(types.len(), 8, "{document}");
}

/// Writes settings by which every exchange is looked for on a port of this machine.
fn exchanges_on(home: &Home, port: u16) -> PathBuf {
    let lines = [
        ("binance_spot", "binance-spot"),
        ("binance_derivatives", "binance-usdm"),
        ("okx_spot", "okx"),
        ("okx_derivatives", "okx"),
        ("deribit_derivatives", "deribit"),
    ]
    .map(|(id, path)| {
        // Without instruments of its own Deribit has but one type: it shows nothing of the others.
        let symbols = match id {
            "deribit_derivatives" => "symbols: [BTC, ETH, BTC-PERPETUAL, ETH-PERPETUAL], ",
            _ => "",
        };
        format!("    {id}: {{{symbols}websocket_url: 'ws://127.0.0.1:{port}/{path}', rest_url: 'http://127.0.0.1:{port}/{path}'}}\n")
    });
    let file = home.beside().join("live.yaml");
    fs::write(&file, format!("collector:\n  exchanges:\n{}", lines.concat())).expect("written");
    file
}

#[test]
fn the_exchanges_themselves_are_held_to_flow_integrity_and_continuity() {
    let home = Home::whole();
    home.good(&["start", "sim", "--sim", "--sim-rate", "500"]);
    let file = exchanges_on(&home, home.port(8090)).display().to_string();
    let line = [
        "smoke",
        "--live",
        "--duration",
        "8s",
        "--sample",
        "2s",
        "--config",
        &file,
    ];
    let document = home.good(&line);
    let steps = document["steps"].as_array().expect("a list");
    let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    for name in ["reach", "data", "health", "kill hot", "integrity"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.contains(&"reconcile"), "nobody tells the truth: {names:?}");
    assert!(document["rows"]["trade"].as_u64() > Some(100), "{document}");
    assert!(document["samples"].as_array().map(Vec::len) >= Some(2), "{document}");
}

#[test]
fn an_exchange_that_is_not_reached_is_a_finding_of_its_own() {
    let home = Home::whole();
    let closed = mprism_testkit::free_address().port();
    let file = exchanges_on(&home, closed).display().to_string();
    let done = home.run(&["smoke", "--live", "--duration", "2s", "--config", &file, "--json"]);
    let document = done.document();
    assert_eq!(done.code, 1, "{document}");
    let causes = document["error"]["causes"].as_array().expect("a list");
    for id in mprism_settings::EXCHANGES {
        let told = causes
            .iter()
            .filter_map(Value::as_str)
            .filter(|cause| cause.starts_with(&format!("{id} is not reached at ws://127.0.0.1:{closed}/")));
        assert_eq!(told.count(), 1, "{id}: {document}");
    }
    let names = document["steps"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|step| step["name"].as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["init", "start", "reach", "stop"],
        "{document}"
    );
}

#[tokio::test]
async fn a_row_that_is_gone_and_one_that_is_there_twice_are_found() {
    let home = Home::new();
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    // Nobody writes beside the writer, not even an operator.
    home.good(&["stop", "hot"]);
    // In the middle: a hole at the end could not be told from a trade that never was.
    let ids = home.query(
        "SELECT trade_id FROM marketprism_hot.trades WHERE symbol = 'BTC-USDT' ORDER BY toUInt64(trade_id) LIMIT 2 OFFSET 100",
    );
    let (gone, twice) = ids.split_once('\n').expect("two");
    home.write(&format!(
        "ALTER TABLE marketprism_hot.trades DELETE WHERE symbol = 'BTC-USDT' AND trade_id = '{gone}' SETTINGS mutations_sync = 2"
    ));
    home.write(&format!(
        "INSERT INTO marketprism_hot.trades SELECT * FROM marketprism_hot.trades WHERE symbol = 'BTC-USDT' AND trade_id = '{twice}'"
    ));
    let found = home.settled(|_| 1).await;
    assert_eq!((found.lost, found.duplicated), (1, 1), "{found:?}");
    let told = found.findings.join("\n");
    assert!(told.contains(&format!("trade {gone} of BTC-USDT is lost")), "{told}");
    assert!(
        told.contains(&format!("trade {twice} of BTC-USDT is doubled")),
        "{told}"
    );
    // The operator's own proof sees both without knowing the truth.
    let integrity = home.run(&["integrity", "--json"]);
    let document = integrity.document();
    assert_eq!(
        (integrity.code, &document["verdict"]),
        (1, &"fail".into()),
        "{document}"
    );
    let table = table(&document, "trade");
    assert_eq!(
        (&table["duplicates"], &table["missing"]),
        (&1.into(), &1.into()),
        "{document}"
    );
}
