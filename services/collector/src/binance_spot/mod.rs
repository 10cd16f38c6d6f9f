//! Binance spot: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

mod parse;
mod protocol;
mod rest;
mod wire;

pub(crate) use rest::{Rest, WEIGHT_PER_MINUTE};
pub(crate) use wire::BinanceSpot;
