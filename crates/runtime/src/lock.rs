//! One holder at a time: an flock held for life, on a file that is never removed.
//!
//! The lock is the truth; who holds it is written inside for people and for adoption, and is only information.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::process::ProcessIdentity;

/// How long a holder may have no name.
const NAMELESS_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Who says to hold a lock.
pub type Holder = ProcessIdentity;

/// A held lock. It is released when the last copy of its descriptor closes: at the latest when its processes end.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
}

/// What is known about a lock without taking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    /// No file, or an empty one.
    Free,
    /// A file that names a past holder; nobody holds it.
    Stale(Option<Holder>),
    /// Held now. The holder is unknown where the file does not name a live process.
    Held(Option<Holder>),
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("lock {} is held{}", path.display(), by(holder))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where known.
        holder: Option<Holder>,
    },
    /// The file at the lock's path is not one we may use.
    #[error("lock {} is not usable: {reason}", path.display())]
    Unsafe {
        /// The lock file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot open lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn by(holder: &Option<Holder>) -> String {
    match holder {
        Some(holder) => format!(" by pid {} ({})", holder.pid, holder.exe.display()),
        None => String::new(),
    }
}

impl LockFile {
    /// Takes the lock and writes who we are into it.
    ///
    /// # Errors
    /// [`LockError::Held`] where somebody holds it; [`LockError::Unsafe`] where a link, another user's file or something
    /// that is not a plain file stands at `path`; nothing is changed then.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let lock = Self::open(path)?;
        lock.record(&ProcessIdentity::current())?;
        Ok(lock)
    }

    /// As [`LockFile::acquire`], and who refuses it has a name: a holder that has none is only looking, or is about to write it, and
    /// is waited for.
    ///
    /// # Errors
    /// As [`LockFile::acquire`].
    pub async fn acquire_from_named(path: &Path) -> Result<Self, LockError> {
        let began = Instant::now();
        loop {
            match Self::acquire(path) {
                Err(LockError::Held { holder: None, .. }) if began.elapsed() < NAMELESS_WITHIN => {}
                outcome => return outcome,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes the lock without writing into it, for a holder that is still to be started (see [`LockFile::record`]).
    ///
    /// # Errors
    /// As [`LockFile::acquire`].
    pub fn open(path: &Path) -> Result<Self, LockError> {
        let file = open_ours(path, true)?.ok_or_else(|| io_error(path, io::ErrorKind::NotFound.into()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held {
                    path: path.into(),
                    holder: read_holder(&file),
                });
            }
            Err(error) => return Err(io_error(path, error.into())),
        }
        // A file that was replaced between opening and locking is not the one others lock.
        let (ours, there) = (file.metadata(), fs::symlink_metadata(path));
        match (ours, there) {
            (Ok(ours), Ok(there)) if ours.ino() == there.ino() && ours.dev() == there.dev() => Ok(Self {
                file,
                path: path.into(),
            }),
            _ => Err(LockError::Unsafe {
                path: path.into(),
                reason: "replaced while it was being locked".into(),
            }),
        }
    }

    /// Writes who holds the lock into it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn record(&self, holder: &Holder) -> Result<(), LockError> {
        let write = || -> io::Result<()> {
            let mut file = &self.file;
            file.set_len(0)?;
            file.rewind()?;
            serde_json::to_writer(file, holder)?;
            file.write_all(b"\n")
        };
        write().map_err(|source| io_error(&self.path, source))
    }

    /// Takes the name out of the lock again, which stays held.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn unname(&self) -> Result<(), LockError> {
        self.file.set_len(0).map_err(|source| io_error(&self.path, source))
    }

    /// Returns a copy of the descriptor for a child to inherit: the lock then lives as long as the child.
    ///
    /// # Errors
    /// Where no descriptor can be had.
    pub fn inheritable_fd(&self) -> io::Result<OwnedFd> {
        let copy = rustix::io::dup(self.file.as_fd())?;
        rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty())?;
        Ok(copy)
    }

    /// Returns where the lock is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Looks at a lock without taking it for longer than the look.
///
/// # Errors
/// As [`LockFile::acquire`], but being held is an answer.
pub fn probe(path: &Path) -> Result<LockState, LockError> {
    let Some(file) = open_ours(path, false)? else {
        return Ok(LockState::Free);
    };
    // A shared lock: two probes at once do not take each other for a holder.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) if file.metadata().map_or(0, |m| m.len()) == 0 => Ok(LockState::Free),
        Ok(()) => Ok(LockState::Stale(parse_holder(&file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(LockState::Held(read_holder(&file))),
        Err(error) => Err(io_error(path, error.into())),
    }
}

/// Forgets the past holder of a lock that nobody holds; the file itself stays.
///
/// # Errors
/// As [`LockFile::open`]: a lock that is held is left alone.
pub fn forget(path: &Path) -> Result<(), LockError> {
    let lock = LockFile::open(path)?;
    lock.unname()
}

/// Opens the file at `path` if it is a plain file of ours with one name.
fn open_ours(path: &Path, create: bool) -> Result<Option<File>, LockError> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits() as i32)
        .open(path);
    let refused = |reason: &str| LockError::Unsafe {
        path: path.into(),
        reason: reason.into(),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !create => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(refused("a symbolic link stands there"));
        }
        Err(source) => return Err(io_error(path, source)),
    };
    let found = file.metadata().map_err(|source| io_error(path, source))?;
    if !found.is_file() {
        return Err(refused("not a plain file"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused(&format!("it belongs to uid {}", found.uid())));
    }
    if found.nlink() != 1 {
        return Err(refused("it has a second name (hard link)"));
    }
    Ok(Some(file))
}

/// Reads who holds the lock, if that process is alive. A holder that is just writing reads as unknown.
fn read_holder(file: &File) -> Option<Holder> {
    parse_holder(file).filter(ProcessIdentity::is_alive)
}

fn parse_holder(mut file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn io_error(path: &Path, source: io::Error) -> LockError {
    LockError::Io {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_file_stays() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("hot.lock");
        assert_eq!(probe(&path).expect("looked at"), LockState::Free);
        let lock = LockFile::acquire(&path).expect("free");
        let us = ProcessIdentity::current();
        assert_eq!(probe(&path).expect("looked at"), LockState::Held(Some(us.clone())));
        match LockFile::acquire(&path) {
            Err(LockError::Held { holder, .. }) => assert_eq!(holder, Some(us.clone())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert_eq!(probe(&path).expect("looked at"), LockState::Stale(Some(us)));
        let again = LockFile::acquire(&path).expect("a stale lock is no obstacle");
        forget(&path).expect_err("it is held");
        drop(again);
        forget(&path).expect("nobody holds it");
        assert_eq!(probe(&path).expect("looked at"), LockState::Free);
    }

    #[test]
    fn a_child_that_inherits_the_lock_keeps_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("nats.lock");
        let lock = LockFile::open(&path).expect("free");
        let fd = lock.inheritable_fd().expect("a descriptor");
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("sleep runs");
        lock.record(&ProcessIdentity::of(child.id()).expect("alive"))
            .expect("written");
        drop((lock, fd));
        match probe(&path).expect("looked at") {
            LockState::Held(Some(holder)) => assert_eq!(holder.pid, child.id()),
            other => panic!("{other:?}"),
        }
        child.kill().expect("ours");
        child.wait().expect("reaped");
        assert!(matches!(probe(&path).expect("looked at"), LockState::Stale(_)));
    }

    #[test]
    fn what_is_not_a_plain_file_of_ours_is_refused_and_untouched() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").expect("written");
        let link = folder.path().join("link.lock");
        std::os::unix::fs::symlink(&victim, &link).expect("linked");
        let hard = folder.path().join("hard.lock");
        fs::hard_link(&victim, &hard).expect("linked");
        let fifo = folder.path().join("fifo.lock");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).expect("made");
        for path in [link, hard, fifo, folder.path().to_path_buf()] {
            let error = LockFile::acquire(&path).expect_err("refused");
            assert!(!matches!(error, LockError::Held { .. }), "{error}");
        }
        assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
    }
}
