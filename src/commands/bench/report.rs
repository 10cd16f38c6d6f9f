//! What came of measuring.

use serde::Serialize;

use super::measured::Measured;
use super::pipeline::Run;
use super::transport::Window;
use crate::error::{Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, bytes};

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cores: usize,
    memory_bytes: u64,
    kernel: String,
}

impl Machine {
    pub(super) fn look() -> Self {
        let uname = rustix::system::uname();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: rustix::system::sysinfo().totalram,
            kernel: uname.release().to_string_lossy().into_owned(),
        }
    }
}

/// Measurements, and what is behind them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) results: Vec<Measured>,
    pub(super) runs: Vec<Run>,
    pub(super) windows: Vec<Window>,
}

impl From<Vec<Measured>> for Found {
    fn from(results: Vec<Measured>) -> Self {
        Self {
            results,
            ..Self::default()
        }
    }
}

impl Found {
    /// Adds what else was found.
    pub(super) fn add(&mut self, other: Self) {
        self.results.extend(other.results);
        self.runs.extend(other.runs);
        self.windows.extend(other.windows);
    }
}

#[derive(Debug, Serialize)]
pub(super) struct BenchReport {
    pub(super) results: Vec<Measured>,
    /// Runs of the whole pipeline.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<Run>,
    /// Windows in which two ways were compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) windows: Vec<Window>,
    pub(super) machine: Machine,
}

impl BenchReport {
    pub(super) fn new(found: Found) -> Self {
        Self {
            results: found.results,
            runs: found.runs,
            windows: found.windows,
            machine: Machine::look(),
        }
    }

    fn over(&self) -> Vec<String> {
        let over = self.results.iter().filter(|result| !result.ok).map(|result| {
            let budget = result.budget.unwrap_or_default();
            let unit = result.unit;
            format!("{}: {} {unit}, budget {budget} {unit}", result.id, result.value)
        });
        over.collect()
    }

    fn worse(&self) -> Vec<String> {
        let worse = self.results.iter().filter_map(|result| {
            let change = result.change.filter(|change| change.is_regression)?;
            let (unit, noise) = (result.unit, change.noise_percent);
            Some(format!(
                "{}: {} {unit}, {} {unit} before; noise is {noise} %",
                result.id, result.value, change.baseline
            ))
        });
        worse.collect()
    }
}

impl Report for BenchReport {
    fn exit(&self) -> Exit {
        if self.over().is_empty() && self.worse().is_empty() {
            Exit::Success
        } else {
            Exit::Failed
        }
    }

    fn failure(&self) -> Option<Failure> {
        let (over, worse, all) = (self.over(), self.worse(), self.results.len());
        let (code, message) = match (over.len(), worse.len()) {
            (0, 0) => return None,
            (0, count) => (
                "regression",
                format!("{count} of {all} measurements are worse than before"),
            ),
            (count, 0) => (
                "over_budget",
                format!("{count} of {all} measurements are over their budget"),
            ),
            (count, more) => (
                "over_budget",
                format!("{count} of {all} measurements are over their budget, and {more} are worse than before"),
            ),
        };
        Some(Failure {
            code,
            message,
            causes: [over, worse].concat(),
            hints: vec!["a busy machine is slow: look at its load, and measure again".into()],
        })
    }

    fn page(&self) -> Page {
        let mut page = Page::new();
        if !self.windows.is_empty() {
            let rows = self.windows.iter().flat_map(Window::rows);
            page = page.table(Window::HEADER.to_vec(), rows.collect());
        }
        if !self.runs.is_empty() {
            let rows = self.runs.iter().map(Run::cells);
            let taken = self.runs.iter().flat_map(Run::taken_cells);
            page = page
                .table(Run::PROCESSES.to_vec(), taken.collect())
                .table(Run::HEADER.to_vec(), rows.collect());
        }
        let is_compared = self.results.iter().any(|result| result.change.is_some());
        let mut header = vec!["measured", "median", "budget", "", "ceiling", "spread", "samples"];
        if is_compared {
            header.extend(["before", "change"]);
        }
        let rows = self.results.iter().map(|result| row(result, is_compared));
        let machine = &self.machine;
        page.table(header, rows.collect()).line(format!(
            "{} cores, {}, Linux {}",
            machine.cores,
            bytes(machine.memory_bytes),
            machine.kernel
        ))
    }
}

fn row(result: &Measured, is_compared: bool) -> Vec<Cell> {
    let (word, tone) = if result.ok {
        ("ok", Tone::Good)
    } else {
        ("over", Tone::Bad)
    };
    let or_dash = |value: Option<f64>| value.map_or("–".to_owned(), |value| value.to_string());
    let mut cells = vec![
        Cell::plain(result.id.clone()),
        Cell::number(format!("{} {}", result.value, result.unit)),
        Cell::number(or_dash(result.budget)),
        Cell::toned(word, tone),
        Cell::number(or_dash(result.ceiling)),
        Cell::number(format!("±{} %", result.spread_percent)),
        Cell::number(result.samples),
    ];
    if is_compared {
        let change = result.change;
        cells.push(Cell::number(or_dash(change.map(|change| change.baseline))));
        let percent = change.and_then(|change| change.change_percent);
        let text = percent.map_or("–".to_owned(), |percent| format!("{percent:+} %"));
        cells.push(match change {
            Some(change) if change.is_regression => Cell::toned(text, Tone::Bad),
            _ => Cell::number(text),
        });
    }
    cells
}

#[derive(Serialize)]
pub(super) struct PlannedBench {
    pub(super) dry_run: bool,
    pub(super) plan: String,
}

impl Report for PlannedBench {
    fn page(&self) -> Page {
        Page::new().line(format!("would {}", self.plan))
    }
}
