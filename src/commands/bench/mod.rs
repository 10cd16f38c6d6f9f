//! `mprism bench`: what the README claims, measured on this machine.

mod collector;
mod export;
mod frames;
mod hot;
mod integrity;
mod storage;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::cli::BenchArgs;
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, bytes};

/// How often each thing is measured; the median counts.
const SAMPLES: usize = 10;
/// From stopped to all healthy.
const START_BUDGET_MS: f64 = 2_000.0;
const STOP_BUDGET_MS: f64 = 2_000.0;
const STATUS_BUDGET_MS: f64 = 100.0;

/// `mprism bench`.
pub(crate) fn run(args: &BenchArgs, context: &Context) -> Result<Exit, CliError> {
    if context.globals.dry_run {
        return context.printer.report(&PlannedBench {
            dry_run: true,
            plan: format!("measure {} {SAMPLES} times in a temporary home", args.name),
        });
    }
    if args.name == "collector" {
        let mut results = collector::measure(context);
        results.extend(collector::recorded(args.frames.as_deref(), context)?);
        let machine = Machine::look();
        return context.printer.report(&BenchReport { results, machine });
    }
    let home = IsolatedHome::claim(context)?;
    let measured = context.block_on_interruptible(async {
        match args.name.as_str() {
            "status" => status(&home, context).await,
            "storage" => storage::measure(&home, context).await,
            _ => start(&home, context).await,
        }
    });
    // Whatever went wrong, or was interrupted: nothing is left running.
    let stopped = context.block_on(home.mprism(&["down"]));
    let report = BenchReport {
        results: measured?,
        machine: Machine::look(),
    };
    stopped?;
    context.printer.report(&report)
}

/// Measures whole commands, from the shell's point of view.
async fn start(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["init"]).await?;
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for round in 1..=SAMPLES {
        let started = home.mprism(&["start", "--sim"]).await?;
        let stopped = home.mprism(&["stop"]).await?;
        context.printer.note(&format!(
            "{round}/{SAMPLES}: start {:?}, stop {:?}",
            started.took, stopped.took
        ));
        starts.push(started.took);
        stops.push(stopped.took);
    }
    Ok(vec![
        Measured::new("start", &starts, Some(START_BUDGET_MS), None),
        Measured::new("stop", &stops, Some(STOP_BUDGET_MS), None),
    ])
}

async fn status(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["start", "--sim"]).await?;
    let (mut answers, mut floor) = (Vec::new(), Vec::new());
    for round in 1..=SAMPLES {
        let answer = home.mprism(&["status"]).await?;
        context
            .printer
            .note(&format!("{round}/{SAMPLES}: status {:?}", answer.took));
        answers.push(answer.took);
        // What any command of this binary costs: its own start, and reading the settings.
        floor.push(home.mprism(&["env"]).await?.took);
    }
    let floor = median(&floor);
    Ok(vec![Measured::new(
        "status",
        &answers,
        Some(STATUS_BUDGET_MS),
        Some(floor),
    )])
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Measured {
    id: Cow<'static, str>,
    /// The median.
    value: f64,
    unit: &'static str,
    better: &'static str,
    /// The best that could be had here, measured in the same run.
    ceiling: Option<f64>,
    /// Of the value to the ceiling.
    ratio: Option<f64>,
    budget: Option<f64>,
    ok: bool,
    samples: usize,
    /// Between the first and the third quarter, of the median.
    spread_percent: f64,
}

impl Measured {
    /// A time: less is better.
    fn new(id: &'static str, samples: &[Duration], budget: Option<f64>, ceiling: Option<f64>) -> Self {
        let samples: Vec<f64> = samples.iter().map(in_ms).collect();
        Self::of(id, "ms", Better::Lower, &samples, budget, ceiling)
    }

    fn of(
        id: impl Into<Cow<'static, str>>,
        unit: &'static str,
        better: Better,
        samples: &[f64],
        budget: Option<f64>,
        ceiling: Option<f64>,
    ) -> Self {
        let value = median_of(samples);
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quarter = |n: usize| sorted.get(sorted.len() * n / 4).copied().unwrap_or(value);
        Self {
            id: id.into(),
            value: rounded(value),
            unit,
            better: match better {
                Better::Lower => "lower",
                Better::Higher => "higher",
            },
            ceiling: ceiling.map(rounded),
            ratio: ceiling.map(|ceiling| rounded(value / ceiling)),
            budget,
            ok: budget.is_none_or(|budget| match better {
                Better::Lower => value <= budget,
                Better::Higher => value >= budget,
            }),
            samples: samples.len(),
            spread_percent: rounded((quarter(3) - quarter(1)) / value * 100.0),
        }
    }
}

/// Which way a measurement should go.
#[derive(Clone, Copy, Debug)]
enum Better {
    Lower,
    Higher,
}

fn in_ms(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn median(samples: &[Duration]) -> f64 {
    median_of(&samples.iter().map(in_ms).collect::<Vec<f64>>())
}

fn median_of(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    memory_bytes: u64,
    kernel: String,
}

impl Machine {
    fn look() -> Self {
        let uname = rustix::system::uname();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: rustix::system::sysinfo().totalram,
            kernel: uname.release().to_string_lossy().into_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
struct BenchReport {
    results: Vec<Measured>,
    machine: Machine,
}

impl Report for BenchReport {
    fn exit(&self) -> Exit {
        if self.results.iter().all(|result| result.ok) {
            Exit::Success
        } else {
            Exit::Failed
        }
    }

    fn failure(&self) -> Option<Failure> {
        let over: Vec<&Measured> = self.results.iter().filter(|result| !result.ok).collect();
        if over.is_empty() {
            return None;
        }
        let told = |result: &&Measured| {
            let budget = result.budget.unwrap_or_default();
            format!(
                "{}: {} {}, budget {budget} {}",
                result.id, result.value, result.unit, result.unit
            )
        };
        Some(Failure {
            code: "over_budget",
            message: format!(
                "{} of {} measurements are over their budget",
                over.len(),
                self.results.len()
            ),
            causes: over.iter().map(told).collect(),
            hints: vec!["a busy machine is slow: look at its load, and measure again".into()],
        })
    }

    fn page(&self) -> Page {
        let rows = self.results.iter().map(|result| {
            let (word, tone) = if result.ok {
                ("ok", Tone::Good)
            } else {
                ("over", Tone::Bad)
            };
            let or_dash = |value: Option<f64>| value.map_or("–".to_owned(), |value| value.to_string());
            vec![
                Cell::plain(result.id.clone()),
                Cell::number(format!("{} {}", result.value, result.unit)),
                Cell::number(or_dash(result.budget)),
                Cell::toned(word, tone),
                Cell::number(or_dash(result.ceiling)),
                Cell::number(format!("±{} %", result.spread_percent)),
                Cell::number(result.samples),
            ]
        });
        let machine = &self.machine;
        Page::new()
            .table(
                vec!["measured", "median", "budget", "", "floor", "spread", "samples"],
                rows.collect(),
            )
            .line(format!(
                "{} cores, {}, Linux {}",
                machine.cores,
                bytes(machine.memory_bytes),
                machine.kernel
            ))
    }
}

#[derive(Serialize)]
struct PlannedBench {
    dry_run: bool,
    plan: String,
}

impl Report for PlannedBench {
    fn page(&self) -> Page {
        Page::new().line(format!("would {}", self.plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_and_the_budget_decides() {
        let samples = [10, 30, 20, 1_000].map(Duration::from_millis);
        let measured = Measured::new("x", &samples, Some(25.0), Some(12.5));
        assert_eq!((measured.value, measured.ratio, measured.ok), (25.0, Some(2.0), true));
        assert!(!Measured::new("x", &samples, Some(24.0), None).ok);
        assert_eq!(median(&samples[..3]), 20.0);
    }
}
