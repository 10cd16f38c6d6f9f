//! What goes out: the content of one frame, before anybody's form.

use std::sync::Arc;

use super::{Interest, Liquidation, Mark, Stream, ViewDiff, Volatility};
use crate::fault::Malformed;
use crate::market::{Levels, Trade};

/// One frame to send.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) stream: Stream,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Trade {
        trade: Trade,
        event_ms: i64,
        trade_ms: i64,
        /// The book's last change with it.
        change_id: u64,
        unknown_field: bool,
    },
    Aggregate(Aggregate),
    Diff(Arc<Diff>),
    Ticker {
        id: u64,
        bid: (u32, u32),
        ask: (u32, u32),
    },
    View(Arc<ViewDiff>),
    Top(Arc<Top>),
    Mark(Mark),
    Quote(Quote),
    Interest(Interest),
    Liquidation(Liquidation),
    Volatility(Volatility),
    /// Position in the recording.
    Recorded(usize),
    Broken {
        kind: Malformed,
        id: u64,
        event_ms: i64,
    },
}

/// The fills of one order at one price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggregate {
    pub(crate) id: u64,
    pub(crate) first_trade: u64,
    pub(crate) last_trade: u64,
    pub(crate) price: u32,
    pub(crate) quantity: u32,
    pub(crate) buyer_is_maker: bool,
    pub(crate) trade_ms: i64,
    pub(crate) event_ms: i64,
    /// The book's last change with the last of them.
    pub(crate) change_id: u64,
}

/// The changes of one window: absolute quantities, 0 where a level is gone.
#[derive(Debug)]
pub(crate) struct Diff {
    /// Identifier of the first change.
    pub(crate) first: u64,
    /// Identifier of the last change.
    pub(crate) last: u64,
    /// Identifier of the last change of the window before that had any.
    pub(crate) previous: u64,
    pub(crate) bids: Levels,
    pub(crate) asks: Levels,
    /// When the window closed.
    pub(crate) event_ms: i64,
    /// When its last change happened.
    pub(crate) change_ms: i64,
    pub(crate) unknown_field: bool,
}

/// The best levels after a change.
#[derive(Debug)]
pub(crate) struct Top {
    pub(crate) id: u64,
    pub(crate) bids: Levels,
    pub(crate) asks: Levels,
    pub(crate) event_ms: i64,
}

/// Everything about an instrument at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    pub(crate) ts_ms: i64,
    pub(crate) bid: (u32, u32),
    pub(crate) ask: (u32, u32),
    pub(crate) mark: Mark,
    /// Open interest.
    pub(crate) lots: u64,
}
