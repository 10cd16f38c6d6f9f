//! `mprism config validate`: everything that is wrong, told at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mprism_settings::{Explained, Origin, Problem, Sources};
use serde::Serialize;

use super::Said;
use crate::commands::Context;
use crate::error::{CliError, Exit, Failure};
use crate::report::{Page, Report};

/// Checks one file, or everything that the home reads.
pub(super) fn run(file: Option<&Path>, context: &Context) -> Result<Exit, CliError> {
    let sources = match file {
        None => context.sources(Vec::new()),
        Some(file) => Sources {
            // Nothing else says anything: a file is right or wrong by itself.
            home: PathBuf::from("/nonexistent"),
            config_file: Some(file.to_path_buf()),
            ..Sources::default()
        },
    };
    let explained = Explained::load(&sources)?;
    context.warn_of_ignored(&explained.ignored);
    for path in readable_secrets(&explained) {
        context.printer.warn(&format!(
            "{} holds a credential and can be read by others: `chmod 600 {}`",
            path.display(),
            path.display()
        ));
    }
    context.printer.report(&ValidateReport {
        problems: explained.problems.iter().map(Wrong::of).collect(),
        files: explained.files,
    })
}

/// Returns the files that hold a credential and can be read by others than their owner.
pub(crate) fn readable_secrets(explained: &Explained) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in explained.entries.iter().filter(|entry| entry.is_secret) {
        let Origin::File(path, _) = &entry.origin else { continue };
        let is_open = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        if is_open && !files.contains(path) {
            files.push(path.clone());
        }
    }
    files
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Wrong {
    key: Option<String>,
    message: String,
    origin: Said,
    /// All of it on one line.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Wrong {
    pub(crate) fn of(problem: &Problem) -> Self {
        // Where a message does not name the key, the line does.
        let text = match &problem.key {
            Some(key) if !problem.message.contains(key.rsplit('.').next().unwrap_or(key)) => {
                format!("{}: {key}: {}", problem.origin, problem.message)
            }
            _ => problem.to_string(),
        };
        Self {
            key: problem.key.clone(),
            message: problem.message.clone(),
            origin: Said::of(&problem.origin),
            text,
        }
    }
}

#[derive(Serialize)]
struct ValidateReport {
    files: Vec<PathBuf>,
    problems: Vec<Wrong>,
}

impl Report for ValidateReport {
    fn exit(&self) -> Exit {
        if self.problems.is_empty() {
            Exit::Success
        } else {
            Exit::Usage
        }
    }

    fn failure(&self) -> Option<Failure> {
        let mut lines: Vec<String> = self.problems.iter().map(|wrong| wrong.text.clone()).collect();
        let message = match lines.len() {
            0 => return None,
            1 => lines.remove(0),
            count => format!("{count} things are wrong with the settings"),
        };
        Some(Failure {
            code: "invalid_settings",
            message,
            causes: lines,
            hints: vec!["see what a setting may be: `mprism config schema`".to_owned()],
        })
    }

    fn page(&self) -> Page {
        if !self.problems.is_empty() {
            return Page::new();
        }
        match self.files.len() {
            0 => Page::new().line("valid: there are no settings files, every value is its default"),
            _ => self.files.iter().fold(Page::new(), |page, file| {
                page.line(format!("valid: {}", file.display()))
            }),
        }
    }
}
