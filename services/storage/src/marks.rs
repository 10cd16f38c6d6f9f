//! High-water marks: above them a row cannot be in the table.

use std::collections::HashMap;

use mprism_model::{Epoch, ProducerId};

use crate::row::{Market, Natural};

/// The marks of one table, as its only writer knows them.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    by_epoch: HashMap<Epoch, u64>,
    by_market: HashMap<Market, u64>,
}

impl Marks {
    /// Learns of a stored identity.
    pub(crate) fn raise_identity(&mut self, identity: ProducerId) {
        let mark = self.by_epoch.entry(identity.epoch).or_default();
        *mark = (*mark).max(identity.seq);
    }

    /// Learns of a stored natural id.
    pub(crate) fn raise_natural(&mut self, market: &Market, natural: &Natural) {
        let Natural::Number(number) = natural else { return };
        match self.by_market.get_mut(market) {
            Some(mark) => *mark = (*mark).max(*number),
            None => {
                self.by_market.insert(market.clone(), *number);
            }
        }
    }

    /// Returns whether a row with this identity may be stored already.
    pub(crate) fn may_have_identity(&self, identity: ProducerId) -> bool {
        // Epoch 0 is everybody else's: its sequences are hashes and do not grow.
        identity.epoch == Epoch(0)
            || self
                .by_epoch
                .get(&identity.epoch)
                .is_some_and(|mark| identity.seq <= *mark)
    }

    /// Returns the highest stored number of a market.
    pub(crate) fn of_market(&self, market: &Market) -> Option<u64> {
        self.by_market.get(market).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mprism_model::{Exchange, MarketType, Symbol};

    #[test]
    fn what_is_above_a_mark_cannot_be_there() {
        let mut marks = Marks::default();
        let id = |epoch, seq| ProducerId {
            epoch: Epoch(epoch),
            seq,
        };
        assert!(!marks.may_have_identity(id(5, 1)));
        marks.raise_identity(id(5, 10));
        marks.raise_identity(id(5, 7));
        assert!(marks.may_have_identity(id(5, 10)) && !marks.may_have_identity(id(5, 11)));
        assert!(!marks.may_have_identity(id(6, 1)), "marks are per epoch");
        assert!(
            marks.may_have_identity(id(0, u64::MAX)),
            "foreign identities do not grow"
        );

        let market = |symbol| Market {
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: Symbol::new(symbol).expect("valid"),
        };
        marks.raise_natural(&market("BTC-USDT"), &Natural::Number(100));
        marks.raise_natural(&market("BTC-USDT"), &Natural::Number(7));
        marks.raise_natural(&market("BTC-USDT"), &Natural::Text("x".into()));
        assert_eq!(marks.of_market(&market("BTC-USDT")), Some(100));
        assert_eq!(marks.of_market(&market("ETH-USDT")), None);
    }
}
