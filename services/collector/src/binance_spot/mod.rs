//! Binance spot: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

mod connection;
mod messages;
mod named;
mod parse;
mod requests;
mod rest;
mod socket;

pub(crate) use connection::{run, streams_of};
pub use parse::{ParseError, Parsed, parse_frame};
pub(crate) use parse::{is_depth, parse_depth, parse_rest_trades};
pub(crate) use rest::{Rest, WEIGHT_PER_MINUTE};
