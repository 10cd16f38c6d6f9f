//! The home itself: its settings, folders, credentials, dependencies, last errors.

use std::path::Path;

use mprism_model::UnixMillis;
use mprism_runtime::redact::without_credentials;
use mprism_settings::{Explained, Settings, Sources};

use super::Findings;
use crate::commands::config::readable_secrets;
use crate::commands::deployment::{dependencies_of, paths};
use crate::commands::{Context, deps, prepare};
use crate::control::{self, Service};
use crate::error::CliError;

/// Errors told of each service.
const ERRORS_MAX: usize = 3;
/// Errors older than this are history, in milliseconds.
const RECENT_MS: i64 = 3_600_000;

/// What is worth a look about settings that are valid.
pub(super) fn settings(sources: &Sources, settings: &Settings, findings: &mut Findings) {
    let explained = Explained::load(sources);
    for path in explained.iter().flat_map(readable_secrets) {
        let path = path.display().to_string();
        findings.warn(
            "config_readable",
            &path,
            "it holds a credential and others can read it",
            format!("chmod 600 {path}"),
        );
    }
    for ignored in &settings.ignored {
        let name = ignored.key.clone().unwrap_or_else(|| ignored.origin.to_string());
        findings.info("config_ignored", name, format!("has no effect: {}", ignored.why));
    }
}

pub(super) fn examine(settings: &Settings, context: &Context, findings: &mut Findings) -> Result<(), CliError> {
    let root = settings.home.root();
    if !root.exists() {
        findings.warn("no_home", root.display(), "there is no home yet", "mprism init");
        return Ok(());
    }
    if rustix::fs::access(root, rustix::fs::Access::WRITE_OK).is_err() {
        findings.error(
            "home_not_writable",
            root.display(),
            format!("the home cannot be written by {}", control::our_user()),
            format!("ls -ld {}", root.display()),
        );
    }
    let needed = dependencies_of(&Service::ALL, settings);
    let cache = deps::cache(context)?;
    for step in prepare::plan(
        &settings.home,
        &needed,
        prepare::wanted_certificate(settings).as_ref(),
        &cache,
    ) {
        findings.warn(
            "home_incomplete",
            root.display(),
            format!("missing or broken: {step}"),
            "mprism init",
        );
    }
    last_errors(settings, findings);
    Ok(())
}

fn last_errors(settings: &Settings, findings: &mut Findings) {
    let home = paths(settings);
    let since = UnixMillis(mprism_runtime::clock::now_ms() - RECENT_MS).to_rfc3339();
    let logs = Service::ALL.map(|service| (service.name(), home.log(service)));
    let supervisor = ("supervisor", home.logs().join("supervisor.log"));
    for (name, path) in logs.into_iter().chain([supervisor]) {
        for (ts, message) in control::last_errors(Path::new(&path), ERRORS_MAX) {
            if ts >= since {
                let fix = format!("mprism logs {name} --level error");
                let message = without_credentials(&message);
                findings.warn("logged_error", name, format!("{ts} {message}"), fix);
            }
        }
    }
}
