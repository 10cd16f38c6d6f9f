//! Binance USDⓈ-M futures' frames and answers in the words of every venue.

use mprism_model::{Exchange, InstrumentId, UnknownName};

use super::answer::parse_answer;
use super::instruments::known;
use super::parse::parse_frame;
use crate::binance::instrument_named;
use crate::wire::{About, Known, ParseError, Said, Terms, Wire};

/// How Binance USDⓈ-M futures writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BinanceUsdm;

impl Wire for BinanceUsdm {
    fn exchange(&self) -> Exchange {
        Exchange::BinanceDerivatives
    }

    fn known(&self, instrument: &InstrumentId, _terms: &Terms) -> Result<Known, UnknownName> {
        known(instrument)
    }

    fn frame(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
        parse_frame(text, about, said)
    }

    fn answer(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
        parse_answer(text, about, said)
    }

    fn instrument_named(&self, text: &str) -> Option<String> {
        instrument_named(text)
    }
}
