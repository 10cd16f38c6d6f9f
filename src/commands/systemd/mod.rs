//! `mprism systemd`: the supervisor as a systemd service, of the system or of a user.

mod unit;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use mprism_runtime::files::write_atomic;
use serde::Serialize;

use crate::cli::{SystemdArgs, SystemdVerb};
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

use unit::{Manager, Unit};

/// The first line of a unit of ours; a unit without it is somebody else's.
const MARK: &str = "# Made by `mprism systemd install`";

/// `mprism systemd`.
pub(crate) fn run(args: &SystemdArgs, context: &Context) -> Result<Exit, CliError> {
    let manager = manager(args);
    let place = place(manager, &args.name, context)?;
    match args.verb {
        SystemdVerb::Print => {
            let text = text(manager, context)?;
            context.printer.report(&UnitReport::new(place, "printed", Some(text)))
        }
        SystemdVerb::Install => install(manager, &place, args, context),
        SystemdVerb::Uninstall => uninstall(manager, &place, args, context),
    }
}

fn manager(args: &SystemdArgs) -> Manager {
    let is_system = args.system || (!args.user && rustix::process::geteuid().is_root());
    if is_system { Manager::System } else { Manager::User }
}

/// Returns where the unit is: `/etc/systemd/system`, or `$XDG_CONFIG_HOME/systemd/user`.
fn place(manager: Manager, name: &str, context: &Context) -> Result<PathBuf, CliError> {
    let file = format!("{name}.service");
    if manager == Manager::System {
        return Ok(Path::new("/etc/systemd/system").join(file));
    }
    let config = context.user_config().ok_or_else(|| {
        CliError::usage(
            "no_user_folder",
            anyhow::anyhow!("neither XDG_CONFIG_HOME nor HOME is set"),
        )
        .hint("install it for the system: `mprism systemd install --system`")
    })?;
    Ok(config.join("systemd/user").join(file))
}

fn text(manager: Manager, context: &Context) -> Result<String, CliError> {
    let unit = Unit::of(manager, context)?;
    Ok(format!("{MARK}\n{unit}"))
}

fn install(manager: Manager, place: &Path, args: &SystemdArgs, context: &Context) -> Result<Exit, CliError> {
    let text = text(manager, context)?;
    let before = fs::read_to_string(place).ok();
    refuse_foreign(before.as_deref(), place)?;
    if context.globals.dry_run {
        return context
            .printer
            .report(&UnitReport::new(place.to_path_buf(), "would install", Some(text)));
    }
    if before.as_deref() != Some(&text) {
        let folder = place.parent().unwrap_or(Path::new("/"));
        let written = fs::create_dir_all(folder).and_then(|()| write_atomic(place, text.as_bytes(), 0o644));
        written.map_err(|e| not_permitted(e, place))?;
    }
    let unit = format!("{}.service", args.name);
    let is_known = systemctl(manager, &["daemon-reload"], context) && systemctl(manager, &["enable", &unit], context);
    if is_known {
        let user = if manager == Manager::User { " --user" } else { "" };
        context
            .printer
            .note(&format!("start it: `systemctl{user} start {unit}`"));
    }
    context
        .printer
        .report(&UnitReport::new(place.to_path_buf(), "installed", None))
}

fn uninstall(manager: Manager, place: &Path, args: &SystemdArgs, context: &Context) -> Result<Exit, CliError> {
    let before = fs::read_to_string(place).ok();
    refuse_foreign(before.as_deref(), place)?;
    if before.is_none() {
        return context
            .printer
            .report(&UnitReport::new(place.to_path_buf(), "was not installed", None));
    }
    if context.globals.dry_run {
        return context
            .printer
            .report(&UnitReport::new(place.to_path_buf(), "would remove", None));
    }
    let unit = format!("{}.service", args.name);
    systemctl(manager, &["disable", "--now", &unit], context);
    fs::remove_file(place).map_err(|e| not_permitted(e, place))?;
    systemctl(manager, &["daemon-reload"], context);
    context
        .printer
        .report(&UnitReport::new(place.to_path_buf(), "removed", None))
}

fn refuse_foreign(before: Option<&str>, place: &Path) -> Result<(), CliError> {
    match before {
        Some(text) if !text.starts_with(MARK) => {
            let text = format!("{} was not made by mprism", place.display());
            Err(CliError::refused("foreign_unit", anyhow::Error::msg(text))
                .hint("choose another name: `mprism systemd install --name NAME`")
                .hint(format!("or remove it: `rm {}`", place.display())))
        }
        _ => Ok(()),
    }
}

/// Tells systemd. Where none runs the unit waits for one; that is told and no failure.
fn systemctl(manager: Manager, arguments: &[&str], context: &Context) -> bool {
    let mut command = Command::new("systemctl");
    if manager == Manager::User {
        command.arg("--user");
    }
    let why = match command.args(arguments).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
        Err(error) => error.to_string(),
    };
    context
        .printer
        .warn(&format!("`systemctl {}` did not work: {why}", arguments.join(" ")));
    false
}

fn not_permitted(error: io::Error, place: &Path) -> CliError {
    CliError::failed("not_permitted", error)
        .context(format!("cannot change {}", place.display()))
        .hint("install it for this user: `mprism systemd install --user`")
}

#[derive(Serialize)]
struct UnitReport {
    path: PathBuf,
    outcome: &'static str,
    unit: Option<String>,
}

impl UnitReport {
    fn new(path: PathBuf, outcome: &'static str, unit: Option<String>) -> Self {
        Self { path, outcome, unit }
    }
}

impl Report for UnitReport {
    fn page(&self) -> Page {
        match (&self.unit, self.outcome) {
            (Some(unit), "printed") => Page::new().line(unit.trim_end()),
            _ => Page::new().line(format!("{} {}", self.outcome, self.path.display())),
        }
    }
}
