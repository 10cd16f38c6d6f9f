//! The engine, killed at each kind of system call that storing rows makes of it.
//!
//! `MPRISM_ENGINE_KILLS` says how often at each (`scripts/engine-kills.sh`).

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use mprism_testkit::{PATIENCE, absent};

use crate::support::Home;

/// Rows a second.
const RATE: &str = "2000";
/// Kills at each kind where nobody says how many.
const KILLS: u32 = 1;
/// How long the engine is watched to learn what it calls.
const WATCHED: Duration = Duration::from_secs(5);
/// What changes files, or says that they are changed for good.
const CHANGES: &str = "openat,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,mkdir,\
    mkdirat,link,linkat,unlink,unlinkat,rmdir,ftruncate,fallocate,close";
/// Of these an insert makes some, whatever else it does.
const SURELY: [&str; 5] = ["openat", "write", "fdatasync", "rename", "close"];

/// Follows a process's calls.
fn strace(process: &ProcessIdentity, arguments: &[&str]) -> Option<Child> {
    let child = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-p",
            &process.pid.to_string(),
            "-e",
            &format!("trace={CHANGES}"),
        ])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match child {
        Ok(child) => Some(child),
        Err(error) => {
            absent("strace", &error.to_string());
            None
        }
    }
}

/// Returns how often the engine makes each kind of call while rows are stored.
async fn calls(home: &Home) -> Option<BTreeMap<String, u64>> {
    let summary = home.beside().join("calls");
    let engine = home.process("clickhouse");
    let mut following = strace(&engine, &["-c", "-o", &summary.display().to_string()])?;
    tokio::time::sleep(WATCHED).await;
    if let Ok(Some(status)) = following.try_wait() {
        absent("strace", &format!("it may not follow a process here: {status}"));
        return None;
    }
    let itself = ProcessIdentity::of(following.id()).expect("it runs");
    crate::support::signal(&itself, Signal::INT);
    following.wait().expect("it ends");
    let text = fs::read_to_string(&summary).expect("a summary");
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, perhaps errors, syscall
        let count = words.get(3)?.parse().ok()?;
        Some((words.last().filter(|name| **name != "total")?.to_string(), count))
    });
    Some(lines.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_at_any_system_call_of_an_insert_loses_and_doubles_nothing() {
    let kills = std::env::var("MPRISM_ENGINE_KILLS").map_or(KILLS, |text| text.parse().expect("a number"));
    let home = Home::new();
    // Many deaths in a row: none of them is to wait for the ones before.
    home.configure("supervisor: {stable_after: 100ms, backoff_min: 100ms, backoff_max: 500ms}\n");
    home.good(&["start", "--sim", "--sim-rate", RATE]);
    home.flows().await;
    let Some(calls) = calls(&home).await else { return };
    for name in SURELY {
        assert!(calls.contains_key(name), "{name}: {calls:?}");
    }
    let mut made = Vec::new();
    for name in calls.keys() {
        for kill in 1..=kills {
            home.flows().await;
            let engine = home.process("clickhouse");
            let ended = PidFd::open(&engine).expect("ours").expect("alive");
            let at = format!("inject={name}:signal=KILL:when={kill}");
            let mut following = strace(&engine, &["-e", &at, "-o", "/dev/null"]).expect("as before");
            let killed = tokio::time::timeout(PATIENCE, ended.wait_exited()).await;
            killed
                .unwrap_or_else(|_| panic!("{at}: the engine makes such calls: {calls:?}"))
                .expect("watched");
            following.wait().expect("it ends with whom it follows");
            home.back("clickhouse", &engine).await;
            made.push(at);
        }
    }
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{made:?}: {found:?}"
    );
    println!("{} kills at {} kinds of calls: {found:?}", made.len(), calls.len());
}
