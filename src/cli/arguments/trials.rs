//! The pipeline on trial: smoke tests and measurements.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::duration;

/// `mprism smoke`.
#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// How long market data flows
    #[arg(long, value_name = "D", value_parser = duration, default_value = "30s")]
    pub duration: Duration,
    /// Print row counts at this interval
    #[arg(long, value_name = "D", value_parser = duration)]
    pub sample: Option<Duration>,
    /// Collect from the exchanges instead of the simulator, as --config says
    #[arg(long)]
    pub live: bool,
}

/// `mprism bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[arg(
        value_name = "NAME",
        value_parser = ["start", "status", "control", "collector", "storage", "pipeline", "transport", "all"]
    )]
    pub name: String,
    /// Compare with what an earlier run with --json printed; what got worse than both runs' spread is a failure
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// collector: recorded frames to parse, a folder with exchange, market and type in its paths
    #[arg(long, value_name = "FOLDER")]
    pub frames: Option<PathBuf>,
    /// collector, pipeline: measure what a row costs by the number of symbols, and draw it into this folder
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// pipeline: rows of trades a second [default: 40000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// pipeline, transport: how long the measurement goes on [default: 5m]
    #[arg(long = "for", value_name = "D", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// pipeline: rates tried beyond the first, to find the highest that is sustained [default: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=50))]
    pub steps: Option<u32>,
    /// transport: how long a window of percentiles is [default: 1m]
    #[arg(long, value_name = "D", value_parser = duration)]
    pub window: Option<Duration>,
    /// transport: a subject to listen to; may be repeated [default: those of collector.mirror.subjects]
    #[arg(long = "subject", value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// transport: append a line of JSON for every window to this file
    #[arg(long, value_name = "FILE")]
    pub jsonl: Option<PathBuf>,
    /// transport: measure in a temporary home with a simulated market, even where this home's collector runs
    #[arg(long)]
    pub sim: bool,
}
