//! `mprism bench pipeline`: everything on this machine, the simulator included, from the venue's frame to the readable row.
//!
//! Each run has a home of its own. The first is at the rate that is asked for and proves that no row is lost or doubled; two more are
//! at rates that have budgets of their own; then rates are stepped through to find the highest that is sustained.

mod bare;
mod growth;
mod processes;
mod run;
mod stage;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::measured::{Better, Measured, rounded};
use super::report::Found;
use crate::cli::BenchArgs;
use crate::commands::Context;
use crate::error::CliError;
use crate::report::duration_text;

use run::BACKLOG_S_MAX;
use stage::Stage;

pub(super) use run::Run;

const RATE: u32 = 40_000;
const RUN_FOR: Duration = Duration::from_secs(300);
const STEPS: u32 = 6;
/// The other runs go on no longer.
const ASIDE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_secs(15);
/// From one rate to the next.
const UP: f64 = 1.25;
const DOWN: f64 = 0.75;

/// CPU of all processes together.
const CPU_US_BUDGET: f64 = 40.0;
const P99_MS_BUDGET: f64 = 400.0;
const NATS_BYTES_BUDGET: f64 = 1.5e9;
/// What is flat may move by so much between the last two quarters of a run.
const GROWTH_PERCENT_BUDGET: f64 = 10.0;
/// At a thousand rows a second.
const CALM_RATE: u32 = 1_000;
const CALM_P50_MS_BUDGET: f64 = 80.0;
const CALM_P99_MS_BUDGET: f64 = 180.0;
/// MarketPrism's load: 125 rows a second with four order books of 400 levels, which are 35 of them.
const ORIGINAL_TRADES: u32 = 90;
const ORIGINAL_CPU_PERCENT_BUDGET: f64 = 4.0;
const ORIGINAL_COLLECTOR_BYTES_BUDGET: f64 = (40 << 20) as f64;
const ORIGINAL_HOT_BYTES_BUDGET: f64 = (32 << 20) as f64;

/// What is run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rate: u32,
    pub(super) run_for: Duration,
    pub(super) steps: u32,
    /// Where the cost by symbols is drawn; nothing where that is not measured.
    pub(super) plot: Option<PathBuf>,
}

impl Plan {
    pub(super) fn new(args: &BenchArgs) -> Self {
        Self {
            rate: args.rate.unwrap_or(RATE),
            run_for: args.run_for.unwrap_or(RUN_FOR),
            steps: args.steps.unwrap_or(STEPS),
            plot: args.plot.clone(),
        }
    }

    fn trades(&self, name: &'static str, rate: u32, run_for: Duration, is_proven: bool) -> Stage {
        Stage {
            name: name.to_owned(),
            config: trades_only(),
            rate,
            run_for: run_for.min(self.run_for),
            is_proven,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate, run_for, steps, ..
        } = self;
        write!(
            f,
            "run everything with {rate} trades a second for {} in a temporary home, then at {CALM_RATE} and at MarketPrism's load, and \
             try up to {steps} other rates",
            duration_text(*run_for)
        )
    }
}

/// Runs it all.
pub(super) fn measure(plan: &Plan, context: &Context) -> Result<Found, CliError> {
    let first = plan.trades("trades", plan.rate, plan.run_for, true).measure(context)?;
    let calm = plan.trades("calm", CALM_RATE, ASIDE, true).measure(context)?;
    let original = Stage {
        name: "original's load".to_owned(),
        config: original(),
        rate: ORIGINAL_TRADES,
        run_for: ASIDE.min(plan.run_for),
        is_proven: true,
    };
    let original = original.measure(context)?;
    let seconds = plan.run_for.as_secs_f64().min(5.0);
    let messages = (f64::from(plan.rate) * seconds).clamp(1_000.0, 200_000.0) as u64;
    let bare = bare::measure(messages, context)?;
    let mut runs = vec![first, calm, original];
    runs.extend(step(plan, &runs[0], context)?);
    let mut results = results(plan, &runs, bare[0].value);
    results.extend(bare);
    if let Some(folder) = &plan.plot {
        let (grown, measured) = growth::measure(plan, folder, context)?;
        runs.extend(grown);
        results.push(measured);
    }
    Ok(Found {
        results,
        runs,
        ..Found::default()
    })
}

/// Tries higher rates until one is not sustained; where the first one is not, lower ones until one is.
fn step(plan: &Plan, first: &Run, context: &Context) -> Result<Vec<Run>, CliError> {
    let is_up = first.is_sustained;
    let (mut rate, mut runs) = (f64::from(plan.rate), Vec::new());
    for _ in 0..plan.steps {
        rate *= if is_up { UP } else { DOWN };
        let stage = plan.trades("step", rate.round().max(1.0) as u32, STEP, false);
        let run = stage.measure(context)?;
        let is_last = run.is_sustained != is_up;
        runs.push(run);
        if is_last {
            break;
        }
    }
    Ok(runs)
}

/// Decides what the runs say; `publish` is the rate of the bare publisher.
fn results(plan: &Plan, runs: &[Run], publish: f64) -> Vec<Measured> {
    let [first, calm, original, ..] = runs else {
        return Vec::new();
    };
    let once = Measured::once;
    // What one row costs at a few rows is mostly what waiting costs; the budgets are for the rate that they name.
    let at_rate = |budget: f64| (plan.rate >= RATE).then_some(budget);
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>() as f64;
    let growth = |service| first.taken(service).rss_growth_percent;
    let latency = |id: &'static str, ms: Option<f64>, budget| ms.map(|ms| once(id, "ms", ms, budget));
    let highest = runs.iter().filter(|run| run.is_sustained && run.name != original.name);
    let highest = highest.map(|run| run.rows_per_s).fold(0.0, f64::max);
    let (collector, hot) = (original.taken("collector"), original.taken("hot"));
    let mut results = vec![
        once("pipeline_cpu", "µs/row", first.cpu_us_per_row, at_rate(CPU_US_BUDGET)),
        once("pipeline_lost", "rows", sum(|run| run.lost), Some(0.0)),
        once("pipeline_duplicated", "rows", sum(|run| run.duplicated), Some(0.0)),
        once(
            "pipeline_backlog",
            "s of rows",
            first.backlog_max as f64 / f64::from(first.rate),
            Some(BACKLOG_S_MAX),
        ),
        once(
            "pipeline_growth",
            "% of memory",
            growth("collector").max(growth("hot")),
            Some(GROWTH_PERCENT_BUDGET),
        ),
        once(
            "pipeline_nats_memory",
            "bytes",
            first.taken("nats").rss_max_bytes as f64,
            Some(NATS_BYTES_BUDGET),
        ),
        Measured::of(
            "pipeline_highest",
            "rows/s",
            Better::Higher,
            &[highest],
            at_rate(f64::from(RATE) * 0.97),
            Some(publish),
        ),
        once(
            "original_collector_cpu",
            "% of a core",
            collector.cpu_percent,
            Some(ORIGINAL_CPU_PERCENT_BUDGET),
        ),
        once(
            "original_collector_memory",
            "bytes",
            collector.rss_max_bytes as f64,
            Some(ORIGINAL_COLLECTOR_BYTES_BUDGET),
        ),
        once(
            "original_hot_cpu",
            "% of a core",
            hot.cpu_percent,
            Some(ORIGINAL_CPU_PERCENT_BUDGET),
        ),
        once(
            "original_hot_memory",
            "bytes",
            hot.rss_max_bytes as f64,
            Some(ORIGINAL_HOT_BYTES_BUDGET),
        ),
    ];
    let times = [
        latency("pipeline_p50", first.latency_ms.p50, None),
        latency("pipeline_p99", first.latency_ms.p99, Some(P99_MS_BUDGET)),
        latency("calm_p50", calm.latency_ms.p50, Some(CALM_P50_MS_BUDGET)),
        latency("calm_p99", calm.latency_ms.p99, Some(CALM_P99_MS_BUDGET)),
    ];
    results.extend(times.into_iter().flatten());
    for result in &mut results {
        result.value = rounded(result.value);
    }
    results
}

/// Trades of ten symbols of one venue, and nothing else: every row is a trade.
fn trades_only() -> String {
    let bases = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "DOT", "LTC"];
    of_binance_spot(bases.map(str::to_owned), "trade")
}

/// Trades and order books of four instruments.
fn original() -> String {
    of_binance_spot(["BTC", "ETH", "SOL", "XRP"].map(str::to_owned), "trade, orderbook")
}

fn of_binance_spot(bases: impl IntoIterator<Item = String>, data_types: &str) -> String {
    let symbols: Vec<String> = bases.into_iter().map(|base| format!("{base}USDT")).collect();
    let others = mprism_settings::EXCHANGES.iter().filter(|id| **id != "binance_spot");
    let others: Vec<String> = others.map(|id| format!(", {id}: {{enabled: false}}")).collect();
    let spot = format!(
        "binance_spot: {{symbols: [{}], data_types: [{data_types}]}}",
        symbols.join(", ")
    );
    format!("collector: {{exchanges: {{{spot}{}}}}}\n", others.concat())
}
