//! The venues that are spoken to: one line each.

use mprism_model::Exchange;

use crate::binance_spot::BinanceSpot;
use crate::binance_usdm::BinanceUsdm;
use crate::deribit::Deribit;
use crate::okx::Okx;
use crate::wire::Wire;

/// Returns how a venue writes.
pub(crate) fn wire(exchange: Exchange) -> &'static dyn Wire {
    match exchange {
        Exchange::BinanceSpot => &BinanceSpot,
        Exchange::BinanceDerivatives => &BinanceUsdm,
        Exchange::OkxSpot => &Okx(Exchange::OkxSpot),
        Exchange::OkxDerivatives => &Okx(Exchange::OkxDerivatives),
        Exchange::DeribitDerivatives => &Deribit,
    }
}
