//! Binance spot: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

mod connection;
mod messages;
mod named;
mod parse;
mod requests;
mod socket;

pub(crate) use connection::{Instrument, run};
pub(crate) use parse::parse_rest_trades;
pub use parse::{ParseError, Parsed, parse_frame};
