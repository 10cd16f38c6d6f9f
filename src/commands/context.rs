//! What every command gets: flags, environment, home, printer; settings and a runtime only when asked for.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mprism_settings::{HomeFolders, Ignored, Origin, Override, Settings, Sources, default_home};

use serde::Serialize;
use serde_json::Value;

use crate::cli::Globals;
use crate::commands::interrupt::Interrupt;
use crate::error::CliError;
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
    interrupt: OnceLock<Interrupt>,
    has_warned: AtomicBool,
    plan: Arc<Mutex<Value>>,
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
            interrupt: OnceLock::new(),
            has_warned: AtomicBool::new(false),
            plan: Arc::default(),
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
        let settings = Settings::load(&self.sources(overrides))?;
        self.warn_of_ignored(&settings.ignored);
        Ok(settings)
    }

    /// Returns where the settings of the home come from.
    pub(crate) fn sources(&self, overrides: Vec<Override>) -> Sources {
        Sources {
            home: self.home.root().to_path_buf(),
            config_file: self.globals.config.clone(),
            port_offset: self.globals.port_offset,
            environment: self.environment.clone(),
            overrides,
            draft: None,
        }
    }

    /// Says once what was said in vain: each variable by itself, a whole file of MarketPrism's in one line.
    pub(crate) fn warn_of_ignored(&self, ignored: &[Ignored]) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut in_file = 0;
        for ignored in ignored {
            match &ignored.origin {
                Origin::Environment(name) => self.printer.warn(&format!("{name} has no effect: {}", ignored.why)),
                _ => in_file += 1,
            }
        }
        if in_file > 0 {
            self.printer.warn(&format!(
                "{in_file} keys of MarketPrism's configuration file have no effect; `mprism config show` names each"
            ));
        }
    }

    /// Returns the folder of the user's own settings: `$XDG_CONFIG_HOME`, else `~/.config`.
    pub(crate) fn user_config(&self) -> Option<PathBuf> {
        let absolute = |name: &str| {
            non_empty(&self.environment, name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
    }

    /// Remembers what is about to be done, for the home's history.
    pub(crate) fn planned(&self, plan: &impl Serialize) {
        // A plan that has no JSON form is not worth failing for: the command itself stands in the history.
        let plan = serde_json::to_value(plan).unwrap_or_default();
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// Returns what was planned last.
    pub(crate) fn take_plan(&self) -> Value {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).take()
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

    /// Returns what SIGINT and SIGTERM ask for. From the first call on they end nothing by themselves.
    ///
    /// # Errors
    /// Where signals cannot be watched.
    pub(crate) fn interrupt(&self) -> Result<&Interrupt, CliError> {
        if let Some(interrupt) = self.interrupt.get() {
            return Ok(interrupt);
        }
        // Commands ask from one thread: nobody was faster.
        let interrupt = Interrupt::watch()?;
        Ok(self.interrupt.get_or_init(|| interrupt))
    }

    /// Runs asynchronous work that has nothing to clean up: SIGINT and SIGTERM end it with their exit codes.
    ///
    /// # Errors
    /// As [`Context::block_on`], and where a signal came first.
    pub fn block_on_interruptible<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        let interrupt = self.interrupt()?;
        self.block_on(interrupt.or(work))
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
