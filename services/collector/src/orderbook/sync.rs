//! Following a venue's book: joining a snapshot with the diffs around it, and noticing when one is missing.
//!
//! The venue numbers every change of the book; a diff holds the changes `first..=last` (Binance spot: `U..=u`).
//! 1. Diffs are kept from the moment the stream is subscribed to.
//! 2. A snapshot that ends before the oldest kept diff's first change less one is too old: another one is fetched.
//! 3. Kept diffs that end at or before the snapshot are in it already; the others are applied.
//! 4. A diff at or before the last change was seen: skipped. One that begins beyond the next change shows a hole.
//! 5. After a hole, or when the sides cross, the book is not valid any more until another snapshot is joined.
//! 6. After a reconnect the book goes on if the first diff continues it, else as after a hole.
//! 7. A diff that continues the book and ends before its own first change says nothing new, or begins the numbers anew (OKX
//!    after maintenance): it is applied, and its end is the last change from then on.
//! 8. Where the venue gives a checksum of the best levels, the book is not valid when it differs.
//! 9. Venues that tell the whole book in the stream need no snapshot from elsewhere: it takes the place of everything.
//!
//! Venues that chain messages by the previous one's number say the same as `first..=last` (see [`Diff`]): the diff with
//! `pu <= L < u` is the one to apply first to a snapshot that ends at `L`.
//! 10. Where a diff says only how its end differs from its beginning ([`Sync::of_net_diffs`]), one that begins before the last
//!     change does not continue the book: a level that came and went within it would stay for ever.
//!
//! Source: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>, "How to manage a local order book
//! correctly"; its "first event" rule is narrower than needed, because a snapshot may end exactly where a diff does.

use std::collections::VecDeque;

use mprism_model::{GapCause, LEVELS_MAX};

use super::{Book, Diff, Snapshot};

/// Diffs kept for a snapshot that does not come; beyond, keeping begins anew.
const KEPT_MAX: usize = 5_000;
/// Levels in all kept diffs: bounds their memory at 24 bytes each.
const KEPT_LEVELS_MAX: usize = 1_000_000;
/// Diffs in a row that held nothing new; more of them, and the venue numbers its changes anew.
const KNOWN_MAX: u32 = 100;

/// One instrument's book and how well it is known.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    phase: Phase,
    /// Diffs say only how their ends differ from their beginnings.
    is_net: bool,
    book: Book,
    /// The last change in the book.
    last: u64,
    /// Diffs since a snapshot was asked for.
    kept: VecDeque<Diff>,
    kept_levels: usize,
    /// Diffs in a row that held nothing new.
    known: u32,
    /// While live: whether a second snapshot is on its way, and the book made of it, which is ahead of the diffs.
    refresh: Option<Option<(Book, u64)>>,
    /// While live: whether the last second snapshot did not agree with the book. One of the two is wrong; the next one says which.
    is_doubted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// There is no book, or not one that can be continued.
    #[default]
    Waiting,
    /// The book is what the venue has.
    Live,
    /// The connection is lost; the next diff decides.
    Suspended,
}

/// What a diff did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The book is up to date.
    Applied,
    /// It is up to date, and a second snapshot that was ahead of it showed now that it was wrong before.
    Corrected,
    /// It held nothing new.
    Known,
    /// It said that nothing has changed.
    Idle,
    /// It waits for a snapshot.
    Kept,
    /// It waits for a snapshot, in place of so many others for which there was no room.
    Overflow(usize),
    /// The book is not valid any more.
    Broken(Break),
}

/// Changes that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// The first one.
    pub(crate) from: u64,
    /// The last one that is known to be missing.
    pub(crate) to: u64,
    /// Why.
    pub(crate) cause: GapCause,
}

impl Break {
    /// A book that contradicts itself from its first moment.
    pub(crate) fn whole(last: u64) -> Self {
        Self {
            from: last,
            to: last,
            cause: GapCause::Desync,
        }
    }
}

/// What a snapshot did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// The book is live; it was joined at this change.
    Live(u64),
    /// It confirmed the live book, or will once the diffs have reached it.
    Refreshed,
    /// It does not agree with the live book: another one has to say which of the two is wrong.
    Doubted,
    /// It showed, as the second one in a row, that the live book was wrong, and took its place.
    Corrected,
    /// It ends before the oldest diff that is kept, or within one of which only the whole can be applied: another one has to be
    /// fetched.
    TooOld,
}

impl Sync {
    /// Begins to follow a venue whose diffs say only how their ends differ from their beginnings, where `is_net`.
    pub(crate) fn of_net_diffs(is_net: bool) -> Self {
        Self {
            is_net,
            ..Self::default()
        }
    }

    /// Returns whether the book is what the venue has.
    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Returns whether another snapshot has to say whether the live book is right.
    pub(crate) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// Returns whether a snapshot has to be fetched before the book can be live.
    pub(crate) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Returns the book, whatever it is worth.
    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// Returns the last change in the book.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Says that the connection is lost.
    pub(crate) fn suspend(&mut self) {
        self.forget_kept();
        self.refresh = None;
        if self.phase == Phase::Live {
            self.phase = Phase::Suspended;
        }
    }

    /// Says that a snapshot is fetched although the book is live: from now on its diffs are kept for it.
    pub(crate) fn begin_refresh(&mut self) {
        if self.is_live() && self.refresh.is_none() {
            self.forget_kept();
            self.refresh = Some(None);
        }
    }

    /// Says that the second snapshot does not come.
    pub(crate) fn give_up_refresh(&mut self) {
        if self.is_live() {
            self.forget_kept();
            self.refresh = None;
        }
    }

    /// Takes the whole book as the venue's own stream tells it.
    pub(crate) fn replace(&mut self, snapshot: &Snapshot) {
        self.forget_kept();
        (self.refresh, self.known, self.is_doubted) = (None, 0, false);
        self.book.replace(snapshot);
        self.last = snapshot.last;
        self.phase = if self.book.is_crossed() || self.book.contradicts(snapshot.checksum) {
            Phase::Waiting
        } else {
            Phase::Live
        };
    }

    /// Takes a diff.
    pub(crate) fn diff(&mut self, mut diff: Diff) -> Step {
        if diff.last == 0 {
            // A recording without numbers: what comes next is what comes next.
            (diff.first, diff.last) = (self.last + 1, self.last + 1);
        }
        if self.phase == Phase::Waiting {
            return self.keep(diff);
        }
        let continues = diff.first == self.last + 1;
        if continues && diff.last == self.last {
            self.known = 0;
            self.phase = Phase::Live;
            return Step::Idle;
        }
        let begins_anew = continues && diff.last < self.last;
        if diff.last <= self.last && !begins_anew {
            return self.skip(diff);
        }
        self.known = 0;
        if diff.first > self.last + 1 || !self.goes_on(&diff, self.last) {
            let cause = match self.phase {
                Phase::Suspended => GapCause::Disconnect,
                _ => GapCause::Sequence,
            };
            let hole = Break {
                from: self.last + 1,
                to: (diff.first - 1).max(self.last + 1),
                cause,
            };
            return self.lose(hole, diff);
        }
        self.phase = Phase::Live;
        self.book.apply(&diff);
        let before = std::mem::replace(&mut self.last, diff.last);
        if self.book.is_crossed() || self.book.contradicts(diff.checksum) {
            let hole = Break {
                from: diff.last.min(before + 1),
                to: diff.last,
                cause: GapCause::Desync,
            };
            return self.lose(hole, diff);
        }
        match self.refresh.take() {
            None => {}
            Some(None) => {
                self.refresh = Some(None);
                self.keep(diff);
            }
            // The second snapshot was taken in the middle of this diff: another one is asked for.
            Some(Some((_, last))) if diff.last > last && !self.goes_on(&diff, last) => {}
            Some(Some((mut ahead, mut last))) => {
                if diff.last > last {
                    ahead.apply(&diff);
                    last = diff.last;
                }
                if last == self.last {
                    if self.judge(ahead) == Join::Corrected {
                        return Step::Corrected;
                    }
                } else {
                    self.refresh = Some(Some((ahead, last)));
                }
            }
        }
        Step::Applied
    }

    /// Takes a snapshot.
    pub(crate) fn snapshot(&mut self, snapshot: &Snapshot) -> Join {
        if self.is_live() {
            return self.confirm(snapshot);
        }
        // With nothing kept, what was there before says how old a snapshot may be.
        if !self.joins(snapshot) || (self.kept.is_empty() && snapshot.last < self.last) {
            return Join::TooOld;
        }
        let (book, last) = self.joined(snapshot);
        self.forget_kept();
        if book.is_crossed() {
            return Join::TooOld;
        }
        (self.phase, self.is_doubted) = (Phase::Live, false);
        (self.book, self.last) = (book, last);
        Join::Live(snapshot.last)
    }

    /// As [`Sync::snapshot`] for a book that is not live, but the kept diffs that are not in the snapshot are given back instead
    /// of applied: who wants to see the book after each of them takes them one by one. `None` where the snapshot is too old.
    pub(crate) fn begin(&mut self, snapshot: &Snapshot) -> Option<Vec<Diff>> {
        if !self.joins(snapshot) || (self.kept.is_empty() && snapshot.last < self.last) {
            return None;
        }
        let mut book = Book::default();
        book.replace(snapshot);
        if book.is_crossed() {
            return None;
        }
        (self.phase, self.is_doubted) = (Phase::Live, false);
        (self.book, self.last) = (book, snapshot.last);
        self.kept_levels = 0;
        let kept = std::mem::take(&mut self.kept);
        Some(kept.into_iter().filter(|diff| diff.last > snapshot.last).collect())
    }

    /// Whether the kept diffs go on from a snapshot.
    fn joins(&self, snapshot: &Snapshot) -> bool {
        let oldest = self.kept.front();
        if oldest.is_some_and(|diff| snapshot.last.saturating_add(1) < diff.first) {
            return false;
        }
        match self.kept.iter().find(|diff| diff.last > snapshot.last) {
            Some(next) => self.goes_on(next, snapshot.last),
            None if self.is_net => self.kept.back().is_none_or(|newest| newest.last == snapshot.last),
            None => true,
        }
    }

    /// Whether a diff may be applied to a book that ends at a change within it or right before it.
    fn goes_on(&self, diff: &Diff, last: u64) -> bool {
        !self.is_net || diff.first == last.saturating_add(1)
    }

    /// Applies the kept diffs to a snapshot that is not too old for them.
    fn joined(&self, snapshot: &Snapshot) -> (Book, u64) {
        let mut book = Book::default();
        book.replace(snapshot);
        let mut last = snapshot.last;
        for diff in &self.kept {
            if diff.last > last {
                book.apply(diff);
                last = diff.last;
            }
        }
        (book, last)
    }

    /// Compares the live book with a second snapshot and lets that take its place: it knows more levels.
    fn confirm(&mut self, snapshot: &Snapshot) -> Join {
        let is_behind = self.kept.is_empty() && snapshot.last < self.last;
        if is_behind || !self.joins(snapshot) {
            return Join::TooOld;
        }
        let (book, last) = self.joined(snapshot);
        self.forget_kept();
        self.refresh = None;
        if last != self.last {
            self.refresh = Some(Some((book, last)));
            return Join::Refreshed;
        }
        self.judge(book)
    }

    /// Compares the live book with what a second snapshot says of the same change: where they agree that knows more levels, where
    /// not it has to be the second one in a row to be believed.
    fn judge(&mut self, other: Book) -> Join {
        let is_same = same_levels(&self.book, &other);
        if !is_same && !self.is_doubted {
            self.is_doubted = true;
            return Join::Doubted;
        }
        self.book = other;
        self.is_doubted = false;
        if is_same { Join::Refreshed } else { Join::Corrected }
    }

    /// Keeps a diff for a snapshot. Diffs before a hole are of no use to any snapshot that is of use to those behind it.
    fn keep(&mut self, diff: Diff) -> Step {
        let newest = self.kept.back().map(|kept| kept.last);
        if newest.is_some_and(|last| diff.last <= last) {
            return Step::Known;
        }
        if newest.is_some_and(|last| diff.first > last + 1) {
            self.forget_kept();
        }
        let levels = diff.bids.len() + diff.asks.len();
        let mut step = Step::Kept;
        if self.kept.len() >= KEPT_MAX || self.kept_levels + levels > KEPT_LEVELS_MAX {
            step = Step::Overflow(self.kept.len());
            self.forget_kept();
        }
        self.kept_levels += levels;
        self.kept.push_back(diff);
        step
    }

    /// Skips a diff that holds nothing new, unless there is nothing else any more: then the venue began its numbers anew.
    fn skip(&mut self, diff: Diff) -> Step {
        self.known += 1;
        if self.known < KNOWN_MAX {
            return Step::Known;
        }
        (self.known, self.last) = (0, 0);
        let hole = Break {
            from: diff.first,
            to: diff.last,
            cause: GapCause::Desync,
        };
        self.lose(hole, diff)
    }

    fn lose(&mut self, hole: Break, diff: Diff) -> Step {
        self.phase = Phase::Waiting;
        self.refresh = None;
        self.forget_kept();
        self.keep(diff);
        Step::Broken(hole)
    }

    fn forget_kept(&mut self) {
        self.kept.clear();
        self.kept_levels = 0;
    }
}

/// Whether two books agree on what both are certain of, as far as it is published.
fn same_levels(a: &Book, b: &Book) -> bool {
    [(&a.bids, &b.bids), (&a.asks, &b.asks)].into_iter().all(|(a, b)| {
        let count = a.certain().min(b.certain()).min(LEVELS_MAX);
        a.top(count).eq(b.top(count))
    })
}

#[cfg(test)]
mod chains;
#[cfg(test)]
mod tests;
