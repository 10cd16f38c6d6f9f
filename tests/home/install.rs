//! `install.sh`: a fresh account without root installs, runs, upgrades and removes mprism, and nothing of it is left; every script
//! passes shellcheck.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mprism_runtime::process::ProcessIdentity;
use mprism_testkit::absent;
use serde_json::Value;

use crate::support::Home;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_script_passes_shellcheck() {
    let mut scripts = vec![root().join("install.sh"), root().join(".ci/run")];
    let folder = fs::read_dir(root().join("scripts")).expect("there");
    scripts.extend(folder.map(|entry| entry.expect("readable").path()));
    for script in &scripts {
        let text = fs::read_to_string(script).expect("text");
        assert!(
            text.starts_with("#!/bin/sh\n") || text.starts_with("#!/usr/bin/env bash\n"),
            "{script:?}"
        );
        let mode = fs::metadata(script).expect("there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script:?} can be run");
    }
    let Ok(done) = Command::new("shellcheck").args(&scripts).output() else {
        return absent("shellcheck", "no shellcheck");
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// An account of its own, removed when the test ends.
struct Account {
    name: String,
    uid: u32,
    home: PathBuf,
    offset: String,
}

impl Account {
    /// Makes one; `None` where we may not.
    fn new(offset: u16) -> Option<Self> {
        let name = format!("mprism-test-{}", std::process::id());
        let home = std::env::temp_dir().join(&name);
        let made = Command::new("useradd")
            .args(["--create-home", "--home-dir"])
            .arg(&home)
            .arg(&name)
            .output();
        match made {
            Ok(made) if made.status.success() => {}
            other => {
                absent("useradd", &format!("no account can be made: {other:?}"));
                return None;
            }
        }
        let uid = fs::metadata(&home).expect("made").uid();
        Some(Self {
            name,
            uid,
            home,
            offset: offset.to_string(),
        })
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("runuser");
        command.args(["-u", &self.name, "--", "env", "-i"]);
        command.arg(format!("HOME={}", self.home.display()));
        command.arg(format!("MPRISM_PORT_OFFSET={}", self.offset));
        command.arg("PATH=/usr/local/bin:/usr/bin:/bin");
        command
            .arg(program)
            .args(arguments)
            .current_dir(&self.home)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let done = self.command(program, arguments).output().expect("runuser runs");
        let told = (
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr),
        );
        assert!(
            done.status.success(),
            "{program:?} {arguments:?}: {}: {told:?}",
            done.status
        );
        done
    }

    fn mprism(&self) -> PathBuf {
        self.home.join(".local/bin/mprism")
    }

    fn document(&self, arguments: &[&str]) -> Value {
        let done = self.run(&self.mprism(), &[arguments, &["--json"]].concat());
        serde_json::from_slice(&done.stdout).expect("a document")
    }

    /// Returns everything below its folder, sorted.
    fn tree(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("readable").filter_map(Result::ok) {
                found.push(entry.path().display().to_string());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    walk(&entry.path(), found);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.home, &mut found);
        found.sort();
        found
    }

    fn processes(&self) -> Vec<String> {
        let entries = fs::read_dir("/proc").expect("there").filter_map(Result::ok);
        let is_its = entries.filter(|entry| {
            let is_process = entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit());
            is_process && fs::metadata(entry.path()).is_ok_and(|found| found.uid() == self.uid)
        });
        let line = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        is_its.map(line).filter(|line| !line.is_empty()).collect()
    }

    /// Gives it what would be fetched, which others have fetched already.
    fn with_dependencies(&self) {
        let cache = self.home.join(".cache/mprism");
        let fetched = mprism_testkit::dependency(mprism_deps::Dependency::Libchdb);
        let shared = fetched.parent().and_then(Path::parent).expect("a cache").to_path_buf();
        mprism_testkit::dependency(mprism_deps::Dependency::NatsServer);
        fs::create_dir_all(&cache).expect("made");
        for entry in fs::read_dir(shared).expect("there").filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("libchdb-") || name.starts_with("nats-server-") {
                let copied = Command::new("cp")
                    .args(["-a", "--reflink=auto"])
                    .arg(entry.path())
                    .arg(&cache)
                    .status();
                assert!(copied.expect("cp runs").success());
            }
        }
        let owner = format!("{0}:{0}", self.name);
        let owned = Command::new("chown")
            .args(["-R", &owner])
            .arg(self.home.join(".cache"))
            .status();
        assert!(owned.expect("chown runs").success());
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mprism = self.mprism();
        if mprism.exists() {
            // Only after a failure; what it started must not outlive the account.
            let _down = self.command(&mprism, &["down"]).output();
        }
        let _removed = Command::new("userdel").args(["--remove", &self.name]).output();
        let _rest = fs::remove_dir_all(&self.home);
    }
}

fn pids(status: &Value) -> Vec<(String, u64)> {
    let services = status["services"].as_array().expect("a list").iter();
    let pid = |service: &Value| Some((service["name"].as_str()?.to_owned(), service["pid"].as_u64()?));
    services.filter_map(pid).collect()
}

#[tokio::test]
async fn a_fresh_account_installs_runs_upgrades_and_removes_it_and_nothing_is_left() {
    // Its ports are ours for as long as this home lives.
    let claimed = Home::new();
    let Some(account) = Account::new(claimed.port(0)) else {
        return;
    };
    // Where another user's script and program can be read.
    let shared = account.home.join("checkout");
    fs::create_dir(&shared).expect("made");
    let binary = shared.join("mprism");
    fs::copy(root().join("install.sh"), shared.join("install.sh")).expect("copied");
    fs::copy(env!("CARGO_BIN_EXE_mprism"), &binary).expect("copied");
    let (install, binary_text) = (shared.join("install.sh"), binary.display().to_string());
    let before = account.tree();

    let refused = account.command(&install, &["--system"]).output().expect("runs");
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("needs root"),
        "{refused:?}"
    );
    account.run(&install, &["--dry-run", "--binary", &binary_text]);
    assert_eq!(account.tree(), before, "a plan installs nothing");
    let installed = account.run(&install, &["--binary", &binary_text]);
    let said = String::from_utf8_lossy(&installed.stdout).into_owned();
    assert!(
        said.contains("is installed") && said.contains("is not on the PATH"),
        "{said}"
    );
    for file in [
        "bin/mprism",
        "share/man/man1/mprism.1",
        "share/man/man1/mprism-start.1",
        "share/bash-completion/completions/mprism",
        "share/zsh/site-functions/_mprism",
        "share/fish/vendor_completions.d/mprism.fish",
    ] {
        assert!(
            fs::metadata(account.home.join(".local").join(file)).is_ok_and(|found| found.len() > 500),
            "{file}"
        );
    }
    account.with_dependencies();

    let up = account.document(&["up", "--sim", "--for", "20s"]);
    assert_eq!(
        (&up["ok"], &up["integrity"]["verdict"]),
        (&Value::Bool(true), &Value::from("pass")),
        "{up}"
    );

    // Another program in its place while everything runs: one service at a time, the supervisor too, and nothing is lost.
    account.document(&["start", "--sim"]);
    let (old, supervisor) = (pids(&account.document(&["status"])), supervisor(&account));
    let program = |pid: u32| {
        fs::metadata(format!("/proc/{pid}/exe"))
            .map(|found| found.ino())
            .unwrap_or_default()
    };
    let former = program(supervisor.pid);
    account.run(&install, &["--binary", &binary_text]);
    let new = pids(&account.document(&["status"]));
    assert_eq!(new.len(), 6, "{new:?}");
    for ((name, old), (_, new)) in old.iter().zip(&new) {
        assert_ne!(old, new, "{name} runs anew");
        let pid = u32::try_from(*new).expect("a pid");
        assert_ne!(program(pid), former, "{name} runs the new program");
    }
    let next = self::supervisor(&account);
    assert_ne!(next, supervisor);
    assert_ne!(program(next.pid), former, "the supervisor too");
    let log = fs::read_to_string(account.home.join(".local/share/mprism/history.jsonl")).expect("there");
    assert!(
        log.lines().last().is_some_and(|line| line.contains("--one-by-one")),
        "{log}"
    );
    one_at_a_time(&account);
    mprism_testkit::until("what was missed meanwhile is there", async || {
        let done = account
            .command(&account.mprism(), &["integrity", "--json"])
            .output()
            .expect("runs");
        let integrity: Value = serde_json::from_slice(&done.stdout).map_err(|e| e.to_string())?;
        // The simulator ends, too, and what it sent right before is in no history of its next life.
        let checks = integrity["checks"].as_array().cloned().unwrap_or_default();
        let is_whole = !checks.is_empty()
            && checks
                .iter()
                .filter(|check| check["level"] == "error")
                .all(|check| check["id"] == "continuity" && check["cause"] == "open");
        if is_whole { Ok(()) } else { Err(integrity.to_string()) }
    })
    .await;

    // Data stays where nobody said that it may go; the next installation finds it.
    let removed = account.run(&install, &["--uninstall"]);
    let said = String::from_utf8_lossy(&removed.stdout).into_owned();
    let home = account.home.join(".local/share/mprism");
    assert!(said.contains(&format!("kept: {}", home.display())), "{said}");
    assert!(home.join("data").is_dir() && !account.mprism().exists());
    assert_eq!(account.processes(), Vec::<String>::new(), "what ran was stopped");
    account.run(&install, &["--binary", &binary_text]);
    account.run(&install, &["--uninstall", "--purge"]);
    assert_eq!(account.tree(), before);
    let elsewhere = Command::new("find")
        .args([
            "/tmp",
            "/var/tmp",
            "/run",
            "/dev/shm",
            "-xdev",
            "-uid",
            &account.uid.to_string(),
            "-not",
            "-path",
        ])
        .arg(format!("{}*", account.home.display()))
        .output()
        .expect("find runs");
    assert_eq!(String::from_utf8_lossy(&elsewhere.stdout), "");
}

fn supervisor(account: &Account) -> ProcessIdentity {
    let text = fs::read_to_string(account.home.join(".local/share/mprism/run/supervisor.lock")).expect("there");
    let holder: Value = serde_json::from_str(&text).expect("a holder");
    let pid = holder["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    pid.and_then(ProcessIdentity::of).expect("it runs")
}

/// The start of each service lies behind that of the one before it: never were two of them down at once.
fn one_at_a_time(account: &Account) {
    let status = account.document(&["status"]);
    let mut started: Vec<u64> = Vec::new();
    for (_, pid) in pids(&status) {
        let process = ProcessIdentity::of(u32::try_from(pid).expect("a pid")).expect("alive");
        started.push(process.start_ticks);
    }
    assert!(started.is_sorted(), "{started:?}");
}
