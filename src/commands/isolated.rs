//! A home that meets no other: a temporary folder, ports of its own, nothing of the caller's settings.
//!
//! What happens in it are the real commands, run as an operator runs them, by the binary that runs now.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mprism_settings::Settings;
use serde_json::Value;
use tokio::process::Command;

use crate::cli::Globals;
use crate::commands::Context;
use crate::control::{ClaimedOffset, claim_free_offset};
use crate::error::CliError;

/// What a command of the home keeps of the caller's environment: where to look for programs and caches, and how to reach
/// packages. Settings are not among it.
const KEPT: [&str; 12] = [
    "HOME",
    "PATH",
    "XDG_CACHE_HOME",
    "TMPDIR",
    "LANG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
];
/// Package clients are configured by variables that start like this.
const KEPT_PREFIXES: [&str; 2] = ["PIP_", "npm_config_"];

/// A home of its own, removed with this value. What runs in it has to be stopped before.
#[derive(Debug)]
pub(crate) struct IsolatedHome {
    folder: tempfile::TempDir,
    offset: ClaimedOffset,
    program: PathBuf,
    environment: BTreeMap<String, String>,
    context: Context,
}

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its document.
    pub(crate) document: Value,
    /// From its start to its end.
    pub(crate) took: Duration,
}

impl IsolatedHome {
    /// Claims ports and makes the folder.
    pub(crate) fn claim(context: &Context) -> Result<Self, CliError> {
        Self::with_config(context, None)
    }

    /// As [`IsolatedHome::claim`], with a file of settings over the defaults.
    pub(crate) fn with_config(context: &Context, config: Option<PathBuf>) -> Result<Self, CliError> {
        let failed = |e: std::io::Error| CliError::failed("no_home", e).context("cannot make a home of its own");
        let claims = super::deps::cache(context)?.join("offsets");
        let offset = claim_free_offset(&claims)
            .map_err(|e| CliError::failed("no_ports", e).context("cannot claim ports for a home of its own"))?;
        let folder = tempfile::Builder::new().prefix("mprism-").tempdir().map_err(failed)?;
        let is_kept = |name: &str| KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let kept = context.environment.iter().filter(|(name, _)| is_kept(name));
        let environment: BTreeMap<String, String> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        let globals = Globals {
            home: Some(folder.path().join("home")),
            port_offset: Some(offset.offset.into()),
            config: config.as_deref().map(std::path::absolute).transpose().map_err(failed)?,
            ..Globals::default()
        };
        Ok(Self {
            program: std::env::current_exe().map_err(failed)?,
            context: Context::new(globals, environment.clone(), context.printer.clone())?,
            environment,
            folder,
            offset,
        })
    }

    /// Returns the settings of the home.
    pub(crate) fn settings(&self) -> Result<Settings, CliError> {
        self.context.settings()
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// Where it ends with another code than 0, with what it said.
    pub(crate) async fn mprism(&self, arguments: &[&str]) -> Result<Answer, CliError> {
        let named = arguments.join(" ");
        let failed =
            |e: std::io::Error| CliError::failed("no_program", e).context(format!("cannot run `mprism {named}`"));
        let began = Instant::now();
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--json")
            .arg("--home")
            .arg(self.folder.path().join("home"))
            .args(["--port-offset", &self.offset.offset.to_string()])
            .args(
                self.context
                    .globals
                    .config
                    .iter()
                    .flat_map(|path| [OsStr::new("--config"), path.as_os_str()]),
            )
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A command that is not waited for any more is ended; the services are not its children.
            .kill_on_drop(true)
            .output()
            .await
            .map_err(failed)?;
        let took = began.elapsed();
        let document: Value = serde_json::from_slice(&output.stdout).map_err(|e| {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            CliError::failed("no_document", e).context(format!("`mprism {named}` ended with {}: {said}", output.status))
        })?;
        if output.status.success() {
            return Ok(Answer { document, took });
        }
        let error = &document["error"];
        let causes = error["causes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let said = std::iter::once(error["message"].as_str().unwrap_or_default()).chain(causes);
        let said = said.collect::<Vec<_>>().join("; ");
        Err(CliError::failed("step_failed", anyhow::anyhow!("{said}"))
            .context(format!("`mprism {named}` ended with {}", output.status)))
    }
}
