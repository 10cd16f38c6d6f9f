//! The spool: every event is written here, and gets its identity here, before it is published.
//!
//! Segments are append-only and checksummed; they are the only truth. "Acked up to" is a hint. A segment leaves when all of
//! it is acked and older than the broker's own fsync window, so that a broker that lost its last moments gets them again.

mod feed;
mod record;
mod recover;
mod tail;
mod writer;

use std::path::{Path, PathBuf};

use mprism_model::{Epoch, ProducerId};

pub(crate) use feed::Feed;
pub(crate) use record::Record;
pub(crate) use recover::recover;
pub(crate) use tail::Tail;
pub(crate) use writer::{Outgoing, State, Writer, WriterOptions};

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl SpoolError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// One file of the spool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// The identity of its first record.
    pub(crate) first: ProducerId,
    pub(crate) path: PathBuf,
}

impl Segment {
    fn new(folder: &Path, first: ProducerId) -> Self {
        // Names sort as identities do.
        let path = folder.join(format!("{:020}-{:020}.seg", first.epoch.0, first.seq));
        Self { first, path }
    }

    fn from_path(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
        let (epoch, seq) = name.split_once('-')?;
        let first = ProducerId {
            epoch: Epoch(epoch.parse().ok()?),
            seq: seq.parse().ok()?,
        };
        Some(Self { first, path })
    }
}

/// Returns the spool's segments in order.
pub(crate) fn segments(folder: &Path) -> Result<Vec<Segment>, SpoolError> {
    let entries = std::fs::read_dir(folder).map_err(SpoolError::io("list", folder))?;
    let mut found: Vec<Segment> = entries
        .flatten()
        .filter_map(|entry| Segment::from_path(entry.path()))
        .collect();
    found.sort();
    Ok(found)
}
