//! Being a table's one writer, on this host and on all.
//!
//! The lock tells processes of a home apart, the lease hosts that share a bus and a store, and the fence is what the store itself
//! holds a writer to that does not know yet that another one has taken over.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mprism_bus::{Bus, BusError, Lease, LeaseOptions};
use mprism_runtime::lock::LockFile;

use crate::stats::Stats;

/// A table's lock and lease.
#[derive(Debug)]
pub(crate) struct Writer {
    table: &'static str,
    bus: Arc<Bus>,
    options: LeaseOptions,
    lease: Option<Lease>,
    stats: Arc<Stats>,
    /// Held for life.
    _lock: LockFile,
}

impl Writer {
    pub(crate) fn new(
        table: &'static str,
        (lock, path): (LockFile, &Path),
        ttl: Duration,
        bus: Arc<Bus>,
        stats: Arc<Stats>,
    ) -> Self {
        let host = read_line("/proc/sys/kernel/hostname");
        Self {
            table,
            options: LeaseOptions {
                name: table.to_owned(),
                owner: owner(path),
                holder: format!("{host} (pid {}, {})", std::process::id(), path.display()),
                ttl,
            },
            bus,
            lease: None,
            stats,
            _lock: lock,
        }
    }

    /// Returns whether the table may be written at this moment.
    pub(crate) fn may_write(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_held)
    }

    /// Waits until the lease is ours. Returns whether another one may have had it meanwhile: then all that is known of the table
    /// has to be read again.
    pub(crate) async fn take(&mut self) -> Result<bool, BusError> {
        if self.may_write() {
            return Ok(false);
        }
        self.lease = None;
        let (table, stats) = (self.table, Arc::clone(&self.stats));
        let lease = Lease::acquire(&self.bus, &self.options, |holder| {
            tracing::warn!(table, %holder, "another worker writes the table; waiting until its lease ends");
            stats.stands_by(table, Some(&holder.to_string()));
        });
        self.lease = Some(lease.await?);
        self.stats.stands_by(table, None);
        Ok(true)
    }

    /// Waits until the table may not be written any more. Cancel safe.
    pub(crate) async fn lost(&self) {
        if let Some(lease) = &self.lease {
            lease.lost().await;
        }
    }

    /// Gives the table to whoever waits for it.
    pub(crate) async fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release().await;
        }
    }
}

/// Returns a name for what can hold the table's lock only once: the file itself, on this boot of this machine. A new life has it
/// from the old one and need not wait for a lease that nobody renews any more.
fn owner(lock: &Path) -> String {
    let boot = read_line("/proc/sys/kernel/random/boot_id");
    match std::fs::metadata(lock) {
        Ok(file) => format!("{boot}-{}-{}", file.dev(), file.ino()),
        // It is open and locked; a file system that does not tell of it makes the next life wait.
        Err(_) => format!("{boot}-{:032x}", rand::random::<u128>()),
    }
}

fn read_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}
