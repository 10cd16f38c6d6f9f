//! Commands that are told to end while they work, a supervisor in the foreground, and an engine that runs for one query.

use std::process::{Child, Output};

use mprism_runtime::process::{ProcessIdentity, Signal};
use serde_json::Value;

use crate::support::{Home, kill, signal};

/// Starts a command and does not wait for it.
fn spawn(home: &Home, arguments: &[&str]) -> Child {
    home.command(arguments).spawn().expect("started")
}

/// Sends a signal to a command and waits for its end.
fn end(child: Child, with: Signal) -> Output {
    signal(&ProcessIdentity::of(child.id()).expect("it runs"), with);
    child.wait_with_output().expect("ended")
}

/// Makes a home in which nothing becomes ready: the engine's process is held right after its start.
async fn held(home: &Home) -> ProcessIdentity {
    home.until("the engine has a process", || {
        let text = std::fs::read_to_string(home.path().join("run/clickhouse.lock")).map_err(|e| e.to_string())?;
        let holder: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let pid = holder["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let engine = pid.and_then(ProcessIdentity::of).ok_or(text)?;
        signal(&engine, Signal::STOP);
        Ok(engine)
    })
    .await
}

fn states(home: &Home) -> Vec<String> {
    let status = home.run(&["status", "--json"]).document();
    let services = status["services"].as_array().expect("a list").iter();
    services
        .map(|service| service["state"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_start_that_is_interrupted_ends_and_what_it_asked_for_goes_on() {
    let home = Home::new();
    home.good(&["init"]);
    let start = spawn(&home, &["start", "clickhouse", "--json"]);
    let engine = held(&home).await;
    let output = end(start, Signal::INT);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(document["error"]["code"], "interrupted");
    signal(&engine, Signal::CONT);
    home.until("the engine serves", || {
        let status = home.status("clickhouse");
        if status["healthy"] == true {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    assert_eq!(home.process("clickhouse"), engine);

    // A service that does not stop: who waits for it need not.
    signal(&engine, Signal::STOP);
    let stop = spawn(&home, &["stop"]);
    home.until("it is asked to stop", || {
        let status = home.status("clickhouse");
        if status["desired"] == "down" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    let output = end(stop, Signal::TERM);
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    signal(&engine, Signal::CONT);
    home.until("the engine is stopped all the same", || {
        let status = home.status("clickhouse");
        if status["state"] == "stopped" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;

    // The same for both halves of a restart.
    let restart = spawn(&home, &["restart", "clickhouse"]);
    let engine = held(&home).await;
    let output = end(restart, Signal::TERM);
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    signal(&engine, Signal::CONT);
}

#[tokio::test]
async fn an_up_for_a_time_that_is_interrupted_while_it_starts_stops_everything() {
    let home = Home::new();
    home.good(&["init"]);
    let up = spawn(&home, &["up", "--sim", "--for", "1h"]);
    let engine = held(&home).await;
    signal(&ProcessIdentity::of(up.id()).expect("it runs"), Signal::TERM);
    // Asked to stop as well: it does so once it can.
    signal(&engine, Signal::CONT);
    let output = up.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    let states = states(&home);
    assert!(states.iter().all(|state| state == "stopped"), "{states:?}");
}

#[tokio::test]
async fn an_init_that_is_interrupted_stops_what_it_started() {
    let home = Home::new();
    let init = spawn(&home, &["init"]);
    let engine = held(&home).await;
    signal(&ProcessIdentity::of(init.id()).expect("it runs"), Signal::INT);
    signal(&engine, Signal::CONT);
    let output = init.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let states = states(&home);
    assert!(states.iter().all(|state| state == "stopped"), "{states:?}");
}

/// Waits until every service is healthy.
async fn healthy(home: &Home) {
    home.until("everything runs", || {
        let status = home.run(&["status", "--json"]).document();
        let services = status["services"].as_array().cloned().unwrap_or_default();
        let is_healthy = services.len() == 6 && services.iter().all(|service| service["healthy"] == true);
        if is_healthy { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

fn code(document: &Value) -> &str {
    document["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_supervisor_in_the_foreground_restarts_what_dies_and_takes_everything_with_it() {
    let home = Home::new();
    home.good(&["init"]);
    let foreground = spawn(&home, &["start", "--sim", "--foreground"]);
    healthy(&home).await;
    assert_eq!(home.supervisor().pid, foreground.id(), "no other process supervises");
    let hot = home.process("hot");
    kill(&hot).await;
    home.back("hot", &hot).await;
    home.flows().await;
    let output = end(foreground, Signal::TERM);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{said}");
    for line in [
        "collector: ready after",
        "hot: killed by signal 9",
        "nats: stopped after",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let states = states(&home);
    assert!(states.iter().all(|state| state == "stopped"), "{states:?}");
    assert!(!home.path().join("run/supervisor.sock").exists());
}

#[tokio::test]
async fn a_home_has_one_supervisor_wherever_it_runs() {
    let home = Home::new();
    home.good(&["init"]);
    let foreground = spawn(&home, &["start", "--sim", "--foreground", "--json"]);
    healthy(&home).await;
    let second = home.run(&["start", "--sim", "--foreground", "--json"]);
    assert_eq!(
        (second.code, code(&second.document())),
        (4, "already_running"),
        "{second:?}"
    );
    assert!(
        second.stderr.contains("hint: stop what it runs: `mprism stop`"),
        "{second:?}"
    );
    let start = home.good(&["start", "--sim"]);
    assert!(!start.to_string().contains("\"started\""), "{start}");
    home.good(&["stop"]);
    let output = foreground.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["ok"], true);
    assert!(states(&home).iter().all(|state| state == "stopped"));
    // And the other way round.
    home.good(&["start", "nats"]);
    let second = home.run(&["start", "--foreground", "--json"]);
    assert_eq!(
        (second.code, code(&second.document())),
        (4, "already_running"),
        "{second:?}"
    );
    assert_eq!(home.status("nats")["state"], "running");
}

#[tokio::test]
async fn a_start_in_the_foreground_that_fails_leaves_nothing() {
    let home = Home::new();
    home.good(&["init"]);
    let stranger = std::net::TcpListener::bind(home.address(8085)).expect("free");
    let refused = home.run(&["start", "--sim", "--foreground", "--json"]);
    assert_eq!(
        (refused.code, code(&refused.document())),
        (4, "port_taken"),
        "{refused:?}"
    );
    drop(stranger);
    let foreground = spawn(&home, &["start", "clickhouse", "--foreground", "--wait", "1", "--json"]);
    let engine = held(&home).await;
    home.until("its time is over", || {
        let status = home.status("clickhouse");
        if status["desired"] == "down" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    signal(&engine, Signal::CONT);
    let output = foreground.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(states(&home).iter().all(|state| state == "stopped"));
}

#[tokio::test]
async fn a_query_on_a_stopped_home_has_the_engine_run_for_it() {
    let home = Home::new();
    home.good(&["init"]);
    home.good(&["start", "nats"]);
    let done = home.run(&["query", "SELECT 42 AS n"]);
    assert_eq!((done.code, &*done.stdout), (0, "n\n42\n"), "{done:?}");
    assert_eq!(home.status("clickhouse")["state"], "stopped");
    assert_eq!(
        home.status("nats")["state"],
        "running",
        "only what was started for it is stopped"
    );
    home.write("CREATE TABLE marketprism_hot.mine (n UInt8) ENGINE = MergeTree ORDER BY n");
    home.write("INSERT INTO marketprism_hot.mine VALUES (7)");
    assert_eq!(
        home.good(&["query", "SELECT n FROM marketprism_hot.mine"])["data"][0]["n"],
        7
    );
    let refused = home.run(&["query", "SELEC"]);
    assert_eq!((refused.code, &*refused.stdout), (1, ""), "{refused:?}");
    home.good(&["stop"]);
    let states = states(&home);
    assert!(states.iter().all(|state| state == "stopped"), "{states:?}");
}

#[tokio::test]
async fn queries_at_once_on_a_stopped_home_are_all_answered() {
    let home = Home::new();
    home.good(&["init"]);
    let queries: Vec<Child> = (0..4)
        .map(|_| spawn(&home, &["query", "SELECT 1 FORMAT CSV"]))
        .collect();
    for query in queries {
        let output = query.wait_with_output().expect("ended");
        assert!(output.status.success() && output.stdout == b"1\n", "{output:?}");
    }
    assert_eq!(home.status("clickhouse")["state"], "stopped");
}

#[tokio::test]
async fn a_query_asks_nobody_else_and_stops_what_it_started_when_it_is_interrupted() {
    let home = Home::new();
    home.good(&["init"]);
    let stranger = std::net::TcpListener::bind(home.address(8123)).expect("free");
    let refused = home.run(&["query", "--json", "SELECT 1"]);
    assert_eq!(
        (refused.code, code(&refused.document())),
        (4, "port_taken"),
        "{refused:?}"
    );
    let port = format!(
        "port {} of `clickhouse` is held by pid {}",
        home.port(8123),
        std::process::id()
    );
    assert!(refused.stderr.contains(&port), "{refused:?}");
    drop(stranger);
    // A child that another test is starting has it too, until it is the program that it becomes.
    home.until("the port is free", || {
        std::net::TcpListener::bind(home.address(8123)).map_err(|error| error.to_string())
    })
    .await;
    let query = spawn(
        &home,
        &[
            "query",
            "SELECT sleepEachRow(1) FROM numbers(3600) SETTINGS max_block_size = 1",
        ],
    );
    healthy_engine(&home).await;
    let output = end(query, Signal::INT);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(home.status("clickhouse")["state"], "stopped");
}

async fn healthy_engine(home: &Home) {
    home.until("the engine serves", || {
        let status = home.run(&["status", "clickhouse", "--json"]).document();
        if status["services"][0]["healthy"] == true {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn what_runs_for_a_moment_changes_no_options() {
    let home = Home::new();
    home.good(&["start", "--sim"]);
    home.good(&["stop"]);
    home.good(&["init"]);
    assert_eq!(home.query("SELECT 1"), "1");
    let restarted = home.good(&["restart"]);
    assert!(restarted.to_string().contains("\"sim\""), "{restarted}");
}

/// A collector that is started again by itself must not leave the simulator for the exchanges.
#[tokio::test]
async fn a_start_of_one_service_changes_no_options_of_the_others() {
    let home = Home::new();
    home.good(&["start", "--sim"]);
    home.good(&["stop", "cold"]);
    home.good(&["start", "cold"]);
    let state = || home.run(&["status", "--json"]).document();
    let pid_of = |name: &str| {
        let status = state();
        let services = status["services"].as_array().expect("a list").clone();
        let found = services.into_iter().find(|service| service["name"] == name);
        found.and_then(|service| service["pid"].as_i64())
    };
    assert!(pid_of("sim").is_some(), "{}", state());
    let first = pid_of("collector").expect("it runs");
    let process = u32::try_from(first).ok().and_then(ProcessIdentity::of);
    kill(&process.expect("it runs")).await;
    let next = home
        .until("the collector is started again", || match pid_of("collector") {
            Some(pid) if pid != first => Ok(pid),
            other => Err(format!("{other:?}")),
        })
        .await;
    let line = std::fs::read(format!("/proc/{next}/cmdline")).expect("it runs");
    assert!(String::from_utf8_lossy(&line).contains("--sim"), "{line:?}");
    let restarted = home.good(&["restart"]);
    assert!(restarted.to_string().contains("\"sim\""), "{restarted}");
}
