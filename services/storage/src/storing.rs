//! From a batch to rows, each message once.
//!
//! 1. The writer has the lock and the lease, raised the table's fence, and read the table's own marks.
//! 2. Of each batch, read back what may be stored already (at or below a mark, after an insert in doubt, or of a day that may
//!    have left the hot store: then from where such rows go, too); drop that.
//! 3. Insert the rest, one partition an insert; ack what the server confirmed as written.
//! 4. An insert without an answer may have happened and may still run: raise the fence, then read the whole batch back.
//! 5. A row the server rejects is found by halving, and goes to the dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mprism_bus::SubjectText;
use mprism_clickhouse::{Insert, InsertError, StoreError, Tier};
use mprism_model::UnixMillis;
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use mprism_runtime::log::chain;
use tokio_util::sync::CancellationToken;

use crate::batch::{Backing, Batch};
use crate::dead_letter::{DeadLetter, bury};
use crate::lane::{Lane, Stopped};
use crate::row::{Natural, Row};
use crate::settle::{Present, Settled, Suspects, settle};
use crate::tables;
use crate::tables::Place;

/// Rows in one insert: more may become two parts, which are not stored as one.
const INSERT_ROWS_MAX: usize = 500_000;
/// How long the confirmation of a batch's last ack may take; without it the batch comes again and is read back.
const ACK_WITHIN: Duration = Duration::from_secs(2);
const ACK: Bytes = Bytes::from_static(b"+ACK");

impl Lane {
    /// Stores a batch and acks it.
    pub(crate) async fn write(&mut self, batch: Batch, shutdown: &CancellationToken) -> Result<(), Stopped> {
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
        let stored = self.store_rows(batch.rows, batch.backing, &mut last, shutdown).await;
        if let Some(reply) = last {
            self.confirm(reply).await;
        }
        self.stats.held.fetch_sub(messages, Ordering::Relaxed);
        self.stats.stored(self.data_type.table());
        stored
    }

    async fn store_rows(
        &mut self,
        mut rows: Vec<Row>,
        mut backing: Backing,
        last: &mut Option<SubjectText>,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut in_doubt = false;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
        while !rows.is_empty() {
            let present = match self.look_up(&rows, &backing, in_doubt).await {
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
            let settled = settle(rows, &backing.markets, &present, &mut self.own);
            self.note(&settled);
            self.done(&settled.known, &backing);
            self.ack(&settled.known, &backing, last).await;
            rows = Vec::new();
            let mut groups = by_partition(settled.new);
            while let Some(mut group) = groups.pop() {
                match self.insert(&group, &mut backing).await {
                    Ok(()) => {
                        let times = group.iter().map(|row| row.ts_recv);
                        self.stats.readable(self.data_type.table(), times);
                        self.done(&group, &backing);
                        self.ack(&group, &backing, last).await;
                        backoff.reset();
                    }
                    Err(error) if error.is_rejection() => {
                        if group.len() > 1 {
                            let half = group.split_off(group.len() / 2);
                            groups.extend([half, group]);
                            continue;
                        }
                        for row in &group {
                            let delivery = self.as_it_came(row, &backing, shutdown).await?;
                            let letter = DeadLetter {
                                identity: row.identity,
                                reason: chain(&error),
                                delivery,
                            };
                            self.bury(letter, shutdown).await?;
                        }
                    }
                    Err(error) => {
                        rows.extend(group);
                        rows.extend(groups.drain(..).flatten());
                        if let Err(stopped) = self.recover(error, &mut backoff, shutdown).await {
                            let replies = rows.iter().filter_map(|row| backing.reply(row));
                            self.give_back(replies).await;
                            return Err(stopped);
                        }
                        in_doubt = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads back what is stored already of the rows that may be.
    ///
    /// A row that leaves the hot store goes from there to the leaving tables and to the cold store, and is in the next place
    /// before it is gone from the one before: asked in this order, it cannot be missed.
    async fn look_up(&self, rows: &[Row], backing: &Backing, in_doubt: bool) -> Result<Present, StoreError> {
        let today = UnixMillis(clock::now_ms()).day();
        let markets = &backing.markets;
        let suspects = Suspects::among(rows, markets, &self.marks, in_doubt, today);
        let old = Suspects::that_may_have_left(rows, markets, today);
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

    async fn insert(&self, rows: &[Row], backing: &mut Backing) -> Result<(), InsertError> {
        if !self.writer.may_write() {
            let table = self.table.clone();
            return Err(InsertError::Fenced { table });
        }
        let body = backing.body(rows, UnixMillis(clock::now_ms()));
        let insert = Insert {
            table: &self.table,
            columns: tables::columns(self.data_type),
            generation: self.generation,
            rows: body.clone(),
            row_count: rows.len() as u64,
        };
        let inserted = self.store.insert(insert).await;
        match inserted {
            Ok(()) => {
                self.stats.inserts.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => backing.put_back(rows, body),
        }
        inserted
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
        if let Some(reply) = letter.delivery.reply.clone() {
            let _comes_again = self.bus.client().publish(reply, ACK).await;
        }
        // The stream is the truth: a copy that finds no room in the queue is made by the operator's repair.
        let _queue_full = self.letters.try_send(letter);
        Ok(())
    }

    fn note(&self, settled: &Settled) {
        let add = |counter: &AtomicU64, n: u64| {
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

    /// Learns of rows that are in the table now.
    fn done(&mut self, rows: &[Row], backing: &Backing) {
        // How many of each market, and the highest number: looked for once a market and not once a row.
        let mut by_market = vec![(0, None); backing.markets.len()];
        for row in rows {
            self.marks.raise_identity(row.identity);
            let (messages, highest) = &mut by_market[row.market as usize];
            *messages += 1;
            if let Natural::Number(number) = row.natural {
                *highest = (*highest).max(Some(number));
            }
        }
        for (market, (messages, highest)) in backing.markets.iter().zip(by_market) {
            if let Some(number) = highest {
                self.marks.raise_natural(market, &Natural::Number(number));
            }
            if messages > 0 {
                self.stats.decides(self.data_type, market, messages);
            }
        }
    }

    async fn ack(&self, rows: &[Row], backing: &Backing, last: &mut Option<SubjectText>) {
        for reply in rows.iter().filter_map(|row| backing.reply(row)) {
            // A lost ack costs one read-back; only the batch's last is confirmed.
            if self.bus.client().publish(reply.clone(), ACK).await.is_ok() {
                *last = Some(reply);
            }
        }
    }

    /// Has a batch's acks confirmed while the next one is stored: the server answers the last when it has taken all of them, which
    /// takes it as long as an insert. No more than one batch's are on their way.
    async fn confirm(&mut self, reply: SubjectText) {
        self.confirmed().await;
        let (bus, table) = (Arc::clone(&self.bus), self.table.clone());
        self.confirming = Some(tokio::spawn(async move {
            let confirmed = tokio::time::timeout(ACK_WITHIN, bus.client().request(reply, ACK)).await;
            if !matches!(confirmed, Ok(Ok(_))) {
                tracing::debug!(table, "acks are not confirmed; what was not taken comes again");
            }
        }));
    }

    /// Waits until the acks of the last batch are confirmed, or were not in time.
    pub(crate) async fn confirmed(&mut self) {
        if let Some(confirming) = self.confirming.take() {
            let _is_told = confirming.await;
        }
    }
}

/// An insert over several partitions is not atomic: one a partition, and none too large.
fn by_partition(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut groups: BTreeMap<(i64, u32), Vec<Row>> = BTreeMap::new();
    let is_one = rows.windows(2).all(|pair| pair[0].part == pair[1].part);
    if let (true, Some(first)) = (is_one, rows.first()) {
        groups.insert((first.day, first.part), rows);
    } else {
        for row in rows {
            groups.entry((row.day, row.part)).or_default().push(row);
        }
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
    use crate::tables::tests::trades;

    #[test]
    fn rows_of_two_days_are_two_inserts_in_order() {
        let mut rows = trades(&[(1, 2, 101, "1"), (1, 1, 100, "1"), (1, 3, 102, "1")]).rows;
        rows[0].day += 1;
        rows[0].part += 1;
        let groups = by_partition(rows);
        let seqs: Vec<Vec<u64>> = groups
            .iter()
            .rev()
            .map(|g| g.iter().map(|r| r.identity.seq).collect())
            .collect();
        assert_eq!(seqs, [vec![1, 3], vec![2]]);
    }
}
