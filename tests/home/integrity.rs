//! `integrity` and `verify` of a store that is whole, and of what they cannot ask.

use std::fs;

use mprism_storage::cold::HOUR;
use serde_json::Value;

use crate::damage::whole_store;
use crate::schemas::check;
use crate::support::Home;

const PROOFS: [&str; 8] = [
    "schema",
    "presence",
    "duplicates",
    "continuity",
    "time",
    "transport",
    "replication",
    "values",
];

fn checks<'a>(document: &'a Value, level: &str) -> Vec<&'a Value> {
    let checks = document["checks"].as_array().expect("a list");
    checks.iter().filter(|check| check["level"] == level).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_store_passes_all_eight_proofs_in_every_scope() {
    let home = whole_store().await;
    let document = home.good(&["integrity"]);
    assert_eq!(checks(&document, "error"), [] as [&Value; 0], "{document}");
    for proof in PROOFS {
        let mut passed = checks(&document, "ok").into_iter();
        assert!(passed.any(|check| check["id"] == proof), "{proof}: {document}");
    }
    let presence = checks(&document, "warn")
        .into_iter()
        .filter(|check| check["id"] == "presence");
    assert_eq!(presence.count(), 0, "it is young: what waits is no warning: {document}");
    let coverage = document["coverage"].as_array().expect("a list");
    let has = |data_type: &str, exchange: &str, symbol: &str| {
        let mut days = coverage.iter();
        days.any(|day| {
            day["type"] == data_type
                && day["exchange"] == exchange
                && day["symbol"] == symbol
                && day["state"] == "available"
        })
    };
    for (data_type, exchange, symbol) in [
        ("trade", "binance_spot", "BTC-USDT"),
        ("orderbook", "okx_derivatives", "ETH-USDT"),
        ("lsr_top_position", "binance_derivatives", "BTC-USDT"),
        ("volatility_index", "deribit_derivatives", "BTC"),
    ] {
        assert!(has(data_type, exchange, symbol), "{data_type} {exchange}: {coverage:?}");
    }
    for table in document["tables"].as_array().expect("a list") {
        assert_eq!(table["hot_rows"], table["cold_rows"], "{table}");
        assert_eq!(table["lag_s"], 0.0, "{table}");
    }
    verified(&home);
    scoped(&home);
    reported(&home);
    told_in_metrics(&home).await;
    refused(&home);
}

/// Rows come, and are copied window by window: at any moment one is there and the next one not yet.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_copied_is_not_called_missing() {
    let home = Home::new();
    home.configure("cold: {interval: 500ms, window: 1s, safety_lag: 5s}\n");
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.until("rows are copied", || {
        let copied = home.query("SELECT uniqExact(toStartOfSecond(timestamp)) FROM marketprism_cold.trades");
        match copied.parse::<u64>() {
            Ok(5..) => Ok(()),
            _ => Err(copied),
        }
    })
    .await;
    let mut compared = 0;
    for _ in 0..12 {
        let document = home.run(&["integrity", "--json"]).document();
        let errors = checks(&document, "error").into_iter();
        let wrong: Vec<&Value> = errors.filter(|check| check["id"] == "replication").collect();
        assert_eq!(wrong, [] as [&Value; 0], "{document}");
        compared += checks(&document, "ok").len();
    }
    assert!(compared > 0);
}

/// Of a window with more rows than are copied at once a part is there, and the rest comes: until there is something of a later window.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_in_pieces_is_not_called_missing_between_them() {
    let rows: u64 = 1_000;
    let home = Home::whole();
    home.configure(&format!(
        "cold: {{interval: 500ms, window: 1s, safety_lag: 0s, copy: {{rows_max: {rows}}}}}\n"
    ));
    home.good(&["start", "--sim", "--sim-rate", "200"]);
    let copied = "SELECT count() FROM marketprism_cold.trades WHERE exchange = 'okx_spot' AND symbol = 'BTC-USDT'";
    home.until("a trade is copied", || match home.query(copied).as_str() {
        "0" => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;
    home.good(&["stop", "collector", "hot", "cold", "sim"]);
    // What an hour that is over has is proven as a whole.
    let now = || mprism_runtime::clock::now_ms();
    home.until("the hour does not end meanwhile", || match now() % HOUR {
        past if past < HOUR - 120_000 => Ok(()),
        past => Err(format!("{past} ms of it are over")),
    })
    .await;
    let at = now() - now() % 1_000;
    let one = "SELECT * FROM marketprism_hot.trades WHERE exchange = 'okx_spot' AND symbol = 'BTC-USDT' \
               ORDER BY producer_epoch, producer_seq LIMIT 1";
    let write = |store: &str, at: i64, rows: u64| {
        home.write(&format!(
            "INSERT INTO marketprism_{store}.trades SELECT * EXCEPT (number) REPLACE (fromUnixTimestamp64Milli({at}) AS timestamp, \
             fromUnixTimestamp64Milli({at}) AS ts_insert, toUInt64({at}) AS producer_epoch, number AS producer_seq) \
             FROM (SELECT number, one.* FROM numbers({rows}) AS n CROSS JOIN ({one}) AS one)"
        ));
    };
    let missing = || {
        let document = home.run(&["integrity", "--json"]).document();
        let missing = checks(&document, "error");
        let missing = missing.into_iter().filter(|check| check["id"] == "replication");
        missing.map(|check| check["message"].to_string()).collect::<Vec<_>>()
    };
    let over = async |at: i64| {
        home.until("the window is over", || match now() - at {
            2_000.. => Ok(()),
            since => Err(format!("{since} ms")),
        })
        .await;
    };
    write("hot", at, rows + 1);
    write("cold", at, rows / 2);
    over(at).await;
    assert_eq!(missing(), [] as [&str; 0], "the rest is on its way");
    for store in ["hot", "cold"] {
        write(store, at + 2_000, 1);
    }
    over(at + 2_000).await;
    let told = format!("\"{} rows are in the hot store and not in the cold one\"", rows / 2 + 1);
    assert_eq!(missing(), [told], "what comes after it was copied");
}

/// The read-only state of replication: everything is copied.
fn verified(home: &Home) {
    let done = home.run(&["verify", "--json"]);
    let document = check("verify", done.code, &done.stdout);
    assert_eq!(document["verdict"], "equal", "{document}");
    let tables = document["tables"].as_array().expect("a list");
    assert_eq!(tables.len(), 9, "{document}");
    for table in tables {
        assert_eq!(table["windows"], table["equal"], "{table}");
    }
    let past = ["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z"];
    let document = home.good(&[&["verify"], &past[..]].concat());
    assert_eq!(document["tables"][0]["windows"], 0, "{document}");
    let page = home.run(&["verify"]);
    assert!(page.stdout.starts_with("hot and cold: equal\n"), "{page:?}");
}

fn scoped(home: &Home) {
    let hot = home.good(&["integrity", "hot"]);
    assert!(hot["tables"][0]["cold_rows"].is_null(), "{hot}");
    assert!(!hot["checks"].to_string().contains("in the cold store"), "{hot}");
    let cold = home.good(&["integrity", "cold"]);
    assert!(!cold["checks"].to_string().contains("\"transport\""), "{cold}");
    assert_eq!(cold["coverage"], Value::Array(vec![]), "{cold}");
    // MarketPrism's module codes: a warning is 1, and this command's alone.
    let storage = home.run(&["integrity", "storage", "--json"]);
    let expected = i32::from(storage.document()["verdict"] == "warn");
    assert_eq!(storage.code, expected, "{storage:?}");
}

fn reported(home: &Home) {
    let (json, markdown) = (home.beside().join("report.json"), home.beside().join("report.md"));
    for path in [&json, &markdown] {
        home.good(&["integrity", "--report", &path.display().to_string()]);
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(json).expect("written")).expect("JSON");
    assert!(report["score_percent"].as_f64() > Some(99.0), "{report}");
    let text = fs::read_to_string(markdown).expect("written");
    assert!(
        text.starts_with("# Integrity: ") && text.contains("## Passed"),
        "{text}"
    );
    let other = home.beside().join("report.txt");
    let refused = home.run(&["integrity", "--report", &other.display().to_string()]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains(".json") && refused.stderr.contains(".md"),
        "{refused:?}"
    );
    assert!(!other.exists());
}

async fn told_in_metrics(home: &Home) {
    let metrics = mprism_runtime::probe::get(home.address(8085), "/metrics", mprism_testkit::PATIENCE).await;
    let (_, metrics) = metrics.expect("answered");
    let score = metrics
        .lines()
        .find_map(|line| line.strip_prefix("mprism_integrity_score_percent "));
    let score: f64 = score.unwrap_or_else(|| panic!("{metrics}")).parse().expect("a number");
    assert!(score > 99.0, "{score}");
}

fn refused(home: &Home) {
    for line in [
        &[
            "integrity",
            "--from",
            "2026-01-02T00:00:00Z",
            "--to",
            "2026-01-01T00:00:00Z",
        ][..],
        &["integrity", "--from", "2026-01-01T00:00:00Z"],
        &["integrity", "--to", "2026-01-01T00:00:00Z"],
        &["integrity", "lukewarm"],
        &["integrity", "--since", "1h", "--from", "2026-01-01T00:00:00Z"],
        &[
            "verify",
            "--from",
            "2026-01-02T00:00:00Z",
            "--to",
            "2026-01-01T00:00:00Z",
        ],
        &["verify", "--from", "tomorrow", "--to", "2026-01-01T00:00:00Z"],
    ] {
        let done = home.run(line);
        assert_eq!(done.code, 2, "{line:?}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_store_that_cannot_be_asked_is_one_finding_and_the_rest_is_proven() {
    let archive = Home::new();
    archive.good(&["init", "clickhouse"]);
    archive.good(&["start", "clickhouse"]);
    let home = Home::new();
    home.good(&["init"]);
    home.good(&["start", "clickhouse", "nats", "hot"]);
    let password = home.beside().join("password");
    fs::write(&password, "wrong").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&password, mode).expect("ours");
    let settings = |address: String| {
        let credential = password.display();
        format!("cold: {{clickhouse: {{url: 'http://{address}', credential_file: {credential}}}}}\n")
    };
    for (address, why) in [
        (archive.address(8123), "Authentication failed"),
        (mprism_testkit::free_address(), "cannot read from clickhouse"),
    ] {
        home.configure(&settings(address.to_string()));
        let done = home.run(&["integrity", "--json"]);
        let document = check("integrity", done.code, &done.stdout);
        assert_eq!(done.code, 1, "{done:?}");
        let errors = checks(&document, "error");
        let [error] = errors.as_slice() else {
            panic!("one finding: {errors:?}")
        };
        let (id, cause) = (&error["id"], &error["cause"]);
        assert_eq!((id, cause), (&"replication".into(), &"unreachable".into()), "{error}");
        assert!(error["message"].to_string().contains(why), "{error}");
        assert!(
            checks(&document, "ok")
                .into_iter()
                .any(|check| check["id"] == "transport")
        );
        let verify = home.run(&["verify", "--json"]);
        assert_eq!(
            (verify.code, &verify.document()["error"]["code"]),
            (1, &"cold_unreachable".into())
        );
        let hot = home.run(&["integrity", "hot", "--json"]);
        assert_eq!(hot.code, 0, "who asks about the hot store is told of it: {hot:?}");
    }
    home.good(&["stop", "hot", "clickhouse"]);
    let done = home.run(&["integrity", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (1, &"store_unreachable".into())
    );
    let done = home.run(&["integrity", "storage", "--json"]);
    assert_eq!(done.code, 2, "MarketPrism's rule: {done:?}");
}
