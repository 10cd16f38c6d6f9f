//! Order books: the best levels of both sides after an update.

mod message;

use xxhash_rust::xxh3::Xxh3;

use crate::market::names;
use crate::{
    DataType, Decimal, Exchange, InstrumentId, MarketType, MessageId, Source, Subject, Symbol, TsSource, UnixMillis,
    UnixNanos, Written,
};

/// Most levels a side that a message carries.
pub const LEVELS_MAX: usize = 400;

/// One price and what rests there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price in quote currency.
    pub price: Written,
    /// Quantity in base currency.
    pub quantity: Written,
}

names! {
    /// How a book relates to the one published before it.
    pub enum UpdateType ("update type") {
        /// It begins a chain: the first after joining the venue's stream.
        Snapshot = "snapshot",
        /// It continues the one before: no update between the two is missing.
        Update = "update",
    }
}

/// The best levels of an instrument after one of the venue's updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBook {
    /// The venue.
    pub exchange: Exchange,
    /// The kind of market.
    pub market_type: MarketType,
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
    /// The venue's own name for the instrument.
    pub instrument_id: InstrumentId,
    /// The venue's id of the last update that is in the book.
    pub last_update_id: u64,
    /// The first update that is in this book and was not in the one published before; `None` where the chain begins.
    pub first_update_id: Option<u64>,
    /// [`OrderBook::last_update_id`] of the book published before; `None` where the chain begins.
    pub prev_update_id: Option<u64>,
    /// Whether it continues a chain.
    pub update_type: UpdateType,
    /// Bids, the highest price first.
    pub bids: Vec<Level>,
    /// Asks, the lowest price first.
    pub asks: Vec<Level>,
    /// The venue's own sizes of bids and asks, level by level, where they are not in base currency. On the bus only.
    pub contracts: Option<Box<(Vec<Written>, Vec<Written>)>>,
    /// The venue's event time of the last update, or what [`OrderBook::ts_source`] says instead.
    pub ts: UnixMillis,
    /// Which clock `ts` was read from.
    pub ts_source: TsSource,
    /// When the last update left the socket; `None` where a recording does not say it.
    pub ts_recv: Option<UnixNanos>,
    /// How the book reached us.
    pub source: Source,
}

impl OrderBook {
    /// Returns where the book is published.
    pub fn subject(&self) -> Subject {
        Subject {
            data_type: DataType::OrderBook,
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: self.symbol.clone(),
        }
    }

    /// Returns a hash of what the book says: its update id and its levels by value. No clock, and nothing of the chain, which
    /// depends on what was published before.
    pub fn content_hash(&self) -> u64 {
        let value = |level: &Level| (level.price.decimal(), level.quantity.decimal());
        content_hash(
            self.last_update_id,
            self.bids.iter().map(value),
            self.asks.iter().map(value),
        )
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (exchange, symbol, id) = (self.exchange, &self.symbol, self.last_update_id);
        MessageId(format!(
            "orderbook:{exchange}:{symbol}:{id}#{:016x}",
            self.content_hash()
        ))
    }
}

/// The hash behind [`OrderBook::content_hash`], for a row read back from its table.
pub fn content_hash(
    last_update_id: u64,
    bids: impl IntoIterator<Item = (Decimal, Decimal)>,
    asks: impl IntoIterator<Item = (Decimal, Decimal)>,
) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&last_update_id.to_le_bytes());
    let mut side = |mark: u8, levels: &mut dyn Iterator<Item = (Decimal, Decimal)>| {
        hasher.update(&[mark]);
        for (price, quantity) in levels {
            hasher.update(&price.scaled().to_le_bytes());
            hasher.update(&quantity.scaled().to_le_bytes());
        }
    };
    side(b'b', &mut bids.into_iter());
    side(b'a', &mut asks.into_iter());
    hasher.digest()
}
