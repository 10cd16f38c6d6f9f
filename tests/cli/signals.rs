//! SIGINT and SIGTERM while a dependency is fetched: everything of the fetch is gone, and the exit code says which it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use mprism_testkit::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::Home;

/// A home whose `python3` downloads for ever, with a child of its own, and the file in which both processes stand.
fn home_that_fetches_for_ever() -> (Home, PathBuf) {
    let home = Home::new();
    let clients = home.user().join("clients");
    fs::create_dir(&clients).expect("made");
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/deps/tests/deps/fake-client");
    symlink(fake, clients.join("python3")).expect("linked");
    let processes = home.user().join("processes");
    let place = processes.display();
    let does = format!("echo half >half.whl; sleep 1000 & echo $$ $! >{place}.new; mv {place}.new {place}; wait");
    fs::write(clients.join("python3.does"), does).expect("written");
    (home.with("PATH", &clients.display().to_string()), processes)
}

/// Waits until the client is at work; returns its processes.
async fn at_work(processes: &Path) -> Vec<PathBuf> {
    let text = until("the client works", async || {
        fs::read_to_string(processes).map_err(|e| e.to_string())
    })
    .await;
    let processes = text.split_whitespace().map(|id| Path::new("/proc").join(id));
    processes.collect()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

#[tokio::test]
async fn a_fetch_that_is_interrupted_leaves_nothing_behind() {
    let lines: [(&[&str], Signal, i32); 5] = [
        (&["deps", "install", "nats-server"], Signal::INT, 130),
        (&["deps", "install", "nats-server"], Signal::TERM, 143),
        (&["init", "nats"], Signal::TERM, 143),
        (&["start", "nats"], Signal::INT, 130),
        (&["up", "--sim", "--for", "1s"], Signal::TERM, 143),
    ];
    for (line, signal, code) in lines {
        let (home, processes) = home_that_fetches_for_ever();
        let mut command = home.command(&[line, &["--json"]].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("started");
        let processes = at_work(&processes).await;
        send(&child, signal);
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(code), "{line:?}: {output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(document["error"]["code"], json!("interrupted"), "{line:?}");
        assert_eq!(document["exit_code"], json!(code), "{line:?}");
        for process in processes {
            until("the client and its child are gone", async || {
                // A child that nobody waits for may be reaped a moment later.
                let state = fs::read_to_string(process.join("stat")).unwrap_or_default();
                let is_gone = state.is_empty() || state.contains(") Z ");
                if is_gone { Ok(()) } else { Err(state) }
            })
            .await;
        }
        let left: Vec<String> = home
            .tree()
            .into_iter()
            .filter(|path| path.contains(".fetch-"))
            .collect();
        assert!(left.is_empty(), "{line:?}: {left:?}");
        assert!(!home.path().join("bin/nats-server").is_symlink(), "{line:?}");
    }
}

#[tokio::test]
async fn who_waits_for_another_fetch_can_be_interrupted() {
    let (home, processes) = home_that_fetches_for_ever();
    let install = || {
        let mut command = home.command(&["deps", "install", "nats-server"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("started")
    };
    let first = install();
    at_work(&processes).await;
    let mut second = install();
    let said = second.stderr.take().expect("piped");
    let said = std::io::BufRead::lines(std::io::BufReader::new(said)).next();
    let said = said.expect("it says that it waits").expect("text");
    assert!(said.contains("waiting for another mprism"), "{said}");
    send(&second, Signal::TERM);
    assert_eq!(second.wait().expect("ended").code(), Some(143));
    send(&first, Signal::INT);
    let first = first.wait_with_output().expect("ended");
    assert_eq!(first.status.code(), Some(130), "{first:?}");
    assert!(
        !String::from_utf8_lossy(&first.stderr).contains("error:"),
        "Ctrl-C needs no explanation"
    );
}
