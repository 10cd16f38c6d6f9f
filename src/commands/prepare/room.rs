//! Room on disks: told before something runs full, and blamed when something did.

use std::path::Path;

use crate::error::CliError;
use crate::report::bytes;

/// What a new home needs before it holds any data: logs, the engine's own tables, the broker's streams.
const HOME_BYTES_MIN: u64 = 64 << 20;

/// Refuses where the disk of a path, which need not exist, holds less than `needed` bytes.
///
/// # Errors
/// Where there is too little room. Where it cannot be told, using it finds out.
pub(super) fn require(path: &Path, needed: u64, what: &str) -> Result<(), CliError> {
    let place = path.ancestors().find(|path| path.exists()).unwrap_or(path);
    match free(place) {
        Some(free) if free < needed => {
            let (needed, free, path) = (bytes(needed), bytes(free), path.display());
            let text = format!("{what} needs {needed} in {path}, {free} are free");
            Err(CliError::failed("disk_full", anyhow::Error::msg(text))
                .hint(format!("free some space: `df -h {}`", place.display())))
        }
        _ => Ok(()),
    }
}

/// Refuses where a new home would have too little room.
pub(super) fn require_home(home: &Path) -> Result<(), CliError> {
    require(home, HOME_BYTES_MIN, "a new home")
}

/// Says that the disk is full, where it is, above whatever failed because of it.
pub(crate) fn blame(home: &Path, error: CliError) -> CliError {
    match require(home, HOME_BYTES_MIN, "a home") {
        Ok(()) => error,
        Err(full) => CliError {
            code: full.code,
            source: error.source.context(format!("{:#}", full.source)),
            hints: full.hints,
            ..error
        },
    }
}

fn free(place: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(place).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
