//! What one run of the whole pipeline took.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::processes::Usage;
use crate::commands::bench::measured::rounded;
use crate::report::{Cell, bytes};

/// Of what was sent has to be stored, and of what was asked for has to be sent.
const KEPT_UP: f64 = 0.97;
/// Rows of so many seconds may be on their way.
pub(super) const BACKLOG_S_MAX: f64 = 2.0;

/// One run.
#[derive(Debug, Default, Serialize)]
pub(in super::super) struct Run {
    pub(super) name: String,
    /// Trades a second that were asked for.
    pub(super) rate: u32,
    /// How long was measured.
    pub(super) seconds: f64,
    /// Trades that the simulator sent in that time, and rows of any type that were stored, a second.
    pub(super) sent_per_s: f64,
    pub(super) rows_per_s: f64,
    /// Rows that were on their way: in the spool or on the bus, at most and at the end.
    pub(super) backlog_max: u64,
    pub(super) backlog_end: u64,
    /// Whether it kept up.
    pub(super) is_sustained: bool,
    /// CPU of all processes, of a row.
    pub(super) cpu_us_per_row: f64,
    pub(super) processes: BTreeMap<String, Taken>,
    /// From the venue's socket to readable, since the hot worker started.
    pub(super) latency_ms: Latency,
    /// Rows compared with what was sent; nothing where that was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<u64>,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) findings: Vec<String>,
}

/// What the processes of a service took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Taken {
    /// Of one core.
    pub(super) cpu_percent: f64,
    pub(super) cpu_us_per_row: f64,
    /// Resident memory: at first, at most, and at the end.
    pub(super) rss_first_bytes: u64,
    pub(super) rss_max_bytes: u64,
    pub(super) rss_last_bytes: u64,
    /// The last quarter's mean to that of the quarter before: what is flat is 0.
    pub(super) rss_growth_percent: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) usages: BTreeMap<String, Usage>,
    /// In the spool or on the bus.
    pub(super) backlog: u64,
}

/// What was there at the beginning and at the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) rows: u64,
}

impl Run {
    pub(in super::super) const HEADER: [&'static str; 9] = [
        "run",
        "asked",
        "rows/s",
        "kept up",
        "CPU/row",
        "backlog",
        "p50",
        "p99",
        "lost, doubled",
    ];
    pub(in super::super) const PROCESSES: [&'static str; 7] = [
        "run",
        "service",
        "CPU",
        "CPU/row",
        "memory at first",
        "at most",
        "growth at the end",
    ];

    /// Decides what a run took of what was seen of it; `looks` are evenly spaced, the first at the beginning.
    pub(super) fn of(name: &str, rate: u32, took: Duration, looks: &[Look], counts: [Counts; 2]) -> Self {
        let seconds = took.as_secs_f64();
        let a_second = |count: fn(&Counts) -> u64| {
            let [before, after] = &counts;
            count(after).saturating_sub(count(before)) as f64 / seconds
        };
        let (sent_per_s, rows_per_s) = (a_second(|counts| counts.sent), a_second(|counts| counts.rows));
        let rows = rows_per_s * seconds;
        let backlogs: Vec<u64> = looks.iter().map(|look| look.backlog).collect();
        let late = backlogs.split_at(backlogs.len() / 2).1;
        let backlog_end = late.iter().copied().max().unwrap_or(0);
        let processes: BTreeMap<String, Taken> = looks.last().map_or_else(BTreeMap::new, |last| {
            let taken = |service: &String| (service.clone(), Taken::of(service, looks, seconds, rows));
            last.usages.keys().map(taken).collect()
        });
        Self {
            name: name.to_owned(),
            rate,
            seconds: rounded(seconds),
            sent_per_s: rounded(sent_per_s),
            rows_per_s: rounded(rows_per_s),
            backlog_max: backlogs.iter().copied().max().unwrap_or(0),
            backlog_end,
            is_sustained: sent_per_s >= f64::from(rate) * KEPT_UP
                && rows_per_s >= sent_per_s * KEPT_UP
                && backlog_end as f64 <= f64::from(rate) * BACKLOG_S_MAX,
            cpu_us_per_row: rounded(processes.values().map(|taken| taken.cpu_us_per_row).sum()),
            processes,
            ..Self::default()
        }
    }

    /// Returns what a service took; nothing where it did not run.
    pub(super) fn taken(&self, service: &str) -> Taken {
        self.processes.get(service).copied().unwrap_or_default()
    }

    /// Returns its row of a table.
    pub(in super::super) fn cells(&self) -> Vec<Cell> {
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.0} ms"));
        let proven = match self.rows {
            Some(_) => format!("{}, {}", self.lost, self.duplicated),
            None => "–".to_owned(),
        };
        vec![
            Cell::plain(self.name.clone()),
            Cell::number(self.rate),
            Cell::number(format!("{:.0}", self.rows_per_s)),
            Cell::plain(if self.is_sustained { "yes" } else { "no" }),
            Cell::number(format!("{:.1} µs", self.cpu_us_per_row)),
            Cell::number(self.backlog_max),
            Cell::number(ms(self.latency_ms.p50)),
            Cell::number(ms(self.latency_ms.p99)),
            Cell::number(proven),
        ]
    }

    /// Returns what its processes took, for another table.
    pub(in super::super) fn taken_cells(&self) -> Vec<Vec<Cell>> {
        let row = |(service, taken): (&String, &Taken)| {
            vec![
                Cell::plain(self.name.clone()),
                Cell::plain(service.clone()),
                Cell::number(format!("{:.1} %", taken.cpu_percent)),
                Cell::number(format!("{:.1} µs", taken.cpu_us_per_row)),
                Cell::number(bytes(taken.rss_first_bytes)),
                Cell::number(bytes(taken.rss_max_bytes)),
                Cell::number(format!("{:+.1} %", taken.rss_growth_percent)),
            ]
        };
        self.processes.iter().map(row).collect()
    }

    /// Returns it in one line.
    pub(super) fn line(&self) -> String {
        let word = if self.is_sustained {
            "kept up"
        } else {
            "did not keep up"
        };
        format!(
            "{}: {:.0} rows/s of {} asked for, {word}; {:.1} µs CPU a row, {} on their way at most",
            self.name, self.rows_per_s, self.rate, self.cpu_us_per_row, self.backlog_max
        )
    }
}

impl Taken {
    fn of(service: &str, looks: &[Look], seconds: f64, rows: f64) -> Self {
        let usages: Vec<Usage> = looks
            .iter()
            .filter_map(|look| look.usages.get(service).copied())
            .collect();
        let (Some(first), Some(last)) = (usages.first(), usages.last()) else {
            return Self::default();
        };
        let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        let mean = |part: &[Usage]| {
            let sum: u64 = part.iter().map(|usage| usage.rss_bytes).sum();
            sum as f64 / part.len().max(1) as f64
        };
        let (half, three) = (usages.len() / 2, usages.len() * 3 / 4);
        let (before, after) = (mean(&usages[half..three]), mean(&usages[three..]));
        Self {
            cpu_percent: rounded(cpu / seconds * 100.0),
            cpu_us_per_row: if rows > 0.0 { rounded(cpu * 1e6 / rows) } else { 0.0 },
            rss_first_bytes: first.rss_bytes,
            rss_max_bytes: usages.iter().map(|usage| usage.rss_bytes).max().unwrap_or(0),
            rss_last_bytes: last.rss_bytes,
            rss_growth_percent: if before > 0.0 {
                rounded((after / before - 1.0) * 100.0)
            } else {
                0.0
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight looks a second apart, at so much of a core, with memory as given.
    fn looks(cpu_percent: u64, rss: [u64; 8], backlog: [u64; 8]) -> Vec<Look> {
        let look = |n: usize| Look {
            usages: BTreeMap::from([(
                "hot".to_owned(),
                Usage {
                    cpu: Duration::from_millis(n as u64 * cpu_percent * 10),
                    rss_bytes: rss[n],
                },
            )]),
            backlog: backlog[n],
        };
        (0..8).map(look).collect()
    }

    fn run(sent: u64, rows: u64, backlog: [u64; 8]) -> Run {
        let rss = [10, 50, 100, 100, 100, 100, 110, 110];
        let looks = looks(20, rss, backlog);
        let counts = [Counts { sent: 0, rows: 5 }, Counts { sent, rows: rows + 5 }];
        Run::of("x", 1_000, Duration::from_secs(7), &looks, counts)
    }

    #[test]
    fn cpu_is_of_the_time_that_was_measured_and_of_the_rows_in_it() {
        let run = run(7_000, 7_000, [0; 8]);
        let hot = run.taken("hot");
        assert_eq!(
            (run.rows_per_s, hot.cpu_percent, hot.cpu_us_per_row),
            (1_000.0, 20.0, 200.0)
        );
        assert_eq!(
            (hot.rss_first_bytes, hot.rss_max_bytes, hot.rss_growth_percent),
            (10, 110, 10.0)
        );
        assert_eq!(run.cpu_us_per_row, 200.0);
        assert_eq!(run.taken("cold"), Taken::default());
    }

    #[test]
    fn a_run_keeps_up_that_stores_what_is_sent_and_sends_what_is_asked() {
        let calm = [0; 8];
        assert!(run(7_000, 6_900, calm).is_sustained);
        assert!(!run(7_000, 6_000, calm).is_sustained, "less is stored than sent");
        assert!(!run(6_000, 6_000, calm).is_sustained, "less is sent than was asked for");
        let early = [9_000, 3_000, 0, 0, 0, 0, 0, 0];
        let late = [0, 0, 0, 0, 500, 1_000, 2_000, 2_500];
        assert!(run(7_000, 7_000, early).is_sustained, "it was worked off");
        assert!(!run(7_000, 7_000, late).is_sustained, "it grows");
    }
}
