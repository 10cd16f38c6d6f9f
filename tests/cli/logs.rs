//! `mprism logs` on files as services leave them.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::support::Home;
use serde_json::Value;

fn line(second: u32, level: &str, message: &str) -> String {
    format!(
        "{{\"ts\":\"2026-11-20T12:00:{second:02}.000Z\",\"level\":\"{level}\",\"message\":\"{message}\",\"rows\":7}}\n"
    )
}

fn home() -> Home {
    let home = Home::new();
    home.write("logs/hot.log.1", &(line(1, "info", "one") + &line(3, "warn", "three")));
    home.write("logs/hot.log", &line(5, "error", "five"));
    home.write(
        "logs/nats.log",
        "[9] 2026/11/20 12:00:02.000001 [INF] two\n[9] 2026/11/20 12:00:04.000001 [ERR] four\n",
    );
    home
}

fn messages(home: &Home, arguments: &[&str]) -> Vec<String> {
    let mut line = vec!["--json", "logs"];
    line.extend(arguments);
    let document = home.mprism(&line).document();
    let lines = document["lines"].as_array().cloned().unwrap_or_default();
    lines
        .iter()
        .filter_map(|line| line["message"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn logs_of_all_services_are_one_stream_in_time() {
    let home = home();
    assert_eq!(messages(&home, &[]), ["one", "two", "three", "four", "five"]);
    assert_eq!(messages(&home, &["-n", "2"]), ["four", "five"]);
    assert_eq!(messages(&home, &["--level", "warn"]), ["three", "four", "five"]);
    assert_eq!(messages(&home, &["--level", "error", "-n", "1"]), ["five"]);
    assert_eq!(
        messages(&home, &["--since", "2026-11-20T12:00:03Z"]),
        ["three", "four", "five"]
    );
    assert_eq!(messages(&home, &["broker"]), ["two", "four"]);
    assert_eq!(messages(&home, &["hot", "nats", "-n", "3"]), ["three", "four", "five"]);
    assert_eq!(messages(&home, &["collector"]), Vec::<String>::new());
}

#[test]
fn a_line_reads_well() {
    let done = home().mprism(&["logs", "hot", "-n", "1"]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "2026-11-20T12:00:05.000Z error hot        five rows=7\n")
    );
    let all = home().mprism(&["logs", "--since", "2026-11-20T12:00:00Z"]);
    assert_eq!(all.stdout.lines().count(), 5, "{}", all.stdout);
}

#[test]
fn wrong_wishes_end_with_2() {
    for line in [
        ["logs", "hott", "--json"],
        ["logs", "--since=soon", "--json"],
        ["logs", "--level=loud", "--json"],
    ] {
        let done = home().mprism(&line);
        assert_eq!(
            (done.code, done.document()["ok"].clone()),
            (2, Value::Bool(false)),
            "{line:?}"
        );
    }
}

#[test]
fn a_home_without_logs_says_so() {
    let home = Home::new();
    let done = home.mprism(&["logs"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""));
    assert!(done.stderr.starts_with("no logs in "), "{}", done.stderr);
    assert_eq!(messages(&home, &[]), Vec::<String>::new());
}

#[test]
fn what_is_written_later_follows_through_rotation_and_new_services() {
    let home = home();
    let mut child = home
        .command(&["logs", "-f", "-n", "1", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    // Each read waits for the next line: the test needs no clock.
    let mut next = || {
        let line: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
        line["message"].as_str().expect("a message").to_owned()
    };
    let append = |name: &str, text: &str| {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.path().join("logs").join(name));
        file.expect("opened").write_all(text.as_bytes()).expect("written");
    };
    assert_eq!(next(), "five");
    append("hot.log", &line(6, "info", "six"));
    assert_eq!(next(), "six");
    let logs = home.path().join("logs");
    append("hot.log", &line(7, "info", "seven"));
    std::fs::rename(logs.join("hot.log"), logs.join("hot.log.1")).expect("rotated");
    append("hot.log", &line(8, "info", "eight"));
    assert_eq!((next(), next()), ("seven".into(), "eight".into()));
    append("collector.log", &line(9, "info", "nine"));
    assert_eq!(next(), "nine");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("signalled");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
}
