//! `mprism bench`: what the README claims, measured on this machine.

mod baseline;
mod collector;
mod control;
mod export;
mod flow;
mod frames;
mod hot;
mod integrity;
mod measured;
mod pipeline;
mod plot;
mod report;
mod storage;
mod transport;

use std::time::Duration;

use crate::cli::BenchArgs;
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::error::{CliError, Exit};

use baseline::Baseline;
use control::SAMPLES;
use measured::{Better, Measured, in_ms, median_of, rounded};
use report::{BenchReport, Found, PlannedBench};

/// `mprism bench`.
pub(crate) fn run(args: &BenchArgs, context: &Context) -> Result<Exit, CliError> {
    check(args)?;
    if context.globals.dry_run {
        return context.printer.report(&PlannedBench {
            dry_run: true,
            plan: plan(args),
        });
    }
    // Before anything takes minutes.
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let mut report = BenchReport::new(measure(&args.name, args, context)?);
    if let Some(baseline) = baseline {
        baseline.compare(&mut report.results);
    }
    context.printer.report(&report)
}

fn measure(name: &str, args: &BenchArgs, context: &Context) -> Result<Found, CliError> {
    match name {
        "collector" => collector::all(args, context),
        "transport" => transport::measure(&transport::Plan::new(args), context),
        "pipeline" => pipeline::measure(&pipeline::Plan::new(args), context),
        "all" => everything(args, context),
        name => in_a_home(name, context).map(Found::from),
    }
}

/// How long the parts that go on for a time do so where everything is measured: seven minutes in all.
const PIPELINE_OF_ALL: Duration = Duration::from_secs(60);
const TRANSPORT_OF_ALL: Duration = Duration::from_secs(20);
const STEPS_OF_ALL: u32 = 3;

fn everything(args: &BenchArgs, context: &Context) -> Result<Found, CliError> {
    let mut found = Found::default();
    for name in ["collector", "control", "storage"] {
        context.printer.note(&format!("{name}:"));
        settle();
        found.add(measure(name, args, context)?);
    }
    context.printer.note("transport:");
    settle();
    let transport = transport::Plan::short(TRANSPORT_OF_ALL);
    found.add(transport::measure(&transport, context)?);
    context.printer.note("pipeline:");
    settle();
    let pipeline = pipeline::Plan {
        run_for: PIPELINE_OF_ALL,
        steps: STEPS_OF_ALL,
        plot: None,
        ..pipeline::Plan::new(args)
    };
    found.add(pipeline::measure(&pipeline, context)?);
    Ok(found)
}

/// Waits until what was written is on the disk: whatever is measured next would share the disk with what was measured before.
fn settle() {
    rustix::fs::sync();
}

/// As [`settle`], within a measurement.
async fn settled() {
    // It cannot fail: what cannot be written is told to who wrote it.
    let _ended = tokio::task::spawn_blocking(settle).await;
}

/// Measures in a home of its own, with its settings as they are.
fn in_a_home(name: &str, context: &Context) -> Result<Vec<Measured>, CliError> {
    let home = IsolatedHome::claim(context)?;
    within(&home, context, async || match name {
        "status" => control::status(&home, context).await,
        "control" => control::measure(&home, context).await,
        "storage" => storage::measure(&home, context).await,
        _ => control::start(&home, context).await,
    })
}

/// Measures in a home of its own, with settings over the defaults.
fn in_a_home_of<T>(
    yaml: &str,
    context: &Context,
    work: impl AsyncFnOnce(&IsolatedHome) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let failed = |e: std::io::Error| CliError::failed("bench", e).context("cannot write settings");
    let folder = tempfile::tempdir().map_err(failed)?;
    let config = folder.path().join("bench.yaml");
    std::fs::write(&config, yaml).map_err(failed)?;
    let home = IsolatedHome::with_config(context, Some(config))?;
    within(&home, context, async || work(&home).await)
}

fn within<T>(
    home: &IsolatedHome,
    context: &Context,
    work: impl AsyncFnOnce() -> Result<T, CliError>,
) -> Result<T, CliError> {
    let done = context.block_on_interruptible(work());
    // Whatever went wrong, or was interrupted: nothing is left running.
    let stopped = context.block_on(home.mprism(&["down"]));
    let done = done?;
    stopped?;
    Ok(done)
}

/// Refuses flags that what is measured does not know.
fn check(args: &BenchArgs) -> Result<(), CliError> {
    let flags = [
        ("--frames", args.frames.is_some(), &["collector", "all"][..]),
        ("--plot", args.plot.is_some(), &["collector", "pipeline", "all"]),
        ("--rate", args.rate.is_some(), &["pipeline", "all"]),
        ("--for", args.run_for.is_some(), &["pipeline", "transport"]),
        ("--steps", args.steps.is_some(), &["pipeline"]),
        ("--window", args.window.is_some(), &["transport"]),
        ("--subject", !args.subjects.is_empty(), &["transport"]),
        ("--jsonl", args.jsonl.is_some(), &["transport"]),
        ("--sim", args.sim, &["transport"]),
    ];
    let stray = flags
        .iter()
        .find(|(_, is_given, known)| *is_given && !known.contains(&args.name.as_str()));
    let Some((flag, _, known)) = stray else {
        return Ok(());
    };
    let text = format!("{flag} means nothing to `mprism bench {}`", args.name);
    Err(CliError::usage("usage", anyhow::Error::msg(text)).hint(format!(
        "it is for `mprism bench {}`",
        known.join("` and `mprism bench ")
    )))
}

fn plan(args: &BenchArgs) -> String {
    match args.name.as_str() {
        "collector" => format!("measure collector {SAMPLES} times, without a home"),
        "transport" => transport::Plan::new(args).to_string(),
        "pipeline" => pipeline::Plan::new(args).to_string(),
        "all" => "measure everything in temporary homes, in about seven minutes".into(),
        name => format!("measure {name} {SAMPLES} times in a temporary home"),
    }
}
