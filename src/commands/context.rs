//! What every command gets: flags, environment, home, printer; settings and a runtime only when asked for.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;

use mprism_settings::{HomeFolders, Override, Settings, Sources, default_home};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Globals;
use crate::error::{CliError, Exit};
use crate::ui::Printer;

/// What every command gets.
#[derive(Debug)]
pub struct Context {
    /// The flags of every command.
    pub globals: Globals,
    /// The process environment, as far as it is text.
    pub environment: BTreeMap<String, String>,
    /// The home's folders. The home may not exist.
    pub home: HomeFolders,
    /// The only way to the terminal.
    pub printer: Printer,
}

impl Context {
    /// Decides which home is meant. Nothing is read and nothing is made.
    ///
    /// # Errors
    /// Where neither flag nor environment names a home.
    pub fn new(globals: Globals, environment: BTreeMap<String, String>, printer: Printer) -> Result<Self, CliError> {
        let named = globals
            .home
            .clone()
            .or_else(|| non_empty(&environment, "MPRISM_HOME").map(PathBuf::from));
        let home = named.or_else(|| default_home(&environment)).ok_or_else(|| {
            CliError::usage("no_home", anyhow::anyhow!("no home is named: HOME is not set"))
                .hint("name one: `mprism --home DIR …`, or set MPRISM_HOME")
        })?;
        // Children run in other folders: a relative home would be another one for each of them.
        let home =
            std::path::absolute(&home).map_err(|e| CliError::usage("no_home", e).context("the home is not a path"))?;
        Ok(Self {
            globals,
            environment,
            home: HomeFolders::new(home),
            printer,
        })
    }

    /// Reads the settings of the home.
    ///
    /// # Errors
    /// Where they are not valid: exit code 2, nothing was changed.
    pub fn settings(&self) -> Result<Settings, CliError> {
        self.settings_with(Vec::new())
    }

    /// Reads the settings with what further flags say over them.
    ///
    /// # Errors
    /// As [`Context::settings`].
    pub fn settings_with(&self, overrides: Vec<Override>) -> Result<Settings, CliError> {
        let from_environment = || non_empty(&self.environment, "MPRISM_CONFIG").map(PathBuf::from);
        let sources = Sources {
            home: self.home.root().to_path_buf(),
            config_file: self.globals.config.clone().or_else(from_environment),
            port_offset: self.globals.port_offset,
            environment: self.environment.clone(),
            overrides,
        };
        Ok(Settings::load(&sources)?)
    }

    /// Runs asynchronous work to its end on a runtime of its own.
    ///
    /// # Errors
    /// Where no runtime can be had, and the work's own.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        install_crypto_provider();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| CliError::failed("runtime", e).context("cannot start the runtime"))?;
        runtime.block_on(work)
    }

    /// Runs asynchronous work that has nothing to clean up: SIGINT and SIGTERM end it with their exit codes.
    ///
    /// # Errors
    /// As [`Context::block_on`], and where a signal came first.
    pub fn block_on_interruptible<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        self.block_on(async {
            let watch = |kind| signal(kind).map_err(|e| CliError::failed("signals", e).context("cannot watch signals"));
            let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
            tokio::select! {
                biased;
                _ = interrupt.recv() => Err(CliError::interrupted(Exit::Interrupted)),
                _ = terminate.recv() => Err(CliError::interrupted(Exit::Terminated)),
                done = work => done,
            }
        })
    }
}

/// Makes ring the process's one TLS crypto provider. Safe to call again.
///
/// With no provider, or with two to choose from, rustls panics at the first connection.
pub fn install_crypto_provider() {
    // An error says that one is installed already: the same one, because no other is linked.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

fn non_empty<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment
        .get(name)
        .map(String::as_str)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_the_one_crypto_provider() {
        install_crypto_provider();
        install_crypto_provider();
        let installed = rustls::crypto::CryptoProvider::get_default().expect("installed");
        let ring = rustls::crypto::ring::default_provider();
        assert_eq!(
            format!("{:?}", installed.key_provider),
            format!("{:?}", ring.key_provider)
        );
        // Both panic where rustls cannot choose.
        reqwest::Client::builder().build().expect("a client that can speak TLS");
        let _config = rustls::ClientConfig::builder();
    }
}
