//! nats-server's process.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use tokio::process::{Child, Command};

use crate::{BrokerError, BrokerOptions};

/// Lines of the log that are told when it ends by itself.
const LOG_LINES: usize = 3;

/// A running nats-server.
pub(crate) struct Server {
    child: Child,
    log: LifeLog,
}

/// nats-server's log from where this life of it begins: it appends to what earlier ones said.
struct LifeLog {
    path: PathBuf,
    /// The file and its length when the server was started; none where there was no file. A log that was rotated since is
    /// another file, all of it this life's.
    before: Option<(u64, u64)>,
}

impl Server {
    /// Starts nats-server. It outlives us if we are killed: it inherits the lock, so that whoever comes next knows it.
    pub(crate) fn spawn(options: &BrokerOptions) -> Result<Self, BrokerError> {
        let failed = |source| BrokerError::Spawn {
            program: options.program.clone(),
            source,
        };
        let lock = options
            .lock
            .as_ref()
            .map(|lock| lock.inheritable_fd())
            .transpose()
            .map_err(failed)?;
        let log = LifeLog::begin(&options.log_file);
        let child = Command::new(&options.program)
            .arg("--config")
            .arg(&options.config_file)
            .env_clear()
            // It reads and writes its store through memory that its collector frees late: with the default (100) it keeps
            // twice what it needs. Measured at 22 MB/s of order books for 25 s: 541 MB and 2.1 s of CPU at 100, 420 MB and 2.5 s at 50.
            .env("GOGC", "50")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(false)
            .spawn()
            .map_err(failed)?;
        drop(lock);
        Ok(Self { child, log })
    }

    /// Waits until it ends by itself. Cancel safe.
    pub(crate) async fn ended(&mut self) -> BrokerError {
        let how = match self.child.wait().await {
            Ok(status) => in_words(status),
            Err(error) => error.to_string(),
        };
        BrokerError::Ended {
            how,
            log: self.last_errors(),
        }
    }

    /// Ends it: SIGTERM, then SIGKILL after `within`.
    pub(crate) async fn stop(&mut self, within: Duration) {
        if let Err(error) = self.terminate() {
            tracing::warn!(%error, "nats-server could not be asked to end");
        }
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(Ok(_status)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "nats-server could not be awaited"),
            Err(_) => {
                tracing::warn!(
                    after_ms = within.as_millis() as u64,
                    "nats-server did not end and is killed"
                );
                if let Err(error) = self.child.kill().await {
                    tracing::error!(%error, "nats-server could not be killed");
                }
            }
        }
    }

    fn terminate(&self) -> std::io::Result<()> {
        // Our child and not yet reaped: its pid cannot be another's.
        let Some(identity) = self.child.id().and_then(ProcessIdentity::of) else {
            return Ok(());
        };
        match PidFd::open(&identity)? {
            Some(handle) => handle.signal(Signal::TERM),
            None => Ok(()),
        }
    }

    /// Returns what its log says last, errors first.
    fn last_errors(&self) -> Vec<String> {
        let text = self.log.text();
        let is_error = |line: &&str| line.contains("[FTL]") || line.contains("[ERR]");
        let mut lines: Vec<&str> = text.lines().filter(is_error).collect();
        if lines.is_empty() {
            lines = text.lines().collect();
        }
        let skip = lines.len().saturating_sub(LOG_LINES);
        lines[skip..].iter().map(|line| (*line).to_owned()).collect()
    }
}

impl LifeLog {
    fn begin(path: &Path) -> Self {
        let found = fs::metadata(path).ok();
        Self {
            path: path.to_path_buf(),
            before: found.map(|found| (found.ino(), found.len())),
        }
    }

    /// Returns what was written since the life began; nothing where it cannot be read.
    fn text(&self) -> String {
        let read = || {
            let mut file = File::open(&self.path)?;
            let found = file.metadata()?;
            let begins = match self.before {
                Some((inode, length)) if inode == found.ino() && length <= found.len() => length,
                _ => 0,
            };
            file.seek(SeekFrom::Start(begins))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
