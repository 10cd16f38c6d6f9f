//! What Binance's markets share: how a stream is wrapped, how requests are answered, how books, trades and instruments look,
//! and how its limits are told.

mod depth;
mod envelope;
mod instruments;
mod named;
mod names;
mod quick;
mod streams;
mod throttle;
mod trades;

pub(crate) use depth::{Depth, DepthEvent};
pub(crate) use envelope::{Frame, Payload, is_partial_depth, json, open};
pub(crate) use instruments::{Listed, listed};
pub(crate) use named::instrument_named;
pub(crate) use names::Names;
pub(crate) use quick::{Fills, quick};
pub(crate) use streams::{on_connections, stream, subscribe};
pub(crate) use throttle::{Counted, Weighed};
pub(crate) use trades::{AggregateEvent, Fill, RestAggregate, RestTrade, TradeEvent};
