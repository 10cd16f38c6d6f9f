//! What instruments are called, remembered: a name is read with every trade, and nearly always one of a few.

use std::cell::RefCell;

use mprism_model::{InstrumentId, UnknownName};

use crate::wire::Known;

/// Names that are remembered. Two that share a place are only read anew, each time.
const PLACES: usize = 512;

/// Names of one market, of one thread.
pub(crate) struct Names(RefCell<Vec<Option<Name>>>);

struct Name {
    instrument: InstrumentId,
    known: Known,
}

impl Names {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Returns an instrument by the venue's name for it, and what it is: `known` says it, always the same of the same name.
    ///
    /// # Errors
    /// Where it cannot be an instrument.
    #[inline]
    pub(crate) fn read(
        &self,
        text: &str,
        known: fn(&InstrumentId) -> Result<Known, UnknownName>,
    ) -> Result<(InstrumentId, Known), UnknownName> {
        let mut names = self.0.borrow_mut();
        if let Some(Some(name)) = names.get(place(text))
            && name.instrument.as_str() == text
        {
            return Ok((name.instrument.clone(), name.known.clone()));
        }
        let instrument = InstrumentId::new(text)?;
        let known = known(&instrument)?;
        names.resize_with(PLACES, || None);
        names[place(text)] = Some(Name {
            instrument: instrument.clone(),
            known: known.clone(),
        });
        Ok((instrument, known))
    }
}

/// Returns where a name is remembered: by its two ends, which tell nearly all of a venue's names apart.
fn place(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => [u64::from_le_bytes(*first), u64::from_le_bytes(*last)],
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()],
            _ => [0, bytes.first().copied().unwrap_or_default().into()],
        },
    };
    // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): the upper bits depend on all of the lower ones.
    let mixed = (ends[0].wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ends[1]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use mprism_model::{MarketType, Symbol};

    use super::*;

    fn known(instrument: &InstrumentId) -> Result<Known, UnknownName> {
        Ok(Known {
            symbol: Symbol::from_binance(instrument)?,
            market_type: MarketType::Spot,
            sizing: None,
        })
    }

    #[test]
    fn a_remembered_name_is_what_it_was_the_first_time_even_where_others_share_its_place() {
        let names = Names::new();
        // More than there are places, so some share one.
        let texts: Vec<String> = (0..2 * PLACES).map(|n| format!("C{n}USDT")).collect();
        for text in texts.iter().chain(&texts).flat_map(|text| [text, text]) {
            let instrument = InstrumentId::new(text).expect("valid");
            let expected = (instrument.clone(), known(&instrument).expect("valid"));
            assert_eq!(names.read(text, known).expect("valid"), expected);
        }
        for text in ["", "A", "AB", "ABC", "A.B"] {
            let read = || names.read(text, known).map(|(instrument, _)| instrument);
            assert_eq!(read(), InstrumentId::new(text), "{text}");
            assert_eq!(read(), InstrumentId::new(text), "{text}");
        }
    }

    #[test]
    fn the_names_of_a_market_have_places_of_their_own() {
        let bases = [
            "BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "1000SHIB", "BNB",
        ];
        let names = bases.map(|base| format!("{base}USDT"));
        let places: std::collections::BTreeSet<usize> = names.iter().map(|name| place(name)).collect();
        assert_eq!(places.len(), bases.len());
    }
}
