//! What watches a home from outside and from within: systemd, logrotate, a worker that watches itself.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use mprism_runtime::process::{ProcessIdentity, Signal};

use crate::support::{Home, signal};

#[tokio::test]
async fn systemd_is_told_that_it_is_ready_lives_and_stops() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(mprism_testkit::PATIENCE)).expect("set");
    let home = Home::new()
        .with("NOTIFY_SOCKET", &path.display().to_string())
        .with("WATCHDOG_USEC", "400000");
    home.good(&["init"]);
    let foreground = home
        .command(&["start", "--sim", "--foreground"])
        .spawn()
        .expect("started");
    let next = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).expect("told in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert!(next().contains("READY=1"));
    assert!(home.status("collector")["healthy"] == true, "ready is ready");
    for _ in 0..3 {
        assert_eq!(next().trim(), "WATCHDOG=1");
    }
    signal(&ProcessIdentity::of(foreground.id()).expect("it runs"), Signal::TERM);
    let last = std::iter::repeat_with(next)
        .find(|text| !text.contains("WATCHDOG"))
        .expect("told");
    assert_eq!(last.trim(), "STOPPING=1");
    let output = foreground.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(143), "{output:?}");
}

#[tokio::test]
async fn a_collector_that_uses_too_much_starts_over_in_its_process() {
    let home = Home::new();
    home.configure(
        "collector:\n  self_heal: {enabled: true, interval: 200ms, memory_bytes_max: 1MiB, cooldown: 100ms, restarts_max: 2}\n",
    );
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    let collector = home.process("collector");
    let log = |text: &str| {
        home.run(&["logs", "collector", "-n", "10000", "--json"])
            .stdout
            .matches(text)
            .count()
    };
    home.until("it has started over twice and then only says so", || {
        match (
            log("starts over because it uses too much"),
            log("the worker uses too much"),
        ) {
            (2, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(home.process("collector"), collector, "the same process");
    assert_eq!(home.status("collector")["restarts"], 0, "nobody had to restart it");
    home.flows().await;
    let missing = |home: &Home| {
        let sql = "SELECT sum(toUInt64(to_id) - toUInt64(from_id) + 1) FROM marketprism_hot.gaps_current WHERE state = 'open'";
        home.query(sql).parse().unwrap_or(0)
    };
    let found = home.settled(missing).await;
    assert_eq!(found.duplicated, 0, "{found:?}");
    let spent = missing(&home);
    assert_eq!(
        found.lost, spent,
        "what was sent meanwhile is in the gaps, to the trade: {found:?}"
    );
}

#[tokio::test]
async fn by_default_it_only_says_that_it_uses_too_much() {
    let home = Home::new();
    home.configure("collector:\n  self_heal: {interval: 100ms, memory_bytes_max: 1MiB}\n");
    home.good(&["start", "--sim"]);
    let collector = home.process("collector");
    let told = || {
        home.run(&["logs", "collector", "-n", "10000", "--json"])
            .stdout
            .matches("the worker uses too much")
            .count()
    };
    home.until("it is told", || {
        if told() > 0 { Ok(()) } else { Err("nothing".to_owned()) }
    })
    .await;
    home.flows().await;
    assert_eq!(told(), 1, "once for as long as it lasts");
    assert_eq!(home.process("collector"), collector);
}

#[tokio::test]
async fn the_policy_for_logs_is_one_that_logrotate_takes() {
    let home = Home::new();
    home.good(&["init"]);
    let policy = home.path().join("config/logrotate");
    let text = std::fs::read_to_string(&policy).expect("written");
    assert!(text.contains("copytruncate") && text.contains("rotate 7"), "{text}");
    std::fs::write(&policy, "broken").expect("written");
    home.good(&["init"]);
    assert_eq!(
        std::fs::read_to_string(&policy).expect("there"),
        text,
        "init repairs it"
    );
    let search = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let logrotate = |arguments: &[&str]| Command::new("logrotate").env("PATH", &search).args(arguments).output();
    let place = policy.display().to_string();
    let Ok(dry) = logrotate(&["-d", &place]) else {
        return mprism_testkit::absent("logrotate", "no logrotate");
    };
    let said = String::from_utf8_lossy(&dry.stderr).into_owned();
    assert!(dry.status.success() && !said.contains("error:"), "{said}");
    home.good(&["start", "nats"]);
    let log = home.path().join("logs/nats.log");
    let written = std::fs::read_to_string(&log).expect("there");
    let first = written.lines().next().expect("a line").to_owned();
    let state = home.beside().join("state").display().to_string();
    let forced = logrotate(&["--force", "--state", &state, &place]).expect("it runs");
    assert!(forced.status.success(), "{forced:?}");
    let rotated = std::fs::read_dir(home.path().join("logs"))
        .expect("there")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            (name.starts_with("nats.log-") && name.ends_with(".gz")).then_some(name)
        });
    assert_eq!(rotated.count(), 1);
    // The server may have said something since.
    let left = std::fs::read_to_string(&log).expect("there");
    assert!(!left.contains(&first), "copied and emptied: {left}");
    // What is logged from then on stands in the same file.
    home.good(&["stop"]);
    home.until("the log goes on", || {
        match std::fs::metadata(&log).map(|found| found.len()) {
            Ok(length) if length > 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
