//! What the cold worker counts, and what it is troubled by.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mprism_model::DataType;
use mprism_runtime::clock;

use super::copier::Covered;
use super::windows::Span;

/// How long an error counts as recent. Milliseconds.
const RECENT: i64 = 3_600_000;
/// What was not met again for so long is over: its rows are gone.
const OVER_AFTER: Duration = Duration::from_secs(600);
/// Recent errors kept at most.
const ERRORS_MAX: usize = 1_000;

/// Counters of the whole worker.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Instant,
    inner: Mutex<Inner>,
}

/// A copy of all numbers at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inner {
    pub(crate) cycles: u64,
    pub(crate) last_cycle_ms: Option<i64>,
    pub(crate) last_cycle_took: Duration,
    pub(crate) last_success_ms: Option<i64>,
    pub(crate) last_left_ms: Option<i64>,
    pub(crate) is_catching_up: bool,
    pub(crate) errors: VecDeque<Failure>,
    pub(crate) tables: BTreeMap<&'static str, TableStats>,
}

/// Something that went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at_ms: i64,
    pub(crate) table: &'static str,
    pub(crate) why: String,
}

/// What is known of one table.
#[derive(Clone, Debug)]
pub(crate) struct TableStats {
    pub(crate) data_type: DataType,
    /// Why it is not copied at all.
    pub(crate) closed: Option<String>,
    /// Rows that were copied.
    pub(crate) copied: u64,
    /// How long copying them took.
    pub(crate) copying: Duration,
    /// Windows that were proven, and those that could not be.
    pub(crate) proven: u64,
    pub(crate) failed: u64,
    /// Rows that have left the hot store, and how often some did.
    pub(crate) left: u64,
    pub(crate) departures: u64,
    /// Months dropped from the cold store.
    pub(crate) expired: u64,
    /// Rows in hours that are over and not proven.
    pub(crate) backlog: u64,
    /// Rows that the cold store had more than once, as far as that was met.
    pub(crate) doubled: u64,
    /// All before this moment is proven. Milliseconds since the epoch.
    pub(crate) proven_to: Option<i64>,
    progress: Instant,
    /// Windows that cannot be proven.
    troubles: BTreeMap<Span, Trouble>,
}

/// Why a window cannot be proven: met first and last at these moments.
#[derive(Clone, Debug)]
struct Trouble {
    since: Instant,
    met: Instant,
    why: String,
}

impl TableStats {
    /// Returns by how many milliseconds the cold store is behind now; `None` before anything is known.
    pub(crate) fn lag_ms(&self) -> Option<i64> {
        self.proven_to.map(|to| (clock::now_ms() - to).max(0))
    }

    /// Returns what keeps its rows from being copied or proven, windows for longer than `limit`.
    fn trouble(&self, limit: Duration) -> Option<String> {
        let is_lasting = |trouble: &&Trouble| trouble.since.elapsed() >= limit && trouble.met.elapsed() < OVER_AFTER;
        let lasting = || self.troubles.values().find(is_lasting);
        let why = self.closed.as_ref().or_else(|| Some(&lasting()?.why))?;
        Some(format!("{}: {why}", self.data_type.table()))
    }

    /// Returns how far it is behind, for longer than `limit` and without getting on.
    fn is_behind(&self, limit: Duration) -> Option<String> {
        let table = self.data_type.table();
        let lag = Duration::from_millis(u64::try_from(self.lag_ms()?).unwrap_or(0));
        // History that is being copied is behind, and no trouble.
        (lag >= limit && self.progress.elapsed() >= limit)
            .then(|| format!("{table}: the cold store is {} s behind", lag.as_secs()))
    }
}

impl Inner {
    /// Returns how many errors there were within the last hour.
    pub(crate) fn recent_errors(&self) -> usize {
        let since = clock::now_ms() - RECENT;
        self.errors.iter().filter(|error| error.at_ms >= since).count()
    }

    /// Returns a sum over all tables.
    pub(crate) fn sum(&self, of: impl Fn(&TableStats) -> u64) -> u64 {
        self.tables.values().map(of).sum()
    }

    /// Returns the first thing that is wrong for longer than `limit`, or why nothing is copied yet.
    pub(crate) fn trouble(&self, limit: Duration) -> Option<String> {
        let tables = || self.tables.values();
        let behind = || tables().find_map(|table| table.is_behind(limit));
        tables().find_map(|table| table.trouble(limit)).or_else(behind)
    }
}

impl Stats {
    pub(crate) fn new(data_types: &[DataType]) -> Self {
        let table = |data_type: &DataType| {
            let stats = TableStats {
                data_type: *data_type,
                closed: Some("it is not looked at yet".into()),
                copied: 0,
                copying: Duration::ZERO,
                proven: 0,
                failed: 0,
                left: 0,
                departures: 0,
                expired: 0,
                backlog: 0,
                doubled: 0,
                proven_to: None,
                progress: Instant::now(),
                troubles: BTreeMap::new(),
            };
            (data_type.table(), stats)
        };
        Self {
            started: Instant::now(),
            inner: Mutex::new(Inner {
                tables: data_types.iter().map(table).collect(),
                ..Inner::default()
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all numbers as they are now.
    pub(crate) fn now(&self) -> Inner {
        self.inner().clone()
    }

    /// Returns how long the worker runs, in seconds.
    pub(crate) fn uptime_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn with_table(&self, table: &str, change: impl FnOnce(&mut TableStats)) {
        if let Some(stats) = self.inner().tables.get_mut(table) {
            change(stats);
        }
    }

    /// Notes that a table is ours.
    pub(crate) fn opened(&self, table: &str) {
        self.with_table(table, |stats| stats.closed = None);
    }

    /// Notes why a table is not copied; returns whether that is news.
    pub(crate) fn closed(&self, table: &'static str, why: &str) -> bool {
        let mut is_news = false;
        self.with_table(table, |stats| {
            is_news = stats.closed.as_deref() != Some(why);
            stats.closed = Some(why.to_owned());
        });
        self.error(table, why);
        is_news
    }

    /// Notes a proven window.
    pub(crate) fn proven(&self, table: &str, span: Span, covered: &Covered) {
        self.with_table(table, |stats| {
            stats.proven += 1;
            stats.copied += covered.copied;
            stats.copying += covered.copying;
            stats.doubled += covered.doubled;
            stats.progress = Instant::now();
            stats
                .troubles
                .retain(|trouble, _| trouble.to <= span.from || span.to <= trouble.from);
        });
        self.inner().last_success_ms = Some(clock::now_ms());
    }

    /// Notes a window that cannot be proven; returns whether that is news.
    pub(crate) fn failed(&self, table: &'static str, span: Span, why: &str) -> bool {
        let mut is_news = false;
        self.with_table(table, |stats| {
            stats.failed += 1;
            let now = Instant::now();
            let known = stats.troubles.entry(span).or_insert_with(|| {
                is_news = true;
                Trouble {
                    since: now,
                    met: now,
                    why: String::new(),
                }
            });
            known.met = now;
            known.why = why.to_owned();
        });
        self.error(table, why);
        is_news
    }

    fn error(&self, table: &'static str, why: &str) {
        let mut inner = self.inner();
        let at_ms = clock::now_ms();
        while inner.errors.front().is_some_and(|error| error.at_ms < at_ms - RECENT) || inner.errors.len() >= ERRORS_MAX
        {
            inner.errors.pop_front();
        }
        let why = why.to_owned();
        inner.errors.push_back(Failure { at_ms, table, why });
    }

    /// Notes rows that have left the hot store.
    pub(crate) fn left(&self, table: &str, rows: u64) {
        if rows > 0 {
            self.with_table(table, |stats| {
                stats.left += rows;
                stats.departures += 1;
            });
            self.inner().last_left_ms = Some(clock::now_ms());
        }
    }

    /// Notes months that were dropped from the cold store.
    pub(crate) fn expired(&self, table: &str, months: usize) {
        self.with_table(table, |stats| stats.expired += months as u64);
    }

    /// Notes how far a table is.
    pub(crate) fn reached(&self, table: &str, proven_to: i64, backlog: u64) {
        self.with_table(table, |stats| {
            stats.proven_to = Some(proven_to);
            stats.backlog = backlog;
            if backlog == 0 {
                stats.progress = Instant::now();
            }
        });
    }

    /// Notes that all tables were looked at.
    pub(crate) fn cycled(&self, took: Duration, is_catching_up: bool) {
        let mut inner = self.inner();
        inner.cycles += 1;
        inner.last_cycle_ms = Some(clock::now_ms());
        inner.last_cycle_took = took;
        inner.is_catching_up = is_catching_up;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_is_wrong_is_told_until_it_is_mended() {
        let stats = Stats::new(&[DataType::Trade]);
        assert!(stats.now().trouble(LONG).is_some(), "nothing was looked at");
        stats.opened("trades");
        assert_eq!(stats.now().trouble(LIMIT), None);
        assert!(stats.closed("trades", "away") && !stats.closed("trades", "away"));
        assert_eq!(stats.now().trouble(LONG).as_deref(), Some("trades: away"));
        stats.opened("trades");

        let window = Span { from: 60, to: 120 };
        assert!(stats.failed("trades", window, "other content"));
        assert!(!stats.failed("trades", window, "other content"));
        assert_eq!(stats.now().trouble(LONG), None, "not for long enough");
        assert_eq!(stats.now().trouble(LIMIT).as_deref(), Some("trades: other content"));
        stats.proven("trades", Span { from: 120, to: 180 }, &Covered::default());
        assert!(stats.now().trouble(LIMIT).is_some(), "another window");
        stats.proven("trades", Span { from: 0, to: 3_600_000 }, &Covered::default());
        assert_eq!(stats.now().trouble(LIMIT), None);
        assert_eq!(stats.now().recent_errors(), 4);
    }

    #[test]
    fn being_behind_is_trouble_only_where_nothing_moves() {
        let stats = Stats::new(&[DataType::Trade]);
        stats.opened("trades");
        assert_eq!(stats.now().tables["trades"].lag_ms(), None);
        stats.reached("trades", clock::now_ms() - 7_200_000, 5);
        let told = stats.now().trouble(LIMIT).expect("behind");
        assert!(told.starts_with("trades: the cold store is 7"), "{told}");
        assert_eq!(
            stats.now().trouble(Duration::from_secs(60)),
            None,
            "it began a moment ago"
        );
        assert_eq!(stats.now().trouble(3 * LONG), None);
    }
}
