//! Binance USDⓈ-M futures: <https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info>.

mod answer;
mod events;
mod instruments;
mod limits;
mod messages;
mod parse;
mod polls;
mod protocol;
mod rest;
mod wire;

pub(crate) use limits::Limits;
pub(crate) use rest::Rest;
pub(crate) use wire::BinanceUsdm;

#[cfg(test)]
mod tests;
