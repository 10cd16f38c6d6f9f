//! What a venue's instruments are, as far as reading their messages needs it.

use std::collections::HashMap;

use mprism_model::{Decimal, InstrumentId, MarketType, Symbol};

/// How a venue's sizes become base currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// They are in base currency.
    Base,
    /// Contracts of so much base currency each.
    Linear(Decimal),
    /// Contracts of so much quote currency each: the price decides how much base currency that is.
    Inverse(Decimal),
}

impl Sizing {
    /// Returns a size in base currency: exact for linear contracts, with twelve places, rounded half to even, for inverse
    /// ones. `None` where it has no place in a table.
    pub fn base(self, size: Decimal, price: Decimal) -> Option<Decimal> {
        match self {
            Self::Base => Some(size),
            Self::Linear(value) => size.times(value),
            Self::Inverse(value) => size.times(value)?.divided_by(price),
        }
    }
}

/// What an instrument is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
    /// The kind of market.
    pub market_type: MarketType,
    /// How its sizes become base currency.
    pub sizing: Sizing,
    /// Smallest step of its price, as the venue writes it.
    pub tick: Option<Box<str>>,
    /// Smallest step of its size.
    pub lot: Option<Box<str>>,
    /// Whether it trades now.
    pub is_trading: bool,
    /// Hours between two payments of funding, where they are known.
    pub funding_hours: Option<u32>,
}

/// What is known of a venue's instruments, by the venue's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    by_name: HashMap<InstrumentId, Term>,
}

impl Terms {
    /// Takes what the venue says of an instrument in place of what was known.
    pub fn set(&mut self, instrument: InstrumentId, term: Term) {
        self.by_name.insert(instrument, term);
    }

    /// Returns what is known of an instrument.
    pub fn get(&self, instrument: &InstrumentId) -> Option<&Term> {
        self.by_name.get(instrument)
    }

    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_base_currency() {
        let number = |text: &str| text.parse::<Decimal>().expect("valid");
        let base = |sizing: Sizing, size, price| sizing.base(number(size), number(price)).map(|d| d.to_string());
        assert_eq!(base(Sizing::Base, "1.5", "64000").as_deref(), Some("1.5"));
        assert_eq!(
            base(Sizing::Linear(number("0.01")), "3.2", "64000.1").as_deref(),
            Some("0.032")
        );
        assert_eq!(
            base(Sizing::Inverse(number("100")), "64", "64000").as_deref(),
            Some("0.1")
        );
        assert_eq!(
            base(Sizing::Inverse(number("1")), "5000", "64000").as_deref(),
            Some("0.078125")
        );
        assert_eq!(base(Sizing::Inverse(number("1")), "5000", "0"), None);
    }
}
