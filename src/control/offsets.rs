//! Port offsets for homes that must not meet: tests, `smoke`, several homes on one machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use mprism_runtime::files;
use mprism_runtime::lock::{LockError, LockFile};

use super::ports;

/// Every standard port; an offset moves them all.
pub(super) const STANDARD_PORTS: [u16; 9] = [4222, 8085, 8086, 8087, 8088, 8090, 8123, 8222, 9093];
/// Offsets are multiples of this.
pub const OFFSET_STEP: u16 = 100;
/// The largest offset keeps every port below the range from which the kernel draws ports of connections (32768 up).
const OFFSET_MAX: u16 = 23_000;

/// An offset that is ours for as long as this value lives.
#[derive(Debug)]
pub struct ClaimedOffset {
    /// What to add to every standard port.
    pub offset: u16,
    _lock: LockFile,
}

/// Why no offset could be claimed.
#[derive(Debug, thiserror::Error)]
pub enum OffsetError {
    /// The folder of claims cannot be used.
    #[error("cannot use the folder {folder}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A claim cannot be made.
    #[error("cannot claim a port offset")]
    Claim(#[from] LockError),
    /// Everything is taken.
    #[error("no port offset up to {OFFSET_MAX} is free")]
    NoneFree,
}

/// Claims a free offset by a lock in `folder`, which all homes of one user share. Ports that somebody else listens on are
/// passed over.
///
/// # Errors
/// See [`OffsetError`].
pub fn claim_free_offset(folder: &Path) -> Result<ClaimedOffset, OffsetError> {
    files::ensure_folder(folder, 0o700).map_err(|source| OffsetError::Folder {
        folder: folder.display().to_string(),
        source,
    })?;
    let steps = OFFSET_MAX / OFFSET_STEP;
    // Starting apart keeps tests that run at once from trying the same offsets one after another.
    let first = u16::try_from(std::process::id() % u32::from(steps)).unwrap_or(0);
    for step in (0..steps).map(|step| (first + step) % steps + 1) {
        let offset = step * OFFSET_STEP;
        let lock = match LockFile::acquire(&folder.join(format!("offset-{offset}.lock"))) {
            Ok(lock) => lock,
            Err(LockError::Held { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let addresses = STANDARD_PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port + offset)));
        if ports::all_free(&addresses) {
            return Ok(ClaimedOffset { offset, _lock: lock });
        }
    }
    Err(OffsetError::NoneFree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_differ_and_a_taken_port_is_passed_over() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let claims = folder.path().join("offsets");
        let first = claim_free_offset(&claims).expect("free");
        let second = claim_free_offset(&claims).expect("free");
        assert_ne!(first.offset, second.offset);
        assert_eq!(first.offset % OFFSET_STEP, 0);
        let free_again = first.offset;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 4222 + free_again)).expect("claimed, so free");
        drop(first);
        let third = claim_free_offset(&claims).expect("free");
        assert_ne!(third.offset, free_again);
        drop(listener);
    }
}
