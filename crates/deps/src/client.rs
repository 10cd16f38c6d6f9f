//! A package client at work: what it is told, how far it is, what it says, how it ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::pins::PinnedSource;
use crate::{Cancel, Dependency, DepsError, FetchOptions, Progress, Provider};

/// How often progress is told while a client neither speaks nor ends.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How much of a client's words is kept: the end of them.
const SAID_BYTES_MAX: usize = 64 << 10;

/// What a client on a full disk says.
const FULL: [&str; 5] = [
    "No space left on device",
    "ENOSPC",
    "Disk quota exceeded",
    "EDQUOT",
    "No usable temporary directory",
];

/// Runs the package client in `work` and returns the one file it left there.
pub(crate) fn download(
    dependency: Dependency,
    source: &PinnedSource,
    options: &FetchOptions,
    work: &Path,
    progress: &dyn Fn(Progress),
) -> Result<PathBuf, DepsError> {
    let (client, arguments) = client_of(source.provider);
    let program = find_program(client, &options.search_path).ok_or(DepsError::ClientMissing { dependency, client })?;
    let (package, scratch) = (work.join("package"), work.join("client"));
    for folder in [&package, &scratch] {
        fs::create_dir(folder).map_err(|e| DepsError::io(dependency, "create", folder, e))?;
    }
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .arg(&source.package)
        .current_dir(&package)
        .env("PATH", &options.search_path)
        // What it says is read: a full disk, a missing module.
        .env("LC_ALL", "C.UTF-8")
        // All that a client writes lies here: it goes with the work, it counts as progress, and only one disk can be full.
        .env("TMPDIR", &scratch)
        .env("PIP_NO_CACHE_DIR", "1")
        .env("npm_config_cache", &scratch);
    let arrived = || {
        let bytes = bytes_in(work);
        // npm keeps a copy of its own, so that both together are more than the package.
        progress(Progress::Downloaded(dependency, bytes.min(source.size)));
        bytes
    };
    let ended = run(&mut command, options, &arrived);
    let Ended { status, said } = ended.map_err(|e| DepsError::io(dependency, "run", &program, e))?;
    if options.is_cancelled() {
        return Err(DepsError::Cancelled { dependency });
    }
    let failed = |status, output| DepsError::Client {
        dependency,
        command: command_line(source),
        status,
        output,
    };
    let Some(status) = status else {
        return Err(DepsError::Stalled {
            dependency,
            command: command_line(source),
            after: options.stall_max,
        });
    };
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        return Err(if FULL.iter().any(|words| said.contains(words)) {
            let path = options.cache.clone();
            DepsError::DiskFull { dependency, path }
        } else if said.contains("No module named pip") {
            let client = "pip";
            DepsError::ClientMissing { dependency, client }
        } else {
            failed(status, last_lines(&said))
        });
    }
    // Room for what is unpacked next.
    fs::remove_dir_all(&scratch).map_err(|e| DepsError::io(dependency, "remove", &scratch, e))?;
    largest_file(&package).ok_or_else(|| failed(status, "it left no file".into()))
}

/// Returns what is run, as one would type it.
pub(crate) fn command_line(source: &PinnedSource) -> String {
    let (client, arguments) = client_of(source.provider);
    format!("{client} {} {}", arguments.join(" "), source.package)
}

fn client_of(provider: Provider) -> (&'static str, &'static [&'static str]) {
    match provider {
        Provider::Pip => (
            "python3",
            &[
                "-m",
                "pip",
                "download",
                "--no-deps",
                // A source package would be built, which runs what nobody has verified.
                "--only-binary=:all:",
                "--quiet",
                "--disable-pip-version-check",
                "--dest",
                ".",
            ],
        ),
        // `--silent` would hide errors too.
        Provider::Npm => (
            "npm",
            &["pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier"],
        ),
        Provider::Auto | Provider::Path => unreachable!("the pins name package clients only"),
    }
}

/// How a client ended: without a status where it stalled, or was given up, and was killed.
struct Ended {
    status: Option<ExitStatus>,
    said: Vec<u8>,
}

/// A process that leads a group. All of the group is killed, and the process reaped, when this is dropped before it ended.
struct Running {
    child: Child,
    is_reaped: bool,
}

impl Running {
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.is_reaped = true;
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_reaped {
            // Its number may be somebody else's by now.
            return;
        }
        // It fails only where the whole group is gone.
        let _gone = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _gone = self.child.wait();
    }
}

/// Runs a client to its end, until it is given up, or until neither its words nor what `arrived` returns have changed for too
/// long.
///
/// Its words go through a pipe and not into a file: on a full disk they are what tells so, and would be lost.
fn run(command: &mut Command, options: &FetchOptions, arrived: &dyn Fn() -> u64) -> io::Result<Ended> {
    // `command` keeps its writing ends, so the pipe stays open; the end of the process counts, not that of the pipe, which a
    // grandchild might hold.
    let (mut reader, writer) = io::pipe()?;
    fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    // A group of its own: Ctrl-C is for us, and what ends it ends its children too.
    command.process_group(0);
    let mut running = Running {
        child: command.spawn()?,
        is_reaped: false,
    };
    let end = pidfd_open(Pid::from_child(&running.child), PidfdFlags::empty())?;
    let (mut said, mut bytes, mut changed) = (Vec::new(), 0, Instant::now());
    loop {
        let mut events = vec![PollFd::new(&end, PollFlags::IN), PollFd::new(&reader, PollFlags::IN)];
        events.extend(options.cancel.as_ref().map(Cancel::readable));
        match poll(&mut events, Some(&LOOK_EVERY)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = !events[0].revents().is_empty();
        let has_spoken = listen(&mut reader, &mut said)?;
        if has_ended {
            let status = Some(running.reap()?);
            return Ok(Ended { status, said });
        }
        if options.is_cancelled() {
            return Ok(Ended { status: None, said });
        }
        let now = arrived();
        if has_spoken || now != bytes {
            (bytes, changed) = (now, Instant::now());
        } else if changed.elapsed() >= options.stall_max {
            return Ok(Ended { status: None, said });
        }
    }
}

/// Takes what is in the pipe now; returns whether there was anything.
fn listen(reader: &mut PipeReader, said: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let mut has_spoken = false;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(has_spoken),
            Ok(read) => {
                has_spoken = true;
                said.extend_from_slice(&buffer[..read]);
                said.drain(..said.len().saturating_sub(SAID_BYTES_MAX));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(has_spoken),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the end of what a client wrote, without control characters.
fn last_lines(text: &str) -> String {
    // npm's log lies in the work, which is gone by the time somebody would look.
    let is_told = |line: &&str| !line.trim().is_empty() && !line.contains("A complete log of this run");
    let lines: Vec<&str> = text.lines().filter(is_told).collect();
    if lines.is_empty() {
        return "it said nothing".into();
    }
    let tail = lines[lines.len().saturating_sub(4)..].join("; ");
    tail.chars().filter(|c| !c.is_control()).take(600).collect()
}

/// Returns the size of all files below `folder`; what vanishes meanwhile counts nothing.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

fn largest_file(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let files = entries.filter_map(|e| Some((e.path(), e.metadata().ok()?)));
    files
        .filter(|(_, found)| found.is_file())
        .max_by_key(|(_, found)| found.len())
        .map(|(path, _)| path)
}

/// Relative folders are left out: they would mean another place once the client's folder is entered.
fn find_program(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}
