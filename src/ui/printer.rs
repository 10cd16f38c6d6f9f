//! What is said, where, and how loud.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use serde::Serialize;

use crate::cli::{ColorChoice, Globals};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Envelope, Nothing, Report, Tone};
use crate::ui::language::Language;
use crate::ui::render::{Style, page, paint};
use crate::ui::{Output, Progress, Screen};

/// Writes answers and the conversation of one command.
#[derive(Clone, Debug)]
pub struct Printer {
    json: bool,
    quiet: bool,
    verbose: bool,
    answer: Style,
    talk: Style,
    is_interactive: bool,
    language: Language,
    command: String,
    started: Instant,
}

impl Printer {
    /// Decides how to print from flags, environment and what the terminal is.
    pub fn new(
        globals: &Globals,
        environment: &BTreeMap<String, String>,
        command: impl Into<String>,
        started: Instant,
    ) -> Self {
        let named = |name: &str| environment.get(name).map(String::as_str).unwrap_or_default();
        let colourless = !named("NO_COLOR").is_empty() || named("TERM") == "dumb";
        let style = |terminal: bool| Style {
            color: match globals.color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => terminal && !colourless,
            },
            terminal,
        };
        let command = command.into();
        Self {
            language: Language::of(&command, globals.lang, environment),
            json: globals.json,
            quiet: globals.quiet,
            verbose: globals.verbose > 0,
            is_interactive: io::stdin().is_terminal() && named("TERM") != "dumb",
            answer: style(io::stdout().is_terminal()),
            talk: style(io::stderr().is_terminal()),
            command,
            started,
        }
    }

    /// Returns whether documents are wanted instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns the same printer with documents wanted.
    #[must_use]
    pub fn as_json(&self) -> Self {
        Self {
            json: true,
            ..self.clone()
        }
    }

    /// Returns whether a person reads the answer.
    pub fn answers_a_terminal(&self) -> bool {
        self.answer.terminal
    }

    /// Prints a result and returns the exit code it stands for.
    ///
    /// # Errors
    /// Where standard output cannot be written, unless its reader has left.
    pub fn report<R: Report>(&self, report: &R) -> Result<Exit, CliError> {
        let exit = report.exit();
        let failure = report.failure();
        if !self.json {
            self.answer(page(&report.page(), self.answer, self.language).as_bytes())?;
        }
        if let Some(failure) = &failure {
            self.tell(&self.explain(failure));
        }
        if self.json {
            self.document(report, exit, failure)?;
        }
        Ok(exit)
    }

    /// Prints one of many results as a document on a line of its own; returns whether anybody still reads.
    ///
    /// # Errors
    /// Where standard output cannot be written, unless its reader has left.
    pub fn stream<R: Report>(&self, report: &R) -> Result<bool, CliError> {
        self.document(report, report.exit(), report.failure())
    }

    /// Prints why a command did not work and returns its exit code.
    pub fn failure(&self, error: &CliError) -> Exit {
        self.refuse(Failure::from(error), error.kind)
    }

    /// Prints what clap could not read.
    pub(crate) fn usage(&self, error: &clap::Error) -> Exit {
        let text = error.render();
        if self.talk.color {
            self.tell(&text.ansi().to_string());
        } else {
            self.tell(&text.to_string());
        }
        if self.json {
            let plain = text.to_string();
            let mut lines = plain.lines().map(str::trim).filter(|line| !line.is_empty());
            let message = lines
                .next()
                .unwrap_or("wrong usage")
                .trim_start_matches("error: ")
                .to_owned();
            let failure = Failure {
                code: "usage",
                message,
                causes: Vec::new(),
                hints: lines.map(str::to_owned).collect(),
            };
            // Nothing is left to be told where even this cannot be written.
            let _unwritable = self.document(&Nothing {}, Exit::Usage, Some(failure));
        }
        Exit::Usage
    }

    /// Prints help or the version.
    pub(crate) fn help(&self, text: &clap::Error) -> Exit {
        let text = text.render();
        let text = if self.answer.color {
            text.ansi().to_string()
        } else {
            text.to_string()
        };
        match self.answer(text.as_bytes()) {
            Ok(_) => Exit::Success,
            Err(error) => self.failure(&error),
        }
    }

    /// Says that something is worth a look.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            let text = self.language.say(text);
            self.tell(&format!("{} {text}\n", self.label("warning:", Tone::Warn)));
        }
    }

    /// Says what is going on.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.tell(&format!("{}\n", self.language.say(text)));
        }
    }

    /// Says what only the curious want to know.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            let text = self.language.say(text);
            self.tell(&format!("{}\n", paint(&text, Tone::Dim, self.talk.color)));
        }
    }

    /// Returns a view of something that takes time.
    pub fn progress(&self) -> Progress {
        Progress::new(self.quiet, self.talk.terminal)
    }

    /// Returns whether a dashboard can be shown: a person reads and types.
    pub fn has_a_screen(&self) -> bool {
        self.answer.terminal && self.is_interactive
    }

    /// Takes the whole terminal for a dashboard.
    ///
    /// # Errors
    /// Where the terminal does not allow it.
    pub fn screen(&self) -> io::Result<Screen> {
        Screen::open(self.answer.color)
    }

    /// Returns standard output for an answer that streams.
    pub fn output(&self) -> Output {
        Output::new()
    }

    /// Returns a piece of an answer with its tone, as the reader of the answer wants it.
    pub fn paint(&self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.answer.color)
    }

    fn refuse(&self, failure: Failure, exit: Exit) -> Exit {
        // Ctrl-C needs no explanation.
        if !matches!(exit, Exit::Interrupted | Exit::Terminated) {
            self.tell(&self.explain(&failure));
        }
        if self.json {
            // Where the document cannot be written, the exit code still tells.
            let _unwritable = self.document(&Nothing {}, exit, Some(failure));
        }
        exit
    }

    fn document<R: Serialize>(&self, report: &R, exit: Exit, error: Option<Failure>) -> Result<bool, CliError> {
        let envelope = Envelope {
            mprism: env!("CARGO_PKG_VERSION"),
            command: &self.command,
            ok: exit == Exit::Success,
            exit_code: exit.code(),
            elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            report,
            error,
        };
        let mut text = serde_json::to_vec(&envelope)
            .map_err(|e| CliError::failed("output", e).context("cannot write the answer as JSON"))?;
        text.push(b'\n');
        self.answer(&text)
    }

    /// Returns whether anybody still reads.
    fn answer(&self, bytes: &[u8]) -> Result<bool, CliError> {
        let failed = |e| CliError::failed("output", e).context("cannot write to standard output");
        Output::new().write(bytes).map_err(failed)
    }

    fn explain(&self, failure: &Failure) -> String {
        let say = |text| self.language.say(text);
        let mut text = format!("{} {}\n", self.label("error:", Tone::Bad), say(&failure.message));
        for cause in &failure.causes {
            text.push_str(&format!("  {} {}\n", self.label("caused by:", Tone::Dim), say(cause)));
        }
        for hint in &failure.hints {
            text.push_str(&format!("{} {}\n", self.label("hint:", Tone::Good), say(hint)));
        }
        text
    }

    fn label(&self, text: &str, tone: Tone) -> String {
        paint(&self.language.say(text), tone, self.talk.color)
    }

    fn tell(&self, text: &str) {
        // There is nowhere left to complain to.
        let _untellable = io::stderr().write_all(text.as_bytes());
    }
}
