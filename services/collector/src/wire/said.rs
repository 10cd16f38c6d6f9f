//! What a frame or an answer says.

use std::borrow::Cow;

use mprism_model::{
    Event, Exchange, InstrumentId, MarketType, Source, Symbol, Trade, UnixMillis, UnixNanos, UnknownName,
};

use super::{ParseError, Sizing, Terms};
use crate::orderbook::{Diff, Snapshot};

/// One thing that a venue said. A frame may say several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// One fill.
    Trade {
        /// The fill.
        trade: Box<Trade>,
        /// Its number in the venue's consecutive numbering of the instrument's trades: the trade id, where that is one.
        number: u64,
        /// Whether its quantity is in base currency; if not, the instrument is not known and the quantity is the venue's size.
        is_sized: bool,
    },
    /// Fills of one taker order as one trade, where the venue numbers fills and aggregates apart and fills are collected:
    /// recorded by others.
    Aggregate {
        /// The fills as one.
        trade: Box<Trade>,
        /// The aggregate's own number, where the venue numbers them without holes.
        number: Option<u64>,
        /// As of a trade.
        is_sized: bool,
    },
    /// A change of an instrument's order book, sizes as the venue has them.
    Diff(InstrumentId, Box<Diff>),
    /// The whole order book, as its own stream tells it: the diffs that follow belong to it.
    Book(InstrumentId, Box<Snapshot>),
    /// A book by itself: the best levels alone, or the answer to a question. `None` where it does not say whose it is.
    Depth(Option<InstrumentId>, Box<Snapshot>),
    /// Anything else that is stored: funding rates, open interest, liquidations, ratios, volatility indices.
    Event {
        /// Whose it is, as the settings name it.
        instrument: InstrumentId,
        /// The event.
        event: Box<Event>,
        /// Whether its quantities are in base currency; if not, the instrument is not known.
        is_sized: bool,
    },
    /// Something valid that takes the place of an event, and is none that is stored: a row of a list, or what the venue numbers
    /// like its trades.
    Blank {
        /// What it is instead.
        kind: Cow<'static, str>,
        /// Whose trades are numbered with it, its number (as of [`Said::Aggregate`]), and when it was.
        number: Option<(InstrumentId, u64, UnixMillis)>,
    },
    /// Terms of instruments: what they are, how large their contracts are.
    Terms(Vec<(InstrumentId, super::Term)>),
    /// The venue accepted a request.
    Accepted(Accepted),
    /// The venue refused a request.
    Refused {
        /// The request, where it says which.
        id: Option<u64>,
        /// Its error code.
        code: i64,
        /// Its text.
        message: String,
    },
    /// The venue is about to close this connection.
    Leaving,
    /// The venue wants a proof of life: this text is to be sent.
    Asks(Cow<'static, str>),
    /// The venue is there, and says nothing else.
    Alive,
    /// Something valid that is not collected, by kind.
    Skipped(Cow<'static, str>),
}

/// Returns what stands for the instrument of an event that a recorded answer tells and does not name. None of a venue's.
pub(crate) fn unnamed() -> InstrumentId {
    InstrumentId::new("unknown").expect("a plain word")
}

/// What a venue accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The request with this id, with everything in it.
    All(u64),
    /// Of the request with this id these streams and no others.
    Only(u64, Vec<Box<str>>),
    /// One stream; others of the same request are answered by themselves.
    One(Box<str>),
}

/// What is known beside the text of a frame or an answer.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// When it left the socket; `None` where a recording does not say it.
    pub ts_recv: Option<UnixNanos>,
    /// How it reached us.
    pub source: Source,
    /// What is known of the venue's instruments.
    pub terms: &'a Terms,
    /// The instrument that was asked about, where this answers a question that names one.
    pub instrument: Option<&'a InstrumentId>,
    /// The path of the question that this answers, with its parameters where they are known.
    pub path: Option<&'a str>,
}

/// What can be said of an instrument by its name and its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
    /// The kind of market.
    pub market_type: MarketType,
    /// How its sizes become base currency; `None` where that takes terms and there are none.
    pub sizing: Option<Sizing>,
}

/// How a venue writes. Pure: what is known beside the text is an argument.
pub trait Wire: Send + Sync {
    /// Returns which venue it is.
    fn exchange(&self) -> Exchange;

    /// Returns what can be said of an instrument.
    ///
    /// # Errors
    /// Where its name cannot be a symbol.
    fn known(&self, instrument: &InstrumentId, terms: &Terms) -> Result<Known, UnknownName>;

    /// Reads a frame, and adds what it says in its order.
    ///
    /// # Errors
    /// Where it is not understood. What was added before stays and is valid; whatever else it said is not stored, and has to
    /// be counted.
    fn frame(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError>;

    /// Reads the body of an answer over REST; any body that the venue's documented public endpoints give for the types that
    /// are stored, recognised by its shape where the path is not known.
    ///
    /// # Errors
    /// As [`Wire::frame`].
    fn answer(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError>;

    /// Returns the instrument that a frame is about which is not understood, where it can still be told.
    fn instrument_named(&self, text: &str) -> Option<String>;
}
