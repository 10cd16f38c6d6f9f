//! OKX's frames and answers in the words of every venue.

use mprism_model::{Exchange, InstrumentId, UnknownName};

use super::{answers, instruments, named, parse};
use crate::wire::{About, Known, ParseError, Said, Terms, Wire};

/// How OKX writes: alike on all of its markets, of which each is collected as an exchange of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Okx(pub(crate) Exchange);

impl Wire for Okx {
    fn exchange(&self) -> Exchange {
        self.0
    }

    fn known(&self, instrument: &InstrumentId, terms: &Terms) -> Result<Known, UnknownName> {
        instruments::known(instrument, terms)
    }

    fn frame(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
        parse::frame(text, about, said)
    }

    fn answer(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
        answers::answer(text, about, said)
    }

    fn instrument_named(&self, text: &str) -> Option<String> {
        named::instrument_named(text)
    }
}
