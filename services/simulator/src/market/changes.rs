//! Every change of a book in order, kept compactly: 8 bytes a change and now and then the whole book.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Book, Change, Levels, Side};

/// Changes between two whole books: bounds what a fold has to apply.
const BLOCK: usize = 8_192;
/// Changes that can be answered for at least; older ones are dropped.
const KEPT: usize = 5_000_000;
/// Marks asks in [`Packed::price_side`]; ticks stay below it.
const ASK: u32 = 1 << 31;

/// The changes of one book; each has an identifier of its own.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    sealed: VecDeque<Arc<Block>>,
    open: Block,
    /// Identifiers from one change to the next.
    stride: u64,
}

/// Some changes, and the book before the first of them.
#[derive(Clone, Debug)]
struct Block {
    /// Identifier of the last change before the block.
    before: u64,
    bids: Levels,
    asks: Levels,
    changes: Vec<Packed>,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    price_side: u32,
    quantity: u32,
}

impl Packed {
    fn change(self) -> Change {
        Change {
            side: if self.price_side & ASK == 0 {
                Side::Bid
            } else {
                Side::Ask
            },
            price: self.price_side & !ASK,
            quantity: self.quantity,
        }
    }
}

impl Block {
    fn new(before: u64, book: &Book) -> Self {
        Self {
            before,
            bids: book.top(Side::Bid, usize::MAX),
            asks: book.top(Side::Ask, usize::MAX),
            changes: Vec::with_capacity(BLOCK),
        }
    }

    fn book(&self) -> Book {
        Book::from_levels(&self.bids, &self.asks)
    }
}

impl ChangeLog {
    /// Starts with `book`, whose last change was `last_id`.
    pub(crate) fn new(book: &Book, last_id: u64, stride: u64) -> Self {
        Self {
            sealed: VecDeque::new(),
            open: Block::new(last_id, book),
            stride,
        }
    }

    /// Adds a change; `book` is the book before it.
    pub(crate) fn push(&mut self, change: Change, book: &Book) {
        if self.open.changes.len() == BLOCK {
            let next = Block::new(self.last_id(), book);
            self.sealed.push_back(Arc::new(std::mem::replace(&mut self.open, next)));
            if self.sealed.len() > KEPT.div_ceil(BLOCK) {
                self.sealed.pop_front();
            }
        }
        let side = match change.side {
            Side::Bid => 0,
            Side::Ask => ASK,
        };
        self.open.changes.push(Packed {
            price_side: change.price | side,
            quantity: change.quantity,
        });
    }

    /// Lets identifiers jump; `book` is the book now.
    pub(crate) fn jump(&mut self, by: u64, book: &Book) {
        let next = Block::new(self.last_id() + by * self.stride, book);
        self.sealed.push_back(Arc::new(std::mem::replace(&mut self.open, next)));
    }

    /// Returns the last identifier up to `id` that there is: some are missing where they jumped.
    pub(crate) fn floor(&self, id: u64) -> u64 {
        let within = |block: &Block| {
            let changes = ((id - block.before) / self.stride).min(block.changes.len() as u64);
            block.before + changes * self.stride
        };
        if self.open.before <= id {
            return within(&self.open);
        }
        match self.sealed.iter().rev().find(|block| block.before <= id) {
            Some(block) => within(block),
            None => *self.known().start(),
        }
    }

    /// Returns the identifier of the last change.
    pub(crate) fn last_id(&self) -> u64 {
        self.open.before + self.open.changes.len() as u64 * self.stride
    }

    /// Returns the identifiers whose books can be told.
    pub(crate) fn known(&self) -> RangeInclusive<u64> {
        self.sealed.front().map_or(self.open.before, |block| block.before)..=self.last_id()
    }

    /// Returns the changes after `id` in order, each level's last quantity only: bids falling, asks rising.
    pub(crate) fn after(&self, id: u64) -> (Levels, Levels) {
        let mut latest = std::collections::HashMap::<u32, u32>::new();
        let mut keep = |block: &Block| {
            let skip = usize::try_from(id.saturating_sub(block.before) / self.stride).unwrap_or(usize::MAX);
            for packed in block.changes.iter().skip(skip) {
                latest.insert(packed.price_side, packed.quantity);
            }
        };
        let first = self
            .sealed
            .partition_point(|block| block.before <= id)
            .saturating_sub(1);
        self.sealed.range(first..).for_each(|block| keep(block));
        keep(&self.open);
        let (mut asks, mut bids): (Vec<_>, Vec<_>) = latest.into_iter().partition(|(price, _)| price & ASK != 0);
        asks.iter_mut().for_each(|level| level.0 &= !ASK);
        asks.sort_unstable();
        bids.sort_unstable_by(|a, b| b.cmp(a));
        (bids, asks)
    }

    /// Takes what is needed to tell books from `id` on, so that they can be told without a lock.
    pub(crate) fn fold_from(&self, id: u64) -> Fold {
        let first = self
            .sealed
            .partition_point(|block| block.before <= id)
            .saturating_sub(1);
        let mut blocks = self.sealed.range(first..).cloned().collect::<VecDeque<_>>();
        blocks.push_back(Arc::new(self.open.clone()));
        Fold {
            known: self.known(),
            stride: self.stride,
            blocks,
            at: None,
        }
    }

    /// As [`ChangeLog::fold_from`] for the book at `id` alone.
    pub(crate) fn fold_at(&self, id: u64) -> Fold {
        let mut fold = self.fold_from(id);
        fold.blocks.retain(|block| block.before <= id);
        fold
    }
}

/// Tells books in the order of their identifiers.
#[derive(Debug)]
pub(crate) struct Fold {
    known: RangeInclusive<u64>,
    stride: u64,
    blocks: VecDeque<Arc<Block>>,
    at: Option<(Book, usize)>,
}

impl Fold {
    /// Returns the first and the last identifier that could be told when this was taken.
    pub(crate) fn known(&self) -> (u64, u64) {
        (*self.known.start(), *self.known.end())
    }

    /// Returns the book right after change `id`, which is not before the last one asked for.
    pub(crate) fn book(&mut self, id: u64) -> Option<&Book> {
        if !self.known.contains(&id) {
            return None;
        }
        // A later whole book saves the changes up to it.
        while self.blocks.get(1).is_some_and(|next| next.before <= id) {
            self.blocks.pop_front();
            self.at = None;
        }
        let block = self.blocks.front()?;
        let (book, applied) = self.at.get_or_insert_with(|| (block.book(), 0));
        let distance = id.checked_sub(block.before)?;
        let wanted = usize::try_from(distance / self.stride).ok()?;
        if distance % self.stride != 0 || wanted < *applied {
            return None;
        }
        for packed in block.changes.get(*applied..wanted)? {
            book.apply(packed.change());
        }
        *applied = wanted;
        Some(book)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SplitMix;
    use super::*;

    #[test]
    fn a_book_is_told_at_every_identifier() {
        let mut random = SplitMix(7);
        let mut book = Book::from_levels(&[(99, 5)], &[(101, 5)]);
        let mut log = ChangeLog::new(&book, 1_000, 3);
        let mut books = vec![book.clone()];
        for _ in 0..3 * BLOCK + 17 {
            let side = if random.below(2) == 0 { Side::Bid } else { Side::Ask };
            let price = 50 + random.below_u32(50) + if side == Side::Ask { 51 } else { 0 };
            let quantity = random.below_u32(3);
            let change = Change { side, price, quantity };
            log.push(change, &book);
            book.apply(change);
            books.push(book.clone());
        }
        let id = |position: usize| 1_000 + 3 * position as u64;
        assert_eq!(log.known(), 1_000..=id(books.len() - 1));
        let mut fold = log.fold_from(1_000);
        for (position, book) in books.iter().enumerate() {
            assert_eq!(fold.book(id(position)), Some(book), "{position}");
        }
        for position in [0, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, books.len() - 1] {
            assert_eq!(log.fold_at(id(position)).book(id(position)), Some(&books[position]));
        }
        assert_eq!(log.fold_from(999).book(999), None);
        assert_eq!(log.fold_from(1_001).book(1_001), None, "between two changes");
        let (bids, asks) = log.after(id(BLOCK - 2));
        let mut folded = books[BLOCK - 2].clone();
        for (side, levels) in [(Side::Bid, bids), (Side::Ask, asks)] {
            for (price, quantity) in levels {
                folded.apply(Change { side, price, quantity });
            }
        }
        assert_eq!(folded, book);
        let last = log.last_id();
        log.jump(100, &book);
        assert_eq!((log.last_id(), log.floor(last + 150)), (last + 300, last));
        log.push(
            Change {
                side: Side::Bid,
                price: 1,
                quantity: 9,
            },
            &book,
        );
        assert_eq!(log.fold_from(last).book(last + 300), Some(&book), "as before the jump");
        assert_eq!(
            log.fold_at(last + 303)
                .book(last + 303)
                .map(|book| book.quantity(Side::Bid, 1)),
            Some(9)
        );
        assert_eq!(log.fold_from(last).book(last + 3), None, "in the jump");
        assert_eq!(log.after(last).0, [(1, 9)]);
    }
}
