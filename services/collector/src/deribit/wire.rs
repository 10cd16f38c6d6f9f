//! Deribit's frames and answers in the words of every venue.

use mprism_model::{Exchange, InstrumentId, MarketType, Symbol, UnknownName};

use crate::wire::{About, Known, ParseError, Said, Terms, Wire};

/// How Deribit writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deribit;

impl Wire for Deribit {
    fn exchange(&self) -> Exchange {
        Exchange::DeribitDerivatives
    }

    fn known(&self, instrument: &InstrumentId, _terms: &Terms) -> Result<Known, UnknownName> {
        Ok(Known {
            symbol: Symbol::new(instrument.as_str())?,
            market_type: MarketType::Perpetual,
            sizing: None,
        })
    }

    fn frame(&self, _text: &str, _about: &About<'_>, _said: &mut Vec<Said>) -> Result<(), ParseError> {
        Err(ParseError::Unknown)
    }

    fn answer(&self, _text: &str, _about: &About<'_>, _said: &mut Vec<Said>) -> Result<(), ParseError> {
        Err(ParseError::Unknown)
    }

    fn instrument_named(&self, _text: &str) -> Option<String> {
        None
    }
}
