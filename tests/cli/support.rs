//! The binary in a home of its own: nothing of the caller's environment reaches it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use serde_json::Value;

/// What a program may rely on in each entry of `deps list`.
pub(crate) const STATE_KEYS: [&str; 7] = ["name", "version", "sha256", "bytes", "path", "state", "linked"];

/// A home, a user's folder and an environment.
#[derive(Clone)]
pub(crate) struct Home {
    folder: Rc<tempfile::TempDir>,
    environment: BTreeMap<String, String>,
}

/// How a run of the binary ended.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let text = |name: &str| folder.path().join(name).display().to_string();
        for name in ["home", "user"] {
            fs::create_dir(folder.path().join(name)).expect("made");
        }
        let environment = [("HOME", text("user")), ("MPRISM_HOME", text("home"))];
        Self {
            environment: environment
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            folder: Rc::new(folder),
        }
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.environment.insert(name.to_owned(), value.to_owned());
        with
    }

    pub(crate) fn without(&self, name: &str) -> Self {
        let mut without = self.clone();
        without.environment.remove(name);
        without
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn user(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// Writes a file of the home.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("within the home")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// Returns everything in the home and in the user's folder, by name.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.path(), &mut found);
        walk(&self.user(), &mut found);
        found.sort();
        found
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mprism"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn mprism(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().expect("started");
        Done {
            code: output.status.code().expect("not killed"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs the binary with a standard output that nobody reads.
    pub(crate) fn mprism_into_closed_pipe(&self, arguments: &[&str]) -> Done {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = self.command(arguments).stdout(writer).stderr(Stdio::piped()).spawn();
        let output = output.and_then(std::process::Child::wait_with_output).expect("started");
        Done {
            code: output.status.code().expect("not killed"),
            stdout: String::new(),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Done {
    /// Returns the one document on standard output, without what differs from run to run.
    pub(crate) fn document(&self) -> Value {
        let mut document: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout));
        assert_eq!(document["mprism"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["exit_code"], self.code);
        let elapsed = document.as_object_mut().and_then(|map| map.remove("elapsed_ms"));
        assert!(elapsed.is_some_and(|ms| ms.is_u64()));
        document
    }
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        found.push(path.display().to_string());
        if path.is_dir() {
            walk(&path, found);
        }
    }
}

/// Removes what colours a terminal, and the room that colours take at the ends of lines.
pub(crate) fn without_color(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
