//! `mprism config edit`: an editor on a copy; only a valid copy replaces the file, in one step.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use mprism_runtime::files::write_atomic;
use mprism_settings::{Explained, Sources};
use serde::Serialize;

use super::{Wrong, own_file};
use crate::commands::{Context, prepare};
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

/// Lets the operator edit the home's settings file.
pub(super) fn run(context: &Context) -> Result<Exit, CliError> {
    let path = own_file(&context.home.config());
    let editor = editor(context);
    if context.globals.dry_run {
        return context.printer.report(&EditReport::new(&path, "would edit"));
    }
    let refused = |e: io::Error| home_error(e, &path);
    fs::create_dir_all(context.home.config()).map_err(refused)?;
    let before = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused(error)),
    };
    // Beside the file, so that both are on one disk; hidden, so that nobody reads it as settings.
    let draft = context.home.config().join(".mprism.yaml.draft");
    let text = before.clone().unwrap_or_else(prepare::settings_text);
    write_atomic(&draft, text.as_bytes(), 0o600).map_err(refused)?;
    ask(&editor, &draft)?;
    let edited = fs::read_to_string(&draft).map_err(refused)?;
    if edited == text && before.is_some() {
        let _only_litter = fs::remove_file(&draft);
        return context.printer.report(&EditReport::new(&path, "unchanged"));
    }
    check(context, &path, &draft)?;
    let now = fs::read_to_string(&path).ok();
    if now != before {
        let text = format!("{} was changed by somebody else meanwhile", path.display());
        return Err(
            CliError::refused("changed_meanwhile", anyhow::Error::msg(text)).hint(format!(
                "your text is kept: `diff {} {}`",
                path.display(),
                draft.display()
            )),
        );
    }
    let mode = fs::metadata(&path).map_or(0o644, |found| {
        std::os::unix::fs::PermissionsExt::mode(&found.permissions())
    });
    write_atomic(&path, edited.as_bytes(), mode & 0o777).map_err(refused)?;
    let _only_litter = fs::remove_file(&draft);
    context
        .printer
        .note("running services keep their settings: `mprism restart`");
    context.printer.report(&EditReport::new(&path, "saved"))
}

/// Returns the operator's editor.
fn editor(context: &Context) -> String {
    let named = |name: &str| context.environment.get(name).filter(|text| !text.trim().is_empty());
    named("VISUAL")
        .or_else(|| named("EDITOR"))
        .map_or("vi", String::as_str)
        .to_owned()
}

/// Runs the editor as a shell would: its variable may hold flags.
fn ask(editor: &str, draft: &Path) -> Result<(), CliError> {
    let failed = |error: anyhow::Error| {
        CliError::failed("editor_failed", error)
            .context(format!("the editor `{editor}` did not end well; nothing was changed"))
            .hint("name one: `EDITOR=nano mprism config edit`")
    };
    let ended = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(draft)
        .status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(anyhow::anyhow!("{status}"))),
        Err(error) => Err(failed(error.into())),
    }
}

/// Refuses a draft with which the home's settings would not be valid.
fn check(context: &Context, path: &Path, draft: &Path) -> Result<(), CliError> {
    let sources = Sources {
        draft: Some((path.to_path_buf(), draft.to_path_buf())),
        ..context.sources(Vec::new())
    };
    let problems = Explained::load(&sources)?.problems;
    if problems.is_empty() {
        return Ok(());
    }
    let text = format!("{} is not valid and was not changed", path.display());
    let mut error = CliError::usage("invalid_settings", anyhow::Error::msg(text));
    error.details = problems.iter().map(|problem| Wrong::of(problem).text).collect();
    Err(error.hint(format!("your text is kept: {}", draft.display())))
}

fn home_error(error: io::Error, path: &Path) -> CliError {
    CliError::failed("home_not_writable", error)
        .context(format!("cannot change {}", path.display()))
        .hint("use another home: `mprism --home DIR …`, or change its owner")
}

#[derive(Serialize)]
struct EditReport {
    file: PathBuf,
    outcome: &'static str,
}

impl EditReport {
    fn new(file: &Path, outcome: &'static str) -> Self {
        let file = file.to_path_buf();
        Self { file, outcome }
    }
}

impl Report for EditReport {
    fn page(&self) -> Page {
        Page::new().line(format!("{} {}", self.outcome, self.file.display()))
    }
}
