//! A venue's book for tests: every change has a number, and the book after each of them is known.

use std::collections::BTreeMap;

use mprism_model::{Level, UnixMillis, Written};

use super::{Diff, Snapshot};

pub(crate) fn level(price: &str, quantity: &str) -> Level {
    Level {
        price: Written::new(price).expect("valid"),
        quantity: Written::new(quantity).expect("valid"),
    }
}

/// The levels of a side by price.
pub(crate) type Levels = BTreeMap<u64, u64>;

/// One change: a bid or an ask, its price, what rests there then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) is_bid: bool,
    pub(crate) price: u64,
    pub(crate) quantity: u64,
}

/// The book after every change, and the diffs that a venue sends of them.
#[derive(Debug)]
pub(crate) struct Venue {
    changes: Vec<Change>,
    /// The book after change `n`, from 0: before the first.
    states: Vec<(Levels, Levels)>,
}

impl Venue {
    /// Bids lie below 100, asks from 100 on: whatever changes, the sides do not cross.
    pub(crate) fn new(changes: Vec<Change>) -> Self {
        let mut state = (Levels::new(), Levels::new());
        for distance in 1..=20 {
            state.0.insert(100 - distance, distance);
            state.1.insert(99 + distance, distance);
        }
        let mut states = vec![state.clone()];
        for change in &changes {
            let side = if change.is_bid { &mut state.0 } else { &mut state.1 };
            if change.quantity == 0 {
                side.remove(&change.price);
            } else {
                side.insert(change.price, change.quantity);
            }
            states.push(state.clone());
        }
        Self { changes, states }
    }

    pub(crate) fn last(&self) -> u64 {
        self.changes.len() as u64
    }

    /// The changes `first..=last` as one diff: of each price only what rests there at the end.
    pub(crate) fn diff(&self, first: u64, last: u64) -> Diff {
        let state = &self.states[last as usize];
        let mut diff = Diff {
            checksum: None,
            first,
            last,
            ts: UnixMillis(last as i64),
            ts_recv: None,
            bids: Vec::new(),
            asks: Vec::new(),
        };
        for change in &self.changes[first as usize - 1..last as usize] {
            let (side, out) = if change.is_bid {
                (&state.0, &mut diff.bids)
            } else {
                (&state.1, &mut diff.asks)
            };
            let quantity = side.get(&change.price).copied().unwrap_or(0);
            let level = level(&change.price.to_string(), &quantity.to_string());
            if !out.contains(&level) {
                out.push(level);
            }
        }
        diff
    }

    /// The best levels after change `last`, the best ones first.
    pub(crate) fn levels(&self, last: u64) -> (Vec<Level>, Vec<Level>) {
        let (bids, asks) = &self.states[last as usize];
        let text = |(price, quantity): (&u64, &u64)| level(&price.to_string(), &quantity.to_string());
        (bids.iter().rev().map(text).collect(), asks.iter().map(text).collect())
    }

    pub(crate) fn snapshot(&self, last: u64, limit: usize) -> Snapshot {
        let (mut bids, mut asks) = self.levels(last);
        bids.truncate(limit);
        asks.truncate(limit);
        Snapshot {
            ts: None,
            ts_recv: None,
            checksum: None,
            last,
            bids,
            asks,
            limit,
        }
    }
}
