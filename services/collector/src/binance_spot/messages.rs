//! What the venue sends, as it stands on the wire. Unknown fields are ignored.

use std::borrow::Cow;

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
