//! Binance USDⓈ-M futures.

mod wire;

pub(crate) use wire::BinanceUsdm;
