//! The supervisor's registry: what should be up, what runs, with which options. It informs; locks decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use mprism_runtime::files;
use mprism_runtime::process::ProcessIdentity;
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::service::Service;

/// What outlives the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The options of the last start.
    pub deployment: Deployment,
    /// What should be up.
    pub desired: BTreeSet<Service>,
    /// What is known of each service that was started.
    pub units: BTreeMap<Service, UnitRecord>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnitRecord {
    /// Its process, while it runs.
    pub process: Option<ProcessIdentity>,
    /// Restarts since a command started it.
    pub restarts: u32,
    /// Why it last ended against our will.
    pub last_error: Option<String>,
}

impl State {
    /// Starts with a deployment of which nothing runs.
    pub(super) fn new(deployment: Deployment) -> Self {
        Self {
            deployment,
            desired: BTreeSet::new(),
            units: BTreeMap::new(),
        }
    }

    /// Reads the registry. A missing one is `None`; so is one that cannot be understood, because it only informs.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .inspect_err(|error| tracing::warn!(%error, "the supervisor's registry is damaged and ignored"))
                .ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the registry in one step.
    ///
    /// # Errors
    /// Where it cannot be written; the old one is still there then.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        files::write_atomic(path, &bytes, 0o600)
    }
}
