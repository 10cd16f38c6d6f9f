//! One table's progress: the head in small windows, hours once they are over, a rolling look at what was proven long ago, and
//! what has to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mprism_clickhouse::Tier;
use mprism_model::{DataType, UnixMillis};
use mprism_runtime::clock;
use mprism_runtime::log::chain;
use tokio_util::sync::CancellationToken;

use super::ColdOptions;
use super::copier::{Copier, CoverError, Covered, Stores, Windows};
use super::fingerprint::Fingerprint;
use super::leaving;
use super::ledger::Ledger;
use super::stats::Stats;
use super::step::Step;
use super::windows::{Counts, HOUR, Run, Scope, Span, runs};

/// Looks at the newest windows for each count of the hours that are over: that reads the time of every row there is.
const COUNTED_EVERY: u32 = 6;
/// Windows of one run that are looked at one by one where something is wrong with the run.
const LOOKED_AT_ALONE: usize = 8;

/// What has to be shared by all tables.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) options: Arc<ColdOptions>,
    pub(crate) stores: Stores,
    pub(crate) stats: Arc<Stats>,
    pub(crate) shutdown: CancellationToken,
}

/// One table's progress.
pub(crate) struct CopiedTable {
    data_type: DataType,
    shared: Shared,
    open: Option<Open>,
}

/// What is known of a table while it is ours.
struct Open {
    copier: Copier,
    /// For the newest rows, which more are coming beside.
    gentle: Copier,
    ledger: Ledger,
    /// Rows of the head's windows when they were last proven.
    head: Counts,
    /// Up to where the head is proven. Milliseconds since the epoch.
    head_to: i64,
    /// Hours of the hot store that are over, as they were last counted.
    hours: Counts,
    /// When that was, and up to which moment they reach.
    counted: Option<(Instant, i64)>,
    looked_back: Instant,
}

impl CopiedTable {
    pub(crate) fn new(data_type: DataType, shared: Shared) -> Self {
        Self {
            data_type,
            shared,
            open: None,
        }
    }

    /// Takes the table, if it is not ours yet: quickly for every table, before the first row is copied.
    pub(crate) async fn begin(&mut self) {
        let outcome = self.open().await.map(|_| ());
        self.note(outcome);
    }

    /// Copies the newest windows: first of all for every table, so that the cold store is fresh while history is copied.
    pub(crate) async fn advance(&mut self) {
        let outcome = self.try_advance().await;
        self.note(outcome);
    }

    async fn try_advance(&mut self) -> Result<(), CoverError> {
        let open = self.open().await?;
        let window = open.shared.window();
        let span = Span::head(open.shared.safe_end(), window);
        open.table.head.retain(|start, _| *start >= span.from);
        let counts = open.count(span, window).await?;
        let head = &open.table.head;
        let rows_max = open.table.gentle.rows_max();
        let stale = runs(&counts, window, rows_max, |start, rows| head.get(&start) != Some(&rows));
        for run in stale {
            let proven = open.sync(run, window, &counts).await?;
            let rows = proven.iter().map(|(start, fingerprint)| (*start, fingerprint.rows));
            open.table.head.extend(rows);
        }
        let head = &open.table.head;
        let unproven = counts.keys().find(|start| !head.contains_key(start));
        open.table.head_to = unproven.copied().unwrap_or(span.to);
        Ok(())
    }

    /// Proves hours that are over, the newest first, until `deadline`; then whatever else there is to do. Returns whether there is
    /// more of it.
    pub(crate) async fn catch_up(&mut self, deadline: Instant) -> bool {
        // A table that cannot be had was told of already.
        if self.open.is_none() {
            return false;
        }
        match self.try_catch_up(deadline).await {
            Ok(is_more) => is_more,
            Err(error) => {
                self.note(Err(error));
                false
            }
        }
    }

    async fn try_catch_up(&mut self, deadline: Instant) -> Result<bool, CoverError> {
        let mut open = self.open().await?;
        let is_more = open.prove_hours(deadline).await?;
        open.look_back().await?;
        if !is_more {
            open.leave().await?;
            open.expire().await?;
        }
        open.tell();
        Ok(is_more)
    }

    /// Gives the table up.
    pub(crate) async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.copier.close().await;
        }
    }

    /// Becomes the one writer, and takes up what an earlier life left.
    async fn open(&mut self) -> Result<Held<'_>, CoverError> {
        let table = self.data_type.table();
        if self.open.is_none() {
            let Shared { options, stores, .. } = &self.shared;
            let limits = (options.rows_max, options.bytes_max);
            let copier = Copier::open(stores.clone(), self.data_type, limits, options.observer.clone()).await?;
            finish_leaving(&self.shared, &copier, self.data_type).await?;
            let hours = copier.ask(Tier::Hot, async |side| {
                side.counts(&Span::closed_hours(self.shared.safe_end()).into(), 0, HOUR)
                    .await
            });
            let hours = hours.await?;
            let from = hours.keys().next().copied().unwrap_or(i64::MAX);
            let ledger = Ledger::load(&stores.cold, table, from).await?;
            tracing::info!(table, rows = hours.values().sum::<u64>(), "copying to the cold store");
            self.open = Some(Open {
                gentle: copier.gentle(),
                copier,
                ledger,
                head: Counts::new(),
                head_to: 0,
                hours,
                counted: None,
                looked_back: Instant::now(),
            });
        }
        self.shared.stats.opened(table);
        Ok(Held {
            data_type: self.data_type,
            shared: &self.shared,
            table: self.open.as_mut().expect("opened above"),
        })
    }

    fn note(&mut self, outcome: Result<(), CoverError>) {
        let Err(error) = outcome else { return };
        // Whatever it was, a new fence ends it, and columns are read again.
        self.open = None;
        let (table, why) = (self.data_type.table(), chain(&error));
        if self.shared.stats.closed(table, &why) {
            tracing::warn!(table, error = why, "the table is not copied now");
        }
    }
}

impl Shared {
    /// Width of the head's windows in milliseconds.
    fn window(&self) -> i64 {
        i64::try_from(self.options.window.as_millis()).unwrap_or(HOUR)
    }

    /// For how long hours that are over are believed to have as many rows as when they were counted.
    fn recount_after(&self) -> Duration {
        self.options.interval * COUNTED_EVERY
    }

    /// Until when rows are expected to have come: late ones are found all the same. Milliseconds since the epoch.
    fn safe_end(&self) -> i64 {
        let lag = i64::try_from(self.options.safety_lag.as_millis()).unwrap_or(i64::MAX);
        clock::now_ms().saturating_sub(lag)
    }
}

/// Finishes what is on its way out of the hot store. Returns whether nothing is left there that cannot be proven.
async fn finish_leaving(shared: &Shared, copier: &Copier, data_type: DataType) -> Result<bool, CoverError> {
    let table = data_type.table();
    let error = match leaving::finish(copier, data_type).await {
        Ok(rows) => {
            shared.stats.left(table, rows);
            return Ok(true);
        }
        Err(error) => error,
    };
    let CoverError::Conflict { scope, .. } = &error else {
        return Err(error);
    };
    let why = chain(&error);
    if shared.stats.failed(table, scope.span, &why) {
        tracing::error!(
            table,
            error = why,
            "a partition cannot leave; its rows are in marketprism_leaving"
        );
    }
    Ok(false)
}

/// A table that is ours, and everything that is needed to go on with it.
struct Held<'a> {
    data_type: DataType,
    shared: &'a Shared,
    table: &'a mut Open,
}

impl Held<'_> {
    /// The head is what rows come beside; hours are over.
    fn copier(&self, width: i64) -> &Copier {
        if width < HOUR {
            &self.table.gentle
        } else {
            &self.table.copier
        }
    }

    async fn count(&self, span: Span, width: i64) -> Result<Counts, CoverError> {
        let counted = self
            .copier(width)
            .ask(Tier::Hot, async |side| side.counts(&span.into(), 0, width).await);
        Ok(counted.await?)
    }

    /// Proves a run. Where something is wrong with some of its rows, the others are proven all the same. Returns what is proven.
    async fn sync(&self, run: Run, width: i64, counts: &Counts) -> Result<BTreeMap<i64, Fingerprint>, CoverError> {
        let why = match self.sync_once(run, width).await {
            Err(error) if error.is_about_rows() => chain(&error),
            outcome => return outcome,
        };
        // What could be copied of it is.
        let windows = match run.windows {
            1 => Windows::default(),
            _ => self.copier(width).windows(Tier::Hot, &run.span.into(), width).await?,
        };
        let mut proven = windows.here;
        proven.retain(|start, _| !windows.differ.contains(start));
        if windows.differ.is_empty() && run.windows > 1 {
            // What was wrong is not any more.
            self.shared
                .stats
                .proven(self.data_type.table(), run.span, &Covered::default());
            return Ok(proven);
        }
        // Many windows with the same trouble are told as one, so that the newest are not kept waiting.
        if windows.differ.is_empty() || windows.differ.len() > LOOKED_AT_ALONE {
            let (table, span) = (self.data_type.table(), run.span);
            if self.shared.stats.failed(table, span, &why) {
                tracing::error!(table, error = why, "rows cannot be proven to be in the cold store");
            }
            return Ok(proven);
        }
        for from in windows.differ {
            let to = from + width;
            let rows = counts.get(&from).copied().unwrap_or(0);
            let span = Span { from, to };
            let alone = Run { span, rows, windows: 1 };
            proven.extend(Box::pin(self.sync(alone, width, counts)).await?);
        }
        Ok(proven)
    }

    async fn sync_once(&self, run: Run, width: i64) -> Result<BTreeMap<i64, Fingerprint>, CoverError> {
        let scope = Scope::from(run.span);
        let covered = self.copier(width).prove(Tier::Hot, &scope, run.rows, width).await?;
        let table = self.data_type.table();
        self.shared.stats.proven(table, run.span, &covered);
        if covered.doubled > 0 {
            tracing::error!(table, rows = covered.doubled, "the cold store has rows more than once");
        }
        Ok(covered.windows)
    }

    /// Proves hours that the ledger does not know as they are. Returns whether some are left.
    async fn prove_hours(&mut self, deadline: Instant) -> Result<bool, CoverError> {
        let span = Span::closed_hours(self.shared.safe_end());
        let is_fresh = |(counted, to): (Instant, i64)| to == span.to && counted.elapsed() < self.shared.recount_after();
        if !self.table.counted.is_some_and(is_fresh) {
            self.table.hours = self.count(span, HOUR).await?;
            self.table.counted = Some((Instant::now(), span.to));
            let first = self.table.hours.keys().next().copied().unwrap_or(i64::MAX);
            self.table.ledger.forget_before(first);
        }
        let stale = self.stale_hours();
        let mut left = stale.len();
        for run in stale.into_iter().rev() {
            if Instant::now() >= deadline || self.shared.shutdown.is_cancelled() {
                return Ok(true);
            }
            let proven = self.sync(run, HOUR, &self.table.hours).await?;
            self.remember(run.span, &proven).await?;
            left -= 1;
        }
        Ok(left > 0)
    }

    fn stale_hours(&self) -> Vec<Run> {
        let Open {
            ledger, hours, copier, ..
        } = &*self.table;
        runs(hours, HOUR, copier.rows_max(), |start, rows| {
            ledger.get(start).is_none_or(|known| known.fingerprint.rows != rows)
        })
    }

    /// Notes what is proven of a span; what is not is tried again.
    async fn remember(&mut self, span: Span, proven: &BTreeMap<i64, Fingerprint>) -> Result<(), CoverError> {
        self.table.ledger.forget(span, proven);
        let cold = &self.shared.stores.cold;
        self.table.ledger.note(cold, proven, clock::now_ms()).await?;
        // What came since the hours were counted is proven, too.
        for (start, fingerprint) in proven {
            self.table.hours.insert(*start, fingerprint.rows);
        }
        self.table.copier.done(Step::Noted);
        Ok(())
    }

    /// Looks once more at the hour that nobody looked at for longest: counts do not tell everything.
    async fn look_back(&mut self) -> Result<(), CoverError> {
        let every = self.shared.options.look_back_interval;
        if self.table.looked_back.elapsed() < every || self.shared.shutdown.is_cancelled() {
            return Ok(());
        }
        self.table.looked_back = Instant::now();
        let Open { ledger, hours, .. } = &*self.table;
        let oldest = hours
            .iter()
            .filter_map(|(start, rows)| Some((ledger.get(*start)?.checked_at, *start, *rows)))
            .min();
        let Some((_, from, rows)) = oldest else { return Ok(()) };
        let to = from + HOUR;
        let span = Span { from, to };
        let run = Run { span, rows, windows: 1 };
        let proven = self.sync(run, HOUR, &self.table.hours).await?;
        self.remember(run.span, &proven).await
    }

    /// Lets partitions leave that are old enough and proven for long enough.
    async fn leave(&mut self) -> Result<(), CoverError> {
        let Some(options) = self.shared.options.leave else {
            return Ok(());
        };
        // One that is stuck is not followed by others.
        if !finish_leaving(self.shared, &self.table.copier, self.data_type).await? {
            return Ok(());
        }
        let now = clock::now_ms();
        // A day has to be over for so many whole days.
        let last_day = UnixMillis(now).day() - 1 - i64::from(options.after_days);
        let delay = i64::try_from(options.delay.as_millis()).unwrap_or(i64::MAX);
        let copier = &self.table.copier;
        for partition in leaving::partitions(copier, Tier::Hot, last_day).await? {
            let day = i64::from(partition.day);
            if self.shared.shutdown.is_cancelled() {
                break;
            }
            if leaving::may_leave(day, &self.table.hours, &self.table.ledger, now.saturating_sub(delay)) {
                leaving::move_out(copier, self.data_type, &partition).await?;
                // Its hours are others now.
                self.table.counted = None;
                if !finish_leaving(self.shared, copier, self.data_type).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Drops what the cold store has kept for long enough.
    async fn expire(&mut self) -> Result<(), CoverError> {
        let Some(days) = self.shared.options.retention_days else {
            return Ok(());
        };
        let before = UnixMillis(clock::now_ms()).day() - i64::from(days);
        let months = leaving::expire(&self.table.copier, self.data_type, before).await?;
        self.shared.stats.expired(self.data_type.table(), months);
        Ok(())
    }

    /// Tells how far the table is.
    fn tell(&self) {
        let stale = self.stale_hours();
        let backlog = stale.iter().map(|run| run.rows).sum();
        let proven_to = stale.first().map_or(self.table.head_to, |run| run.span.from);
        self.shared.stats.reached(self.data_type.table(), proven_to, backlog);
    }
}
