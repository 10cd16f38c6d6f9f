//! Recorded order books: diffs joined with the snapshots that lie beside them or stand in the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use mprism_model::{
    DataType, Event, Exchange, Gap, GapState, InstrumentId, OrderBook, Source, TsSource, UnixMillis, UnixNanos,
    UpdateType,
};

use super::{Content, Recorded, Unknown};
use crate::market::Cadence;
use crate::orderbook::{Book, Break, Diff, Join, Snapshot, Step, Sync, publishable};
use crate::wire::Known;

/// When a recorded book is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BooksAt {
    /// As in production, by the venue's clock.
    Cadence(Duration),
    /// After each applied frame.
    Every,
    /// Once an instrument, at the end.
    Final,
}

impl From<Cadence> for BooksAt {
    fn from(cadence: Cadence) -> Self {
        match cadence {
            Cadence::Every => Self::Every,
            Cadence::Changed(interval) => Self::Cadence(interval),
        }
    }
}

/// Where a frame stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: std::sync::Arc<str>,
    /// The line, from 1.
    pub line: u64,
}

/// Whose book it is.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) exchange: Exchange,
    pub(super) instrument: InstrumentId,
    pub(super) known: Known,
}

/// The books of one stream.
#[derive(Debug)]
pub(super) struct Books {
    at: BooksAt,
    books: BTreeMap<InstrumentId, Followed>,
}

/// One instrument's book.
#[derive(Debug)]
struct Followed {
    owner: Owner,
    sync: Sync,
    offered: Vec<Offered>,
    ts: UnixMillis,
    ts_recv: Option<UnixNanos>,
    chained: Option<u64>,
    /// Where a snapshot was joined, until the first diff behind it. Binance futures count the one that ends there as the first.
    joined: Option<u64>,
    told: Option<UnixMillis>,
    /// Where the last applied frame stands, if there was one.
    last: Option<Place>,
}

/// A snapshot beside the stream.
#[derive(Debug)]
struct Offered {
    snapshot: Snapshot,
    place: Place,
    is_used: bool,
}

impl Books {
    pub(super) fn new(at: BooksAt) -> Self {
        Self {
            at,
            books: BTreeMap::new(),
        }
    }

    /// Takes a snapshot that diffs may be joined with.
    pub(super) fn offer(&mut self, owner: Owner, snapshot: Snapshot, place: Place) {
        let followed = self.followed(owner);
        followed.offered.push(Offered {
            snapshot,
            place,
            is_used: false,
        });
        followed.offered.sort_by_key(|offered| offered.snapshot.last);
    }

    pub(super) fn diff(&mut self, owner: Owner, diff: Diff, place: &Place, content: &mut Content) {
        let at = self.at;
        self.followed(owner).diff(diff, at, place, content);
    }

    /// Takes a book that stands in the stream: the diffs behind it belong to it.
    pub(super) fn snapshot(&mut self, owner: Owner, snapshot: &Snapshot, place: &Place, content: &mut Content) {
        let at = self.at;
        self.followed(owner).snapshot(snapshot, at, place, content);
    }

    fn followed(&mut self, owner: Owner) -> &mut Followed {
        let followed = self.books.entry(owner.instrument.clone());
        followed.or_insert_with(|| Followed::new(owner))
    }

    /// Returns whether a snapshot was offered from this place.
    pub(super) fn has(&self, place: &Place) -> bool {
        let mut offered = self.books.values().flat_map(|book| &book.offered);
        offered.any(|offered| offered.place == *place)
    }

    /// Returns what is left to tell: final books, and snapshots that no diff was joined with.
    pub(super) fn end(&mut self) -> Vec<(Place, Recorded)> {
        let mut told = Vec::new();
        for followed in self.books.values_mut() {
            if self.at == BooksAt::Final
                && let Some(place) = followed.last.clone()
                && followed.sync.is_live()
            {
                told.push((place, followed.book()));
            }
            for offered in followed.offered.iter().filter(|offered| !offered.is_used) {
                told.push((offered.place.clone(), alone(&followed.owner, &offered.snapshot)));
            }
        }
        told
    }
}

impl Followed {
    fn new(owner: Owner) -> Self {
        Self {
            owner,
            sync: Sync::default(),
            offered: Vec::new(),
            ts: UnixMillis(0),
            ts_recv: None,
            chained: None,
            joined: None,
            told: None,
            last: None,
        }
    }

    fn diff(&mut self, diff: Diff, at: BooksAt, place: &Place, content: &mut Content) {
        // A frame without a time of its own has that of the one before.
        let ts = if diff.ts.0 > 0 { diff.ts } else { self.ts };
        let ts_recv = diff.ts_recv;
        let (first, last) = (diff.first, diff.last);
        let mut has_gap = false;
        match self.sync.diff(diff) {
            Step::Applied | Step::Corrected => {}
            Step::Known if self.joined == Some(last) => {}
            Step::Known => return content.skip("order-book diff that the book has already"),
            Step::Idle => return content.skip("order-book heartbeat"),
            Step::Kept | Step::Overflow(_) => {}
            Step::Broken(hole) => {
                self.chained = None;
                has_gap = true;
                content.push(Event::Gap(self.gap(hole, ts)));
            }
        }
        if !self.sync.is_live() {
            match self.join(first) {
                Some(at) if at < last || self.joined == Some(last) => {}
                None if !has_gap => return content.skip("order-book diff that no snapshot can be joined with"),
                // There is no book yet, or this diff is in the snapshot already.
                _ => return,
            }
        }
        self.joined = None;
        (self.ts, self.ts_recv, self.last) = (ts, ts_recv, Some(place.clone()));
        self.tell(at, content);
    }

    fn snapshot(&mut self, snapshot: &Snapshot, at: BooksAt, place: &Place, content: &mut Content) {
        let was_live = self.sync.is_live();
        self.sync.replace(snapshot);
        self.chained = None;
        self.ts_recv = snapshot.ts_recv;
        let received = snapshot.ts_recv.map(UnixNanos::to_millis);
        self.ts = snapshot.ts.or(received).unwrap_or(self.ts);
        self.last = Some(place.clone());
        if self.sync.is_live() {
            return self.tell(at, content);
        }
        // Not a book that can be continued; what it says is told all the same.
        content.skip("order book that contradicts itself");
        content.events.push(alone(&self.owner, snapshot));
        if was_live {
            let hole = Break::whole(snapshot.last);
            content.push(Event::Gap(self.gap(hole, self.ts)));
        }
    }

    fn tell(&mut self, at: BooksAt, content: &mut Content) {
        // As in production, where a side without levels is no book to publish.
        let book = self.sync.book();
        let is_whole = !book.bids.is_empty() && !book.asks.is_empty();
        if self.is_due(at) && (is_whole || at == BooksAt::Every) {
            self.told = Some(self.ts);
            let book = self.book();
            content.events.push(book);
        }
    }

    /// Joins the kept diffs with the first snapshot that is not too old for them; returns where, if there is one.
    fn join(&mut self, first: u64) -> Option<u64> {
        for offered in &mut self.offered {
            if offered.snapshot.last.saturating_add(1) < first {
                continue;
            }
            if let Join::Live(at) = self.sync.snapshot(&offered.snapshot) {
                offered.is_used = true;
                self.joined = Some(at).filter(|_| self.owner.exchange == Exchange::BinanceDerivatives);
                return Some(at);
            }
        }
        None
    }

    fn is_due(&self, at: BooksAt) -> bool {
        match (at, self.told) {
            (BooksAt::Final, _) => false,
            (BooksAt::Every, _) | (_, None) => true,
            (BooksAt::Cadence(interval), Some(told)) => {
                let passed = u128::try_from(self.ts.0 - told.0).unwrap_or(0);
                passed >= interval.as_millis()
            }
        }
    }

    fn gap(&self, hole: Break, ts: UnixMillis) -> Gap {
        Gap {
            ts,
            exchange: self.owner.exchange,
            market_type: self.owner.known.market_type,
            symbol: self.owner.known.symbol.clone(),
            data_type: DataType::OrderBook,
            from_id: hole.from.to_string().into(),
            to_id: hole.to.to_string().into(),
            from_ts: self.ts,
            to_ts: ts,
            cause: hole.cause,
            state: GapState::Unfillable,
            source: Source::Replay,
            version: 1,
        }
    }

    /// Returns the book as it was told, whether all of it is certain or not: nobody can be asked again.
    fn book(&mut self) -> Recorded {
        let last = self.sync.last();
        let before = self.chained.replace(last);
        let (book, unknown) = message(&self.owner, self.sync.book(), last);
        let book = OrderBook {
            first_update_id: before.map(|before| before + 1),
            prev_update_id: before,
            update_type: before.map_or(UpdateType::Snapshot, |_| UpdateType::Update),
            ts: self.ts,
            ts_source: TsSource::Event,
            ts_recv: self.ts_recv,
            ..book
        };
        Recorded::new(Event::OrderBook(Box::new(book)), 0, unknown)
    }
}

/// Returns a snapshot by itself.
pub(super) fn alone(owner: &Owner, snapshot: &Snapshot) -> Recorded {
    let mut told = Book::default();
    told.replace(snapshot);
    let (book, mut unknown) = message(owner, &told, snapshot.last);
    let received = snapshot.ts_recv.map(UnixNanos::to_millis);
    unknown.time = snapshot.ts.is_none() && received.is_none();
    let book = OrderBook {
        ts: snapshot.ts.or(received).unwrap_or(UnixMillis(0)),
        ts_source: snapshot.ts.map_or(TsSource::Recv, |_| TsSource::Event),
        ts_recv: snapshot.ts_recv,
        ..book
    };
    Recorded::new(Event::OrderBook(Box::new(book)), 0, unknown)
}

/// Returns a book's levels as a message without a chain and without a time.
fn message(owner: &Owner, book: &Book, last: u64) -> (OrderBook, Unknown) {
    let (bids, asks) = book.told_levels();
    let sized = owner
        .known
        .sizing
        .and_then(|sizing| publishable(bids.clone(), asks.clone(), sizing));
    let unknown = Unknown {
        quantity: sized.is_none(),
        ..Unknown::default()
    };
    let venues = |levels: &[mprism_model::Level]| levels.iter().map(|level| level.quantity).collect();
    let contracts = Some(Box::new((venues(&bids), venues(&asks))));
    let (bids, asks, contracts) = sized.unwrap_or((bids, asks, contracts));
    let book = OrderBook {
        exchange: owner.exchange,
        market_type: owner.known.market_type,
        symbol: owner.known.symbol.clone(),
        instrument_id: owner.instrument.clone(),
        last_update_id: last,
        first_update_id: None,
        prev_update_id: None,
        update_type: UpdateType::Snapshot,
        bids,
        asks,
        contracts,
        ts: UnixMillis(0),
        ts_source: TsSource::Event,
        ts_recv: None,
        source: Source::Replay,
    };
    (book, unknown)
}
