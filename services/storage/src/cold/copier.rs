//! One table's way into the cold store: copy what is missing, and prove that all of it is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mprism_clickhouse::{Copy, InsertError, Pace, Store, StoreError, Tier};
use mprism_model::{DataType, ProducerId};

use super::compare::{Compared, Unlike, identities_condition};
use super::fingerprint::{Fingerprint, Side};
use super::schema;
use super::step::{Step, StepObserver};
use super::windows::{Run, Scope, Span, runs};
use crate::tables;

/// How often a scope is copied and compared: each time that it changed meanwhile is one.
const ATTEMPTS: usize = 4;
/// Parts into which a scope of too many rows is cut at once.
const PARTS: i64 = 60;
/// What a gentle copier copies at once at most.
const GENTLE_ROWS: u64 = 250_000;
/// A gentle copier pauses for no longer: who is stopped finishes what it is at.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Rows that are copied to another server by naming each.
pub(super) const NAMED_ROWS: usize = 2_000;

/// Returns how many rows of the newest windows are copied at once at most, where a statement copies so many rows and bytes at most: a
/// window of more is there piece by piece.
pub fn copied_at_once(data_type: DataType, limits: (u64, u64)) -> u64 {
    rows_of_statement(data_type, limits).min(GENTLE_ROWS)
}

fn rows_of_statement(data_type: DataType, (rows_max, bytes_max): (u64, u64)) -> u64 {
    let rows_of_bytes = bytes_max / tables::row_bytes(data_type) as u64;
    rows_max.min(rows_of_bytes).max(1)
}

/// The servers, which may be one.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) hot: Store,
    pub(crate) cold: Store,
    pub(crate) are_one: bool,
}

impl Stores {
    /// Returns the server that has a tier.
    pub(crate) fn of(&self, tier: Tier) -> &Store {
        match tier {
            Tier::Hot | Tier::Leaving => &self.hot,
            Tier::Cold => &self.cold,
        }
    }
}

/// Why rows are not proven to be in the cold store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoverError {
    /// A server does not answer, or refuses.
    #[error("rows cannot be compared")]
    Read(#[from] StoreError),
    /// Rows cannot be written.
    #[error("rows cannot be copied")]
    Write(#[from] InsertError),
    /// The tables are not alike.
    #[error("{0}")]
    Schema(String),
    /// The same rows say something else there.
    #[error("{rows} rows of {scope} say something else in the cold store; the first is {first}")]
    Conflict {
        scope: Scope,
        rows: usize,
        first: ProducerId,
    },
    /// Rows come faster than they are compared.
    #[error("{scope} changed while it was compared, {ATTEMPTS} times")]
    Moving { scope: Scope },
}

impl CoverError {
    /// Returns whether other rows of the table can be copied all the same.
    pub(crate) fn is_about_rows(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Moving { .. } => true,
            Self::Read(_) | Self::Write(_) | Self::Schema(_) => false,
        }
    }
}

/// What was proven to be in the cold store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Of the rows where they came from, window by window.
    pub(crate) windows: BTreeMap<i64, Fingerprint>,
    /// Rows that the server says were copied for it.
    pub(crate) copied: u64,
    /// How long that took.
    pub(crate) copying: Duration,
    /// Rows that are in the cold store only: they have left, or were taken out of the hot store.
    pub(crate) extra: u64,
    /// Rows that the cold store has more than once.
    pub(crate) doubled: u64,
}

impl Covered {
    /// Returns the fingerprint of all windows.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(&self.windows)
    }
}

/// The same windows here and in the cold store.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// All windows that have rows here.
    pub(crate) here: BTreeMap<i64, Fingerprint>,
    /// Those that the cold store has other rows of.
    pub(crate) differ: Vec<i64>,
}

/// One table's way into the cold store.
#[derive(Clone, Debug)]
pub(crate) struct Copier {
    data_type: DataType,
    stores: Stores,
    columns: String,
    generation: u64,
    rows_max: u64,
    pace: Pace,
    observer: StepObserver,
}

impl Copier {
    /// Looks whether both tables are alike, and becomes the one writer of the cold one: no earlier copy runs any more.
    pub(crate) async fn open(
        stores: Stores,
        data_type: DataType,
        (rows_max, bytes_max): (u64, u64),
        observer: StepObserver,
    ) -> Result<Self, CoverError> {
        let mut copier = Self::look(stores, data_type, (rows_max, bytes_max), observer).await?;
        let table = tables::name_in(Tier::Cold, data_type);
        copier.generation = copier.stores.cold.fence(&table).await?;
        Ok(copier)
    }

    /// Looks whether both tables are alike, and becomes nothing: it compares, and another copier goes on. What it copies is refused.
    pub(crate) async fn look(
        stores: Stores,
        data_type: DataType,
        (rows_max, bytes_max): (u64, u64),
        observer: StepObserver,
    ) -> Result<Self, CoverError> {
        let columns = schema::columns(&stores, data_type).await?;
        Ok(Self {
            data_type,
            stores,
            columns,
            generation: 0,
            rows_max: rows_of_statement(data_type, (rows_max, bytes_max)),
            pace: Pace::Steady,
            observer,
        })
    }

    /// Returns the same copier, which takes little of the machine: a little at a time, and as long a pause after it as it took. Rows
    /// that come meanwhile do not wait for it.
    pub(crate) fn gentle(&self) -> Self {
        Self {
            rows_max: self.rows_max.min(GENTLE_ROWS),
            pace: Pace::Gentle,
            ..self.clone()
        }
    }

    /// Lets others have the machine for as long as it was taken.
    async fn pause(&self, taken: Duration) {
        if self.pace == Pace::Gentle {
            tokio::time::sleep(taken.min(PAUSE_MAX)).await;
        }
    }

    /// Gives the cold table up.
    pub(crate) async fn close(&self) {
        let table = tables::name_in(Tier::Cold, self.data_type);
        self.stores.cold.release(&table, self.generation).await;
    }

    pub(super) fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Returns the columns that rows are stored with, for a statement.
    pub(super) fn columns(&self) -> &str {
        &self.columns
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Rows that are copied by one statement at most.
    pub(crate) fn rows_max(&self) -> u64 {
        self.rows_max
    }

    /// Says that a step is done.
    pub(crate) fn done(&self, step: Step) {
        self.observer.done(step, self.data_type.table());
    }

    /// Runs `ask` about the table as a tier has it.
    pub(crate) async fn ask<T>(&self, tier: Tier, ask: impl AsyncFnOnce(Side<'_>) -> T) -> T {
        let table = tables::name_in(tier, self.data_type);
        ask(Side {
            store: self.stores.of(tier),
            table: &table,
            columns: &self.columns,
            pace: self.pace,
        })
        .await
    }

    /// Proves that the cold store has all of a scope that probably is there; copies what is not.
    pub(crate) async fn prove(
        &self,
        source: Tier,
        scope: &Scope,
        rows: u64,
        width: i64,
    ) -> Result<Covered, CoverError> {
        // What the cold store has nothing of need not be compared to know that it is missing.
        if self.ask(Tier::Cold, async |side| side.count(scope).await).await? > 0 {
            let windows = self.windows(source, scope, width).await?;
            if windows.differ.is_empty() {
                return Ok(Covered {
                    windows: windows.here,
                    ..Covered::default()
                });
            }
        }
        self.cover(source, scope, rows, width).await
    }

    /// Compares window by window.
    pub(crate) async fn windows(&self, source: Tier, scope: &Scope, width: i64) -> Result<Windows, StoreError> {
        let here = self.fingerprints(source, scope, width).await?;
        let there = self.fingerprints(Tier::Cold, scope, width).await?;
        let differ = here
            .iter()
            .filter(|(start, fingerprint)| there.get(*start) != Some(*fingerprint))
            .map(|(start, _)| *start)
            .collect();
        Ok(Windows { here, differ })
    }

    async fn fingerprints(
        &self,
        tier: Tier,
        scope: &Scope,
        width: i64,
    ) -> Result<BTreeMap<i64, Fingerprint>, StoreError> {
        let began = Instant::now();
        let windows = self.ask(tier, async |side| side.by_window(scope, width).await).await?;
        self.pause(began.elapsed()).await;
        Ok(windows)
    }

    /// Copies what is missing of a scope with about `rows` rows, and proves that the cold store has all of it.
    ///
    /// Whatever part of an earlier copy is there is kept, and nothing is copied twice: a crash anywhere here costs time only.
    async fn cover(&self, source: Tier, scope: &Scope, rows: u64, width: i64) -> Result<Covered, CoverError> {
        let mut covered = Covered::default();
        for _ in 0..ATTEMPTS {
            self.copy(source, scope, rows, &mut covered).await?;
            self.done(Step::Copied);
            let windows = self.windows(source, scope, width).await?;
            covered.windows = windows.here;
            if windows.differ.is_empty() {
                self.done(Step::Proven);
                return Ok(covered);
            }
            // The cold store may have more than is here. Or it has other rows: look at each.
            let here = covered.fingerprint();
            let compared = self.compare(source, scope, here.rows).await?;
            if let Some(first) = compared.conflicts.first() {
                return Err(CoverError::Conflict {
                    scope: scope.clone(),
                    rows: compared.conflicts.len(),
                    first: *first,
                });
            }
            if compared.missing.is_empty() && compared.fingerprint == here {
                self.done(Step::Proven);
                covered.extra = compared.extra;
                covered.doubled = compared.doubled;
                return Ok(covered);
            }
        }
        Err(CoverError::Moving { scope: scope.clone() })
    }

    /// Copies what is missing, and notes how many rows the server says that were.
    async fn copy(&self, source: Tier, scope: &Scope, rows: u64, covered: &mut Covered) -> Result<(), CoverError> {
        for piece in self.pieces(source, scope, rows).await? {
            let condition = piece.condition();
            if self.stores.are_one {
                let cold = tables::name_in(Tier::Cold, self.data_type);
                let identity = "(producer_epoch, producer_seq)";
                let missing = format!(
                    "{condition} AND {identity} NOT IN (SELECT producer_epoch, producer_seq FROM {cold} WHERE {condition})"
                );
                self.copy_where(source, &missing, covered).await?;
                continue;
            }
            if self.ask(Tier::Cold, async |side| side.count(&piece).await).await? == 0 {
                self.copy_where(source, &condition, covered).await?;
                continue;
            }
            let missing = self.compare_piece(source, &piece).await?.missing;
            for named in missing.chunks(NAMED_ROWS) {
                let named = format!("{condition} AND {}", identities_condition(named));
                self.copy_where(source, &named, covered).await?;
            }
        }
        Ok(())
    }

    /// Copies rows for which a condition holds: within the server, or through here in a stream.
    async fn copy_where(&self, source: Tier, condition: &str, covered: &mut Covered) -> Result<(), CoverError> {
        let from = tables::name_in(source, self.data_type);
        let table = tables::name_in(Tier::Cold, self.data_type);
        let select = format!("SELECT {} FROM {from} WHERE {condition}", self.columns);
        let copy = Copy {
            table: &table,
            columns: &self.columns,
            generation: self.generation,
            select: &select,
            row_bytes: tables::row_bytes(self.data_type),
            pace: self.pace,
        };
        let began = Instant::now();
        let written = if self.stores.are_one {
            self.stores.cold.copy(&copy).await?
        } else {
            let rows = self.stores.of(source).read(&copy).await?;
            self.stores.cold.copy_from(&copy, rows).await?
        };
        let taken = began.elapsed();
        covered.copied += written.unwrap_or(0);
        covered.copying += taken;
        self.pause(taken).await;
        Ok(())
    }

    /// Cuts a scope into pieces of at most [`Copier::rows_max`] rows each, as far as time tells rows apart.
    async fn pieces(&self, source: Tier, scope: &Scope, rows: u64) -> Result<Vec<Scope>, StoreError> {
        let mut open = vec![(scope.clone(), rows)];
        let mut pieces = Vec::new();
        while let Some((scope, rows)) = open.pop() {
            if rows <= self.rows_max || scope.span.length() <= 1 {
                pieces.push(scope);
                continue;
            }
            let (origin, end) = (scope.span.from, scope.span.to);
            let width = (scope.span.length() / PARTS).max(1);
            let counts = self
                .ask(source, async |side| side.counts(&scope, origin, width).await)
                .await?;
            for Run { span, rows, .. } in runs(&counts, width, self.rows_max, |_, _| true) {
                let to = span.to.min(end);
                open.push((scope.within(Span { to, ..span }), rows));
            }
        }
        Ok(pieces)
    }

    /// Returns which rows of a scope are not the same in both stores. `larger` has most rows of it, about `rows`.
    pub(super) async fn unlike(&self, larger: Tier, scope: &Scope, rows: u64) -> Result<Unlike, StoreError> {
        let mut unlike = Unlike::default();
        for piece in self.pieces(larger, scope, rows).await? {
            let condition = piece.condition();
            // The cold store first: what comes meanwhile does not look lost.
            let there = self.ask(Tier::Cold, async |side| side.hashed(&condition).await).await?;
            let here = self.ask(Tier::Hot, async |side| side.hashed(&condition).await).await?;
            unlike.add(&here, &there);
        }
        Ok(unlike)
    }

    async fn compare(&self, source: Tier, scope: &Scope, rows: u64) -> Result<Compared, StoreError> {
        let mut compared = Compared::default();
        for piece in self.pieces(source, scope, rows).await? {
            compared.add(self.compare_piece(source, &piece).await?);
        }
        Ok(compared)
    }

    async fn compare_piece(&self, source: Tier, piece: &Scope) -> Result<Compared, StoreError> {
        let condition = piece.condition();
        let here = self.ask(source, async |side| side.hashed(&condition).await).await?;
        let rows_there = self.ask(Tier::Cold, async |side| side.count(piece).await).await?;
        // Few rows against a day's: the few are named. Many against many: all are read.
        let there = if rows_there <= 2 * self.rows_max.max(here.len() as u64) && here.len() > NAMED_ROWS {
            self.ask(Tier::Cold, async |side| side.hashed(&condition).await).await?
        } else {
            let identities: Vec<ProducerId> = here.iter().map(|row| row.identity()).collect();
            let mut there = Vec::with_capacity(here.len());
            for named in identities.chunks(NAMED_ROWS) {
                let named = format!("{condition} AND {}", identities_condition(named));
                there.extend(self.ask(Tier::Cold, async |side| side.hashed(&named).await).await?);
            }
            there
        };
        Ok(Compared::of(&here, &there, rows_there))
    }
}
