//! What the collector counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use mprism_model::DataType;
use mprism_runtime::clock;
use mprism_runtime::log::Causes;

use crate::rest::Budget;

/// Counters of the whole collector.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) started: Instant,
    pub(crate) published: AtomicU64,
    pub(crate) publish_duplicates: AtomicU64,
    /// Copies handed to core NATS.
    pub(crate) mirrored: AtomicU64,
    pub(crate) publish_troubles: Causes,
    pub(crate) unpublishable: AtomicU64,
    pub(crate) republishes: AtomicU64,
    pub(crate) last_ack_ms: AtomicI64,
    /// Records in the spool that are not acknowledged.
    pub(crate) backlog: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) spool_freed: AtomicU64,
    /// Bytes that an earlier life left in the spool.
    pub(crate) spool_found: AtomicU64,
    /// What is written of the spool in this life; empty before that begins.
    pub(crate) spool_written: OnceLock<Arc<crate::spool::State>>,
    exchanges: Mutex<BTreeMap<&'static str, Arc<ExchangeStats>>>,
}

/// Counters of one subscription.
#[derive(Debug, Default)]
pub(crate) struct StreamStats {
    /// When it last had an event, in milliseconds since the Unix epoch; 0 before the first.
    pub(crate) last_ms: AtomicI64,
    /// How long it may say nothing, in milliseconds; 0 for as long as it likes.
    pub(crate) silence_ms: AtomicI64,
    /// Events taken from it: trades accepted, diffs applied.
    pub(crate) events: AtomicU64,
    /// Of an order book: whether it is what the venue has, and since when it is or is not.
    is_live: AtomicBool,
    live_since_ms: AtomicI64,
}

impl StreamStats {
    /// Says whether an order book is what the venue has.
    pub(crate) fn set_live(&self, is_live: bool) {
        if self.is_live.swap(is_live, Ordering::Relaxed) != is_live {
            self.live_since_ms.store(clock::now_ms(), Ordering::Relaxed);
        }
    }

    /// Returns whether an order book is what the venue has, and since when it is or is not; 0 since the beginning.
    pub(crate) fn live(&self) -> (bool, i64) {
        let is_live = self.is_live.load(Ordering::Relaxed);
        (is_live, self.live_since_ms.load(Ordering::Relaxed))
    }
}

/// Counters of one exchange.
#[derive(Debug, Default)]
pub(crate) struct ExchangeStats {
    /// Connections that there should be, and those that there are; more while one is replaced.
    pub(crate) links: AtomicU64,
    pub(crate) connected: AtomicU64,
    /// Connections that were replaced before they were left.
    pub(crate) renewals: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) trades: AtomicU64,
    pub(crate) replays: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) pings: AtomicU64,
    pub(crate) last_frame_ms: AtomicI64,
    /// From the venue's time of the last event to our socket, in milliseconds; below zero where clocks differ.
    pub(crate) latency_ms: AtomicI64,
    pub(crate) latency_warnings: AtomicU64,
    /// Frames that were not understood, by cause.
    pub(crate) malformed: Causes,
    /// Why connections ended, by cause.
    pub(crate) disconnects: Causes,
    /// Valid events that are not collected.
    pub(crate) skipped: Causes,
    /// Observations accepted: whatever is not a trade or an order book.
    pub(crate) observations: AtomicU64,
    /// Observations that were known already.
    pub(crate) repeats: AtomicU64,
    /// Observations left out because the venue repeats itself more often than is of use.
    pub(crate) thinned: AtomicU64,
    /// Questions for observations.
    pub(crate) polls: AtomicU64,
    /// Trades that came from the venue's history.
    pub(crate) backfilled: AtomicU64,
    /// Order-book diffs applied.
    pub(crate) diffs: AtomicU64,
    /// Order-book diffs that waited for a snapshot that did not come.
    pub(crate) diffs_discarded: AtomicU64,
    /// Order books published.
    pub(crate) books: AtomicU64,
    /// Order books not published because the spool had no room.
    pub(crate) books_shed: AtomicU64,
    /// Order books not published because too little of them was certain.
    pub(crate) books_uncertain: AtomicU64,
    /// Order books that stopped being valid.
    pub(crate) resyncs: AtomicU64,
    /// Live order books that a second snapshot confirmed, that one contradicted, and that two contradicted.
    pub(crate) confirmed: AtomicU64,
    pub(crate) doubted: AtomicU64,
    pub(crate) corrected: AtomicU64,
    /// Whole books that a stream told.
    pub(crate) snapshots_told: AtomicU64,
    /// Snapshots asked for, and those of them that ended before the diffs began.
    pub(crate) snapshots: AtomicU64,
    pub(crate) snapshots_too_old: AtomicU64,
    /// Questions to the venue without a good answer, by cause.
    pub(crate) rest_errors: Causes,
    /// Every subscription.
    streams: Mutex<BTreeMap<(DataType, String), Arc<StreamStats>>>,
    /// Why the last connection ended.
    last_end: Mutex<Option<String>>,
    /// How much the venue may still be asked.
    budget: OnceLock<Arc<Budget>>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            published: AtomicU64::new(0),
            publish_duplicates: AtomicU64::new(0),
            mirrored: AtomicU64::new(0),
            publish_troubles: Causes::new(),
            unpublishable: AtomicU64::new(0),
            republishes: AtomicU64::new(0),
            last_ack_ms: AtomicI64::new(0),
            backlog: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            spool_freed: AtomicU64::new(0),
            spool_found: AtomicU64::new(0),
            spool_written: OnceLock::new(),
            exchanges: Mutex::default(),
        }
    }

    /// Returns the counters of an exchange, made at first use.
    pub(crate) fn exchange(&self, name: &'static str) -> Arc<ExchangeStats> {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(exchanges.entry(name).or_default())
    }

    /// Returns the counters of every exchange.
    pub(crate) fn exchanges(&self) -> BTreeMap<&'static str, Arc<ExchangeStats>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ExchangeStats {
    /// Notes why a connection ended.
    pub(crate) fn ended(&self, why: &str) {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// Returns why the last connection ended, if one has.
    pub(crate) fn last_end(&self) -> Option<String> {
        self.last_end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether every connection is up that there should be.
    pub(crate) fn is_connected(&self) -> bool {
        let links = self.links.load(Ordering::Relaxed);
        links > 0 && self.connected.load(Ordering::Relaxed) >= links
    }

    /// Says from what the venue's questions are paid.
    pub(crate) fn budget_is(&self, budget: &Arc<Budget>) {
        let _is_said_once = self.budget.set(Arc::clone(budget));
    }

    /// Returns from what the venue's questions are paid.
    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.budget.get().map(Arc::as_ref)
    }

    /// Returns what is counted of a subscription, made at first use.
    pub(crate) fn stream(&self, data_type: DataType, symbol: &str) -> Arc<StreamStats> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(streams.entry((data_type, symbol.to_owned())).or_default())
    }

    /// Returns every subscription.
    pub(crate) fn streams(&self) -> BTreeMap<(DataType, String), Arc<StreamStats>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
