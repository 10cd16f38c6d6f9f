//! What the collector counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mprism_runtime::log::Causes;

/// Counters of the whole collector.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) started: Instant,
    pub(crate) published: AtomicU64,
    pub(crate) publish_duplicates: AtomicU64,
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
    exchanges: Mutex<BTreeMap<&'static str, std::sync::Arc<ExchangeStats>>>,
}

/// Counters of one exchange.
#[derive(Debug, Default)]
pub(crate) struct ExchangeStats {
    pub(crate) is_connected: AtomicBool,
    pub(crate) connects: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) trades: AtomicU64,
    pub(crate) replays: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) pings: AtomicU64,
    pub(crate) last_frame_ms: AtomicI64,
    /// Frames that were not understood, by cause.
    pub(crate) malformed: Causes,
    /// Why connections ended, by cause.
    pub(crate) disconnects: Causes,
    /// Valid events that are not collected.
    pub(crate) skipped: Causes,
    /// When each symbol last had an event, in milliseconds since the Unix epoch; 0 before the first.
    pub(crate) symbols: Mutex<BTreeMap<String, i64>>,
    /// Why the last connection ended.
    last_end: Mutex<Option<String>>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            published: AtomicU64::new(0),
            publish_duplicates: AtomicU64::new(0),
            publish_troubles: Causes::new(),
            unpublishable: AtomicU64::new(0),
            republishes: AtomicU64::new(0),
            last_ack_ms: AtomicI64::new(0),
            backlog: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            spool_freed: AtomicU64::new(0),
            spool_found: AtomicU64::new(0),
            exchanges: Mutex::default(),
        }
    }

    /// Returns the counters of an exchange, made at first use.
    pub(crate) fn exchange(&self, name: &'static str) -> std::sync::Arc<ExchangeStats> {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        std::sync::Arc::clone(exchanges.entry(name).or_default())
    }

    /// Returns the counters of every exchange.
    pub(crate) fn exchanges(&self) -> BTreeMap<&'static str, std::sync::Arc<ExchangeStats>> {
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

    /// Returns when each symbol last had an event.
    pub(crate) fn symbol_times(&self) -> BTreeMap<String, i64> {
        self.symbols.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that symbols had events.
    pub(crate) fn symbols_seen<'a>(&self, symbols: impl Iterator<Item = &'a str>, now_ms: i64) {
        let mut times = self.symbols.lock().unwrap_or_else(PoisonError::into_inner);
        for symbol in symbols {
            match times.get_mut(symbol) {
                Some(time) => *time = now_ms,
                None => {
                    times.insert(symbol.to_owned(), now_ms);
                }
            }
        }
    }
}
