//! Trades as every market writes them.

use std::borrow::Cow;

use compact_str::ToCompactString;
use mprism_model::{Exchange, InstrumentId, Side, Source, Trade, TsSource, UnixNanos};
use serde::Deserialize;

use crate::wire::{Known, ParseError, positive, time};

/// Trade ids beyond cannot be counted on from.
const ID_MAX: u64 = i64::MAX as u64;

/// `<symbol>@trade`.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct TradeEvent<'a> {
    /// Event time: milliseconds, or microseconds on connections that asked for them.
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(crate) symbol: Cow<'a, str>,
    /// 1 for USDⓈ-M, 2 for COIN-M; futures alone, since June 2026.
    pub(crate) st: Option<u8>,
    /// What kind of fill it is, on futures.
    #[serde(rename = "X", borrow)]
    pub(crate) order_type: Option<Cow<'a, str>>,
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
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct AggregateEvent<'a> {
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(crate) symbol: Cow<'a, str>,
    pub(crate) st: Option<u8>,
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

/// One row of `trades` and `historicalTrades`.
#[derive(Debug, Deserialize)]
pub(crate) struct RestTrade<'a> {
    id: u64,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    qty: Cow<'a, str>,
    time: i64,
    #[serde(rename = "isBuyerMaker")]
    is_buyer_maker: bool,
}

/// One row of `aggTrades`.
#[derive(Debug, Deserialize)]
pub(crate) struct RestAggregate<'a> {
    #[serde(rename = "a")]
    aggregate_id: u64,
    #[serde(rename = "p", borrow)]
    price: Cow<'a, str>,
    #[serde(rename = "q", borrow)]
    quantity: Cow<'a, str>,
    #[serde(rename = "T")]
    trade_time: i64,
    #[serde(rename = "m")]
    is_buyer_maker: bool,
}

/// What every form of a trade says.
#[derive(Debug)]
pub(crate) struct Fill<'a> {
    pub(crate) id: u64,
    price: Cow<'a, str>,
    quantity: Cow<'a, str>,
    pub(crate) trade_time: i64,
    /// REST knows none.
    event_time: Option<i64>,
    is_buyer_maker: bool,
}

impl Fill<'_> {
    /// Returns the id as a number that can be counted on from.
    ///
    /// # Errors
    /// Where it is too large for that.
    pub(crate) fn countable(&self) -> Result<u64, ParseError> {
        if self.id < ID_MAX {
            return Ok(self.id);
        }
        Err(ParseError::Impossible {
            field: "trade id",
            text: self.id.to_string(),
        })
    }

    /// Returns it as a trade.
    ///
    /// # Errors
    /// Where something that it says is not possible.
    pub(crate) fn into_trade(
        self,
        exchange: Exchange,
        instrument_id: InstrumentId,
        known: Known,
        ts_recv: Option<UnixNanos>,
        source: Source,
    ) -> Result<Trade, ParseError> {
        let trade_id = self.countable()?.to_compact_string();
        let trade_ts = time(self.trade_time)?;
        Ok(Trade {
            exchange,
            market_type: known.market_type,
            symbol: known.symbol,
            instrument_id,
            trade_id,
            price: positive("price", &self.price)?,
            quantity: positive("quantity", &self.quantity)?,
            contracts: None,
            sequence: None,
            side: if self.is_buyer_maker { Side::Sell } else { Side::Buy },
            is_maker: self.is_buyer_maker,
            trade_ts,
            ts: self.event_time.map_or(Ok(trade_ts), time)?,
            ts_source: self.event_time.map_or(TsSource::Trade, |_| TsSource::Event),
            ts_recv,
            source,
        })
    }
}

impl<'a> From<TradeEvent<'a>> for Fill<'a> {
    fn from(event: TradeEvent<'a>) -> Self {
        Self {
            id: event.trade_id,
            price: event.price,
            quantity: event.quantity,
            trade_time: event.trade_time,
            event_time: Some(event.event_time),
            is_buyer_maker: event.is_buyer_maker,
        }
    }
}

impl<'a> From<AggregateEvent<'a>> for Fill<'a> {
    fn from(event: AggregateEvent<'a>) -> Self {
        Self {
            id: event.aggregate_id,
            price: event.price,
            quantity: event.quantity,
            trade_time: event.trade_time,
            event_time: Some(event.event_time),
            is_buyer_maker: event.is_buyer_maker,
        }
    }
}

impl<'a> From<RestTrade<'a>> for Fill<'a> {
    fn from(row: RestTrade<'a>) -> Self {
        Self {
            id: row.id,
            price: row.price,
            quantity: row.qty,
            trade_time: row.time,
            event_time: None,
            is_buyer_maker: row.is_buyer_maker,
        }
    }
}

impl<'a> From<RestAggregate<'a>> for Fill<'a> {
    fn from(row: RestAggregate<'a>) -> Self {
        Self {
            id: row.aggregate_id,
            price: row.price,
            quantity: row.quantity,
            trade_time: row.trade_time,
            event_time: None,
            is_buyer_maker: row.is_buyer_maker,
        }
    }
}
