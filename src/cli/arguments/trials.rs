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
    #[arg(value_name = "NAME", value_parser = ["start", "status", "collector", "storage"])]
    pub name: String,
    /// Recorded frames to parse: a folder with exchange, market and type in its paths
    #[arg(long, value_name = "FOLDER")]
    pub frames: Option<PathBuf>,
}
