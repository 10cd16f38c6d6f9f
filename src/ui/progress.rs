//! Something that takes time: a bar on a terminal, a line a step otherwise.

use std::cell::RefCell;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows one step after another on standard error.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    terminal: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    pub(crate) fn new(quiet: bool, terminal: bool) -> Self {
        Self {
            quiet,
            terminal,
            bar: RefCell::new(None),
        }
    }

    /// Starts a step of `total` bytes.
    pub fn step(&self, text: &str, total: u64) {
        self.begin(text, total, "{bytes}/{total_bytes} {bytes_per_sec}");
    }

    /// Starts a step of about `total` rows.
    pub fn rows(&self, text: &str, total: u64) {
        self.begin(text, total, "{human_pos}/{human_len} rows {per_sec} {eta}");
    }

    fn begin(&self, text: &str, total: u64, numbers: &str) {
        if self.quiet {
            return;
        }
        if !self.terminal {
            self.line(text);
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        bar.set_style(bar_style(numbers));
        bar.set_message(text.to_owned());
        if let Some(last) = self.bar.replace(Some(bar)) {
            last.finish_and_clear();
        }
    }

    /// Says how many bytes or rows of the step are done.
    pub fn reached(&self, done: u64) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_position(done);
        }
    }

    /// Ends the step and says what came of it.
    pub fn done(&self, text: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if !self.quiet {
            self.line(text);
        }
    }

    fn line(&self, text: &str) {
        // Where even standard error is gone, nobody waits for news.
        let _untellable = writeln!(io::stderr(), "{text}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar_style(numbers: &str) -> ProgressStyle {
    let template = format!("{{msg}} {{bar:30}} {numbers}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
