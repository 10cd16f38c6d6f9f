//! An order book in ticks and lots.

use std::collections::BTreeMap;

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Bid,
    Ask,
}

/// A level's new quantity; 0 removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) side: Side,
    pub(crate) price: u32,
    pub(crate) quantity: u32,
}

/// Prices and what rests there.
pub(crate) type Levels = Vec<(u32, u32)>;

/// All levels with what rests there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    bids: BTreeMap<u32, u32>,
    asks: BTreeMap<u32, u32>,
}

impl Book {
    pub(crate) fn from_levels(bids: &[(u32, u32)], asks: &[(u32, u32)]) -> Self {
        Self {
            bids: bids.iter().copied().collect(),
            asks: asks.iter().copied().collect(),
        }
    }

    fn of(&self, side: Side) -> &BTreeMap<u32, u32> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        let levels = match change.side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if change.quantity == 0 {
            levels.remove(&change.price);
        } else {
            levels.insert(change.price, change.quantity);
        }
    }

    pub(crate) fn best(&self, side: Side) -> Option<(u32, u32)> {
        let level = match side {
            Side::Bid => self.bids.last_key_value(),
            Side::Ask => self.asks.first_key_value(),
        };
        level.map(|(price, quantity)| (*price, *quantity))
    }

    /// Returns the price farthest from the other side.
    pub(crate) fn worst_price(&self, side: Side) -> Option<u32> {
        match side {
            Side::Bid => self.bids.keys().next().copied(),
            Side::Ask => self.asks.keys().next_back().copied(),
        }
    }

    pub(crate) fn count(&self, side: Side) -> usize {
        self.of(side).len()
    }

    pub(crate) fn quantity(&self, side: Side, price: u32) -> u32 {
        self.of(side).get(&price).copied().unwrap_or(0)
    }

    /// Returns the level at `price`, or the next one away from the other side.
    pub(crate) fn at_or_beyond(&self, side: Side, price: u32) -> Option<(u32, u32)> {
        let level = match side {
            Side::Bid => self.bids.range(..=price).next_back(),
            Side::Ask => self.asks.range(price..).next(),
        };
        level.map(|(price, quantity)| (*price, *quantity))
    }

    /// Returns the best `count` levels, the best one first.
    pub(crate) fn top(&self, side: Side, count: usize) -> Levels {
        let owned = |(price, quantity): (&u32, &u32)| (*price, *quantity);
        match side {
            Side::Bid => self.bids.iter().rev().take(count).map(owned).collect(),
            Side::Ask => self.asks.iter().take(count).map(owned).collect(),
        }
    }
}
