//! Recorded order books: a recorded snapshot and the diffs after it, folded.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A book of recorded texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordedBook {
    /// Update identifier of the last diff or snapshot in it.
    pub(crate) id: u64,
    bids: BTreeMap<u128, (String, String)>,
    asks: BTreeMap<u128, (String, String)>,
}

/// A level as text.
pub(crate) type Level = (String, String);

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow, alias = "b")]
    bids: Vec<[&'a str; 2]>,
    #[serde(borrow, alias = "a")]
    asks: Vec<[&'a str; 2]>,
}

impl RecordedBook {
    /// Reads a recorded REST answer.
    pub(crate) fn from_snapshot(id: u64, text: &str) -> Self {
        let mut book = Self::default();
        book.apply(id, text);
        book
    }

    /// Applies a diff's rows; what an earlier one holds already is left out by the caller.
    pub(crate) fn apply(&mut self, id: u64, text: &str) {
        self.id = id;
        // What cannot be read was classified as damaged and does not come here.
        let Ok(rows) = serde_json::from_str::<Rows<'_>>(text) else {
            return;
        };
        for (side, rows) in [(&mut self.bids, rows.bids), (&mut self.asks, rows.asks)] {
            for [price, quantity] in rows {
                if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                    side.remove(&key(price));
                } else {
                    side.insert(key(price), (price.to_owned(), quantity.to_owned()));
                }
            }
        }
    }

    /// Returns the best levels, the best ones first.
    pub(crate) fn top(&self, count: usize) -> (Vec<Level>, Vec<Level>) {
        let bids = self.bids.values().rev().take(count).cloned().collect();
        let asks = self.asks.values().take(count).cloned().collect();
        (bids, asks)
    }
}

/// Appends `["price","quantity"]` for each level, with commas between.
pub(crate) fn push_texts(out: &mut Vec<u8>, levels: &[Level]) {
    for (position, (price, quantity)) in levels.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        out.extend_from_slice(format!("{comma}[\"{price}\",\"{quantity}\"]").as_bytes());
    }
}

/// Orders prices: units of 10⁻¹⁸.
fn key(price: &str) -> u128 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let fraction = fraction.get(..18).unwrap_or(fraction);
    format!("{whole}{fraction:0<18}").parse().unwrap_or(u128::MAX)
}
