//! What is let in: nothing that the spool has no room for. What is in the spool is never shed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mprism_runtime::log::Causes;
use tokio_util::sync::CancellationToken;

use crate::spool;

/// How often the room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Order books are refused when this part of the spool is full: what cannot be derived from anything else stays welcome.
const BOOKS_FULL_PERCENT: u64 = 80;

/// Whether events may be accepted now.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    is_open: Arc<AtomicBool>,
    is_open_for_books: Arc<AtomicBool>,
}

impl Admission {
    pub(crate) fn new() -> Self {
        Self {
            is_open: Arc::new(AtomicBool::new(true)),
            is_open_for_books: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Returns whether an order book may be accepted: they are the first that there is no room for.
    pub(crate) fn admits_books(&self) -> bool {
        self.is_open_for_books.load(Ordering::Relaxed)
    }

    /// Returns whether an event may be accepted.
    pub(crate) fn admits(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Watches the spool's size and the disk's room until `shutdown` is cancelled.
    pub(crate) async fn watch(self, folder: PathBuf, bytes_max: u64, free_bytes_min: u64, shutdown: CancellationToken) {
        let causes = Causes::new();
        loop {
            let looked = {
                let folder = folder.clone();
                tokio::task::spawn_blocking(move || (size(&folder), free(&folder)))
            };
            if let Ok((size, free)) = looked.await {
                let is_open = size < bytes_max && free.is_none_or(|free| free > free_bytes_min);
                if !is_open && causes.first("no_room") {
                    tracing::error!(
                        size,
                        free,
                        "the spool has no room: events are refused, their range is kept as a gap"
                    );
                }
                self.is_open.store(is_open, Ordering::Relaxed);
                let is_open = is_open && size < bytes_max / 100 * BOOKS_FULL_PERCENT;
                self.is_open_for_books.store(is_open, Ordering::Relaxed);
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

fn size(folder: &Path) -> u64 {
    let segments = spool::segments(folder).unwrap_or_default();
    let sizes = segments
        .iter()
        .filter_map(|segment| std::fs::metadata(&segment.path).ok());
    sizes.map(|found| found.len()).sum()
}

/// Returns the bytes that the folder's disk still has for us.
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail * found.f_frsize)
}
