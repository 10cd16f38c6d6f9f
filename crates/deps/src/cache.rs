//! The per-user cache: one folder per pinned version, with the file, a record of its check, and a lock.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::event::Timespec;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::fetch::{self, MODE, Provider};
use crate::record::Record;
use crate::{Dependency, DepsError, FetchOptions, Installed, Pin, Progress};

/// How often the lock is tried that another process holds.
const TRY_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

impl Pin {
    /// Makes sure that the pinned file is in the cache, fetching it where it is missing or damaged.
    ///
    /// Safe to call from several threads and processes at once: one fetches, the others wait.
    ///
    /// # Errors
    /// See [`DepsError`]; the cache is then as it was, or better.
    pub fn ensure(&self, options: &FetchOptions, progress: &dyn Fn(Progress)) -> Result<Installed, DepsError> {
        let path = self.cached(&options.cache);
        let installed = |fetched| Installed {
            dependency: self.dependency,
            path: path.clone(),
            fetched,
        };
        if is_verified(self, &path) {
            return Ok(installed(false));
        }
        let folder = path.parent().unwrap_or(&options.cache);
        if may_fetch(options) {
            // Before anything is written: what the flags rule out changes nothing.
            self.check_provider(options.provider)?;
        } else if !folder.exists() {
            return Err(offline(self.dependency, &path));
        }
        fs::create_dir_all(folder).map_err(|e| DepsError::io(self.dependency, "create", folder, e))?;
        let _held = lock(self.dependency, folder, options, progress)?;
        let fetched = match adopt(self, &path) {
            Ok(()) => false,
            Err(unusable) if !may_fetch(options) => return Err(while_offline(self.dependency, &path, unusable)),
            Err(unusable) if !is_mended_by_fetching(&unusable) => return Err(unusable),
            Err(_missing_or_damaged) => {
                sweep(folder);
                fetch::fetch(self, options, folder, &path, progress)?;
                record(self.dependency, &path)?;
                true
            }
        };
        progress(Progress::Ready(self.dependency));
        Ok(installed(fetched))
    }

    /// Compares a file with the pin, every byte of it.
    ///
    /// # Errors
    /// [`DepsError::Mismatch`] where it differs, [`DepsError::Io`] where it cannot be read.
    pub fn verify(&self, path: &Path) -> Result<(), DepsError> {
        let different = fetch::compare(path, self.size, &self.sha256, &|| Ok(()));
        match different.map_err(|e| DepsError::io(self.dependency, "read", path, e))? {
            None => Ok(()),
            Some(difference) => Err(DepsError::Mismatch {
                dependency: self.dependency,
                path: path.to_path_buf(),
                expected: difference.expected,
                found: difference.found,
            }),
        }
    }

    /// Compares a file with what was recorded when it was verified, and reads it only where that differs.
    ///
    /// # Errors
    /// As [`Pin::verify`].
    pub fn verify_quick(&self, path: &Path) -> Result<(), DepsError> {
        let path = fs::canonicalize(path).map_err(|e| DepsError::io(self.dependency, "find", path, e))?;
        if is_verified(self, &path) {
            return Ok(());
        }
        self.verify(&path)
    }
}

/// Links the cached file to `link`, replacing what is there in one step. Returns whether it was not linked before.
///
/// # Errors
/// Where the link cannot be made.
pub fn link(installed: &Installed, link: &Path) -> Result<bool, DepsError> {
    if fs::read_link(link).is_ok_and(|target| target == installed.path) {
        return Ok(false);
    }
    let replace = || -> io::Result<()> {
        let folder = link.parent().unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".link-")
            .make_in(folder, |path| std::os::unix::fs::symlink(&installed.path, path))?;
        Ok(temporary.into_temp_path().persist(link)?)
    };
    replace().map_err(|e| DepsError::io(installed.dependency, "link", link, e))?;
    Ok(true)
}

/// Returns the cache's place: `$XDG_CACHE_HOME/mprism`, else `~/.cache/mprism`.
pub fn cache_folder(xdg_cache_home: Option<&Path>, home: &Path) -> PathBuf {
    xdg_cache_home
        .map_or_else(|| home.join(".cache"), Path::to_path_buf)
        .join("mprism")
}

fn may_fetch(options: &FetchOptions) -> bool {
    !options.offline && options.provider != Provider::Path
}

/// Returns whether the cached file is the one that was verified, by size, time and inode: hashing 560 MB takes seconds.
fn is_verified(pin: &Pin, path: &Path) -> bool {
    let now = Record::of(path).ok();
    now.is_some_and(|now| now.size == pin.size && Record::read(path).is_some_and(|then| then == now))
}

/// Accepts what stands in the cache if it is the pinned file: fetched by whoever held the lock before, or put there by hand.
fn adopt(pin: &Pin, path: &Path) -> Result<(), DepsError> {
    if is_verified(pin, path) {
        return Ok(());
    }
    pin.verify(path)?;
    // A file that was copied here by hand may have lost its mode, and a server must run.
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
        .map_err(|e| DepsError::io(pin.dependency, "change the mode of", path, e))?;
    record(pin.dependency, path)
}

fn record(dependency: Dependency, path: &Path) -> Result<(), DepsError> {
    Record::of(path)
        .and_then(|record| record.write(path))
        .map_err(|e| DepsError::io(dependency, "record", path, e))
}

fn is_mended_by_fetching(error: &DepsError) -> bool {
    match error {
        DepsError::Mismatch { .. } => true,
        DepsError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Says of an unusable file what matters where none may be fetched.
fn while_offline(dependency: Dependency, path: &Path, unusable: DepsError) -> DepsError {
    match unusable {
        DepsError::Mismatch { expected, found, .. } => DepsError::Damaged {
            dependency,
            path: path.to_path_buf(),
            expected,
            found,
        },
        DepsError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => offline(dependency, path),
        other => other,
    }
}

fn offline(dependency: Dependency, path: &Path) -> DepsError {
    DepsError::Offline {
        dependency,
        path: path.to_path_buf(),
    }
}

/// Removes what killed processes left: whoever holds the lock is alone here, and all unfinished work has a hidden name.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")) {
        let path = entry.path();
        // What cannot be removed wastes room and harms nothing.
        let _left = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
    }
}

/// Waits until nobody else fetches the same file.
fn lock(
    dependency: Dependency,
    folder: &Path,
    options: &FetchOptions,
    progress: &dyn Fn(Progress),
) -> Result<File, DepsError> {
    let path = folder.join("lock");
    let failed = |e: io::Error| DepsError::io(dependency, "lock", &path, e);
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        progress(Progress::Waiting(dependency));
        let Some(cancel) = &options.cancel else {
            flock(&file, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
            return Ok(file);
        };
        // A lock that is waited for cannot be given up, so it is tried now and then.
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(failed(error.into()));
            }
            if cancel.within(&TRY_EVERY).map_err(failed)? {
                return Err(DepsError::Cancelled { dependency });
            }
        }
    }
    Ok(file)
}
