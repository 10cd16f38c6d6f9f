//! What a venue says about a book: all of it, or what changed.

use mprism_model::{Level, UnixMillis, UnixNanos};

/// What changed. Quantities are absolute: they take the place of what rested at the price, and zero removes it. They are the
/// venue's: base currency, or contracts.
///
/// It continues a book whose last update is `first - 1`. Venues that name the previous message instead of a first update
/// (`pu`, `prevSeqId`, `prev_change_id`) say the same with `first` = previous + 1; one that says nothing new has `last` =
/// `first - 1`, and one that begins its numbers anew a smaller one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The first update in it; 0, as `last`, where a recording is not numbered: then it continues whatever came before.
    pub first: u64,
    /// The last update in it.
    pub last: u64,
    /// CRC32 of the best 25 levels of both sides afterwards, where the venue gives one.
    pub checksum: Option<i32>,
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
    /// The last update that is in it; 0 where a recording is not numbered.
    pub last: u64,
    /// The venue's event time, where it says one.
    pub ts: Option<UnixMillis>,
    /// When it left the socket; `None` where a recording does not say it.
    pub ts_recv: Option<UnixNanos>,
    /// CRC32 of the best 25 levels of both sides, where the venue gives one.
    pub checksum: Option<i32>,
    /// Bids, in any order.
    pub bids: Vec<Level>,
    /// Asks, in any order.
    pub asks: Vec<Level>,
    /// Levels a side that were asked for: a side with so many may have more.
    pub limit: usize,
}
