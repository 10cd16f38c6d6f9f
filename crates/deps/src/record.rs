//! What a file looked like when it was verified.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Size, time and inode of a verified file: if they are the same, so is the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) size: u64,
    mtime_ns: i128,
    inode: u64,
}

impl Record {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
        }
        let mtime_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Ok(Self {
            size: found.size(),
            mtime_ns,
            inode: found.ino(),
        })
    }

    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(beside(path)).ok()?).ok()
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        mprism_runtime::files::write_atomic(&beside(path), &serde_json::to_vec(self)?, 0o644)
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("verified.json")
}
