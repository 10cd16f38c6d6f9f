//! Pinned third-party binaries: fetched, verified and put in place atomically.
//!
//! One pins file names what is fetched; package clients fetch it; nothing is used that is not exactly what the pins say.
//! Files live once per user in a cache and are linked into each home.

mod cache;
mod cancel;
mod client;
mod error;
mod fetch;
mod pins;
mod record;
mod unpack;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use cache::{cache_folder, link};
pub use cancel::Cancel;
pub use error::DepsError;
pub use fetch::Provider;
pub use pins::{Dependency, Pin, PinnedSource};

/// How long a package client may neither say nor write anything: twice npm's own limit for one answer.
pub const STALL_MAX: Duration = Duration::from_secs(600);

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// The per-user cache.
    pub cache: PathBuf,
    /// Which source to use.
    pub provider: Provider,
    /// Whether only what is already on the machine may be used.
    pub offline: bool,
    /// Folders searched for `python3` and `npm`, as in `PATH`.
    pub search_path: std::ffi::OsString,
    /// How long a package client may neither say nor write anything before it is ended; [`STALL_MAX`] outside tests.
    pub stall_max: Duration,
    /// What ends the fetch early; without it nothing does.
    pub cancel: Option<Cancel>,
}

impl FetchOptions {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }
}

/// What happens while something is fetched, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another process fetches the same file; we wait for it.
    Waiting(Dependency),
    /// A download starts.
    Downloading(Dependency, u64),
    /// Bytes of the archive that have arrived.
    Downloaded(Dependency, u64),
    /// Unpacking starts; the unpacked size in bytes.
    Unpacking(Dependency, u64),
    /// Bytes unpacked so far.
    Unpacked(Dependency, u64),
    /// The file is in place.
    Ready(Dependency),
}

/// A verified file in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// What it is.
    pub dependency: Dependency,
    /// Where it is.
    pub path: PathBuf,
    /// Whether this call fetched it.
    pub fetched: bool,
}

/// Makes sure that the file pinned for this machine is in the cache.
///
/// # Errors
/// As [`Pin::ensure`], and where nothing is pinned for this machine.
pub fn ensure(
    dependency: Dependency,
    options: &FetchOptions,
    progress: &dyn Fn(Progress),
) -> Result<Installed, DepsError> {
    dependency.pin()?.ensure(options, progress)
}

/// Compares a file with what is pinned for this machine, every byte of it.
///
/// # Errors
/// As [`Pin::verify`], and where nothing is pinned for this machine.
pub fn verify_full(dependency: Dependency, path: &Path) -> Result<(), DepsError> {
    dependency.pin()?.verify(path)
}

/// Compares a file with what was recorded when it was verified, and reads it only where that differs.
///
/// # Errors
/// As [`verify_full`].
pub fn verify_quick(dependency: Dependency, path: &Path) -> Result<(), DepsError> {
    dependency.pin()?.verify_quick(path)
}
