//! Deribit's frames and answers in the words of every venue.

use mprism_model::{Exchange, InstrumentId, UnknownName};

use super::answers::parse_answer;
use super::named::instrument_named;
use super::parse::parse_frame;
use super::terms;
use crate::wire::{About, Known, ParseError, Said, Terms, Wire};

/// How Deribit writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deribit;

impl Wire for Deribit {
    fn exchange(&self) -> Exchange {
        Exchange::DeribitDerivatives
    }

    fn known(&self, instrument: &InstrumentId, terms: &Terms) -> Result<Known, UnknownName> {
        terms::known(instrument, terms)
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
