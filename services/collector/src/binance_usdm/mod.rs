//! Binance USDⓈ-M futures: <https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info>.

mod answer;
mod events;
mod instruments;
mod messages;
mod parse;
mod wire;

pub(crate) use wire::BinanceUsdm;

#[cfg(test)]
mod tests;
