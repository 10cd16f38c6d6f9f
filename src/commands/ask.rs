//! Asking for leave to destroy data.

use std::io::{BufRead, IsTerminal};

use mprism_settings::Settings;

use crate::commands::Context;
use crate::control::Consent;
use crate::error::CliError;

/// Asks for the home's name where `what` is about to go for good; `--yes` has answered already. `command` is what agrees beforehand.
///
/// # Errors
/// Where nobody can be asked, or another name was typed: nothing may go then.
pub(super) fn consent(what: &str, command: &str, settings: &Settings, context: &Context) -> Result<Consent, CliError> {
    if let Some(consent) = Consent::flag(context.globals.yes) {
        return Ok(consent);
    }
    let refused = |why: &str| {
        CliError::refused("needs_consent", anyhow::anyhow!("{why}"))
            .context(format!("{what} was not removed"))
            .hint(format!("agree beforehand: `{command} --yes`"))
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused("nobody can be asked: there is no terminal"));
    }
    let name = settings.home.root().file_name().unwrap_or_default().to_string_lossy();
    context.printer.warn(&format!("{what} will be gone for good"));
    context
        .printer
        .note(&format!("type the home's name, {name}, to go on:"));
    let mut said = String::new();
    let read = std::io::stdin().lock().read_line(&mut said);
    read.map_err(|e| CliError::failed("input", e).context("cannot read the answer"))?;
    Consent::typed(&name, &said).ok_or_else(|| refused("another name was typed"))
}
