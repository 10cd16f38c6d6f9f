//! What a row costs by the number of symbols, at the same total rate.

use std::path::Path;
use std::time::Duration;

use super::run::Run;
use super::stage::Stage;
use super::{Plan, of_binance_spot};
use crate::commands::Context;
use crate::commands::bench::measured::Measured;
use crate::commands::bench::plot;
use crate::error::CliError;

/// The first and the last are what the budget is about.
const SYMBOLS: [usize; 5] = [2, 20, 100, 200, 500];
const RATE_MAX: u32 = 10_000;
const RUN_FOR_MAX: Duration = Duration::from_secs(15);
/// What a row of the most symbols may cost, in those of the fewest.
const BUDGET: f64 = 1.2;

/// Runs everything with few and with many symbols, and draws what a row costs.
pub(super) fn measure(plan: &Plan, folder: &Path, context: &Context) -> Result<(Vec<Run>, Measured), CliError> {
    let mut runs = Vec::new();
    for symbols in SYMBOLS {
        let stage = Stage {
            name: format!("{symbols} symbols"),
            config: of_binance_spot((0..symbols).map(|number| format!("S{number:03}")), "trade"),
            rate: plan.rate.min(RATE_MAX),
            run_for: plan.run_for.min(RUN_FOR_MAX),
            is_proven: false,
        };
        runs.push(stage.measure(context)?);
    }
    let cost = runs.iter().map(|run| run.cpu_us_per_row);
    let points: Vec<(usize, f64)> = SYMBOLS.into_iter().zip(cost).collect();
    let path = plot::draw_into(
        folder,
        "pipeline-by-symbols.svg",
        "CPU per trade of all processes together, by symbols",
        "µs",
        &points,
    )?;
    context.printer.note(&format!("{} is written", path.display()));
    let ratio = points[points.len() - 1].1 / points[0].1;
    let measured = Measured::once("pipeline_cpu_of_500_symbols", "× that of 2", ratio, Some(BUDGET));
    Ok((runs, measured))
}
