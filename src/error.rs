//! What a command that did not work tells: an exit code, a slug, a chain of causes, and what to type next.

use std::process::ExitCode;

use mprism_deps::DepsError;
use mprism_settings::{Origin, SettingsError};
use serde::Serialize;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; healthy; integrity passed.
    Success,
    /// The command ran and found or hit a failure.
    Failed,
    /// Error in flags or configuration only; nothing was changed.
    Usage,
    /// Warnings only, where warnings count.
    Warnings,
    /// Refused: needs consent, or something that is not ours is in the way.
    Refused,
    /// Interrupted by SIGINT.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// Returns the process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Warnings => 3,
            Self::Refused => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command did not work.
#[derive(Debug)]
pub struct CliError {
    /// Picks the exit code.
    pub kind: Exit,
    /// A stable slug for programs.
    pub code: &'static str,
    /// What happened, and its causes.
    pub source: anyhow::Error,
    /// Causes that stand beside each other instead of one below the other.
    pub details: Vec<String>,
    /// What to do next: commands to type where there are any.
    pub hints: Vec<String>,
}

impl CliError {
    /// The command ran and hit a failure, or the environment is at fault.
    pub fn failed(code: &'static str, source: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Failed, code, source.into())
    }

    /// Flags or settings are at fault; nothing was changed.
    pub fn usage(code: &'static str, source: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Usage, code, source.into())
    }

    /// Consent is missing, or something that is not ours is in the way.
    pub fn refused(code: &'static str, source: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Refused, code, source.into())
    }

    /// A signal ended the command.
    pub fn interrupted(kind: Exit) -> Self {
        Self::new(kind, "interrupted", anyhow::anyhow!("interrupted"))
    }

    fn new(kind: Exit, code: &'static str, source: anyhow::Error) -> Self {
        Self {
            kind,
            code,
            source,
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says what was tried when this happened.
    #[must_use]
    pub fn context(mut self, tried: impl std::fmt::Display + Send + Sync + 'static) -> Self {
        self.source = self.source.context(tried);
        self
    }
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Invalid { problems } => {
                let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let message = match lines.len() {
                    1 => lines.remove(0),
                    count => format!("{count} things are wrong with the settings"),
                };
                let is_in_file = problems
                    .iter()
                    .any(|problem| matches!(problem.origin, Origin::File(..)));
                let mut error = Self::usage("invalid_settings", anyhow::Error::msg(message));
                error.details = lines;
                match is_in_file {
                    true => error.hint("mend the file, which is checked before it is kept: `mprism config edit`"),
                    false => error,
                }
            }
            unreadable @ SettingsError::Read { .. } => Self::usage("settings_unreadable", unreadable),
        }
    }
}

impl From<DepsError> for CliError {
    fn from(error: DepsError) -> Self {
        let (code, hints) = (error.code(), error.hints());
        let kind = match error {
            DepsError::NoSource { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        let mut error = Self::new(kind, code, error.into());
        error.hints = hints;
        error
    }
}

/// A failure as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// A stable slug.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl From<&CliError> for Failure {
    fn from(error: &CliError) -> Self {
        let causes = error.source.chain().skip(1).map(ToString::to_string);
        Self {
            code: error.code,
            message: error.source.to_string(),
            causes: causes.chain(error.details.iter().cloned()).collect(),
            hints: error.hints.clone(),
        }
    }
}
