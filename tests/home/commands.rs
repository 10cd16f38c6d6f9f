//! What an operator may do in any order, twice, and at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Home, table};

fn actions(document: &Value) -> BTreeSet<String> {
    let services = document["services"].as_array().expect("a list").iter();
    services
        .filter_map(|service| service["action"].as_str().map(str::to_owned))
        .collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn from_nothing_to_verified_data_in_one_command_and_again() {
    let home = Home::new();
    let mut rows = 0;
    // What happened to the order books between two runs nobody saw: that stays a warning, it cannot be had afterwards.
    for verdicts in [&["pass"][..], &["pass", "warn"]] {
        let document = home.good(&["up", "--sim", "--for", "3s"]);
        check(&document, verdicts);
        let now = document["rows"]["trade"].as_u64().expect("a number");
        assert!(now > rows, "the market goes on: {document}");
        rows = now;
    }
    let status = home.good(&["status"]);
    let services = status["services"].as_array().expect("a list");
    assert!(services.iter().all(|service| service["state"] == "stopped"), "{status}");
    // Real trades would join the simulated ones: that is told before it happens.
    let live = home.run(&["start"]);
    assert!(live.stderr.contains("this home holds simulated trades"), "{live:?}");
}

fn check(document: &Value, verdicts: &[&str]) {
    assert_eq!(actions(document), set(&["started"]));
    assert_eq!(document["health"]["verdict"], "healthy");
    let verdict = document["integrity"]["verdict"].as_str().expect("a text");
    assert!(verdicts.contains(&verdict), "{document}");
    for percentile in ["p50", "p90", "p99"] {
        assert!(document["latency_ms"][percentile].as_f64() > Some(0.0), "{document}");
    }
}

#[test]
fn two_starts_at_once_make_one_of_each() {
    let home = Home::new();
    home.good(&["init"]);
    let started: Vec<_> = (0..3)
        .map(|_| home.command(&["start", "--sim", "--json"]).spawn().expect("started"))
        .collect();
    let mut done = Vec::new();
    for child in started {
        let output = child.wait_with_output().expect("ended");
        assert!(output.status.success(), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        done.push(actions(&document));
    }
    let first = done.iter().filter(|actions| actions.contains("started")).count();
    assert_eq!(first, 1, "{done:?}");
    let others = done
        .iter()
        .filter(|actions| **actions == set(&["already-running"]))
        .count();
    assert_eq!(others, 2, "{done:?}");
    assert_eq!(actions(&home.good(&["stop"])), set(&["stopped"]));
    assert_eq!(actions(&home.good(&["stop"])), set(&["already-stopped"]));
}

#[tokio::test]
async fn a_restart_uses_the_options_of_the_last_start_and_windows_bound_the_proof() {
    let home = Home::new();
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.flows().await;
    let before = home.rows();
    home.good(&["restart"]);
    home.until("data flows from the simulator again", || {
        let rows = home.rows();
        if rows > before { Ok(()) } else { Err(rows.to_string()) }
    })
    .await;
    for window in [
        &["--since", "1h"][..],
        &["--from", "2020-01-01T00:00:00Z", "--to", "2040-01-01T00:00:00Z"],
    ] {
        let document = home.good(&[&["integrity"], window].concat());
        assert!(
            table(&document, "trade")["hot_rows"].as_u64() > Some(before),
            "{document}"
        );
    }
    let past = home.good(&[
        "integrity",
        "--from",
        "2020-01-01T00:00:00Z",
        "--to",
        "2021-01-01T00:00:00Z",
    ]);
    assert_eq!(table(&past, "trade")["hot_rows"], 0, "{past}");
    let collector = home.process("collector");
    home.good(&["restart", "hot"]);
    assert_eq!(home.process("collector"), collector, "only what was named");
}

#[test]
fn init_repairs_what_is_broken_and_repeats_itself_for_nothing() {
    let home = Home::new();
    let first = home.good(&["init"]);
    assert!(first["tables"].to_string().contains("trades"), "{first}");
    assert_eq!(first["streams_ready"], true);
    let again = home.good(&["init"]);
    assert_eq!(
        (&again["steps"], &again["tables"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    home.good(&["start", "clickhouse"]);
    home.write("DROP TABLE marketprism_hot.trades");
    let broken = home.run(&["integrity", "--json"]);
    assert_eq!(broken.code, 1, "{broken:?}");
    assert!(
        broken.stdout.contains("table marketprism_hot.trades is missing"),
        "{broken:?}"
    );
    let repaired = home.good(&["init"]);
    assert_eq!(repaired["tables"], json!(["trades"]));
    assert_eq!(home.status("clickhouse")["state"], "running", "what ran before goes on");
    // An exchange that was switched off did not stall: its rows are of before. One that is on did.
    home.write(
        "INSERT INTO marketprism_hot.trades (timestamp, exchange, market_type, symbol, trade_id, side, ts_insert) SELECT \
         now64(3) - 600, arrayJoin(['binance_spot', 'okx_spot']), 'spot', 'BTC-USDT', '1', 'buy', now64(3) - 600",
    );
    let health = home.run(&["health", "--json"]).document();
    let flow = health["flow"].as_array().expect("a list");
    let state = |exchange: &str| {
        let mut trades = flow.iter().filter(|flow| flow["type"] == "trade");
        trades
            .find(|flow| flow["exchange"] == exchange)
            .map(|flow| &flow["state"])
    };
    assert_eq!(state("binance_spot"), Some(&json!("stalled")), "{health}");
    assert_eq!(state("okx_spot"), Some(&json!("off")), "{health}");
    // A statement's own format is the one that counts, `Null` too.
    assert_eq!(home.query("SELECT 1 AS one FORMAT CSV"), "1");
    assert_eq!(home.query("SELECT 1 AS one FORMAT Null"), "");
    assert_eq!(
        home.status("nats")["state"],
        "stopped",
        "what was started for it does not"
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let home = Home::new();
    for line in [
        &["init", "--dry-run"][..],
        &["up", "--sim", "--dry-run"],
        &["start", "--sim", "--dry-run"],
        &["stop", "--dry-run"],
        &["restart", "--dry-run"],
        &["down", "--dry-run"],
        &["smoke", "--dry-run"],
        &["bench", "start", "--dry-run"],
    ] {
        home.good(line);
        assert!(!home.path().exists(), "{line:?}");
    }
}

#[tokio::test]
async fn a_broker_of_somebody_else_is_used_and_never_stopped() {
    let home = Home::new();
    let folder = home.beside().join("broker");
    std::fs::create_dir(&folder).expect("made");
    let server = mprism_testkit::NatsServer::start(&folder, mprism_testkit::free_address());
    home.configure(&format!("nats: {{mode: external, url: '{}'}}\n", server.url()));
    let made = home.good(&["init"]);
    assert_eq!(made["streams_ready"], true, "{made}");
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.flows().await;
    assert_eq!(home.status("nats")["state"], "external");
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    home.good(&["down"]);
    std::net::TcpStream::connect(server.url().trim_start_matches("nats://")).expect("it still listens");
}
