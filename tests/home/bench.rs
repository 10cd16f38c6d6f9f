//! Measurements: that they come about, what they say, and that two do not disturb each other. Never how fast something is.

use std::fs;

use serde_json::Value;

use crate::schemas::check;
use crate::support::{Done, Home, get};

/// Returns the document of a measurement; a busy machine may be over a budget, which is a result too.
fn measured(done: &Done) -> Value {
    let is_over = done.code == 1 && done.document()["error"]["code"] == "over_budget";
    assert!(done.code == 0 || is_over, "{done:?}");
    check("bench", done.code, &done.stdout)
}

fn result<'a>(document: &'a Value, id: &str) -> &'a Value {
    let results = document["results"].as_array().expect("a list");
    let found = results.iter().find(|result| result["id"] == id);
    found.unwrap_or_else(|| panic!("{id}: {document}"))
}

#[test]
fn commands_and_the_program_are_measured_and_compared_with_an_earlier_run() {
    let home = Home::new();
    let done = home.run(&["bench", "control", "--json"]);
    let document = measured(&done);
    for (id, unit, samples) in [
        ("version", "ms", 10),
        ("binary", "bytes", 1),
        ("start", "ms", 10),
        ("stop", "ms", 10),
        ("status", "ms", 10),
        ("health", "ms", 10),
    ] {
        let found = result(&document, id);
        assert_eq!(
            (&found["unit"], &found["samples"]),
            (&unit.into(), &samples.into()),
            "{found}"
        );
        assert_eq!(found["better"], "lower", "{found}");
        assert!(found["value"].as_f64() > Some(0.0), "{found}");
    }
    let status = result(&document, "status");
    assert_eq!(status["budget"], 100.0, "{status}");
    assert!(
        status["ceiling"].as_f64().is_some() && status["ratio"].as_f64().is_some(),
        "{status}"
    );
    assert_eq!(document["ok"], done.code == 0, "{document}");
    assert!(document["machine"]["cores"].as_u64() > Some(0), "{document}");

    // The same run where everything was a hundred times better: all that is measured again is a regression.
    let mut earlier = document;
    for result in earlier["results"].as_array_mut().expect("a list") {
        result["value"] = (result["value"].as_f64().expect("a number") / 100.0).into();
        result["spread_percent"] = 0.into();
    }
    let file = home.beside().join("before.json").display().to_string();
    fs::write(&file, earlier.to_string()).expect("written");
    let done = home.run(&["bench", "status", "--baseline", &file, "--json"]);
    let document = done.document();
    let error = &document["error"];
    assert_eq!(done.code, 1, "{document}");
    assert!(
        error["code"] == "regression" || error["code"] == "over_budget",
        "{document}"
    );
    let status = result(&document, "status");
    assert_eq!(status["change"]["is_regression"], true, "{document}");
    assert!(error["causes"].to_string().contains("before"), "{document}");
}

#[tokio::test]
async fn both_ways_of_a_message_are_compared_and_one_run_is_enough_for_a_home() {
    const COPIED: &str = "orderbook.binance_spot.spot.BTC-USDT";
    const PLAIN: &str = "trade.binance_spot.spot.ETH-USDT";
    let home = Home::new();
    home.configure(&format!(
        "collector: {{mirror: {{enabled: true, subjects: [{COPIED}]}}}}\n"
    ));
    home.good(&["start", "--sim"]);
    home.flows().await;
    let file = home.beside().join("windows.jsonl");
    let path = file.display().to_string();
    let line = [
        "bench",
        "transport",
        "--for",
        "4s",
        "--window",
        "1s",
        "--json",
        "--jsonl",
        &path,
    ];
    // The same subject twice is one.
    let subjects = ["--subject", COPIED, "--subject", PLAIN, "--subject", PLAIN];
    let first = home.command(&[&line[..], &subjects].concat()).spawn().expect("started");
    let first = std::thread::spawn(move || first.wait_with_output().expect("ended"));
    home.until("the first window is over", || match fs::read_to_string(&file) {
        Ok(text) if text.ends_with('\n') => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let second = home.run(&["bench", "transport", "--for", "1s", "--json"]);
    let refused = second.document();
    assert_eq!(
        (second.code, &refused["error"]["code"]),
        (4, &"already_running".into()),
        "{refused}"
    );
    assert!(refused["error"]["hints"].to_string().contains("pid"), "{refused}");

    let output = first.join().expect("no panic");
    let document = check(
        "bench",
        output.status.code().expect("not killed"),
        &String::from_utf8(output.stdout).expect("text"),
    );
    let windows = document["windows"].as_array().expect("a list");
    assert_eq!(windows.len(), 4, "{document}");
    let lines: Vec<Value> = fs::read_to_string(&file)
        .expect("there")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a document a line"))
        .collect();
    assert_eq!(&lines, windows, "what is printed is what is written");
    for (index, subject) in [COPIED, PLAIN].into_iter().enumerate() {
        let all: Vec<&Value> = windows.iter().map(|window| &window["subjects"][index]).collect();
        let count = |way: &str| all.iter().filter_map(|found| found[way]["count"].as_u64()).sum::<u64>();
        assert!(all.iter().all(|found| found["subject"] == subject), "{document}");
        for way in ["jetstream", "core", "jetstream_later"] {
            assert!(count(way) > 0, "{way} of {subject}: {document}");
        }
        for way in ["jetstream", "core"] {
            for quantile in ["p50", "p90", "p95", "p99"] {
                let found = result(&document, &format!("{way}_{quantile} {subject}"));
                assert!(found["value"].as_f64() > Some(0.0), "{found}");
            }
        }
    }
    // Copies are made of what is named, and of nothing else.
    let status: Value =
        serde_json::from_str(&get(&format!("http://{}/status", home.address(8087))).await).expect("JSON");
    let (mirrored, published) = (status["mirrored"].as_u64(), status["published"].as_u64());
    assert!(mirrored > Some(0) && mirrored < published, "{status}");

    let wrong = home.run(&["bench", "transport", "--subject", "trade.BTC-USDT", "--json"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

#[test]
fn the_whole_pipeline_is_run_and_every_row_is_there_once() {
    let home = Home::new();
    let done = home.run(&[
        "bench", "pipeline", "--rate", "400", "--for", "2s", "--steps", "1", "--json",
    ]);
    let document = measured(&done);
    for id in ["pipeline_lost", "pipeline_duplicated"] {
        assert_eq!(result(&document, id)["value"], 0.0, "{document}");
    }
    for id in [
        "pipeline_cpu",
        "bare_publish",
        "bare_consume",
        "bare_insert",
        "calm_p99",
        "original_hot_memory",
    ] {
        assert!(result(&document, id)["value"].as_f64() > Some(0.0), "{id}: {document}");
    }
    let runs = document["runs"].as_array().expect("a list");
    let names: Vec<&str> = runs.iter().filter_map(|run| run["name"].as_str()).collect();
    assert_eq!(names, ["trades", "calm", "original's load", "step"], "{document}");
    assert_eq!(runs[0]["rate"], 400, "{document}");
    for run in &runs[..3] {
        assert!(run["rows"].as_u64() > Some(0), "{run}");
    }
    for service in ["sim", "nats", "clickhouse", "hot", "collector", "cold", "supervisor"] {
        let taken = &runs[0]["processes"][service];
        assert!(taken["rss_max_bytes"].as_u64() > Some(1 << 20), "{service}: {document}");
    }
    // nats-server is a child of the service's worker, and counts for it.
    assert!(
        runs[0]["processes"]["nats"]["rss_max_bytes"].as_u64() > Some(8 << 20),
        "{document}"
    );
}
