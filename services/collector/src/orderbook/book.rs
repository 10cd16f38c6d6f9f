//! Both sides of a book.

use mprism_model::{LEVELS_MAX, Level};

use super::checksum::checksum;
use super::{Diff, Side, Snapshot};

/// Both sides of an instrument's book.
///
/// It holds everything that was told, not just what is published: a venue does not say that the 401st level moves up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Bids.
    pub bids: Side,
    /// Asks.
    pub asks: Side,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            bids: Side::bids(),
            asks: Side::asks(),
        }
    }
}

impl Book {
    /// Takes a snapshot in place of everything.
    pub fn replace(&mut self, snapshot: &Snapshot) {
        self.bids.replace(&snapshot.bids, snapshot.limit);
        self.asks.replace(&snapshot.asks, snapshot.limit);
    }

    /// Applies what changed.
    pub fn apply(&mut self, diff: &Diff) {
        diff.bids.iter().for_each(|level| self.bids.set(*level));
        diff.asks.iter().for_each(|level| self.asks.set(*level));
    }

    /// Returns whether somebody would buy for more than somebody sells for: no venue's book is like this.
    pub fn is_crossed(&self) -> bool {
        let best = self.bids.best().zip(self.asks.best());
        best.is_some_and(|(bid, ask)| bid.price >= ask.price)
    }

    /// Returns whether the venue's checksum of the best levels says that this is not its book. 0 says nothing: what OKX sends
    /// since June 2026.
    pub fn contradicts(&self, told: Option<i32>) -> bool {
        told.is_some_and(|told| told != 0 && told != checksum(self))
    }

    /// Returns the bids and asks that may be published: the best ones, as far as they are certain.
    pub fn certain_levels(&self) -> (Vec<Level>, Vec<Level>) {
        let certain = |side: &Side| side.top(side.certain().min(LEVELS_MAX)).copied().collect();
        (certain(&self.bids), certain(&self.asks))
    }

    /// Returns the best bids and asks that were told, certain or not: all that a recording can give.
    pub fn told_levels(&self) -> (Vec<Level>, Vec<Level>) {
        let told = |side: &Side| side.top(LEVELS_MAX).copied().collect();
        (told(&self.bids), told(&self.asks))
    }

    /// Returns how many levels are certain on the side that has fewer, of the sides that may have more than is known.
    pub fn certain_min(&self) -> Option<usize> {
        let sides = [&self.bids, &self.asks];
        let open = sides.into_iter().filter(|side| side.has_edge());
        open.map(Side::certain).min()
    }
}
