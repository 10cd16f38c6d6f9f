//! Looking at a span of time whatever the ledger says, and making both stores have the same of it: for the operator's repair.
//!
//! Whoever mends is a copier like the worker: one at a time, by the home's lock ([`CopierLock`]), and by the fences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use clickhouse::Row;
use mprism_clickhouse::{Copy, DEPARTURES, InsertError, Pace, Store, StoreError, Tier};
use mprism_model::{DataType, ProducerId};
use mprism_runtime::clock;
use mprism_runtime::lock::{LockError, LockFile};
use mprism_runtime::log::chain;
use serde::Deserialize;

use super::ColdOptions;
use super::compare::{Unlike, identities_condition};
use super::copier::{Copier, CoverError, NAMED_ROWS, Stores};
use super::ledger::Ledger;
use super::windows::{HOUR, Run, Scope, Span, runs};
use crate::tables;

/// How often a write is tried again that another writer's fence refused: each time is another moment of a running worker.
const FENCED_MAX: usize = 50;
/// Between two tries.
const FENCED_PAUSE: Duration = Duration::from_millis(20);

/// Why something is not mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// Rows cannot be read.
    #[error("rows cannot be compared")]
    Read(#[from] StoreError),
    /// Rows cannot be written.
    #[error("rows cannot be written")]
    Write(#[from] InsertError),
    /// The tables or their rows contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

impl From<CoverError> for MendError {
    fn from(error: CoverError) -> Self {
        match error {
            CoverError::Read(source) => Self::Read(source),
            CoverError::Write(source) => Self::Write(source),
            other => Self::Contradiction(chain(&other)),
        }
    }
}

/// The right to copy: of a home's copiers only one has it. Dropping it gives it back.
#[derive(Debug)]
pub struct CopierLock {
    lock: LockFile,
    is_named: bool,
}

impl CopierLock {
    /// Takes it, if nobody has it.
    ///
    /// # Errors
    /// Where somebody has it, or the file cannot be had.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        // Nothing is written into it: it is taken for moments, and on full disks.
        let lock = LockFile::open(path)?;
        Ok(Self { lock, is_named: false })
    }

    /// As [`CopierLock::acquire`], for a command that may have it for long: who else wants it is told who has it.
    ///
    /// # Errors
    /// As [`CopierLock::acquire`].
    pub fn acquire_named(path: &Path) -> Result<Self, LockError> {
        let lock = LockFile::acquire(path)?;
        Ok(Self { lock, is_named: true })
    }
}

impl Drop for CopierLock {
    fn drop(&mut self) {
        // The next holder may have no name, and we may live on.
        if self.is_named
            && let Err(error) = self.lock.unname()
        {
            tracing::warn!(error = chain(&error), "the copier's lock keeps our name");
        }
    }
}

/// Rows of one market and day that are alike in what is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The exchange.
    pub exchange: String,
    /// The symbol.
    pub symbol: String,
    /// The day, as a number since the epoch.
    pub day: i64,
    /// Their first and last time, in milliseconds since the epoch.
    pub span: (i64, i64),
    /// Which they are.
    pub identities: Vec<ProducerId>,
}

/// Where the two stores differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Rows that the cold store lacks.
    pub cold_lacks: Vec<Rows>,
    /// Rows that the hot store lacks, and that have not left it.
    pub hot_lacks: Vec<Rows>,
    /// Rows whose values are blank in the hot store where the cold one has some, and alike otherwise.
    pub hot_blank: Vec<Rows>,
    /// The other way round.
    pub cold_blank: Vec<Rows>,
    /// Rows that say something else in the other store.
    pub conflicts: Vec<Rows>,
}

/// Hours that follow each other, and how many rows the hot store has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Milliseconds since the epoch.
    pub from: i64,
    /// The first moment after them.
    pub to: i64,
    /// Rows.
    pub rows: u64,
}

/// Both stores, to be held against each other.
#[derive(Clone, Debug)]
pub struct Mender {
    options: ColdOptions,
    stores: Stores,
}

#[derive(Row, Deserialize)]
struct Told {
    producer_epoch: u64,
    producer_seq: u64,
    exchange: String,
    symbol: String,
    day: u16,
    time: i64,
}

#[derive(Row, Deserialize)]
struct Said {
    producer_epoch: u64,
    producer_seq: u64,
    said: Vec<String>,
}

#[derive(Row, Deserialize)]
struct Gone {
    day: u16,
    exchange: String,
}

impl Mender {
    /// Prepares; nothing is asked yet.
    ///
    /// # Errors
    /// Where the process cannot make connections.
    pub fn new(options: ColdOptions) -> Result<Self, StoreError> {
        let hot = Store::new(options.hot.clone())?;
        let stores = Stores {
            cold: options.cold.clone().map_or_else(|| Ok(hot.clone()), Store::new)?,
            are_one: options.cold.is_none(),
            hot,
        };
        Ok(Self { options, stores })
    }

    /// Returns the server that has a tier.
    pub fn store(&self, tier: Tier) -> &Store {
        self.stores.of(tier)
    }

    /// Returns up to when a running worker has had time enough to copy, in milliseconds since the epoch: what is missing after
    /// that is late and not lost.
    pub fn settled_until(&self) -> i64 {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 8);
        let options = &self.options;
        let until = clock::now_ms() - ms(options.safety_lag) - 3 * (ms(options.interval) + ms(options.window));
        until - until.rem_euclid(ms(options.window).max(1))
    }

    /// Returns the hours of a time in which the hot store has rows, in runs as one statement copies them, the newest first.
    ///
    /// # Errors
    /// Where a store does not answer, or the tables are not alike.
    pub async fn hours(&self, data_type: DataType, (from, to): (i64, i64)) -> Result<Vec<Hours>, MendError> {
        let copier = self.look(data_type).await?;
        let scope = Scope::from(Span { from, to });
        let counts = copier.ask(Tier::Hot, async |side| side.counts(&scope, 0, HOUR).await);
        let counts = counts.await?;
        let runs = runs(&counts, HOUR, copier.rows_max(), |_, _| true);
        let hours = runs.into_iter().rev().map(|Run { span, rows, .. }| Hours {
            from: span.from.max(from),
            to: span.to.min(to),
            rows,
        });
        Ok(hours.collect())
    }

    /// Copies what the cold store lacks of a time and proves that it has all of it. Returns how many rows were copied.
    ///
    /// # Errors
    /// Where a store does not answer, or rows say something else in the cold store; what could be copied is copied then, too.
    pub async fn copy(&self, data_type: DataType, hours: Hours) -> Result<u64, MendError> {
        let copier = self.open(data_type).await?;
        let Hours { from, to, rows } = hours;
        let proven = copier
            .prove(Tier::Hot, &Scope::from(Span { from, to }), rows, HOUR)
            .await;
        // Whole hours that are over are noted, so that the worker need not prove them again.
        if let Ok(covered) = &proven
            && from % HOUR == 0
        {
            let mut over = covered.windows.clone();
            over.retain(|start, _| start + HOUR <= to);
            let mut ledger = Ledger::load(&self.stores.cold, data_type.table(), from).await?;
            ledger.note(&self.stores.cold, &over, clock::now_ms()).await?;
        }
        copier.close().await;
        Ok(proven?.copied)
    }

    /// Compares both stores row by row where their hours differ.
    ///
    /// The cold store is read first: a row that comes meanwhile is in the hot store before it is in the cold one, so it does not
    /// look like one that the hot store lost.
    ///
    /// # Errors
    /// Where a store does not answer, or the tables are not alike.
    pub async fn differences(&self, data_type: DataType, (from, to): (i64, i64)) -> Result<Differences, MendError> {
        let copier = self.look(data_type).await?;
        let gone = self.gone(data_type).await?;
        let mut scope = Scope::from(Span { from, to });
        if !gone.is_empty() {
            // What left long ago is the cold store's alone; it is proven by its departures.
            let counts = copier.ask(Tier::Hot, async |side| side.counts(&scope, 0, HOUR).await);
            let Some(first) = counts.await?.keys().next().copied() else {
                return Ok(Differences::default());
            };
            scope.span.from = scope.span.from.max(first);
        }
        let there = copier.ask(Tier::Cold, async |side| side.by_window(&scope, HOUR).await);
        let there = there.await?;
        let here = copier.ask(Tier::Hot, async |side| side.by_window(&scope, HOUR).await);
        let here = here.await?;
        let hours: BTreeSet<i64> = here.keys().chain(there.keys()).copied().collect();
        let mut found = Differences::default();
        for start in hours {
            let (hot, cold) = (here.get(&start), there.get(&start));
            if hot == cold {
                continue;
            }
            let span = Span {
                from: start.max(scope.span.from),
                to: (start + HOUR).min(scope.span.to),
            };
            let rows = [hot, cold].map(|side| side.map_or(0, |fingerprint| fingerprint.rows));
            let larger = if rows[0] >= rows[1] { Tier::Hot } else { Tier::Cold };
            let unlike = copier.unlike(larger, &span.into(), rows[0].max(rows[1])).await?;
            self.tell(&copier, unlike, &mut found).await?;
        }
        // Asked again at the end: a partition may have left meanwhile.
        let gone = self.gone(data_type).await?;
        found
            .hot_lacks
            .retain(|rows| !gone.contains(&(rows.day, rows.exchange.clone())));
        Ok(found)
    }

    /// Puts rows back into the hot store that the cold one has. Returns how many were written; those that are there already are
    /// left alone, so doing it again does nothing.
    ///
    /// The hot worker has the table: raising its fence here refuses the worker's next insert, and it looks then at what is there
    /// before it goes on. Rows of one day and exchange are one partition.
    ///
    /// # Errors
    /// Where a store does not answer, or a running writer does not let us write.
    pub async fn restore(&self, data_type: DataType, rows: &Rows) -> Result<u64, MendError> {
        let copier = self.look(data_type).await?;
        let table = tables::name_in(Tier::Hot, data_type);
        let mut written = 0;
        for named in rows.identities.chunks(NAMED_ROWS) {
            let mut tries = 0;
            written += loop {
                let generation = self.stores.hot.fence(&table).await?;
                let restored = self.restore_once(&copier, &table, generation, named).await;
                self.stores.hot.release(&table, generation).await;
                tries += 1;
                match restored {
                    Err(MendError::Write(InsertError::Fenced { .. })) if tries < FENCED_MAX => {
                        tokio::time::sleep(FENCED_PAUSE).await;
                    }
                    outcome => break outcome?,
                }
            };
        }
        Ok(written)
    }

    async fn restore_once(
        &self,
        copier: &Copier,
        table: &str,
        generation: u64,
        named: &[ProducerId],
    ) -> Result<u64, MendError> {
        // After the fence: nobody else writes, so what is read now stays true until our own insert.
        let here = copier.ask(Tier::Hot, async |side| side.hashed(&identities_condition(named)).await);
        let here: BTreeSet<ProducerId> = here.await?.iter().map(|row| row.identity()).collect();
        let absent: Vec<ProducerId> = named.iter().filter(|id| !here.contains(id)).copied().collect();
        if absent.is_empty() {
            return Ok(0);
        }
        let columns = copier.columns();
        // LIMIT 1 BY: one that the cold store has twice comes back once.
        let select = format!(
            "SELECT {columns} FROM {} WHERE {} LIMIT 1 BY producer_epoch, producer_seq",
            tables::name_in(Tier::Cold, copier.data_type()),
            identities_condition(&absent)
        );
        let copy = Copy {
            table,
            columns,
            generation,
            select: &select,
            row_bytes: tables::row_bytes(copier.data_type()),
            pace: Pace::Steady,
        };
        let written = if self.stores.are_one {
            self.stores.hot.copy(&copy).await?
        } else {
            let rows = self.stores.cold.read(&copy).await?;
            self.stores.hot.copy_from(&copy, rows).await?
        };
        Ok(written.unwrap_or(absent.len() as u64))
    }

    /// Opens the table as its copier.
    async fn open(&self, data_type: DataType) -> Result<Copier, CoverError> {
        let limits = (self.options.rows_max, self.options.bytes_max);
        Copier::open(self.stores.clone(), data_type, limits, self.options.observer.clone()).await
    }

    /// Opens the table to look only: a running copier goes on.
    async fn look(&self, data_type: DataType) -> Result<Copier, CoverError> {
        let limits = (self.options.rows_max, self.options.bytes_max);
        Copier::look(self.stores.clone(), data_type, limits, self.options.observer.clone()).await
    }

    /// Says of whom the rows are that are not alike.
    async fn tell(&self, copier: &Copier, unlike: Unlike, found: &mut Differences) -> Result<(), MendError> {
        let Differences {
            cold_lacks,
            hot_lacks,
            hot_blank,
            cold_blank,
            conflicts,
        } = found;
        let [blank_here, blank_there, contradicting] = self.blanks(copier, unlike.conflicts).await?;
        for (tier, identities, rows) in [
            (Tier::Hot, unlike.only_here, cold_lacks),
            (Tier::Cold, unlike.only_there, hot_lacks),
            (Tier::Hot, blank_here, hot_blank),
            (Tier::Hot, blank_there, cold_blank),
            (Tier::Hot, contradicting, conflicts),
        ] {
            let mut by_market: BTreeMap<(i64, String, String), Rows> = BTreeMap::new();
            for named in identities.chunks(NAMED_ROWS) {
                let told = copier.ask(tier, async |side| {
                    let query = format!(
                        "SELECT producer_epoch, producer_seq, exchange, symbol, toUInt16(day) AS day, \
                         toUnixTimestamp64Milli(timestamp) AS time FROM {} WHERE {} \
                         LIMIT 1 BY producer_epoch, producer_seq",
                        side.table,
                        identities_condition(named)
                    );
                    side.store.fetch_all::<Told>(&query).await
                });
                for row in told.await? {
                    let day = i64::from(row.day);
                    let key = (day, row.exchange.clone(), row.symbol.clone());
                    let market = by_market.entry(key).or_insert_with(|| Rows {
                        exchange: row.exchange,
                        symbol: row.symbol,
                        day,
                        span: (row.time, row.time),
                        identities: Vec::new(),
                    });
                    market.span = (market.span.0.min(row.time), market.span.1.max(row.time));
                    market
                        .identities
                        .push(tables::identity(row.producer_epoch, row.producer_seq));
                }
            }
            for new in by_market.into_values() {
                let same = |rows: &&mut Rows| {
                    (rows.day, &rows.exchange, &rows.symbol) == (new.day, &new.exchange, &new.symbol)
                };
                match rows.iter_mut().find(same) {
                    Some(rows) => {
                        rows.span = (rows.span.0.min(new.span.0), rows.span.1.max(new.span.1));
                        rows.identities.extend(new.identities);
                    }
                    None => rows.push(new),
                }
            }
        }
        Ok(())
    }

    /// Tells of rows that are not alike which are blank where the other store has a value: in the hot store, in the cold one, and
    /// neither. A value does not come from nothing, so who has it is right: a column was lost and came back empty.
    async fn blanks(&self, copier: &Copier, unlike: Vec<ProducerId>) -> Result<[Vec<ProducerId>; 3], StoreError> {
        let mut sorted = [Vec::new(), Vec::new(), Vec::new()];
        let columns = copier.columns().split(", ");
        let texts: Vec<String> = columns
            .map(|column| format!("ifNull(toString({column}), '')"))
            .collect();
        for named in unlike.chunks(NAMED_ROWS) {
            let ask = async |tier| {
                let said = copier.ask(tier, async |side| {
                    let query = format!(
                        "SELECT producer_epoch, producer_seq, [{}] AS said FROM {} WHERE {} \
                         LIMIT 1 BY producer_epoch, producer_seq",
                        texts.join(", "),
                        side.table,
                        identities_condition(named)
                    );
                    side.store.fetch_all::<Said>(&query).await
                });
                let said = said.await?.into_iter();
                let by_identity = said.map(|row| (tables::identity(row.producer_epoch, row.producer_seq), row.said));
                Ok::<BTreeMap<ProducerId, Vec<String>>, StoreError>(by_identity.collect())
            };
            let (here, there) = (ask(Tier::Hot).await?, ask(Tier::Cold).await?);
            for identity in named {
                let (Some(here), Some(there)) = (here.get(identity), there.get(identity)) else {
                    continue;
                };
                let kind = match (is_blanked(here, there), is_blanked(there, here)) {
                    (true, _) => 0,
                    (_, true) => 1,
                    _ => 2,
                };
                sorted[kind].push(*identity);
            }
        }
        Ok(sorted)
    }

    /// Replaces rows of one store by what the other one says, where [`Differences`] told that those are blank. Returns how many.
    ///
    /// The rows that stay are looked for first; a kill after the deletion leaves rows that one store lacks, which is mended as
    /// that.
    ///
    /// # Errors
    /// Where a store does not answer, or what should take the rows' place is not there any more.
    pub async fn replace(&self, data_type: DataType, tier: Tier, rows: &Rows) -> Result<u64, MendError> {
        let source = match tier {
            Tier::Cold => Tier::Hot,
            Tier::Hot | Tier::Leaving => Tier::Cold,
        };
        let copier = self.look(data_type).await?;
        for named in rows.identities.chunks(NAMED_ROWS) {
            let condition = identities_condition(named);
            let there = copier.ask(source, async |side| side.hashed(&condition).await).await?;
            let there: BTreeSet<ProducerId> = there.iter().map(|row| row.identity()).collect();
            if there.len() < named.len() {
                let text = format!(
                    "{} rows are in neither store as they should be",
                    named.len() - there.len()
                );
                return Err(MendError::Contradiction(text));
            }
            let statement = format!(
                "ALTER TABLE {} DELETE WHERE {condition} SETTINGS mutations_sync = 1",
                tables::name_in(tier, data_type)
            );
            self.stores.of(tier).execute(&statement).await?;
        }
        if source == Tier::Cold {
            return self.restore(data_type, rows).await;
        }
        let (from, to) = (rows.span.0, rows.span.1 + 1);
        let hours = Hours {
            from,
            to,
            rows: rows.identities.len() as u64,
        };
        self.copy(data_type, hours).await
    }

    /// Returns the partitions that have left the hot store, or are about to.
    async fn gone(&self, data_type: DataType) -> Result<BTreeSet<(i64, String)>, StoreError> {
        let departed = format!(
            "SELECT DISTINCT toUInt16(day) AS day, exchange FROM {}.{DEPARTURES} WHERE table = '{}'",
            Tier::Cold.database(),
            data_type.table()
        );
        let leaving = format!(
            "SELECT DISTINCT toUInt16(day) AS day, exchange FROM {}",
            tables::name_in(Tier::Leaving, data_type)
        );
        let mut gone = BTreeSet::new();
        // The leaving first: what is dropped there is noted as departed before.
        for (store, query) in [(&self.stores.hot, leaving), (&self.stores.cold, departed)] {
            match store.fetch_all::<Gone>(&query).await {
                Ok(rows) => gone.extend(rows.into_iter().map(|row| (i64::from(row.day), row.exchange))),
                // Without these tables nothing has left yet.
                Err(error) if error.is_missing_table() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }
}

/// Returns whether one row says nothing wherever it differs from another one that says something.
fn is_blanked(row: &[String], other: &[String]) -> bool {
    let differ = || row.iter().zip(other).filter(|(here, there)| here != there);
    differ().next().is_some() && differ().all(|(here, there)| is_blank(here) && !is_blank(there))
}

/// Returns whether a text is what the engine gives a column that nobody wrote.
fn is_blank(text: &str) -> bool {
    matches!(text, "" | "0" | "[]" | "false") || text.starts_with("1970-01-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_blank_where_another_has_values_and_nowhere_else_different() {
        let row = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        let whole = row(&["7", "0.5", "2026-01-01 00:00:00.000", "[1]"]);
        assert!(is_blanked(&row(&["7", "0", "1970-01-01 00:00:00.000", "[]"]), &whole));
        assert!(
            !is_blanked(&row(&["7", "0.4", "1970-01-01 00:00:00.000", "[1]"]), &whole),
            "another value"
        );
        assert!(!is_blanked(&whole, &whole), "the same");
        assert!(
            !is_blanked(&whole, &row(&["7", "0", "2026-01-01 00:00:00.000", "[1]"])),
            "it has more"
        );
    }
}
