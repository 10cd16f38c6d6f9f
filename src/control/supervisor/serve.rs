//! Being the one supervisor of a home: its lock, its socket, its loop.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use mprism_runtime::lock::{LockError, LockFile};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Supervisor;
use super::tasks::{self, SocketPlace, socket_place};
use crate::control::events::Event;
use crate::control::paths::HomePaths;

/// Requests, probes and exits that may wait for the loop.
const INPUTS: usize = 256;
/// Events that may wait for whoever watches from within our process.
const EVENTS: usize = 256;
/// How long the last request's answer may take to be read before the supervisor leaves.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the supervisor ended.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another one runs.
    #[error("another supervisor runs")]
    Lock(#[from] LockError),
    /// Its socket cannot be used.
    #[error("cannot {action} {}", path.display())]
    Socket {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Supervises a home until everything was stopped, or `shutdown` is cancelled; then the services live on.
///
/// # Errors
/// Where another supervisor runs or the home's run folder cannot be used.
pub async fn run(paths: HomePaths, shutdown: CancellationToken) -> Result<(), SupervisorError> {
    Listening::open(paths)?.run(shutdown).await;
    Ok(())
}

/// The one supervisor of a home, before it has answered anybody. Who connects from now on waits for it.
pub struct Listening {
    _lock: LockFile,
    place: SocketPlace,
    listener: UnixListener,
    paths: HomePaths,
    watcher: Option<mpsc::Sender<Event>>,
}

impl Listening {
    /// Takes the home's lock and its socket. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where another supervisor runs or the home's run folder cannot be used.
    pub fn open(paths: HomePaths) -> Result<Self, SupervisorError> {
        let lock = LockFile::acquire(&paths.supervisor_lock())?;
        let place = socket_place(&paths).map_err(|source| SupervisorError::Socket {
            action: "open",
            path: paths.run(),
            source,
        })?;
        let failed = |action| {
            let path = paths.run().join(HomePaths::socket_name());
            move |source| SupervisorError::Socket { action, path, source }
        };
        // Ours to remove: whoever listens on it holds the lock that we hold.
        match std::fs::remove_file(place.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
            _ => {}
        }
        let listener = UnixListener::bind(place.path()).map_err(failed("listen on"))?;
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o600)).map_err(failed("protect"))?;
        Ok(Self {
            _lock: lock,
            place,
            listener,
            paths,
            watcher: None,
        })
    }

    /// Returns what happens to services from now on, as far as it is read in time.
    pub fn watch(&mut self) -> mpsc::Receiver<Event> {
        let (watcher, events) = mpsc::channel(EVENTS);
        self.watcher = Some(watcher);
        events
    }

    /// Supervises until everything was stopped, or `shutdown` is cancelled; then the services live on.
    pub async fn run(self, shutdown: CancellationToken) {
        let (sender, mut inputs) = mpsc::channel(INPUTS);
        let mut supervisor = Supervisor::new(self.paths, sender.clone());
        supervisor.watcher = self.watcher;
        supervisor.adopt().await;
        let (clients, leaving) = (TaskTracker::new(), CancellationToken::new());
        let accepting = tasks::accept(self.listener, sender, clients.clone(), leaving.clone());
        let accepting = tokio::spawn(accepting);
        loop {
            let input = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                input = inputs.recv() => input,
            };
            let Some(input) = input else { break };
            supervisor.take(input).await;
            if supervisor.is_over() {
                break;
            }
        }
        supervisor.save();
        // Who asks from here on finds nobody, and starts the next supervisor once our lock is free.
        let _socket_is_gone_with_us = std::fs::remove_file(self.place.path());
        leaving.cancel();
        drop(inputs);
        drop(supervisor);
        let _accepting_has_ended = accepting.await;
        // What was answered has to reach its reader.
        clients.close();
        if tokio::time::timeout(FAREWELL, clients.wait()).await.is_err() {
            tracing::warn!("a client did not read its answer");
        }
        tracing::info!("supervisor ended");
    }
}
