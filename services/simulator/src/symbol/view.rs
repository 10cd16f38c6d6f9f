//! A book as a venue with chained updates shows it: what changed since the last time it was shown.

use std::collections::BTreeMap;

use crate::market::{Book, Side};

/// What was shown last.
#[derive(Debug)]
pub(crate) struct View {
    /// Levels of a side that are shown.
    limit: usize,
    /// The last change that was in it.
    pub(crate) id: u64,
    bids: BTreeMap<u32, u32>,
    asks: BTreeMap<u32, u32>,
    shown_ms: i64,
}

/// What changed in a [`View`]: the best levels first.
#[derive(Debug)]
pub(crate) struct ViewDiff {
    /// The last change that was shown before.
    pub(crate) previous: u64,
    pub(crate) id: u64,
    pub(crate) bids: Vec<Row>,
    pub(crate) asks: Vec<Row>,
    pub(crate) event_ms: i64,
}

/// A level's new quantity; 0 removes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) price: u32,
    pub(crate) quantity: u32,
    /// The level was shown before.
    pub(crate) existed: bool,
}

impl View {
    pub(crate) fn new(limit: usize, book: &Book, id: u64) -> Self {
        let side = |side| book.top(side, limit).into_iter().collect();
        Self {
            limit,
            id,
            bids: side(Side::Bid),
            asks: side(Side::Ask),
            shown_ms: 0,
        }
    }

    /// Shows the book after change `id`; says nothing where nothing shown has changed, except after `quiet_ms` of that.
    pub(crate) fn show(&mut self, book: &Book, id: u64, now_ms: i64, quiet_ms: i64) -> Option<ViewDiff> {
        let mut bids = differ(&mut self.bids, book.top(Side::Bid, self.limit));
        let asks = differ(&mut self.asks, book.top(Side::Ask, self.limit));
        bids.reverse();
        let (previous, is_quiet) = (self.id, bids.is_empty() && asks.is_empty());
        if self.shown_ms == 0 {
            self.shown_ms = now_ms;
        }
        if is_quiet && now_ms - self.shown_ms < quiet_ms {
            return None;
        }
        self.shown_ms = now_ms;
        if !is_quiet {
            self.id = id;
        }
        Some(ViewDiff {
            previous,
            id: self.id,
            bids,
            asks,
            event_ms: now_ms,
        })
    }

    /// Returns everything shown, the best levels first.
    pub(crate) fn whole(&self, now_ms: i64) -> ViewDiff {
        let row = |(price, quantity): (&u32, &u32)| Row {
            price: *price,
            quantity: *quantity,
            existed: false,
        };
        ViewDiff {
            previous: self.id,
            id: self.id,
            bids: self.bids.iter().rev().map(row).collect(),
            asks: self.asks.iter().map(row).collect(),
            event_ms: now_ms,
        }
    }
}

/// Replaces what was shown and returns the rows that differ, by rising price.
fn differ(shown: &mut BTreeMap<u32, u32>, now: Vec<(u32, u32)>) -> Vec<Row> {
    let now = now.into_iter().collect::<BTreeMap<_, _>>();
    let mut rows = Vec::new();
    for (price, quantity) in &now {
        let before = shown.get(price);
        if before != Some(quantity) {
            rows.push(Row {
                price: *price,
                quantity: *quantity,
                existed: before.is_some(),
            });
        }
    }
    let gone = shown.keys().filter(|price| !now.contains_key(price));
    rows.extend(gone.map(|price| Row {
        price: *price,
        quantity: 0,
        existed: true,
    }));
    rows.sort_unstable_by_key(|row| row.price);
    *shown = now;
    rows
}
