//! What `integrity` found, as programs read it and as people see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::fix;
use crate::error::{Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, duration_text};

/// Findings that a screen shows one by one; the document has all.
const SHOWN_MAX: usize = 30;
/// More of the same about one type are told as one.
const ALIKE_MAX: usize = 3;

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

impl Level {
    /// Returns it as documents and screens say it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Error => Tone::Bad,
        }
    }
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// The proof.
    pub(crate) id: &'static str,
    /// What is wrong, as a stable word; empty of what is as it should be.
    pub(crate) cause: String,
    pub(crate) level: Level,
    pub(crate) r#type: Option<String>,
    pub(crate) exchange: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) message: String,
    /// Rows that are concerned.
    pub(crate) rows: u64,
    pub(crate) expected: Option<String>,
    pub(crate) actual: Option<String>,
}

impl Check {
    /// Makes a finding about nothing in particular.
    pub(crate) fn new(id: &'static str, level: Level, cause: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            id,
            cause: cause.into(),
            level,
            r#type: None,
            exchange: None,
            symbol: None,
            message: message.into(),
            rows: 0,
            expected: None,
            actual: None,
        }
    }

    /// Says that all is as it should be.
    pub(crate) fn ok(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Level::Ok, "", message)
    }

    /// Says which type it is about.
    #[must_use]
    pub(crate) fn of(mut self, data_type: impl ToString) -> Self {
        self.r#type = Some(data_type.to_string());
        self
    }

    /// Says which market it is about.
    #[must_use]
    pub(crate) fn at(mut self, exchange: &str, symbol: &str) -> Self {
        (self.exchange, self.symbol) = (Some(exchange.to_owned()), Some(symbol.to_owned()));
        self
    }

    /// Says how many rows are concerned.
    #[must_use]
    pub(crate) fn rows(mut self, rows: u64) -> Self {
        self.rows = rows;
        self
    }

    /// Says what was expected and what was found.
    #[must_use]
    pub(crate) fn compared(mut self, expected: impl ToString, actual: impl ToString) -> Self {
        (self.expected, self.actual) = (Some(expected.to_string()), Some(actual.to_string()));
        self
    }
}

/// One type of data in the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct TableSummary {
    pub(crate) r#type: String,
    pub(crate) hot_rows: u64,
    pub(crate) cold_rows: Option<u64>,
    pub(crate) duplicates: u64,
    pub(crate) gaps: u64,
    pub(crate) missing: u64,
    /// How far the cold store is behind the hot one, in seconds.
    pub(crate) lag_s: Option<f64>,
    /// Since the newest row was stored, in seconds.
    pub(crate) newest_age_s: Option<f64>,
    pub(crate) coverage_percent: f64,
}

/// How a day of a market is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CoverageState {
    /// Rows as the cadence demands, or of what need not happen.
    Available,
    /// Nothing yet, and it is too early to wonder.
    Pending,
    /// Rows, but not for all of the day.
    Degraded,
    /// No row.
    Missing,
}

/// One market of one type on one day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CoverageDay {
    pub(crate) r#type: String,
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    /// `YYYY-MM-DD`, UTC.
    pub(crate) day: String,
    pub(crate) state: CoverageState,
    pub(crate) percent: f64,
}

/// Rows that are proven, of those there should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) proven: u64,
    pub(crate) expected: u64,
}

/// Everything that `integrity` found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IntegrityReport {
    pub(crate) verdict: &'static str,
    pub(crate) score_percent: f64,
    pub(crate) checks: Vec<Check>,
    pub(crate) tables: Vec<TableSummary>,
    pub(crate) coverage: Vec<CoverageDay>,
    #[serde(skip)]
    pub(super) strict: bool,
    #[serde(skip)]
    pub(super) module_codes: bool,
}

impl IntegrityReport {
    pub(crate) fn new(checks: Vec<Check>, tables: Vec<TableSummary>, coverage: Vec<CoverageDay>, score: Score) -> Self {
        let worst = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
        Self {
            verdict: match worst {
                Level::Ok => "pass",
                Level::Warn => "warn",
                Level::Error => "fail",
            },
            score_percent: match score.expected {
                0 => 100.0,
                expected => score.proven as f64 / expected as f64 * 100.0,
            },
            checks,
            tables,
            coverage,
            strict: false,
            module_codes: false,
        }
    }

    /// Returns how many rows both stores have.
    pub(crate) fn rows(&self) -> u64 {
        let tables = self.tables.iter();
        tables.map(|table| table.hot_rows + table.cold_rows.unwrap_or(0)).sum()
    }

    /// Returns whether something is wrong with rows, and not with how they come.
    pub(crate) fn has_errors_about_rows(&self) -> bool {
        let mut checks = self.checks.iter();
        checks.any(|check| check.level == Level::Error && check.id != "transport")
    }

    /// Returns the findings of a level or worse, the worst first.
    pub(super) fn findings(&self, at_least: Level) -> Vec<&Check> {
        let mut found: Vec<&Check> = self.checks.iter().filter(|check| check.level >= at_least).collect();
        found.sort_by_key(|check| std::cmp::Reverse(check.level));
        found
    }

    /// Returns, for each proof in the order of the checks, how many checks passed, and one of their messages where it says more
    /// than the number.
    pub(super) fn passed(&self) -> Vec<(&'static str, String)> {
        let mut proofs: Vec<(&'static str, Vec<&Check>)> = Vec::new();
        for check in self.checks.iter().filter(|check| check.level == Level::Ok) {
            match proofs.iter_mut().find(|(id, _)| *id == check.id) {
                Some((_, checks)) => checks.push(check),
                None => proofs.push((check.id, vec![check])),
            }
        }
        let told = proofs.into_iter().map(|(id, checks)| {
            let mut whole: Vec<&str> = checks
                .iter()
                .filter(|check| check.symbol.is_none())
                .map(|check| check.message.as_str())
                .collect();
            whole.dedup();
            let markets = checks.iter().filter(|check| check.symbol.is_some()).count();
            let markets = (markets > 0).then(|| format!("{markets} markets as they should be"));
            let texts: Vec<String> = whole.iter().map(|text| (*text).to_owned()).chain(markets).collect();
            (id, texts.join("; "))
        });
        told.collect()
    }

    /// Returns whether something is missing that may still be on its way.
    pub(super) fn has_holes(&self) -> bool {
        let mut checks = self.checks.iter();
        checks.any(|check| check.id == "continuity" && check.level == Level::Error)
    }

    /// Returns whether rows are not where they should be.
    pub(super) fn has_differences(&self) -> bool {
        let causes = ["missing_in_hot", "missing_in_cold", "differs", "lost"];
        let mut checks = self.checks.iter();
        checks.any(|check| check.id == "replication" && causes.contains(&check.cause.as_str()))
    }

    fn page_of_findings(&self, page: Page) -> Page {
        let findings = self.findings(Level::Warn);
        if findings.is_empty() {
            return page;
        }
        let text = |text: &Option<String>| Cell::plain(text.clone().unwrap_or_default());
        let told = grouped(&findings);
        let rows = told.iter().take(SHOWN_MAX).map(|check| {
            vec![
                Cell::toned(check.level.word(), check.level.tone()),
                Cell::plain(check.id),
                text(&check.r#type),
                text(&check.exchange),
                text(&check.symbol),
                Cell::plain(check.message.clone()),
            ]
        });
        let page = page.table(
            vec!["", "proof", "type", "exchange", "symbol", "finding"],
            rows.collect(),
        );
        let more = told.len().saturating_sub(SHOWN_MAX);
        let page = match more {
            0 => page,
            more => page.line(format!("and {more} more: `mprism integrity --json`")),
        };
        fix::of(&findings).into_iter().fold(page, |page, fix| {
            page.pieces(vec![Cell::plain("to do: "), Cell::toned(fix, Tone::Good)])
        })
    }

    /// Adds which markets are not covered, by type and exchange; nothing where all are.
    fn page_of_coverage(&self, page: Page) -> Page {
        let mut by_venue: BTreeMap<(&str, &str), BTreeMap<CoverageState, u64>> = BTreeMap::new();
        for day in &self.coverage {
            let states = by_venue.entry((&day.r#type, &day.exchange)).or_default();
            *states.entry(day.state).or_default() += 1;
        }
        by_venue.retain(|_, states| states.keys().any(|state| *state >= CoverageState::Degraded));
        if by_venue.is_empty() {
            return page;
        }
        let rows = by_venue.into_iter().map(|((data_type, exchange), states)| {
            let of = |state| states.get(&state).copied().unwrap_or(0);
            let toned = |state, tone| match of(state) {
                0 => Cell::number("–"),
                count => Cell {
                    right: true,
                    ..Cell::toned(count.to_string(), tone)
                },
            };
            vec![
                Cell::plain(data_type),
                Cell::plain(exchange),
                toned(CoverageState::Available, Tone::Good),
                toned(CoverageState::Degraded, Tone::Warn),
                toned(CoverageState::Pending, Tone::Dim),
                toned(CoverageState::Missing, Tone::Bad),
            ]
        });
        page.table(
            vec![
                "markets × days",
                "exchange",
                "available",
                "degraded",
                "pending",
                "missing",
            ],
            rows.collect(),
        )
    }
}

/// Returns findings as people read them: the same about many markets of a type is one line.
fn grouped(findings: &[&Check]) -> Vec<Check> {
    let is_like = |one: &Check, other: &Check| {
        one.level == other.level && one.id == other.id && one.cause == other.cause && one.r#type == other.r#type
    };
    let (mut told, mut joined): (Vec<Check>, Vec<&Check>) = (Vec::new(), Vec::new());
    for &check in findings {
        if joined.iter().any(|known| is_like(known, check)) {
            continue;
        }
        let like: Vec<&&Check> = findings.iter().filter(|other| is_like(other, check)).collect();
        let mut one = check.clone();
        if like.len() > ALIKE_MAX && check.symbol.is_some() {
            joined.push(check);
            let markets: BTreeSet<_> = like.iter().map(|other| (&other.exchange, &other.symbol)).collect();
            let is_same = like.iter().all(|other| other.message == check.message);
            one.exchange = None;
            one.symbol = Some(format!("{} markets", markets.len()));
            if !is_same {
                one.message = format!("{} findings like: {}", like.len(), check.message);
            }
        }
        told.push(one);
    }
    told
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
        if self.exit() == Exit::Success {
            return None;
        }
        let worst = self.checks.iter().map(|check| check.level).max()?;
        let told: Vec<&Check> = self.checks.iter().filter(|check| check.level == worst).collect();
        let about = |check: &Check| {
            let parts = [&check.r#type, &check.exchange, &check.symbol];
            let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            match parts.is_empty() {
                true => format!("{}: {}", check.id, check.message),
                false => format!("{} of {}: {}", check.id, parts.join(" "), check.message),
            }
        };
        Some(Failure {
            code: "integrity",
            message: format!("{} of {} checks did not pass", told.len(), self.checks.len()),
            causes: told.iter().map(|check| about(check)).collect(),
            hints: fix::of(&told),
        })
    }

    fn page(&self) -> Page {
        let tone = match self.verdict {
            "pass" => Tone::Good,
            "warn" => Tone::Warn,
            _ => Tone::Bad,
        };
        let age = |seconds: Option<f64>| {
            let text = seconds.map(|seconds| duration_text(Duration::from_secs_f64(seconds.max(0.0))));
            Cell::number(text.unwrap_or_else(|| "–".into()))
        };
        let tables = self.tables.iter().map(|table| {
            vec![
                Cell::plain(table.r#type.clone()),
                Cell::number(table.hot_rows),
                Cell::number(table.cold_rows.map_or("–".to_owned(), |rows| rows.to_string())),
                Cell::number(table.duplicates),
                Cell::number(table.gaps),
                Cell::number(table.missing),
                age(table.newest_age_s),
                age(table.lag_s),
                Cell::number(format!("{:.2} %", table.coverage_percent)),
            ]
        });
        let page = Page::new().pieces(vec![
            Cell::plain("integrity: "),
            Cell::toned(self.verdict, tone),
            Cell::plain(format!(" ({:.3} % of expected rows proven)", self.score_percent)),
        ]);
        let page = self.page_of_findings(page).table(
            vec![
                "type", "hot", "cold", "doubled", "gaps", "missing", "newest", "cold lag", "coverage",
            ],
            tables.collect(),
        );
        let page = self.page_of_coverage(page);
        let passed = self.passed().into_iter().map(|(id, text)| {
            vec![
                Cell::plain(id),
                Cell::toned("ok", Tone::Good),
                Cell::toned(text, Tone::Dim),
            ]
        });
        page.table(vec!["proof", "", "passed"], passed.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_about_many_markets_is_one_line_and_about_few_is_told_of_each() {
        let check = |symbol: &str| {
            Check::new("presence", Level::Warn, "missing", "no row")
                .of("trade")
                .at("okx_spot", symbol)
        };
        let many: Vec<Check> = ["A", "B", "C", "D", "E"].map(check).into();
        let told = grouped(&many.iter().collect::<Vec<_>>());
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].symbol.as_deref(), Some("5 markets"));
        let few = grouped(&many.iter().take(3).collect::<Vec<_>>());
        assert_eq!(few.len(), 3);
        let column = |name: &str| Check::new("schema", Level::Error, "column_missing", name).of("trade");
        let columns = ["a", "b", "c", "d"].map(column);
        assert_eq!(
            grouped(&columns.iter().collect::<Vec<_>>()).len(),
            4,
            "what is about no market is told of each"
        );
    }
}
