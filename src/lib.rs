//! The mprism binary: a market-data lake's workers and its control plane.
//!
//! `cli` says what can be typed, `commands` does it, `report` holds what came of it, `ui` alone writes to the terminal.

pub mod cli;
pub mod commands;
pub mod control;
pub mod error;
pub mod report;
pub mod ui;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use crate::commands::{Context, Record};
use crate::error::Exit;
use crate::ui::Printer;

/// Runs one command line and returns its exit code. The arguments start with the program's name.
pub fn run(arguments: Vec<OsString>, environment: BTreeMap<String, String>) -> ExitCode {
    let started = Instant::now();
    // The allocator asks for them, and of each two megabytes uses a few kilobytes at first: 70 MiB instead of 47 in the hot worker. A
    // kernel that has none is as good.
    let _has_none = rustix::thread::disable_transparent_huge_pages(true);
    let exit = match cli::parse(&arguments) {
        Ok(parsed) => {
            let printer = Printer::new(&parsed.globals, &environment, parsed.verb.name(), started);
            match Context::new(parsed.globals, environment, printer.clone()) {
                Ok(context) => {
                    let record = Record::of(&parsed.verb, &arguments, &context);
                    let done = commands::dispatch(parsed.verb, &context);
                    let exit = done.unwrap_or_else(|error| printer.failure(&error));
                    if let Some(record) = record {
                        record.write(exit, &context);
                    }
                    exit
                }
                Err(error) => printer.failure(&error),
            }
        }
        Err(stopped) => report_unparsed(stopped, &arguments, &environment, started),
    };
    exit.into()
}

/// Returns the process environment, as far as it is text.
pub fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// Prints help and versions, and refuses what could not be parsed: also as a document, if one was asked for.
fn report_unparsed(
    stopped: clap::Error,
    arguments: &[OsString],
    environment: &BTreeMap<String, String>,
    started: Instant,
) -> Exit {
    let globals = cli::Globals::guess(arguments);
    let printer = Printer::new(&globals, environment, cli::guess_verb(arguments), started);
    match stopped.exit_code() {
        0 => printer.help(&stopped),
        _ => printer.usage(&stopped),
    }
}
