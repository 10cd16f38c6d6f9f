//! Recorded order books: diffs joined with the snapshots that lie beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use mprism_model::{
    DataType, Exchange, Gap, GapState, InstrumentId, MarketType, OrderBook, Source, Symbol, TsSource, UnixMillis,
    UnixNanos, UnknownName, UpdateType,
};

use super::{Content, Recorded, Unknown};
use crate::binance_spot::ParseError;
use crate::market::Cadence;
use crate::orderbook::{Break, Diff, Join, Snapshot, Step, Sync};

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

/// The books of one stream.
#[derive(Debug)]
pub(super) struct Books {
    at: BooksAt,
    books: BTreeMap<InstrumentId, Followed>,
}

/// One instrument's book.
#[derive(Debug)]
struct Followed {
    instrument: InstrumentId,
    symbol: Symbol,
    sync: Sync,
    offered: Vec<Offered>,
    ts: UnixMillis,
    ts_recv: Option<UnixNanos>,
    chained: Option<u64>,
    told: Option<UnixMillis>,
    /// Where the last applied diff stands, if there was one.
    last: Option<Place>,
}

/// A snapshot beside the stream.
#[derive(Debug)]
struct Offered {
    snapshot: Snapshot,
    ts_recv: Option<UnixNanos>,
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
    pub(super) fn offer(
        &mut self,
        instrument: &str,
        snapshot: Snapshot,
        ts_recv: Option<UnixNanos>,
        place: Place,
    ) -> Result<(), ParseError> {
        let followed = self.followed(&InstrumentId::new(instrument)?)?;
        followed.offered.push(Offered {
            snapshot,
            ts_recv,
            place,
            is_used: false,
        });
        followed.offered.sort_by_key(|offered| offered.snapshot.last);
        Ok(())
    }

    pub(super) fn diff(&mut self, instrument: &InstrumentId, diff: Diff, place: &Place) -> Result<Content, ParseError> {
        let at = self.at;
        let followed = self.followed(instrument)?;
        Ok(followed.diff(diff, at, place))
    }

    fn followed(&mut self, instrument: &InstrumentId) -> Result<&mut Followed, UnknownName> {
        let symbol = Symbol::from_binance(instrument)?;
        let new = || Followed::new(instrument.clone(), symbol);
        Ok(self.books.entry(instrument.clone()).or_insert_with(new))
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
                told.extend(followed.book().map(|book| (place, book)));
            }
            for offered in followed.offered.iter().filter(|offered| !offered.is_used) {
                let name = Some(followed.instrument.as_str());
                if let Ok(book) = alone(name, &offered.snapshot, offered.ts_recv) {
                    told.push((offered.place.clone(), book));
                }
            }
        }
        told
    }
}

impl Followed {
    fn new(instrument: InstrumentId, symbol: Symbol) -> Self {
        Self {
            instrument,
            symbol,
            sync: Sync::default(),
            offered: Vec::new(),
            ts: UnixMillis(0),
            ts_recv: None,
            chained: None,
            told: None,
            last: None,
        }
    }

    fn diff(&mut self, diff: Diff, at: BooksAt, place: &Place) -> Content {
        let (ts, ts_recv) = (diff.ts, diff.ts_recv);
        let (first, last) = (diff.first, diff.last);
        let mut events = Vec::new();
        match self.sync.diff(diff) {
            Step::Applied => {}
            Step::Known => return Content::Skipped("order-book diff that the book has already".into()),
            Step::Kept | Step::Overflow(_) => {}
            Step::Broken(hole) => {
                self.chained = None;
                events.push(Recorded::Gap(self.gap(hole, ts)));
            }
        }
        if !self.sync.is_live() {
            match self.join(first) {
                Some(at) if at < last => {}
                None if events.is_empty() => {
                    return Content::Skipped("order-book diff that no snapshot can be joined with".into());
                }
                // There is no book yet, or this diff is in the snapshot already.
                _ => return Content::Events(events),
            }
        }
        (self.ts, self.ts_recv, self.last) = (ts, ts_recv, Some(place.clone()));
        if self.is_due(at) {
            self.told = Some(self.ts);
            events.extend(self.book());
        }
        Content::Events(events)
    }

    /// Joins the kept diffs with the first snapshot that is not too old for them; returns where, if there is one.
    fn join(&mut self, first: u64) -> Option<u64> {
        for offered in &mut self.offered {
            if offered.snapshot.last.saturating_add(1) < first {
                continue;
            }
            if let Join::Live(at) = self.sync.snapshot(&offered.snapshot) {
                offered.is_used = true;
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
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: self.symbol.clone(),
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
    fn book(&mut self) -> Option<Recorded> {
        let (bids, asks) = self.sync.book().told_levels();
        if bids.is_empty() || asks.is_empty() {
            return None;
        }
        let last = self.sync.last();
        let before = self.chained.replace(last);
        let book = OrderBook {
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: self.symbol.clone(),
            instrument_id: self.instrument.clone(),
            last_update_id: last,
            first_update_id: before.map(|before| before + 1),
            prev_update_id: before,
            update_type: before.map_or(UpdateType::Snapshot, |_| UpdateType::Update),
            bids,
            asks,
            ts: self.ts,
            ts_source: TsSource::Event,
            ts_recv: self.ts_recv,
            source: Source::Replay,
        };
        Some(Recorded::Book(Box::new(book), Unknown::default()))
    }
}

/// Returns a snapshot by itself.
pub(super) fn alone(
    instrument: Option<&str>,
    snapshot: &Snapshot,
    ts_recv: Option<UnixNanos>,
) -> Result<Recorded, ParseError> {
    let unknown = Unknown {
        instrument: instrument.is_none(),
        time: ts_recv.is_none(),
    };
    let instrument_id = InstrumentId::new(instrument.unwrap_or("unknown"))?;
    let mut book = crate::orderbook::Book::default();
    book.replace(snapshot);
    let (bids, asks) = book.told_levels();
    let book = OrderBook {
        exchange: Exchange::BinanceSpot,
        market_type: MarketType::Spot,
        symbol: Symbol::from_binance(&instrument_id)?,
        instrument_id,
        last_update_id: snapshot.last,
        first_update_id: None,
        prev_update_id: None,
        update_type: UpdateType::Snapshot,
        bids,
        asks,
        ts: ts_recv.map_or(UnixMillis(0), UnixNanos::to_millis),
        ts_source: TsSource::Recv,
        ts_recv,
        source: Source::Replay,
    };
    Ok(Recorded::Book(Box::new(book), unknown))
}
