//! Where a home keeps what belongs to running it.

use std::io;
use std::path::{Path, PathBuf};

use mprism_runtime::files;

use super::service::Service;

/// The run and log folders of one home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomePaths {
    home: PathBuf,
}

impl HomePaths {
    /// Names the places of `home`; touches nothing.
    pub fn new(home: &Path) -> Self {
        Self { home: home.into() }
    }

    /// Returns the home itself.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the folder of locks, socket and state (mode 0700).
    pub fn run(&self) -> PathBuf {
        self.home.join("run")
    }

    /// Returns the folder of logs (mode 0755, so that logrotate may work in it).
    pub fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }

    /// Returns the log that a service writes itself.
    pub fn log(&self, service: Service) -> PathBuf {
        self.logs().join(format!("{service}.log"))
    }

    /// Returns the file that takes a service's standard output and error: panics, and what children of it print.
    pub fn output(&self, service: Service) -> PathBuf {
        self.logs().join(format!("{service}.out"))
    }

    /// Returns the file name of the supervisor's socket within [`HomePaths::run`].
    pub fn socket_name() -> &'static str {
        "supervisor.sock"
    }

    /// Returns the lock that the supervisor holds for life.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.run().join("supervisor.lock")
    }

    /// Returns the lock that a command holds while it changes what runs.
    pub fn operation_lock(&self) -> PathBuf {
        self.run().join("operation.lock")
    }

    /// Returns the lock that a command holds while it rebuilds tables.
    pub fn rebuild_lock(&self) -> PathBuf {
        self.run().join("rebuild.lock")
    }

    /// Returns the supervisor's registry.
    pub fn state(&self) -> PathBuf {
        self.run().join("state.json")
    }

    /// Returns where the process that keeps a service's container writes down which control group that is.
    pub fn container(&self, service: Service) -> PathBuf {
        self.run().join(format!("{service}.container.json"))
    }

    /// Creates the folders, with their modes and owner checked.
    ///
    /// # Errors
    /// Where a folder cannot be made, is a link, or belongs to another user; the error names it.
    pub fn ensure(&self) -> io::Result<()> {
        for (folder, mode) in [(self.home.clone(), 0o755), (self.run(), 0o700), (self.logs(), 0o755)] {
            // The home's own mode is its owner's choice once it exists.
            if folder == self.home && folder.is_dir() {
                continue;
            }
            files::ensure_folder(&folder, mode)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
        }
        Ok(())
    }
}
