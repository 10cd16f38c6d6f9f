//! `mprism history`: what operators did to this home; and writing it down.

use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::cli::{HistoryArgs, Verb};
use crate::commands::Context;
use crate::control::{self, AuditEntry};
use crate::error::{CliError, Exit};
use crate::report::{Cell, Page, Report, Tone};

/// Lines shown where nobody says how many.
const LINES: usize = 20;

/// `mprism history`.
pub(crate) fn run(args: &HistoryArgs, context: &Context) -> Result<Exit, CliError> {
    let path = context.home.history();
    let (entries, torn) = control::read_audit(&path, args.lines.unwrap_or(LINES))
        .map_err(|e| CliError::failed("history_unreadable", e).context(format!("cannot read {}", path.display())))?;
    if torn > 0 {
        context
            .printer
            .warn(&format!("{torn} lines of {} cannot be read", path.display()));
    }
    context.printer.report(&HistoryReport { entries, torn })
}

/// What one command is going to have done, to be written down once it has ended.
pub(crate) struct Record {
    words: Vec<String>,
    began: Instant,
}

impl Record {
    /// Remembers a command that changes something; none is remembered for one that only looks.
    pub(crate) fn of(verb: &Verb, arguments: &[std::ffi::OsString], context: &Context) -> Option<Self> {
        let words = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
        let hidden = words.map(|word| mprism_runtime::redact::without_credentials(&word));
        (verb.is_mutating() && !context.globals.dry_run).then(|| Self {
            words: hidden.collect(),
            began: Instant::now(),
        })
    }

    /// Writes down how it ended. Wrong usage has changed nothing, and a home that was never made has no history.
    pub(crate) fn write(self, exit: Exit, context: &Context) {
        let home = context.home.root();
        if exit == Exit::Usage || !context.home.run().is_dir() {
            return;
        }
        let entry = AuditEntry {
            ts: mprism_model::UnixMillis(mprism_runtime::clock::now_ms()).to_rfc3339(),
            user: control::our_user(),
            sudo_user: context.environment.get("SUDO_USER").cloned(),
            pid: std::process::id(),
            command: self.words,
            exit_code: exit.code(),
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            plan: context.take_plan(),
        };
        if let Err(error) = control::append_audit(&context.home.history(), &entry) {
            // What was done is done; that it is not on record has to be seen.
            context
                .printer
                .warn(&format!("the history of {} cannot be written: {error}", home.display()));
        }
    }
}

#[derive(Serialize)]
struct HistoryReport {
    /// The oldest first.
    entries: Vec<AuditEntry>,
    /// Lines that could not be read.
    torn: usize,
}

impl Report for HistoryReport {
    fn page(&self) -> Page {
        if self.entries.is_empty() {
            return Page::new().line("nobody has changed this home yet");
        }
        let rows = self.entries.iter().map(|entry| {
            let tone = if entry.exit_code == 0 { Tone::Good } else { Tone::Bad };
            let user = match &entry.sudo_user {
                Some(before) => format!("{} ({before})", entry.user),
                None => entry.user.clone(),
            };
            let steps = match &entry.plan {
                Value::Null => String::new(),
                Value::Array(steps) => format!("{} steps planned", steps.len()),
                other => other.to_string(),
            };
            vec![
                Cell::plain(&entry.ts),
                Cell::plain(user),
                Cell::plain(format!("mprism {}", entry.command.join(" "))),
                Cell::toned(entry.exit_code.to_string(), tone),
                Cell::toned(steps, Tone::Dim),
            ]
        });
        Page::new().table(vec!["time", "user", "command", "exit", ""], rows.collect())
    }
}
