//! One side of a book.

use mprism_model::{Level, Written};

/// Levels of one side, sorted, the best one last: most changes happen near the best price, where moving the rest is cheap.
///
/// Measured against a `BTreeMap` in `benches/orderbook.rs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    levels: Vec<Level>,
    is_ask: bool,
    /// Where knowledge ends: beyond this price there may be levels that nobody told us of.
    edge: Option<Written>,
}

impl Side {
    /// Returns an empty side of bids: the highest price is the best.
    pub fn bids() -> Self {
        Self::default()
    }

    /// Returns an empty side of asks: the lowest price is the best.
    pub fn asks() -> Self {
        Self {
            is_ask: true,
            ..Self::default()
        }
    }

    /// Takes a snapshot's levels in place of everything. Where there are as many as `limit`, there may be more beyond.
    pub fn replace(&mut self, levels: &[Level], limit: usize) {
        self.levels.clear();
        self.levels
            .extend(levels.iter().filter(|level| !level.quantity.is_zero()));
        let is_ask = self.is_ask;
        self.levels.sort_by(|a, b| rank(is_ask, a.price, b.price));
        self.levels.dedup_by(|a, b| a.price == b.price);
        let worst = self.levels.first().map(|level| level.price);
        self.edge = worst.filter(|_| levels.len() >= limit);
    }

    /// Sets what rests at a price; zero removes it. A price that is removed and not there is nothing unusual.
    pub fn set(&mut self, level: Level) {
        let is_ask = self.is_ask;
        let found = self
            .levels
            .binary_search_by(|other| rank(is_ask, other.price, level.price));
        match (found, level.quantity.is_zero()) {
            (Ok(at), true) => drop(self.levels.remove(at)),
            (Ok(at), false) => self.levels[at] = level,
            (Err(_), true) => {}
            (Err(at), false) => self.levels.insert(at, level),
        }
    }

    /// Returns the best level.
    pub fn best(&self) -> Option<&Level> {
        self.levels.last()
    }

    /// Returns how many levels are held, known to be complete or not.
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// Returns whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Returns how many levels, from the best one on, are certain: between them there is no other.
    pub fn certain(&self) -> usize {
        match self.edge {
            None => self.levels.len(),
            Some(edge) => {
                let beyond = self
                    .levels
                    .partition_point(|level| rank(self.is_ask, level.price, edge).is_lt());
                self.levels.len() - beyond
            }
        }
    }

    /// Returns whether levels may be missing beyond the certain ones.
    pub fn has_edge(&self) -> bool {
        self.edge.is_some()
    }

    /// Returns the best levels, the best one first.
    pub fn top(&self, count: usize) -> impl Iterator<Item = &Level> {
        self.levels.iter().rev().take(count)
    }
}

/// The order in which levels are held: worse prices are less.
fn rank(is_ask: bool, a: Written, b: Written) -> std::cmp::Ordering {
    if is_ask { b.cmp(&a) } else { a.cmp(&b) }
}

#[cfg(test)]
mod tests {
    use super::super::truth::level;
    use super::*;

    fn texts(side: &Side, count: usize) -> Vec<String> {
        side.top(count).map(|l| format!("{}@{}", l.quantity, l.price)).collect()
    }

    #[test]
    fn levels_are_set_replaced_and_removed() {
        let mut bids = Side::bids();
        bids.replace(&[level("9", "1"), level("10", "2"), level("8", "0")], 1_000);
        bids.set(level("9.5", "3"));
        bids.set(level("9.0", "4"));
        bids.set(level("7", "0"));
        assert_eq!(texts(&bids, 9), ["2@10", "3@9.5", "4@9.0"]);
        bids.set(level("10.00", "0"));
        assert_eq!(texts(&bids, 1), ["3@9.5"]);
        let mut asks = Side::asks();
        asks.replace(&[level("12", "1"), level("11", "2")], 1_000);
        asks.set(level("11.5", "5"));
        assert_eq!(texts(&asks, 9), ["2@11", "5@11.5", "1@12"]);
    }

    #[test]
    fn beyond_a_full_snapshot_nothing_is_certain() {
        let mut bids = Side::bids();
        bids.replace(&[level("10", "1"), level("9", "1")], 2);
        bids.set(level("7", "1"));
        assert_eq!((bids.len(), bids.certain(), bids.has_edge()), (3, 2, true));
        bids.set(level("10", "0"));
        bids.set(level("9", "0"));
        assert_eq!(bids.certain(), 0);
        bids.replace(&[level("10", "1")], 2);
        bids.set(level("7", "1"));
        assert_eq!((bids.certain(), bids.has_edge()), (2, false), "all of it was told");
    }
}
