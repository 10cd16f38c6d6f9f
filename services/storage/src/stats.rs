//! What the worker counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mprism_model::{DataType, UnixNanos};
use mprism_runtime::clock;

use crate::row::Market;

/// Upper bounds of the latency buckets, in milliseconds; each is about a twentieth above the one before, the last is 4 minutes.
const LATENCY_BOUNDS: usize = 256;

/// Counters of the whole worker; every lane adds to them.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Instant,
    /// Durables to be consumed.
    pub(crate) lanes: usize,
    pub(crate) running: AtomicBool,
    pub(crate) received: AtomicU64,
    pub(crate) processed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) redelivered: AtomicU64,
    pub(crate) natural_duplicates: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) identity_clashes: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) in_doubt: AtomicU64,
    pub(crate) inserts: AtomicU64,
    pub(crate) inserted_rows: AtomicU64,
    pub(crate) last_message_ms: AtomicI64,
    pub(crate) last_stored_ms: AtomicI64,
    pub(crate) last_error_ms: AtomicI64,
    /// Messages pulled and not yet acked.
    pub(crate) held: AtomicU64,
    /// The durables consumed now.
    consuming: Mutex<BTreeSet<String>>,
    /// Lanes that hold a batch.
    holding: Mutex<BTreeMap<&'static str, Holding>>,
    /// Messages decided, by type, exchange and kind of market.
    decided: Mutex<BTreeMap<[&'static str; 3], u64>>,
    /// Tables that another worker writes, and who that is.
    standing_by: Mutex<BTreeMap<&'static str, String>>,
    latency: Mutex<[u64; LATENCY_BOUNDS]>,
    by_table: Mutex<BTreeMap<&'static str, u64>>,
}

/// A batch that is being stored: since when, how many messages it has, and what keeps it from being stored.
#[derive(Debug)]
struct Holding {
    since: Instant,
    messages: u64,
    why: Option<String>,
}

impl Stats {
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            started: Instant::now(),
            lanes,
            consuming: Mutex::default(),
            decided: Mutex::default(),
            running: AtomicBool::new(true),
            received: AtomicU64::new(0),
            processed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            natural_duplicates: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            identity_clashes: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            in_doubt: AtomicU64::new(0),
            inserts: AtomicU64::new(0),
            inserted_rows: AtomicU64::new(0),
            last_message_ms: AtomicI64::new(0),
            last_stored_ms: AtomicI64::new(0),
            last_error_ms: AtomicI64::new(0),
            held: AtomicU64::new(0),
            holding: Mutex::default(),
            standing_by: Mutex::default(),
            latency: Mutex::new([0; LATENCY_BOUNDS]),
            by_table: Mutex::default(),
        }
    }

    /// Returns how long the worker runs, in seconds.
    pub(crate) fn uptime_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Notes that a durable is consumed from now on.
    pub(crate) fn begins(&self, durable: &str) {
        let mut consuming = self.consuming.lock().unwrap_or_else(PoisonError::into_inner);
        consuming.insert(durable.to_owned());
    }

    /// Notes that a durable is not consumed any more.
    pub(crate) fn ends(&self, durable: &str) {
        let mut consuming = self.consuming.lock().unwrap_or_else(PoisonError::into_inner);
        consuming.remove(durable);
    }

    /// Returns how many durables are consumed now.
    pub(crate) fn consumed(&self) -> usize {
        self.consuming.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns how many of them are of the eight types of market data: the original had no ledger of gaps, and who asks it
    /// expects 8.
    pub(crate) fn subscriptions(&self) -> usize {
        let consuming = self.consuming.lock().unwrap_or_else(PoisonError::into_inner);
        consuming.iter().filter(|durable| !durable.ends_with("_gap")).count()
    }

    /// Notes that messages about a market are decided: their rows are stored.
    pub(crate) fn decides(&self, data_type: DataType, market: &Market, messages: u64) {
        self.processed.fetch_add(messages, Ordering::Relaxed);
        let labels = [
            data_type.as_str(),
            market.exchange.as_str(),
            market.market_type.as_str(),
        ];
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        *decided.entry(labels).or_default() += messages;
    }

    /// Returns the messages decided, by type, exchange and kind of market.
    pub(crate) fn decided(&self) -> BTreeMap<[&'static str; 3], u64> {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a table's lane has a batch to store.
    pub(crate) fn holds(&self, table: &'static str, messages: u64) {
        let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = Holding {
            since: Instant::now(),
            messages,
            why: None,
        };
        holding.insert(table, batch);
    }

    /// Returns how many messages a table's lane holds.
    pub(crate) fn held_by(&self, table: &str) -> u64 {
        let holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        holding.get(table).map_or(0, |batch| batch.messages)
    }

    /// Notes that a table's lane stored what it had.
    pub(crate) fn stored(&self, table: &'static str) {
        self.holding
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(table);
    }

    /// Notes what keeps a table's lane from storing its batch; returns whether that is news about this batch.
    pub(crate) fn kept_from_storing(&self, table: &'static str, why: &str) -> bool {
        self.error_now();
        let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = holding.get_mut(table) else {
            return true;
        };
        let is_news = batch.why.as_deref() != Some(why);
        batch.why = Some(why.to_owned());
        is_news
    }

    /// Notes what keeps a table's lane from becoming its writer; [`Stats::stored`] says that nothing does any more.
    pub(crate) fn kept_from_writing(&self, table: &'static str, why: &str) {
        let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        holding.entry(table).or_insert_with(|| Holding {
            since: Instant::now(),
            messages: 0,
            why: None,
        });
        drop(holding);
        self.kept_from_storing(table, why);
    }

    /// Returns which lane has held a batch for longer than this, and why.
    pub(crate) fn stuck(&self, longer_than: Duration) -> Option<String> {
        let holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = holding.iter().find(|(_, batch)| batch.since.elapsed() > longer_than);
        stuck.map(|(table, batch)| {
            let why = batch.why.as_deref().unwrap_or("the store does not answer");
            let what = match batch.messages {
                0 => "the table cannot be written",
                _ => "a batch is not stored",
            };
            format!("{table}: {what} for {} s: {why}", batch.since.elapsed().as_secs())
        })
    }

    /// Notes that another worker writes a table; nothing where it does no more.
    pub(crate) fn stands_by(&self, table: &'static str, holder: Option<&str>) {
        let mut standing_by = self.standing_by.lock().unwrap_or_else(PoisonError::into_inner);
        match holder {
            Some(holder) => standing_by.insert(table, holder.to_owned()),
            None => standing_by.remove(table),
        };
    }

    /// Returns which tables another worker writes, and who that is.
    pub(crate) fn standing_by(&self) -> BTreeMap<&'static str, String> {
        self.standing_by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes an error's time.
    pub(crate) fn error_now(&self) {
        self.last_error_ms.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// Notes that rows can be read now.
    pub(crate) fn readable<'a>(&self, table: &'static str, times: impl Iterator<Item = Option<UnixNanos>> + 'a) {
        let now = clock::now_ns();
        let mut rows = 0;
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        for time in times {
            rows += 1;
            if let Some(time) = time {
                latency[bucket((now - time.0).max(0) / 1_000_000)] += 1;
            }
        }
        drop(latency);
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        *by_table.entry(table).or_default() += rows;
        self.inserted_rows.fetch_add(rows, Ordering::Relaxed);
        self.last_stored_ms.store(now / 1_000_000, Ordering::Relaxed);
    }

    /// Returns the rows inserted into each table.
    pub(crate) fn rows_by_table(&self) -> BTreeMap<&'static str, u64> {
        self.by_table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a quantile of the time from the venue's socket to readable, in milliseconds; `None` before the first row.
    pub(crate) fn latency_ms(&self, quantile: f64) -> Option<f64> {
        let latency = *self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = latency.iter().sum();
        let wanted = (total as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in latency.iter().enumerate() {
            seen += count;
            if total > 0 && seen >= wanted {
                return Some(bound(index));
            }
        }
        None
    }
}

fn bound(index: usize) -> f64 {
    (1.05_f64.powi(index as i32) * 10.0).round() / 10.0
}

fn bucket(ms: i64) -> usize {
    static BOUNDS: LazyLock<[f64; LATENCY_BOUNDS]> = LazyLock::new(|| std::array::from_fn(bound));
    BOUNDS[..LATENCY_BOUNDS - 1].partition_point(|bound| *bound < ms as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_under_the_first_bound_that_is_not_below_it() {
        for ms in [0, 1, 2, 10, 999, 60_000, 97_000, 98_000, i64::MAX] {
            let looked_for = (0..LATENCY_BOUNDS - 1).find(|index| ms as f64 <= bound(*index));
            assert_eq!(bucket(ms), looked_for.unwrap_or(LATENCY_BOUNDS - 1), "{ms} ms");
        }
    }

    #[test]
    fn quantiles_are_within_a_twentieth() {
        let stats = Stats::new(1);
        assert_eq!(stats.latency_ms(0.5), None);
        let now = clock::now_ns();
        let times = (0..100).map(|n| Some(UnixNanos(now - n * 1_000_000)));
        stats.readable("trades", times);
        let p50 = stats.latency_ms(0.5).expect("rows");
        assert!((45.0..60.0).contains(&p50), "{p50}");
        let p99 = stats.latency_ms(0.99).expect("rows");
        assert!((95.0..115.0).contains(&p99), "{p99}");
        assert_eq!(stats.rows_by_table()["trades"], 100);
    }
}
