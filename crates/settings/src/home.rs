//! Where a home keeps what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The names within one home. Making the folders is left to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeFolders {
    root: PathBuf,
}

impl HomeFolders {
    /// Names the folders of the home at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the home itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of the configuration files.
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// Returns the linked nats-server.
    pub fn nats_server(&self) -> PathBuf {
        self.root.join("bin/nats-server")
    }

    /// Returns the linked engine library.
    pub fn libchdb(&self) -> PathBuf {
        self.root.join("lib/libchdb.so")
    }

    /// Returns nats-server's data folder.
    pub fn nats_data(&self) -> PathBuf {
        self.root.join("data/nats")
    }

    /// Returns the engine's data folder.
    pub fn clickhouse_data(&self) -> PathBuf {
        self.root.join("data/clickhouse")
    }

    /// Returns the collector's spool.
    pub fn spool(&self) -> PathBuf {
        self.root.join("data/spool")
    }

    /// Returns the folder of locks, sockets and the supervisor's record.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Returns the folder of what containers read at their start.
    pub fn infra(&self) -> PathBuf {
        self.root.join("infra")
    }

    /// Returns the folder of the log files.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Returns the folder of the credentials.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Returns the file that keeps where simulated markets stand; a home has it if it ever had one.
    pub fn sim_places(&self) -> PathBuf {
        self.root.join("data/sim.json")
    }

    /// Returns logrotate's policy for the home's logs.
    pub fn logrotate(&self) -> PathBuf {
        self.config().join("logrotate")
    }

    /// Returns the file of what operators did to the home.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    /// Returns the folder of the home's certificate authority, and of the certificate that it signed.
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }

    /// Returns one of its files, for example `ca.pem`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.tls().join(name)
    }

    /// Returns the file of one credential, for example `nats-hot`.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.secrets().join(name)
    }

    /// Returns every folder with its mode, parents first.
    pub fn all(&self) -> Vec<(PathBuf, u32)> {
        let open = |name: &str| (self.root.join(name), 0o755);
        let mut folders = vec![(self.root.clone(), 0o755)];
        // Logs are open so that logrotate may work in them.
        folders.extend(["config", "bin", "lib", "data", "logs"].map(open));
        // Market data is for the owner's group at most; credentials and sockets are for the owner alone.
        folders.extend([self.nats_data(), self.clickhouse_data(), self.spool()].map(|path| (path, 0o750)));
        folders.extend([self.run(), self.secrets()].map(|path| (path, 0o700)));
        folders
    }
}

/// Returns the home that is used where none is named: `$XDG_DATA_HOME/mprism`, else `~/.local/share/mprism`.
///
/// Returns `None` where the environment names neither. Relative paths do not count, as the XDG standard demands.
pub fn default_home(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        environment
            .get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("mprism"))
}
