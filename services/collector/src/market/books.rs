//! One instrument's order book: following it, joining it again after a hole, and publishing it when it has changed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_bus::SubjectText;
use mprism_model::{
    DataType, Event, Gap, GapCause, GapState, InstrumentId, OrderBook, Source, Subject, TsSource, UnixMillis,
    UnixNanos, UpdateType,
};
use mprism_runtime::backoff::Backoff;
use tokio::time::Instant;

use super::{Out, gap_subject, now};
use crate::orderbook::{Break, Diff, Join, Snapshot, Step, Sync};
use crate::rest::RestError;
use crate::sequencer::Seen;
use crate::stats::StreamStats;

/// With fewer certain levels on a side, a snapshot is fetched although the book is live: before 400 of them are too few.
const CERTAIN_MIN: usize = 600;
/// So long after a book was joined it is compared with a second snapshot for the first time, if audits are not more frequent.
const FIRST_AUDIT_AFTER: Duration = Duration::from_secs(30);
/// Between two snapshots of which the first came too early: the venue's cache needs a moment.
const TOO_OLD_WAIT: Duration = Duration::from_millis(150);

/// When books are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// After each of the venue's diffs.
    Every,
    /// When changed, and not more often than this.
    Changed(Duration),
}

/// One instrument's book.
pub(super) struct BookState {
    about: Subject,
    instrument: InstrumentId,
    subject: SubjectText,
    gap_subject: SubjectText,
    stats: Arc<StreamStats>,
    sync: Sync,
    /// Whether the current connection has sent a diff: a snapshot alone would be old as soon as it is there.
    is_fed: bool,
    /// The last change that was ever in a book of ours, here or in an earlier life.
    seen: Option<Seen>,
    /// How often a live book is compared with a second snapshot, and when next.
    audit_every: Option<Duration>,
    audit_due: Option<Instant>,
    /// The change up to which this chain is proven by a second snapshot; at first the one at which it was joined, as which the
    /// first snapshot may have been wrong.
    sound: u64,
    /// Why the next hole, if there is one, came about; and the gap that is in the ledger already.
    hole: Hole,
    /// [`OrderBook::last_update_id`] of the last published book of this chain.
    chained: Option<u64>,
    published: Option<Instant>,
    due: Option<Instant>,
    /// When the last change left the socket.
    ts_recv: Option<UnixNanos>,
    ts: Option<UnixMillis>,
    is_asked: bool,
    backoff: Backoff,
    wait: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    cause: GapCause,
    /// First and last missing change, where the ledger has it.
    ledgered: Option<(u64, u64)>,
}

impl BookState {
    /// Begins to follow a book; `are_net` as in [`crate::rest::History::DIFFS_ARE_NET`]. `audit_every` says how often it is compared
    /// with a second snapshot.
    pub(super) fn new(
        about: Subject,
        instrument: InstrumentId,
        last: Option<Seen>,
        stats: Arc<StreamStats>,
        are_net: bool,
        audit_every: Option<Duration>,
    ) -> Self {
        Self {
            subject: about.to_string().into(),
            gap_subject: gap_subject(&about),
            about,
            instrument,
            stats,
            sync: Sync::of_net_diffs(are_net),
            is_fed: false,
            seen: last,
            audit_every,
            audit_due: None,
            sound: 0,
            hole: Hole {
                cause: GapCause::CollectorDown,
                ledgered: None,
            },
            chained: last.map(|seen| seen.id),
            published: None,
            due: None,
            ts_recv: None,
            ts: None,
            is_asked: false,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            wait: Duration::ZERO,
        }
    }

    /// Says that the connection is lost.
    pub(super) fn suspend(&mut self) {
        self.sync.suspend();
        self.is_fed = false;
        self.stats.set_live(false);
        if self.hole.ledgered.is_none() && self.hole.cause != GapCause::CollectorDown {
            self.hole.cause = GapCause::Disconnect;
        }
        // What is not published by now would be old when it is.
        self.due = None;
    }

    /// Takes a change.
    pub(super) fn hear(&mut self, diff: Diff, cadence: Cadence, out: &mut Out) {
        let (ts, ts_recv) = (diff.ts, diff.ts_recv);
        let received = ts_recv.map_or_else(now, UnixNanos::to_millis);
        self.stats.last_ms.store(received.0, Ordering::Relaxed);
        self.is_fed = true;
        let was_doubted = self.sync.is_doubted();
        match self.sync.diff(diff) {
            step @ (Step::Applied | Step::Corrected) => {
                (self.ts, self.ts_recv) = (Some(ts), ts_recv);
                out.stats.diffs.fetch_add(1, Ordering::Relaxed);
                self.stats.events.fetch_add(1, Ordering::Relaxed);
                self.stats.set_live(true);
                self.note_seen(ts);
                if step == Step::Corrected {
                    self.corrected(out);
                } else if self.sync.is_doubted() && !was_doubted {
                    self.doubted(out);
                }
                self.changed(cadence, out);
            }
            Step::Known => {
                out.stats.replays.fetch_add(1, Ordering::Relaxed);
            }
            Step::Idle => self.stats.set_live(true),
            Step::Kept => (self.ts, self.ts_recv) = (Some(ts), ts_recv),
            Step::Overflow(diffs) => {
                let lost = diffs as u64;
                out.stats.diffs_discarded.fetch_add(lost, Ordering::Relaxed);
                tracing::warn!(symbol = %self.about.symbol, diffs, "no snapshot came: keeping diffs for it begins anew");
            }
            Step::Broken(hole) => self.broken(hole, received, out),
        }
    }

    /// Takes the whole book, as the venue's stream tells it.
    pub(super) fn told(&mut self, snapshot: &Snapshot, cadence: Cadence, out: &mut Out) {
        let received = snapshot.ts_recv.map_or_else(now, UnixNanos::to_millis);
        self.stats.last_ms.store(received.0, Ordering::Relaxed);
        self.is_fed = true;
        out.stats.snapshots_told.fetch_add(1, Ordering::Relaxed);
        let was_live = self.sync.is_live();
        if was_live && snapshot.last <= self.sync.last() {
            // A second connection begins with what is known; where it is not, the next change tells.
            out.stats.replays.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.sync.replace(snapshot);
        (self.ts, self.ts_recv) = (snapshot.ts.or(self.ts), snapshot.ts_recv);
        if !self.sync.is_live() {
            self.broken(Break::whole(snapshot.last), received, out);
            return;
        }
        self.stats.set_live(true);
        self.begins_at(snapshot.last);
        if !was_live {
            self.close_hole(snapshot.last, out);
        }
        self.note_seen(self.ts.unwrap_or(received));
        self.changed(cadence, out);
    }

    fn note_seen(&mut self, ts: UnixMillis) {
        self.seen = Some(Seen {
            id: self.sync.last(),
            ts,
        });
    }

    fn broken(&mut self, hole: Break, received: UnixMillis, out: &mut Out) {
        out.stats.resyncs.fetch_add(1, Ordering::Relaxed);
        self.stats.set_live(false);
        self.due = None;
        self.chained = None;
        self.hole.cause = hole.cause;
        let gap = self.gap(hole.from, hole.to, received);
        self.hole.ledgered = Some((hole.from, hole.to));
        out.gap(&self.gap_subject, gap);
    }

    /// Takes the answer to [`BookState::question`].
    pub(super) fn joined(&mut self, answer: Result<Snapshot, RestError>, cadence: Cadence, out: &mut Out) {
        self.is_asked = false;
        let snapshot = match answer {
            Ok(snapshot) => snapshot,
            Err(error) => {
                out.unanswered(&error);
                self.sync.give_up_refresh();
                self.wait = self.backoff.next_wait();
                return;
            }
        };
        self.backoff.reset();
        if !self.is_fed {
            return;
        }
        if self.sync.is_live() {
            self.confirmed(&snapshot, cadence, out);
            return;
        }
        let Some(kept) = self.sync.begin(&snapshot) else {
            self.too_old(out);
            return;
        };
        self.wait = Duration::ZERO;
        self.stats.set_live(true);
        self.begins_at(snapshot.last);
        self.close_hole(snapshot.last, out);
        self.note_seen(self.ts.unwrap_or_else(now));
        if kept.is_empty() {
            self.changed(cadence, out);
        }
        // One by one: with a book after each diff, those that waited for the snapshot have theirs, too.
        for diff in kept {
            self.hear(diff, cadence, out);
        }
    }

    /// Says at which change a chain begins.
    fn begins_at(&mut self, at: u64) {
        self.sound = at;
        self.audit_due = self
            .audit_every
            .map(|every| Instant::now() + every.min(FIRST_AUDIT_AFTER));
    }

    fn too_old(&mut self, out: &mut Out) {
        out.stats.snapshots_too_old.fetch_add(1, Ordering::Relaxed);
        self.wait = TOO_OLD_WAIT;
    }

    /// Takes a second snapshot of a live book.
    fn confirmed(&mut self, snapshot: &Snapshot, cadence: Cadence, out: &mut Out) {
        self.wait = Duration::ZERO;
        match self.sync.snapshot(snapshot) {
            Join::TooOld => self.too_old(out),
            Join::Doubted => self.doubted(out),
            Join::Refreshed | Join::Live(_) => {
                out.stats.confirmed.fetch_add(1, Ordering::Relaxed);
                self.audit_due = self.audit_every.map(|every| Instant::now() + every);
                // One that is ahead of the diffs confirms when they have reached it, or corrects.
                if snapshot.last <= self.sync.last() {
                    self.sound = self.sync.last();
                }
                // What was too uncertain to be published may be certain now, and nothing else may change for a while.
                if self.chained != Some(self.sync.last()) {
                    self.changed(cadence, out);
                }
            }
            Join::Corrected => {
                self.corrected(out);
                self.changed(cadence, out);
            }
        }
    }

    fn doubted(&self, out: &Out) {
        out.stats.doubted.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(symbol = %self.about.symbol, "the book does not agree with a second snapshot: a third one decides");
    }

    /// Says that the book was wrong, nobody knows since when: since it was last known to be right at worst.
    fn corrected(&mut self, out: &mut Out) {
        out.stats.corrected.fetch_add(1, Ordering::Relaxed);
        tracing::error!(symbol = %self.about.symbol, "the book did not agree with two snapshots, of which the second replaces it");
        let last = self.sync.last();
        self.hole.cause = GapCause::Desync;
        out.gap(&self.gap_subject, self.gap(self.sound.min(last), last, now()));
        self.hole.cause = GapCause::Sequence;
        self.chained = None;
        self.begins_at(last);
    }

    /// Writes down what is missing between the last change that was seen and the one at which the book was joined.
    fn close_hole(&mut self, at: u64, out: &mut Out) {
        let ledgered = self.hole.ledgered.take();
        let from = ledgered.map_or_else(|| self.seen.map(|seen| seen.id + 1), |(from, _)| Some(from));
        if let Some(from) = from.filter(|from| *from <= at) {
            // What is in the ledger as it is says nothing new.
            if ledgered.is_none_or(|(_, to)| to < at) {
                out.gap(&self.gap_subject, self.gap(from, at, now()));
            }
            self.chained = None;
        }
        self.hole.cause = GapCause::Sequence;
    }

    /// A book that was not seen cannot be had afterwards.
    ///
    /// Two lives that publish nothing in between begin at the same change, and so does what is noticed and then closed: all of them are
    /// one gap by its identity. The longer one is the later version, so that it is never taken for a repetition of the other (by the
    /// broker, which forgets repeated message ids, and by whoever reads the ledger), and the latest version has the ranges of all.
    fn gap(&self, from: u64, to: u64, noticed: UnixMillis) -> Gap {
        let changes = to.saturating_sub(from).saturating_add(1);
        Gap {
            ts: noticed,
            exchange: self.about.exchange,
            market_type: self.about.market_type,
            symbol: self.about.symbol.clone(),
            data_type: DataType::OrderBook,
            from_id: from.to_string().into(),
            to_id: to.to_string().into(),
            from_ts: self.seen.map_or(noticed, |seen| seen.ts),
            to_ts: self.ts.unwrap_or(noticed),
            cause: self.hole.cause,
            state: GapState::Unfillable,
            source: Source::Ws,
            version: u32::try_from(changes).unwrap_or(u32::MAX),
        }
    }

    /// Returns how long to wait before a snapshot is asked for, if one is needed and not asked for already.
    pub(super) fn question(&mut self) -> Option<Duration> {
        if self.is_asked || !self.is_fed {
            return None;
        }
        if self.sync.is_live() {
            let is_short = self.sync.book().certain_min().is_some_and(|count| count < CERTAIN_MIN);
            let is_due = self.audit_due.is_some_and(|due| due <= Instant::now());
            if !(is_short || is_due || self.sync.is_doubted()) {
                return None;
            }
            self.sync.begin_refresh();
        } else if !self.sync.is_waiting() {
            return None;
        }
        self.is_asked = true;
        Some(self.wait)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    fn changed(&mut self, cadence: Cadence, out: &mut Out) {
        match cadence {
            Cadence::Every => self.publish(cadence, out),
            Cadence::Changed(interval) => {
                let now = Instant::now();
                let due = self.published.map_or(now, |published| published + interval);
                self.due.get_or_insert(due.max(now));
            }
        }
    }

    /// Publishes the book, if it is what the venue has.
    pub(super) fn publish(&mut self, cadence: Cadence, out: &mut Out) {
        self.due = None;
        if !self.sync.is_live() {
            return;
        }
        let (bids, asks) = self.sync.book().certain_levels();
        if bids.is_empty() || asks.is_empty() {
            // The market ran beyond what the last snapshot knew; the next one is on its way.
            out.stats.books_uncertain.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some((bids, asks, contracts)) = out.sized(&self.instrument, bids, asks) else {
            out.stats.books_uncertain.fetch_add(1, Ordering::Relaxed);
            out.unsized_event();
            return;
        };
        if !out.admission.admits_books() {
            // The next one that is accepted covers the changes of this one.
            if out.stats.books_shed.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::error!("order books are refused: the spool has no room for them");
            }
            return;
        }
        let interval = match cadence {
            Cadence::Every => Duration::ZERO,
            Cadence::Changed(interval) => interval,
        };
        // On the grid of the cadence, so that a late one does not delay those after it.
        let at = Instant::now();
        self.published = match self.published {
            Some(before) if at - before < interval * 2 => Some(before + interval),
            _ => Some(at),
        };
        let last = self.sync.last();
        let before = self.chained.replace(last);
        let book = OrderBook {
            exchange: self.about.exchange,
            market_type: self.about.market_type,
            symbol: self.about.symbol.clone(),
            instrument_id: self.instrument.clone(),
            last_update_id: last,
            first_update_id: before.map(|before| before + 1),
            prev_update_id: before,
            update_type: before.map_or(UpdateType::Snapshot, |_| UpdateType::Update),
            bids,
            asks,
            contracts,
            ts: self.ts.unwrap_or_else(now),
            ts_source: self.ts.map_or(TsSource::Recv, |_| TsSource::Event),
            ts_recv: self.ts_recv,
            source: Source::Ws,
        };
        out.stats.books.fetch_add(1, Ordering::Relaxed);
        out.push(&self.subject, &Event::OrderBook(Box::new(book)));
    }
}

#[cfg(test)]
mod tests {
    use mprism_model::{Exchange, MarketType, Symbol};

    use super::*;

    /// A life of a book that was left off at change 1,000.
    fn life() -> BookState {
        let about = Subject {
            data_type: DataType::OrderBook,
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: Symbol::new("BTC-USDT").expect("valid"),
        };
        let seen = Seen {
            id: 1_000,
            ts: UnixMillis(1_795_176_000_000),
        };
        let instrument = InstrumentId::new("BTCUSDT").expect("valid");
        BookState::new(about, instrument, Some(seen), Arc::default(), false, None)
    }

    #[test]
    fn a_gap_of_a_second_life_that_begins_where_the_first_ones_did_is_not_taken_for_it() {
        // The first life was killed before it published a book, so that the second one knows of no later change.
        let noticed = UnixMillis(1_795_176_060_000);
        let (first, second) = (life().gap(1_001, 1_500, noticed), life().gap(1_001, 2_750, noticed));
        assert_eq!(first.gap_id(), second.gap_id(), "the format is fixed");
        assert_ne!(
            first.message_id(),
            second.message_id(),
            "the broker would forget the second"
        );
        assert!(second.version > first.version, "the latest version has both ranges");
        assert_eq!(
            life().gap(1_001, 1_500, noticed).message_id(),
            first.message_id(),
            "said again"
        );
        assert_eq!(life().gap(1_001, u64::MAX, noticed).version, u32::MAX);
    }
}
