//! Binance spot's frames and answers in the words of every venue.

use mprism_model::{Exchange, InstrumentId, UnknownName};

use super::parse::{is_depth, known, parse_depth, parse_frame, parse_rest_trades};
use crate::binance::instrument_named;
use crate::wire::{About, Known, ParseError, Said, Terms, Wire};

/// How Binance spot writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BinanceSpot;

impl Wire for BinanceSpot {
    fn exchange(&self) -> Exchange {
        Exchange::BinanceSpot
    }

    fn known(&self, instrument: &InstrumentId, _terms: &Terms) -> Result<Known, UnknownName> {
        known(instrument)
    }

    fn frame(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
        said.push(parse_frame(text, about.ts_recv, about.source)?);
        Ok(())
    }

    /// Order books, which name no symbol, and lists of trades, which have to be asked for by one.
    fn answer(&self, text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
        if is_depth(text) {
            let mut snapshot = parse_depth(text.as_bytes(), usize::MAX)?;
            snapshot.ts_recv = about.ts_recv;
            said.push(Said::Depth(about.instrument.cloned(), Box::new(snapshot)));
            return Ok(());
        }
        if !text.starts_with('[') {
            return self.frame(text, about, said);
        }
        let Some(instrument) = about.instrument else {
            said.push(Said::Skipped("REST body of an unknown instrument".into()));
            return Ok(());
        };
        for trade in parse_rest_trades(text, instrument.as_str(), about.ts_recv, about.source)? {
            // No part of the sequence: it fills holes and shows none.
            said.push(Said::Aggregate {
                trade: Box::new(trade),
                number: None,
                is_sized: true,
            });
        }
        Ok(())
    }

    fn instrument_named(&self, text: &str) -> Option<String> {
        instrument_named(text)
    }
}
