//! Binance spot: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

mod connection;
mod messages;
mod named;
mod parse;
mod requests;
mod rest;
mod socket;
mod wire;

pub(crate) use connection::{run, streams_of};
pub(crate) use rest::{Rest, WEIGHT_PER_MINUTE};
pub(crate) use wire::BinanceSpot;
