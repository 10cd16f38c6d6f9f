//! What a venue says about a book: all of it, or what changed.

use mprism_model::{Level, UnixMillis, UnixNanos};

/// What changed. Quantities are absolute: they take the place of what rested at the price, and zero removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The first update in it.
    pub first: u64,
    /// The last update in it.
    pub last: u64,
    /// The venue's event time.
    pub ts: UnixMillis,
    /// When it left the socket; `None` where a recording does not say it.
    pub ts_recv: Option<UnixNanos>,
    /// Bids that changed.
    pub bids: Vec<Level>,
    /// Asks that changed.
    pub asks: Vec<Level>,
}

/// The whole book, or as many levels of it as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last update that is in it.
    pub last: u64,
    /// Bids, in any order.
    pub bids: Vec<Level>,
    /// Asks, in any order.
    pub asks: Vec<Level>,
    /// Levels a side that were asked for: a side with so many may have more.
    pub limit: usize,
}
