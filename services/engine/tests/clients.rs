//! Clients of other languages: each does its work in a script beside this, prints what it saw, and is judged here.

mod common;

use std::process::Command;

use common::{Data, Engine, PASSWORD, WRITER};
use serde_json::{Value, json};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// More than this the engine may not grow while an answer of some 500 MB passes through it, in bytes.
const GROWTH_MAX: u64 = 300 << 20;

/// Runs a script and returns what it prints, after checking what the engine held meanwhile.
fn facts(engine: &Engine, command: &mut Command) -> Value {
    let before = engine.rss();
    let done = command.output().expect("the interpreter starts");
    let (said, complained) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{}: {said}{complained}", done.status);
    let most = engine.peak_rss();
    assert!(
        most < before + GROWTH_MAX,
        "the engine grew from {before} to {most} bytes"
    );
    let left = "SELECT query FROM system.processes WHERE position(query, 'system.processes') = 0";
    common::until("nothing is left running", 20, || engine.answer(left).is_empty());
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}{complained}"))
}

/// Judges a stream of the numbers below `rows`.
#[track_caller]
fn streamed(fact: &Value, rows: u64) {
    assert_eq!(
        (&fact["count"], &fact["sum"]),
        (&json!(rows), &json!(rows * (rows - 1) / 2)),
        "{fact}"
    );
    // What a client holds as a whole by itself tells nothing about us.
    if let Some(grown) = fact["client_grew_kib"].as_u64() {
        assert!(grown < 256 << 10, "{fact}");
    }
}

#[test]
fn clickhouse_connect_is_content() {
    let data = Data::new();
    let engine = data.start();
    let mut command = Command::new(mprism_testkit::python_clients());
    let (host, port) = (engine.address.ip().to_string(), engine.address.port().to_string());
    command
        .arg(format!("{SCRIPTS}/connect.py"))
        .args([&host, &port, WRITER, PASSWORD]);
    let facts = facts(&engine, &mut command);
    for encoding in ["lz4", "zstd", "gzip", "False"] {
        assert_eq!(
            facts["encodings"][encoding],
            json!({ "same": true, "written": 2 }),
            "{encoding}"
        );
    }
    assert_eq!(facts["version"], "26.5.1.1");
    assert_eq!(
        (&facts["setting"], &facts["reader_setting"]),
        (&json!([[77]]), &json!([[78]]))
    );
    assert_eq!(facts["bound"], json!([["it's\ta\\", -5]]));
    assert_eq!((&facts["form"], &facts["summary"]), (&json!(true), &json!("1000")));
    assert_eq!((&facts["temporary"], &facts["read"]), (&json!([[3]]), &json!([[2]])));
    let codes = [
        ("elsewhere", 60),
        ("unknown", 60),
        ("syntax", 62),
        ("late", 395),
        ("wrong", 516),
        ("external", 48),
        ("killed", 394),
        ("refused", 164),
    ];
    for (fact, code) in codes {
        let text = facts[fact].as_str().unwrap_or_else(|| panic!("{fact} was not refused"));
        assert!(text.contains(&format!("code: {code},")), "{fact}: {text}");
    }
    streamed(&facts["stream"], 10_000_000);
    engine.stop();
}

#[test]
fn clickhouse_sqlalchemy_is_content() {
    let data = Data::new();
    let engine = data.start();
    let mut command = Command::new(mprism_testkit::python_clients());
    let (host, port) = (engine.address.ip().to_string(), engine.address.port().to_string());
    // It stands in a URL.
    let password = PASSWORD.replace(' ', "%20");
    command
        .arg(format!("{SCRIPTS}/dialect.py"))
        .args([&host, &port, WRITER, &password]);
    let facts = facts(&engine, &mut command);
    assert_eq!((&facts["same"], &facts["tables"]), (&json!(true), &json!(true)));
    assert_eq!((&facts["version"], &facts["count"]), (&json!("26.5.1.1"), &json!(2)));
    assert_eq!((&facts["setting"], &facts["temporary"]), (&json!(77), &json!(3)));
    assert_eq!(facts["read"], Value::Null, "a reader reads");
    for (fact, code) in [("elsewhere", 60), ("unknown", 60), ("refused", 164)] {
        let text = facts[fact].as_str().unwrap_or_else(|| panic!("{fact} was not refused"));
        assert!(text.contains(&format!("Code: {code}.")), "{fact}: {text}");
    }
    streamed(&facts["stream"], 2_000_000);
    engine.stop();
}

#[test]
fn the_node_client_is_content() {
    let data = Data::new();
    let engine = data.start();
    let mut command = Command::new("node");
    command
        .arg(format!("{SCRIPTS}/client.mjs"))
        .arg(mprism_testkit::node_clients());
    command.args([&format!("http://{}", engine.address), WRITER, PASSWORD]);
    let facts = facts(&engine, &mut command);
    for compressed in ["true", "false"] {
        assert_eq!(
            facts["compressed"][compressed],
            json!({ "same": true, "written": "2" }),
            "{compressed}"
        );
    }
    assert_eq!((&facts["ping"], &facts["query_id"]), (&json!(true), &json!("node-1")));
    assert_eq!(facts["setting"], json!([{ "value": "77" }]));
    assert_eq!(facts["bound"], json!([{ "x": "it's\ta\\", "n": -5 }]));
    assert_eq!(
        (&facts["temporary"], &facts["read"]),
        (&json!([{ "sum": 3 }]), &json!([{ "n": 2 }]))
    );
    let codes = [
        ("elsewhere", "60", "UNKNOWN_TABLE"),
        ("unknown", "60", "UNKNOWN_TABLE"),
        ("late", "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("wrong", "516", "AUTHENTICATION_FAILED"),
        ("killed", "394", "QUERY_WAS_CANCELLED"),
        ("refused", "164", "READONLY"),
    ];
    for (fact, code, name) in codes {
        let error = &facts[fact];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&json!(code), &json!(name)),
            "{fact}: {error}"
        );
        assert_eq!(error["own"], true, "{fact}: {error}");
    }
    assert_eq!(facts["aborted"]["text"], "The user aborted a request.");
    streamed(&facts["stream"], 10_000_000);
    engine.stop();
}
