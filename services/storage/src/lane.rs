//! One table's writer: from batches to rows, each message once.
//!
//! 1. Take the writer lock and the lease, raise the table's fence, read the table's own marks.
//! 2. Of each batch, read back what may be stored already (at or below a mark, after an insert in doubt, or of a day that may
//!    have left the hot store: then from where such rows go, too); drop that.
//! 3. Insert the rest, one partition an insert; ack what the server confirmed as written.
//! 4. An insert without an answer may have happened and may still run: raise the fence, then read the whole batch back.
//! 5. A row the server rejects is found by halving, and goes to the dead letters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mprism_bus::{Bus, DurableSpec};
use mprism_clickhouse::{Insert, InsertError, Store, StoreError, Tier};
use mprism_model::{DataType, Epoch, Exchange, UnixMillis};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use mprism_runtime::lock::LockFile;
use mprism_runtime::log::chain;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::dead_letter::{DeadLetter, bury};
use crate::intake::{Batch, Pace, pull};
use crate::marks::Marks;
use crate::row::{Delivery, Row};
use crate::settle::{OwnIdentities, Present, Suspects, settle};
use crate::stats::Stats;
use crate::tables::Place;
use crate::writer::Writer;
use crate::{BatchOptions, StorageError, StorageOptions, tables};

/// How long a lane that was told to stop goes on trying to store what it holds.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// Rows in one insert: more may become two parts, which are not stored as one.
const INSERT_ROWS_MAX: usize = 500_000;
/// How long the confirmation of a batch's last ack may take; without it the batch comes again and is read back.
const ACK_WITHIN: Duration = Duration::from_secs(2);

/// One table's writer.
pub(crate) struct Lane {
    data_type: DataType,
    table: String,
    durable: DurableSpec,
    batch: BatchOptions,
    bus: Arc<Bus>,
    store: Store,
    /// Where rows are that have left.
    cold: Store,
    stats: Arc<Stats>,
    own: OwnIdentities,
    letters: mpsc::Sender<DeadLetter>,
    generation: u64,
    marks: Marks,
    /// When to give up, once told to stop.
    give_up: Option<Instant>,
    writer: Writer,
}

/// Why the lane cannot store what it holds. It is not acked, so it comes again.
enum Stopped {
    /// It was told to stop and its time is over.
    GaveUp,
    /// Another writer may have the table.
    NotOurs,
}

impl Lane {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another thing that a lane shares with the others"
    )]
    pub(crate) fn new(
        data_type: DataType,
        durable: DurableSpec,
        options: &StorageOptions,
        bus: Arc<Bus>,
        (store, cold): (Store, Store),
        stats: Arc<Stats>,
        own_epoch: Epoch,
        letters: mpsc::Sender<DeadLetter>,
    ) -> Result<Self, StorageError> {
        let lock = writer_lock(options, data_type.table())?;
        let path = lock_path(options, data_type.table());
        let (table, ttl) = (data_type.table(), options.lease_ttl);
        let writer = Writer::new(table, (lock, &path), ttl, Arc::clone(&bus), Arc::clone(&stats));
        Ok(Self {
            data_type,
            table: tables::full_name(data_type),
            durable,
            batch: options.batch.of(data_type),
            bus,
            store,
            cold,
            stats,
            own: OwnIdentities::new(Epoch(own_epoch.0 + data_type as u64)),
            letters,
            generation: 0,
            marks: Marks::default(),
            give_up: None,
            writer,
        })
    }

    /// Stores until `shutdown` is cancelled, then what is pulled.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), StorageError> {
        while !shutdown.is_cancelled() && self.become_writer(&shutdown).await.is_ok() {
            self.serve(&shutdown).await?;
        }
        if self.generation > 0 {
            self.store.release(&self.table, self.generation).await;
        }
        self.writer.release().await;
        Ok(())
    }

    /// Stores while the table is ours.
    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<(), StorageError> {
        // One batch is pulled while another is written.
        let (sender, mut batches) = mpsc::channel(1);
        let pace = Pace::default();
        let ours = shutdown.child_token();
        let pulling = tokio::spawn(pull(
            Arc::clone(&self.bus),
            self.durable.clone(),
            self.batch,
            pace.clone(),
            sender,
            Arc::clone(&self.stats),
            ours.clone(),
        ));
        loop {
            let batch = tokio::select! {
                biased;
                () = self.writer.lost() => None,
                batch = batches.recv() => match batch {
                    Some(batch) => Some(batch),
                    None => break,
                },
            };
            let began = Instant::now();
            let stopped = match batch {
                Some(batch) => self.write(batch, shutdown).await.err(),
                None => Some(Stopped::NotOurs),
            };
            pace.wrote_within(began.elapsed());
            match stopped {
                None => {}
                Some(Stopped::GaveUp) => {
                    tracing::warn!(
                        table = self.table,
                        "stopped with messages that are not stored; they will come again"
                    );
                    break;
                }
                Some(Stopped::NotOurs) => {
                    tracing::warn!(
                        table = self.table,
                        "the table is not ours any more; what is not stored goes to whoever has it"
                    );
                    ours.cancel();
                    while let Some(batch) = batches.recv().await {
                        self.give_back(batch.rows.iter().map(|row| &row.delivery)).await;
                        self.give_back(batch.unstorable.iter().map(|bad| &bad.delivery)).await;
                    }
                    break;
                }
            }
        }
        drop(batches);
        pulling.await.map_err(|panic| StorageError::Lane {
            table: self.data_type.table(),
            reason: panic.to_string(),
        })
    }

    /// Has messages delivered again at once, to whoever reads then; a message that cannot be given back comes after the ack wait.
    async fn give_back<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery>) {
        for delivery in deliveries {
            if let Some(reply) = delivery.reply.clone() {
                let _comes_later = self.bus.client().publish(reply, NAK).await;
            }
        }
    }

    /// Takes the lease, raises the fence and reads the marks, for as long as it takes.
    async fn become_writer(&mut self, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut logged = false;
        loop {
            let taken = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Stopped::GaveUp),
                taken = self.writer.take() => taken,
            };
            let made = match taken {
                Ok(_) => self.try_become_writer().await.map_err(|error| chain(&error)),
                Err(error) => Err(chain(&error)),
            };
            match made {
                Ok(()) => {
                    tracing::info!(table = self.table, generation = self.generation, "writing");
                    return Ok(());
                }
                Err(error) => {
                    self.stats.error_now();
                    if !logged {
                        logged = true;
                        tracing::warn!(table = self.table, error, "the table cannot be taken yet");
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Stopped::GaveUp),
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    async fn try_become_writer(&mut self) -> Result<(), StoreError> {
        self.generation = self.store.fence(&self.table).await?;
        self.marks = tables::read_marks(&self.store, self.data_type).await?;
        Ok(())
    }

    /// Stores a batch and acks it.
    async fn write(&mut self, batch: Batch, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let messages = (batch.rows.len() + batch.unstorable.len()) as u64;
        self.stats.held.fetch_add(messages, Ordering::Relaxed);
        self.stats.holds(self.data_type.table(), messages);
        let mut last = None;
        for unstorable in batch.unstorable {
            let letter = DeadLetter {
                identity: unstorable.identity,
                reason: unstorable.reason,
                delivery: unstorable.delivery,
            };
            self.bury(letter, shutdown).await?;
        }
        let stored = self.store_rows(batch.rows, &mut last, shutdown).await;
        if let Some(delivery) = last {
            self.ack_confirmed(&delivery).await;
        }
        self.stats.held.fetch_sub(messages, Ordering::Relaxed);
        self.stats.stored(self.data_type.table());
        stored
    }

    async fn store_rows(
        &mut self,
        mut rows: Vec<Row>,
        last: &mut Option<Delivery>,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut in_doubt = false;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
        while !rows.is_empty() {
            let present = match self.look_up(&rows, in_doubt).await {
                Ok(present) => present,
                Err(error) => {
                    let error = chain(&error);
                    if self.stats.kept_from_storing(self.data_type.table(), &error) {
                        tracing::warn!(table = self.table, error, "stored rows cannot be read back yet");
                    }
                    self.pause(&mut backoff, Duration::ZERO, shutdown).await?;
                    continue;
                }
            };
            let settled = settle(rows, present, &mut self.own);
            self.note(&settled);
            for row in settled.known {
                self.done(&row);
                self.ack(&row.delivery, last).await;
            }
            rows = Vec::new();
            let mut groups = by_partition(settled.new);
            while let Some(mut group) = groups.pop() {
                match self.insert(&group).await {
                    Ok(()) => {
                        let times = group.iter().map(Row::ts_recv);
                        self.stats.readable(self.data_type.table(), times);
                        for row in group {
                            self.done(&row);
                            self.ack(&row.delivery, last).await;
                        }
                        backoff.reset();
                    }
                    Err(error) if error.is_rejection() => {
                        if group.len() > 1 {
                            let half = group.split_off(group.len() / 2);
                            groups.extend([half, group]);
                            continue;
                        }
                        for row in group {
                            let letter = DeadLetter {
                                identity: row.identity,
                                reason: chain(&error),
                                delivery: row.delivery,
                            };
                            self.bury(letter, shutdown).await?;
                        }
                    }
                    Err(error) => {
                        rows.extend(group);
                        rows.extend(groups.drain(..).flatten());
                        if let Err(stopped) = self.recover(error, &mut backoff, shutdown).await {
                            self.give_back(rows.iter().map(|row| &row.delivery)).await;
                            return Err(stopped);
                        }
                        in_doubt = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes sure that no insert of ours runs any more, so that what is read back afterwards is the truth.
    async fn recover(
        &mut self,
        error: InsertError,
        backoff: &mut Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        self.stats.kept_from_storing(self.data_type.table(), &chain(&error));
        self.stats.retries.fetch_add(1, Ordering::Relaxed);
        self.stats.in_doubt.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(table = self.table, error = %chain(&error), "batch in doubt, reading back");
        self.pause(backoff, error.pause(), shutdown).await?;
        if !self.writer.may_write() {
            return Err(Stopped::NotOurs);
        }
        let mut was_anothers = false;
        loop {
            match self.take_again(&mut was_anothers).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.stats.error_now();
                    tracing::debug!(table = self.table, error = %chain(&error), "no fence yet");
                    self.pause(backoff, Duration::ZERO, shutdown).await?;
                }
            }
        }
    }

    /// Raises the fence. Where it is not the one right behind ours somebody else had the table, and what was written then is not in
    /// our marks: they are read anew.
    async fn take_again(&mut self, was_anothers: &mut bool) -> Result<(), StoreError> {
        let generation = self.store.fence(&self.table).await?;
        *was_anothers |= generation != self.generation + 1;
        self.generation = generation;
        if *was_anothers {
            self.marks = tables::read_marks(&self.store, self.data_type).await?;
        }
        Ok(())
    }

    /// Reads back what is stored already of the rows that may be.
    ///
    /// A row that leaves the hot store goes from there to the leaving tables and to the cold store, and is in the next place
    /// before it is gone from the one before: asked in this order, it cannot be missed.
    async fn look_up(&self, rows: &[Row], in_doubt: bool) -> Result<Present, StoreError> {
        let today = UnixMillis(clock::now_ms()).day();
        let suspects = Suspects::among(rows, &self.marks, in_doubt, today);
        let old = Suspects::that_may_have_left(rows, today);
        let places = [
            (&self.store, Tier::Hot, &suspects),
            (&self.store, Tier::Leaving, &old),
            (&self.cold, Tier::Cold, &old),
        ];
        let mut present = Present::default();
        for (store, tier, suspects) in places {
            let place = Place { store, tier };
            match tables::read_back(place, self.data_type, suspects, &mut present).await {
                // Without these tables nothing has left yet.
                Err(error) if tier != Tier::Hot && error.is_missing_table() => {}
                outcome => outcome?,
            }
        }
        Ok(present)
    }

    async fn insert(&self, rows: &[Row]) -> Result<(), InsertError> {
        if !self.writer.may_write() {
            let table = self.table.clone();
            return Err(InsertError::Fenced { table });
        }
        let ts_insert = UnixMillis(clock::now_ms());
        let mut encoded = Vec::with_capacity(rows.len() * tables::row_bytes(self.data_type));
        for row in rows {
            tables::encode(row, ts_insert, &mut encoded);
        }
        self.store
            .insert(Insert {
                table: &self.table,
                columns: tables::columns(self.data_type),
                generation: self.generation,
                rows: Bytes::from(encoded),
                row_count: rows.len() as u64,
            })
            .await?;
        self.stats.inserts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a message out of the way of the others, for as long as it takes: nothing is dropped without a trace.
    async fn bury(&mut self, letter: DeadLetter, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut logged = false;
        while let Err(error) = bury(&self.bus, &letter).await {
            self.stats.error_now();
            if !logged {
                logged = true;
                tracing::error!(error = %chain(&error), "a dead letter cannot be stored; intake waits");
            }
            self.pause(&mut backoff, Duration::ZERO, shutdown).await?;
        }
        self.stats.failed.fetch_add(1, Ordering::Relaxed);
        self.stats.error_now();
        let count = self.stats.dead_lettered.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            let subject = letter.delivery.subject.as_str();
            tracing::error!(
                subject,
                reason = letter.reason,
                count,
                "messages that can never be stored"
            );
        }
        let mut last = None;
        self.ack(&letter.delivery, &mut last).await;
        // The stream is the truth: a copy that finds no room in the queue is made by the operator's repair.
        let _queue_full = self.letters.try_send(letter);
        Ok(())
    }

    fn note(&self, settled: &crate::settle::Settled) {
        let add = |counter: &std::sync::atomic::AtomicU64, n: u64| {
            counter.fetch_add(n, Ordering::Relaxed);
        };
        add(&self.stats.redelivered, settled.redelivered);
        add(&self.stats.natural_duplicates, settled.natural_duplicates);
        add(&self.stats.conflicts, settled.conflicts);
        add(&self.stats.identity_clashes, settled.identity_clashes);
        if settled.conflicts > 0 {
            tracing::warn!(
                table = self.table,
                rows = settled.conflicts,
                "same natural id, other content: both are kept"
            );
        }
        if settled.identity_clashes > 0 {
            let rows = settled.identity_clashes;
            tracing::error!(
                table = self.table,
                rows,
                "same producer identity, other content: stored under our own"
            );
        }
    }

    /// Learns of a row that is in the table now.
    fn done(&mut self, row: &Row) {
        self.marks.raise_identity(row.identity);
        self.marks.raise_natural(&row.market, &row.natural);
        self.stats.decides(self.data_type, &row.market);
    }

    async fn ack(&self, delivery: &Delivery, last: &mut Option<Delivery>) {
        let Some(reply) = delivery.reply.clone() else { return };
        // A lost ack costs one read-back; only the batch's last is confirmed.
        if self.bus.client().publish(reply, ACK).await.is_ok() {
            *last = Some(delivery.clone());
        }
    }

    async fn ack_confirmed(&self, delivery: &Delivery) {
        let Some(reply) = delivery.reply.clone() else { return };
        let confirmed = tokio::time::timeout(ACK_WITHIN, self.bus.client().request(reply, ACK)).await;
        if !matches!(confirmed, Ok(Ok(_))) {
            tracing::debug!(
                table = self.table,
                "acks are not confirmed; what was not taken comes again"
            );
        }
    }

    /// Waits before the next try; gives up where the lane was told to stop and its time is over.
    async fn pause(
        &mut self,
        backoff: &mut Backoff,
        at_least: Duration,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        if shutdown.is_cancelled() {
            let give_up = *self.give_up.get_or_insert_with(|| Instant::now() + DRAIN_WITHIN);
            if Instant::now() >= give_up {
                return Err(Stopped::GaveUp);
            }
        }
        tokio::time::sleep(backoff.next_wait().max(at_least)).await;
        Ok(())
    }
}

const ACK: Bytes = Bytes::from_static(b"+ACK");
const NAK: Bytes = Bytes::from_static(b"-NAK");

fn lock_path(options: &StorageOptions, table: &str) -> PathBuf {
    options.locks.join(format!("writer.{table}.lock"))
}

pub(crate) fn writer_lock(options: &StorageOptions, table: &str) -> Result<LockFile, StorageError> {
    LockFile::acquire(&lock_path(options, table)).map_err(|source| StorageError::Writer {
        table: table.to_owned(),
        source,
    })
}

/// An insert over several partitions is not atomic: one a partition, and none too large.
fn by_partition(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut groups: BTreeMap<(i64, Exchange), Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(row.partition).or_default().push(row);
    }
    let mut parts = Vec::with_capacity(groups.len());
    for mut group in groups.into_values() {
        while group.len() > INSERT_ROWS_MAX {
            let rest = group.split_off(INSERT_ROWS_MAX);
            parts.push(std::mem::replace(&mut group, rest));
        }
        parts.push(group);
    }
    // Taken from the end: the oldest day first.
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::trade_row;

    #[test]
    fn rows_of_two_days_are_two_inserts_in_order() {
        let mut late = trade_row(1, 2, 101, "1");
        late.partition.0 += 1;
        let groups = by_partition(vec![late, trade_row(1, 1, 100, "1"), trade_row(1, 3, 102, "1")]);
        let seqs: Vec<Vec<u64>> = groups
            .iter()
            .rev()
            .map(|g| g.iter().map(|r| r.identity.seq).collect())
            .collect();
        assert_eq!(seqs, [vec![1, 3], vec![2]]);
    }
}
