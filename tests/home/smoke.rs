//! `mprism smoke`, and that its verdict can fail.

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

#[test]
fn measurements_have_the_shape_that_programs_rely_on() {
    let home = Home::new();
    let done = home.run(&["bench", "status", "--json"]);
    // A busy machine may be over the budget: that is a result too.
    assert!(done.code == 0 || done.code == 1, "{done:?}");
    let document = done.document();
    let result = &document["results"][0];
    for (key, value) in [("id", "status"), ("unit", "ms"), ("better", "lower")] {
        assert_eq!(result[key], value, "{document}");
    }
    assert_eq!(
        (&result["samples"], &result["budget"]),
        (&10.into(), &100.0.into()),
        "{document}"
    );
    for key in ["value", "ceiling", "ratio", "spread_percent"] {
        assert!(result[key].as_f64().is_some(), "{key}: {document}");
    }
    assert_eq!(result["ok"], done.code == 0, "{document}");
    assert!(document["machine"]["cores"].as_u64() > Some(0), "{document}");
}
