//! What the venue sends, as it stands on the wire. Unknown fields are ignored; numbers stay the text they are.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::ParseError;

/// A JSON-RPC message: a notification, an answer or a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<ErrorBody<'a>>,
    /// When the answer left the venue, in microseconds since the Unix epoch.
    #[serde(rename = "usOut")]
    pub(super) us_out: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody<'a> {
    pub(super) code: i64,
    #[serde(borrow, default)]
    pub(super) message: Cow<'a, str>,
}

/// The parameters of a notification.
#[derive(Debug, Deserialize)]
pub(super) struct Notification<'a> {
    #[serde(borrow)]
    pub(super) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

/// The parameters of a heartbeat.
#[derive(Debug, Deserialize)]
pub(super) struct Heartbeat<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
}

/// `platform_state`.
#[derive(Debug, Deserialize)]
pub(super) struct PlatformState {
    pub(super) maintenance: Option<bool>,
}

/// The result of `public/test` and `public/hello`.
#[derive(Debug, Deserialize)]
pub(super) struct Version<'a> {
    #[serde(rename = "version", borrow)]
    pub(super) _version: Cow<'a, str>,
}

/// One row of `trades.…` and of `get_last_trades_by_…`.
#[derive(Debug, Deserialize)]
pub(super) struct TradeRow<'a> {
    pub(super) trade_seq: u64,
    #[serde(borrow)]
    pub(super) trade_id: Cow<'a, str>,
    pub(super) timestamp: i64,
    #[serde(borrow)]
    pub(super) instrument_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) price: &'a RawValue,
    #[serde(borrow)]
    pub(super) amount: &'a RawValue,
    /// The taker's side.
    #[serde(borrow)]
    pub(super) direction: Cow<'a, str>,
    /// `T`, `M` or `MT`: whose position was closed by force.
    #[serde(borrow)]
    pub(super) liquidation: Option<Cow<'a, str>>,
}

/// What a ticker, an order book by REST and a summary say of an instrument; an incremental ticker only what changed.
#[derive(Debug, Deserialize)]
pub(super) struct Figures<'a> {
    #[serde(borrow)]
    pub(super) instrument_name: Cow<'a, str>,
    pub(super) timestamp: Option<i64>,
    /// A summary's time.
    pub(super) creation_timestamp: Option<i64>,
    #[serde(borrow)]
    pub(super) open_interest: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) mark_price: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) index_price: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) funding_8h: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) current_funding: Option<&'a RawValue>,
}

/// One row of `get_funding_rate_history` and `get_funding_chart_data`, which name no instrument.
#[derive(Debug, Deserialize)]
pub(super) struct FundingRow<'a> {
    pub(super) timestamp: i64,
    #[serde(borrow)]
    pub(super) interest_8h: &'a RawValue,
    #[serde(borrow)]
    pub(super) index_price: Option<&'a RawValue>,
}

/// `deribit_volatility_index.<index>`.
#[derive(Debug, Deserialize)]
pub(super) struct VolatilityPoint<'a> {
    pub(super) timestamp: i64,
    #[serde(borrow)]
    pub(super) volatility: &'a RawValue,
    #[serde(borrow)]
    pub(super) index_name: Cow<'a, str>,
}

/// The result of `get_volatility_index_data`: rows of time, open, high, low and close.
#[derive(Debug, Deserialize)]
pub(super) struct Candles<'a> {
    #[serde(borrow)]
    pub(super) data: Vec<&'a RawValue>,
    /// The end of the page before this one; none where this is the first.
    pub(super) continuation: Option<i64>,
}

/// Begins of a candle's period, and its open, high, low and close.
pub(super) type Candle<'a> = (i64, &'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue);

/// One row of `get_instruments`.
#[derive(Debug, Deserialize)]
pub(super) struct InstrumentRow<'a> {
    #[serde(borrow)]
    pub(super) instrument_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) quote_currency: Option<Cow<'a, str>>,
    /// `linear` or `reversed`.
    #[serde(borrow)]
    pub(super) instrument_type: Option<Cow<'a, str>>,
    /// The same, of futures, before the venue said it of all instruments.
    #[serde(borrow)]
    pub(super) future_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) settlement_period: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) tick_size: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) min_trade_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) state: Option<Cow<'a, str>>,
    pub(super) is_active: Option<bool>,
}

/// Reads JSON of a known shape.
pub(super) fn read<'a, T: Deserialize<'a>>(what: &'static str, text: &'a str) -> Result<T, ParseError> {
    serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })
}
