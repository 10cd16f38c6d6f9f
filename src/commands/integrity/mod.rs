//! `mprism integrity`: proves completeness and consistency by arithmetic.

mod natural;
mod observe;
mod prove;
mod schema;

use std::time::{Duration, Instant};

use mprism_settings::Settings;
use serde::Serialize;

use crate::cli::{IntegrityArgs, IntegrityScope};
use crate::commands::Context;
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, duration_text};

pub(crate) use observe::observe;
pub(crate) use prove::prove;

/// `mprism integrity`.
pub(crate) fn run(args: &IntegrityArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let window = window(args)?;
    let module_codes = args.scope == Some(IntegrityScope::Storage);
    let examined = context.block_on_interruptible(examine(&settings, window));
    let mut report = examined.map_err(|error| match error.kind {
        // MarketPrism's module rule: what could not be looked at is an error, and an error is 2.
        Exit::Failed if module_codes => CliError {
            kind: Exit::Usage,
            ..error
        },
        _ => error,
    })?;
    report.strict = args.strict;
    report.module_codes = module_codes;
    if let Some(path) = &args.report {
        let text = serde_json::to_vec_pretty(&report).map_err(|e| CliError::failed("report", e))?;
        mprism_runtime::files::write_atomic(path, &text, 0o644)
            .map_err(|e| CliError::failed("report", e).context(format!("cannot write {}", path.display())))?;
    }
    context.printer.report(&report)
}

/// How long what is on its way may take to arrive before what it leaves open is called missing.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Observes and proves; no window is everything.
///
/// A worker that was restarted stores new messages before those that come again: what lies between is not missing.
pub(crate) async fn examine(settings: &Settings, window: Option<(i64, i64)>) -> Result<IntegrityReport, CliError> {
    let began = Instant::now();
    loop {
        let observed = observe(settings, window).await?;
        let report = prove(&observed);
        let is_on_its_way = observed.has_unacked() && report.has_holes();
        if !is_on_its_way || began.elapsed() >= ARRIVES_WITHIN {
            return Ok(report);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns the window in milliseconds since the Unix epoch.
fn window(args: &IntegrityArgs) -> Result<Option<(i64, i64)>, CliError> {
    let now = mprism_runtime::clock::now_ms();
    if let Some(since) = args.since {
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        return Ok(Some((now.saturating_sub(ms), i64::MAX)));
    }
    match (&args.from, &args.to) {
        (Some(from), Some(to)) => Ok(Some((time(from)?, time(to)?))),
        _ => Ok(None),
    }
}

fn time(text: &str) -> Result<i64, CliError> {
    let time: mprism_model::UnixMillis = text
        .parse()
        .map_err(|e| CliError::usage("bad_time", anyhow::Error::new(e)))?;
    Ok(time.0)
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warn,
    /// Data is missing, doubled or in danger.
    Error,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    pub(crate) r#type: Option<String>,
    pub(crate) exchange: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) message: String,
    pub(crate) expected: Option<String>,
    pub(crate) actual: Option<String>,
}

/// One type of data in the store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TableSummary {
    pub(crate) r#type: String,
    pub(crate) hot_rows: u64,
    pub(crate) cold_rows: Option<u64>,
    pub(crate) duplicates: u64,
    pub(crate) gaps: u64,
    pub(crate) missing: u64,
    pub(crate) lag_s: Option<f64>,
    pub(crate) coverage_percent: f64,
}

/// Everything that `integrity` found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IntegrityReport {
    pub(crate) verdict: &'static str,
    pub(crate) score_percent: f64,
    pub(crate) checks: Vec<Check>,
    pub(crate) tables: Vec<TableSummary>,
    #[serde(skip)]
    strict: bool,
    #[serde(skip)]
    module_codes: bool,
}

impl IntegrityReport {
    pub(crate) fn new(checks: Vec<Check>, tables: Vec<TableSummary>) -> Self {
        let worst = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
        let proven: u64 = tables
            .iter()
            .map(|table| table.hot_rows.saturating_sub(table.duplicates))
            .sum();
        let expected: u64 = proven + tables.iter().map(|table| table.missing).sum::<u64>();
        Self {
            verdict: match worst {
                Level::Ok => "pass",
                Level::Warn => "warn",
                Level::Error => "fail",
            },
            score_percent: if expected == 0 {
                100.0
            } else {
                proven as f64 / expected as f64 * 100.0
            },
            checks,
            tables,
            strict: false,
            module_codes: false,
        }
    }
}

impl IntegrityReport {
    /// Returns the checks as a human reads them: the markets of a type that pass are one line.
    fn told(&self) -> Vec<Check> {
        let mut told: Vec<Check> = Vec::new();
        let mut markets = 0;
        for check in &self.checks {
            let is_passed_market = check.level == Level::Ok && check.id == "duplicates" && check.symbol.is_some();
            let last = told.last_mut().filter(|last| {
                is_passed_market
                    && markets > 0
                    && last.id == check.id
                    && last.r#type == check.r#type
                    && last.level == Level::Ok
            });
            match last {
                Some(last) => {
                    markets += 1;
                    (last.exchange, last.symbol) = (None, None);
                    last.message = format!("{markets} markets, each row once");
                }
                None => {
                    markets = u64::from(is_passed_market);
                    told.push(check.clone());
                }
            }
        }
        told
    }

    /// Returns whether something is missing that the ledger does not know of.
    fn has_holes(&self) -> bool {
        let mut checks = self.checks.iter();
        checks.any(|check| check.id == "continuity" && check.level == Level::Error)
    }
}

impl Report for IntegrityReport {
    fn exit(&self) -> Exit {
        match (self.verdict, self.module_codes) {
            ("pass", _) => Exit::Success,
            // MarketPrism's module rule: 0 pass, 1 warning, 2 error.
            ("warn", true) => Exit::Failed,
            ("warn", false) if self.strict => Exit::Warnings,
            ("warn", false) => Exit::Success,
            (_, true) => Exit::Usage,
            (_, false) => Exit::Failed,
        }
    }

    fn failure(&self) -> Option<Failure> {
        let bad: Vec<&Check> = self.checks.iter().filter(|check| check.level == Level::Error).collect();
        let level = if bad.is_empty() { Level::Warn } else { Level::Error };
        let told: Vec<&Check> = self.checks.iter().filter(|check| check.level == level).collect();
        if level == Level::Warn && (told.is_empty() || self.exit() == Exit::Success) {
            return None;
        }
        Some(Failure {
            code: "integrity",
            message: format!("{} of {} checks did not pass", told.len(), self.checks.len()),
            causes: told.iter().map(|check| check.message.clone()).collect(),
            hints: vec!["look at the rows: `mprism query \"SELECT * FROM marketprism_hot.gaps_current\"`".into()],
        })
    }

    fn page(&self) -> Page {
        let tone = |level: Level| match level {
            Level::Ok => Tone::Good,
            Level::Warn => Tone::Warn,
            Level::Error => Tone::Bad,
        };
        let verdict = match self.verdict {
            "pass" => Tone::Good,
            "warn" => Tone::Warn,
            _ => Tone::Bad,
        };
        let tables = self.tables.iter().map(|table| {
            vec![
                Cell::plain(table.r#type.clone()),
                Cell::number(table.hot_rows),
                Cell::number(table.duplicates),
                Cell::number(table.gaps),
                Cell::number(table.missing),
                Cell::number(table.lag_s.map_or("–".into(), |lag| {
                    duration_text(std::time::Duration::from_secs_f64(lag.max(0.0)))
                })),
                Cell::number(format!("{:.2} %", table.coverage_percent)),
            ]
        });
        let checks = self.told().into_iter().map(|check| {
            let word = match check.level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Error => "error",
            };
            let text = |text: Option<String>| Cell::plain(text.unwrap_or_default());
            vec![
                Cell::plain(check.id),
                Cell::toned(word, tone(check.level)),
                text(check.r#type),
                text(check.exchange),
                text(check.symbol),
                Cell::plain(check.message),
            ]
        });
        Page::new()
            .pieces(vec![
                Cell::plain("integrity: "),
                Cell::toned(self.verdict, verdict),
                Cell::plain(format!(" ({:.3} % of expected rows proven)", self.score_percent)),
            ])
            .table(
                vec!["type", "rows", "doubled", "gaps", "missing", "newest", "coverage"],
                tables.collect(),
            )
            .table(
                vec!["check", "", "type", "exchange", "symbol", "finding"],
                checks.collect(),
            )
    }
}
