//! Tables that are being rebuilt: while somebody holds the lock of this, nobody who writes into them is started.
//!
//! The lock is the only record. What should run stays wanted meanwhile, and supervisors look at the lock before they start a
//! writer. So whoever rebuilds may be killed: the kernel lets go of the lock, and the writers come back by themselves. The name
//! that a killed one leaves in the file says that it did not finish.

use mprism_runtime::lock::{LockFile, LockState, probe};

use super::client::forget;
use super::error::ControlError;
use super::paths::HomePaths;
use super::service::Service;

/// How a rebuild of a home's tables stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilding {
    /// A command is at it.
    AtWork {
        /// Its process, where known.
        pid: Option<u32>,
    },
    /// The command that was at it has ended, and has not finished.
    CutShort,
}

impl Rebuilding {
    /// Looks how it stands; `None` where nothing is to be told.
    pub fn of(paths: &HomePaths) -> Option<Self> {
        match probe(&paths.rebuild_lock()) {
            Ok(LockState::Held(holder)) => Some(Self::AtWork {
                pid: holder.map(|holder| holder.pid),
            }),
            Ok(LockState::Stale(_)) => Some(Self::CutShort),
            Ok(LockState::Free) => None,
            Err(error) => {
                let error = mprism_runtime::log::chain(&error);
                tracing::error!(error, "it cannot be told whether tables are rebuilt");
                None
            }
        }
    }
}

/// The right to rebuild a home's tables. Dropped without [`Rebuilder::finish`] it leaves behind that the work was cut short.
#[derive(Debug)]
pub struct Rebuilder {
    lock: LockFile,
}

impl Rebuilder {
    /// Takes it: no writer is started from now on. Who runs already is to be paused.
    ///
    /// # Errors
    /// Where somebody has it, or the lock cannot be had.
    pub async fn begin(paths: &HomePaths) -> Result<Self, ControlError> {
        let lock = LockFile::acquire_from_named(&paths.rebuild_lock()).await?;
        Ok(Self { lock })
    }

    /// Gives it back with nothing left to do.
    ///
    /// # Errors
    /// Where the lock's file cannot be written.
    pub fn finish(self) -> Result<(), ControlError> {
        forget(self.lock)
    }
}

/// Returns why a service is not started now, in words.
pub(super) fn bar(paths: &HomePaths, service: Service) -> Option<String> {
    if !service.writes_tables() {
        return None;
    }
    match Rebuilding::of(paths)? {
        Rebuilding::AtWork { pid: Some(pid) } => Some(format!(
            "it waits for `mprism repair --schema` (pid {pid}) to rebuild tables"
        )),
        Rebuilding::AtWork { pid: None } => Some("it waits for `mprism repair --schema` to rebuild tables".to_owned()),
        Rebuilding::CutShort => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writers_wait_while_it_is_held_and_what_was_cut_short_is_known_until_it_is_finished() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let paths = HomePaths::new(folder.path());
        paths.ensure().expect("made");
        let us = std::process::id();
        let cut_short = Rebuilder::begin(&paths).await.expect("free");
        assert_eq!(Rebuilding::of(&paths), Some(Rebuilding::AtWork { pid: Some(us) }));
        for service in Service::ALL {
            let is_writer = matches!(service, Service::Hot | Service::Cold);
            assert_eq!(bar(&paths, service).is_some(), is_writer, "{service}");
        }
        let error = Rebuilder::begin(&paths).await.expect_err("held");
        assert!(mprism_runtime::log::chain(&error).contains(&us.to_string()), "{error}");
        drop(cut_short);
        assert_eq!(Rebuilding::of(&paths), Some(Rebuilding::CutShort));
        assert_eq!(bar(&paths, Service::Hot), None, "nobody waits for the dead");
        Rebuilder::begin(&paths).await.expect("free").finish().expect("written");
        assert_eq!(Rebuilding::of(&paths), None);
    }
}
