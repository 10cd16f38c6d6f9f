//! `mprism bench transport`: the same messages from JetStream and from core NATS, and how old they are when they come.
//!
//! It listens to what the home's collector publishes; where none runs, to that of a temporary home with a simulated market. Core NATS
//! is the copies of `collector.mirror` where a subject is among them, else the subject itself: nats-server tells both whoever listens
//! and the stream.

mod listen;
mod samples;
mod window;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mprism_model::Subject;
use mprism_runtime::files;
use mprism_runtime::lock::{self, LockError, LockFile, LockState};
use mprism_settings::{Mode, Settings};

use super::Measured;
use super::report::Found;
use crate::cli::{BenchArgs, WorkerName};
use crate::commands::Context;
use crate::commands::worker;
use crate::error::CliError;
use crate::report::duration_text;

use listen::Ears;
use window::Comparison;

pub(super) use window::Window;

const RUN_FOR: Duration = Duration::from_secs(300);
const WINDOW: Duration = Duration::from_secs(60);

/// What is measured, and for how long.
#[derive(Debug)]
pub(super) struct Plan {
    run_for: Duration,
    window: Duration,
    /// None are those that the settings name.
    subjects: Vec<String>,
    jsonl: Option<PathBuf>,
    is_simulated: bool,
}

impl Plan {
    pub(super) fn new(args: &BenchArgs) -> Self {
        let run_for = args.run_for.unwrap_or(RUN_FOR);
        Self {
            run_for,
            window: args.window.unwrap_or(WINDOW).min(run_for),
            subjects: args.subjects.clone(),
            jsonl: args.jsonl.clone(),
            is_simulated: args.sim,
        }
    }

    /// For so long, in two windows, in a temporary home.
    pub(super) fn short(run_for: Duration) -> Self {
        Self {
            run_for,
            window: run_for / 2,
            subjects: Vec::new(),
            jsonl: None,
            is_simulated: true,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run_for, window) = (duration_text(self.run_for), duration_text(self.window));
        write!(
            f,
            "compare JetStream with core NATS for {run_for}, in windows of {window}, on what the home's collector publishes; where \
             none runs, in a temporary home"
        )
    }
}

/// Compares the two ways.
pub(super) fn measure(plan: &Plan, context: &Context) -> Result<Found, CliError> {
    let settings = context.settings()?;
    let subjects = subjects(plan, &settings)?;
    let lines = plan.jsonl.as_deref().map(open).transpose()?;
    let _one_at_a_time = claim(&settings)?;
    if !plan.is_simulated && is_collecting(&settings) {
        return context.block_on_interruptible(compare(plan, &settings, &subjects, lines, context));
    }
    context
        .printer
        .note("a temporary home with a simulated market is measured, not this one");
    let named = subjects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let yaml = format!("collector: {{mirror: {{enabled: true, subjects: [{named}]}}}}\n");
    super::in_a_home_of(&yaml, context, async |home| {
        home.mprism(&["init"]).await?;
        home.mprism(&["start", "--sim"]).await?;
        compare(plan, &home.settings()?, &subjects, lines, context).await
    })
}

/// Returns what is listened to.
fn subjects(plan: &Plan, settings: &Settings) -> Result<Vec<Subject>, CliError> {
    let named = match plan.subjects.is_empty() {
        true => &settings.collector.mirror.subjects,
        false => &plan.subjects,
    };
    let read = |name: &String| {
        name.parse::<Subject>().map_err(|e| {
            CliError::usage("usage", e)
                .context(format!("`{name}` is not a subject"))
                .hint("type, exchange, kind of market and symbol: trade.binance_spot.spot.BTC-USDT")
        })
    };
    let mut subjects: Vec<Subject> = Vec::new();
    for subject in named.iter().map(read) {
        let subject = subject?;
        // Said twice is meant once.
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    if subjects.is_empty() {
        return Err(
            CliError::usage("usage", anyhow::anyhow!("there is no subject to listen to"))
                .hint("name one: `mprism bench transport --subject trade.binance_spot.spot.BTC-USDT`"),
        );
    }
    Ok(subjects)
}

fn open(path: &Path) -> Result<File, CliError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|e| CliError::failed("unwritable", e).context(format!("cannot write {}", path.display())))
}

/// Two at once would measure each other.
fn claim(settings: &Settings) -> Result<LockFile, CliError> {
    let run = settings.home.run();
    files::ensure_folder(&run, 0o700)
        .map_err(|e| CliError::failed("no_home", e).context(format!("cannot use {}", run.display())))?;
    LockFile::acquire(&run.join("bench-transport.lock")).map_err(|error| match &error {
        LockError::Held { holder, .. } => {
            let pid = holder
                .as_ref()
                .map(|holder| format!(", or end it: it is pid {}", holder.pid));
            let hint = format!("wait until it is done{}", pid.unwrap_or_default());
            CliError::refused("already_running", error)
                .context("`mprism bench transport` measures this home already")
                .hint(hint)
        }
        _ => CliError::failed("lock", error),
    })
}

/// Returns whether a collector publishes: one that runs here, or one of another host.
fn is_collecting(settings: &Settings) -> bool {
    let here = lock::probe(&worker::lock_path(settings, WorkerName::Collector));
    let is_elsewhere = settings.services.collector.is_some() && settings.nats.mode == Mode::External;
    is_elsewhere || matches!(here, Ok(LockState::Held(_)))
}

async fn compare(
    plan: &Plan,
    settings: &Settings,
    subjects: &[Subject],
    mut lines: Option<File>,
    context: &Context,
) -> Result<Found, CliError> {
    let mut ears = Ears::open(settings, subjects).await?;
    ears.until_all_hear().await?;
    let mut comparison = Comparison::new(subjects);
    let (began, mut windows) = (tokio::time::Instant::now(), Vec::new());
    let end = began + plan.run_for;
    while tokio::time::Instant::now() < end {
        let number = u32::try_from(windows.len() + 1).unwrap_or(u32::MAX);
        // What is left of the last one may be shorter.
        let until = (began + plan.window.saturating_mul(number)).min(end);
        ears.hear(until, &mut comparison).await?;
        let window = comparison.close();
        context.printer.note(&window.line());
        if let Some(file) = &mut lines {
            let line = serde_json::to_string(&window).map_err(|e| CliError::failed("bench", e))?;
            // One write: a line is there whole or not at all.
            file.write_all(format!("{line}\n").as_bytes())
                .map_err(|e| CliError::failed("unwritable", e).context("cannot write a line of --jsonl"))?;
        }
        windows.push(window);
    }
    Ok(Found {
        results: results(subjects, &windows),
        windows,
        ..Found::default()
    })
}

/// Returns the medians of the windows' percentiles, JetStream's with core NATS as their ceiling.
fn results(subjects: &[Subject], windows: &[Window]) -> Vec<Measured> {
    let mut results = Vec::new();
    for subject in subjects {
        let name = &subject.to_string();
        for quantile in ["p50", "p90", "p95", "p99"] {
            let of = |way| {
                windows
                    .iter()
                    .filter_map(move |window| window.quantile(name, way, quantile))
            };
            let core: Vec<f64> = of("core").collect();
            let jetstream: Vec<f64> = of("jetstream").collect();
            let ceiling = (!core.is_empty()).then(|| super::median_of(&core));
            for (way, samples, ceiling) in [("jetstream", jetstream, ceiling), ("core", core, None)] {
                if !samples.is_empty() {
                    let id = format!("{way}_{quantile} {name}");
                    results.push(Measured::of(id, "ms", super::Better::Lower, &samples, None, ceiling));
                }
            }
        }
    }
    results
}
