//! What the venue sends, as it stands on the wire. Unknown fields are ignored.

use std::borrow::Cow;

use mprism_model::{Level, Written};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A payload of a combined stream, or an answer to one of our requests.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// Of an error: `code` and `msg` stand at the top, on some deployments inside `error`.
    pub(super) code: Option<i64>,
    #[serde(borrow)]
    pub(super) msg: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) error: Option<ErrorBody<'a>>,
    /// Of a payload without a wrapper.
    #[serde(borrow)]
    pub(super) e: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody<'a> {
    pub(super) code: i64,
    #[serde(borrow, default)]
    pub(super) msg: Cow<'a, str>,
}

/// Only the type of an event.
#[derive(Debug, Deserialize)]
pub(super) struct EventType<'a> {
    #[serde(borrow)]
    pub(super) e: Cow<'a, str>,
}

/// `<symbol>@trade`.
#[derive(Debug, Deserialize)]
pub(super) struct TradeEvent<'a> {
    /// Event time: milliseconds, or microseconds on connections that asked for them.
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "t")]
    pub(super) trade_id: u64,
    #[serde(rename = "p", borrow)]
    pub(super) price: Cow<'a, str>,
    #[serde(rename = "q", borrow)]
    pub(super) quantity: Cow<'a, str>,
    /// Trade time, in the unit of the event time.
    #[serde(rename = "T")]
    pub(super) trade_time: i64,
    /// Whether the buyer was the maker: then the taker sold.
    #[serde(rename = "m")]
    pub(super) is_buyer_maker: bool,
}

/// `<symbol>@aggTrade`.
#[derive(Debug, Deserialize)]
pub(super) struct AggregateEvent<'a> {
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "a")]
    pub(super) aggregate_id: u64,
    #[serde(rename = "p", borrow)]
    pub(super) price: Cow<'a, str>,
    #[serde(rename = "q", borrow)]
    pub(super) quantity: Cow<'a, str>,
    #[serde(rename = "T")]
    pub(super) trade_time: i64,
    #[serde(rename = "m")]
    pub(super) is_buyer_maker: bool,
}

impl<'a> AggregateEvent<'a> {
    /// Returns the aggregate as a trade with the aggregate's id.
    pub(super) fn into_trade(self) -> TradeEvent<'a> {
        TradeEvent {
            event_time: self.event_time,
            symbol: self.symbol,
            trade_id: self.aggregate_id,
            price: self.price,
            quantity: self.quantity,
            trade_time: self.trade_time,
            is_buyer_maker: self.is_buyer_maker,
        }
    }
}

/// One row of `GET /api/v3/trades` and `historicalTrades`.
#[derive(Debug, Deserialize)]
pub(super) struct RestTrade<'a> {
    pub(super) id: u64,
    #[serde(borrow)]
    pub(super) price: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) qty: Cow<'a, str>,
    pub(super) time: i64,
    #[serde(rename = "isBuyerMaker")]
    pub(super) is_buyer_maker: bool,
}

impl<'a> RestTrade<'a> {
    /// Returns the row as the websocket would have sent it, with the trade time in place of the event time.
    pub(super) fn into_trade(self, instrument: &'a str) -> TradeEvent<'a> {
        TradeEvent {
            event_time: self.time,
            symbol: Cow::Borrowed(instrument),
            trade_id: self.id,
            price: self.price,
            quantity: self.qty,
            trade_time: self.time,
            is_buyer_maker: self.is_buyer_maker,
        }
    }
}

/// `<symbol>@depth` and `<symbol>@depth@100ms`.
#[derive(Debug, Deserialize)]
pub(super) struct DepthEvent<'a> {
    /// Event time: milliseconds, or microseconds on connections that asked for them.
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "U")]
    pub(super) first_update_id: u64,
    #[serde(rename = "u")]
    pub(super) last_update_id: u64,
    #[serde(rename = "b")]
    pub(super) bids: Levels,
    #[serde(rename = "a")]
    pub(super) asks: Levels,
}

/// `GET /api/v3/depth`.
#[derive(Debug, Deserialize)]
pub(super) struct Depth {
    /// -1 while a newly listed instrument has no book.
    #[serde(rename = "lastUpdateId")]
    pub(super) last_update_id: i64,
    pub(super) bids: Levels,
    pub(super) asks: Levels,
}

/// Levels as the venue writes them: `[["price","quantity"],…]`.
#[derive(Debug, Default)]
pub(super) struct Levels(pub(super) Vec<Level>);

/// Most levels of one side in a message; more is no order book.
const LEVELS_MAX: usize = 10_000;

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> serde::de::Visitor<'de> for Rows {
            type Value = Levels;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("pairs of price and quantity")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut rows: A) -> Result<Levels, A::Error> {
                let mut levels = Vec::with_capacity(rows.size_hint().unwrap_or(16).min(1_024));
                while let Some((price, quantity)) = rows.next_element::<(Written, Written)>()? {
                    if levels.len() == LEVELS_MAX {
                        return Err(serde::de::Error::custom("more than 10,000 levels"));
                    }
                    levels.push(Level { price, quantity });
                }
                Ok(Levels(levels))
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}
