//! SIGINT and SIGTERM while a command works: it gives up what it does, cleans up, and ends with 130 or 143.

use std::sync::{Arc, OnceLock};

use mprism_deps::Cancel;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{CliError, Exit};

/// Whether a signal asks the command to end. The first one is noted here; a second one ends the process at once.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    exit: Arc<OnceLock<Exit>>,
    token: CancellationToken,
    fetching: Cancel,
}

impl Interrupt {
    /// Watches both signals from now on, in a thread of its own: a command is not always within a runtime.
    ///
    /// # Errors
    /// Where the signals cannot be watched.
    pub(crate) fn watch() -> Result<Self, CliError> {
        let failed = |e: std::io::Error| CliError::failed("signals", e).context("cannot watch signals");
        let interrupt = Self {
            exit: Arc::default(),
            token: CancellationToken::new(),
            fetching: Cancel::new().map_err(failed)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(failed)?;
        let (mut interrupted, mut terminated) = {
            let _entered = runtime.enter();
            let watch = |kind| signal(kind).map_err(failed);
            (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?)
        };
        let noted = interrupt.clone();
        let watch = async move {
            let mut next = async || {
                tokio::select! {
                    biased;
                    _ = interrupted.recv() => Exit::Interrupted,
                    _ = terminated.recv() => Exit::Terminated,
                }
            };
            noted.note(next().await);
            std::process::exit(next().await.code().into());
        };
        let thread = std::thread::Builder::new().name("signals".into());
        // It ends with the process.
        thread.spawn(move || runtime.block_on(watch)).map_err(failed)?;
        Ok(interrupt)
    }

    fn note(&self, exit: Exit) {
        // Nobody else sets it.
        let _first = self.exit.set(exit);
        self.fetching.cancel();
        self.token.cancel();
    }

    /// Returns what ends a fetch when a signal comes.
    pub(crate) fn fetching(&self) -> Cancel {
        self.fetching.clone()
    }

    /// Returns what is cancelled when a signal comes.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Returns how the command ends, once a signal has come.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit.get().copied()
    }

    /// Ends a command for which a signal has come.
    ///
    /// # Errors
    /// Where one has.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        self.exit().map_or(Ok(()), |exit| Err(CliError::interrupted(exit)))
    }

    /// Does work that looks for the signal itself. Once one has come that is what the command ends with, whatever the work says.
    ///
    /// # Errors
    /// The work's own, and where a signal has come.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> Result<T, CliError>) -> Result<T, CliError> {
        let done = work();
        self.check()?;
        done
    }

    /// Does work until a signal comes; then the work is dropped.
    ///
    /// # Errors
    /// The work's own, and where a signal has come.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => {
                self.check()?;
                unreachable!("the exit code is set before the token is cancelled")
            }
            done = work => done,
        }
    }
}
