//! One instrument and what of it goes out: what happens in order, bent by the faults that are on.

mod bend;
mod derivative;
mod item;
mod listing;
mod numbering;
mod stream;
mod synthetic;
mod view;

use std::time::{Duration, Instant};

pub(crate) use bend::Bend;
pub(crate) use derivative::{
    Derivative, Interest, Liquidation, Mark, Prices, RATIO_MS, Ratio, RatioKind, Series, Volatility, fixed, shortest,
};
pub(crate) use item::{Aggregate, Body, Diff, Item, Quote, Top};
pub(crate) use listing::{Listing, list};
pub(crate) use numbering::Numbering;
pub(crate) use stream::{Interval, Levels, Mask, Stream};
pub(crate) use synthetic::Synthetic;
pub(crate) use view::{Row, View, ViewDiff};

use crate::corpus::Recording;
use crate::exchange::Exchange;
use crate::market::Place;

/// One of an exchange's instruments.
#[derive(Debug)]
pub(crate) struct Symbol {
    pub(crate) exchange: Exchange,
    /// The venue's name.
    pub(crate) name: String,
    pub(crate) started: bool,
    pub(crate) source: Source,
    limit: u64,
    waits_until: Option<Instant>,
    halted_until: Option<Instant>,
    /// Since when a recording waits for somebody to ask for its book.
    held_since: Option<Instant>,
    bends: [Bend; Stream::COUNT],
    /// So many times the usual rate until then.
    pub(crate) burst: Option<(u64, Instant)>,
}

/// Where what happens comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Synthetic(Box<Synthetic>),
    Recorded(Box<Recording>),
}

/// One turn of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Steps that happen.
    pub(crate) count: u64,
    /// When the turn began and when it ends; what happens is spread evenly.
    pub(crate) from_ms: i64,
    pub(crate) now_ms: i64,
    pub(crate) now: Instant,
    /// Whether a recording waits for who follows its book to ask for the snapshot.
    pub(crate) holds: bool,
    /// Which windows end with it, in the order of [`Interval::ALL`].
    pub(crate) closes: [bool; 4],
}

/// How long a recording waits for somebody to ask for its book.
const HELD_MAX: Duration = Duration::from_secs(5);

/// A frame that a fault hit: the fault's record, and the frame's first and last identifier.
pub(crate) type Told = (u64, u64, u64);

impl Symbol {
    pub(crate) fn new(exchange: Exchange, name: &str, source: Source, limit: u64) -> Self {
        Self {
            exchange,
            name: name.into(),
            started: false,
            source,
            limit,
            waits_until: None,
            halted_until: None,
            held_since: None,
            bends: Default::default(),
            burst: None,
        }
    }

    /// Returns our name of it.
    pub(crate) fn ours(&self) -> String {
        self.exchange.our_symbol(&self.name)
    }

    /// Whether a name, ours or the venue's, means this instrument.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let plain = |name: &str| name.replace('-', "").to_uppercase();
        let name = plain(name);
        name == plain(&self.name) || name == plain(&self.ours())
    }

    pub(crate) fn bend(&mut self, stream: Stream) -> &mut Bend {
        &mut self.bends[stream.index()]
    }

    /// Silences every stream; where the market is as fast as its listeners, it waits.
    pub(crate) fn mute(&mut self, until: Instant) {
        self.waits_until = Some(until);
        self.bends.iter_mut().for_each(|bend| bend.mute_until = Some(until));
    }

    /// Stops trading.
    pub(crate) fn halt(&mut self, until: Instant) {
        self.halted_until = Some(until);
    }

    /// Whether it is not traded.
    pub(crate) fn is_halted(&self) -> bool {
        self.halted_until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn waits(&self, now: Instant) -> bool {
        self.waits_until.is_some_and(|until| now < until)
    }

    /// Returns where a synthetic market stands.
    pub(crate) fn place(&self) -> Option<Place> {
        match &self.source {
            Source::Synthetic(synthetic) => Some(synthetic.place()),
            Source::Recorded(_) => None,
        }
    }

    /// Returns the name under which the place is kept.
    pub(crate) fn place_name(&self) -> String {
        self.exchange.market_name(&self.name)
    }

    pub(crate) fn trades(&self) -> u64 {
        match &self.source {
            Source::Synthetic(synthetic) => synthetic.trades.count(),
            Source::Recorded(recording) => recording.trades(),
        }
    }

    /// Returns how many trades the truth tells: of what the exchange documents as its trades.
    pub(crate) fn true_trades(&self) -> u64 {
        match &self.source {
            Source::Synthetic(market) if self.exchange.tells_aggregates() => market.trades.aggregates(),
            _ => self.trades(),
        }
    }

    /// Whether no trade is left.
    pub(crate) fn ended(&self) -> bool {
        let played = match &self.source {
            Source::Synthetic(_) => false,
            Source::Recorded(recording) => recording.ended(),
        };
        played || self.trades() >= self.limit
    }

    /// Returns the identifiers of the next and of the `count`th next trade, where there are any.
    pub(crate) fn coming(&self, count: u64) -> Option<(u64, u64)> {
        match &self.source {
            Source::Synthetic(synthetic) => {
                let next = synthetic.next_id();
                Some((next, next + count.saturating_sub(1)))
            }
            Source::Recorded(recording) => recording.coming(count),
        }
    }

    /// Whether a recording waits for somebody who hears its diffs to ask for the book; not for ever.
    fn is_held(&mut self, now: Instant, wanted: Mask) -> bool {
        let Source::Recorded(recording) = &mut self.source else {
            return false;
        };
        let since = *self.held_since.get_or_insert(now);
        if recording.holds() && wanted & Stream::DEPTH.bit() != 0 && now - since < HELD_MAX {
            return true;
        }
        self.held_since = None;
        recording.go_on();
        false
    }

    /// Lets up to `turn.count` steps happen and returns the frames to send; `wanted` is what anybody hears.
    pub(crate) fn produce(&mut self, turn: &Turn, wanted: Mask, told: &mut Vec<Told>) -> Vec<Item> {
        let mut out = Vec::new();
        for bend in &mut self.bends {
            out.append(&mut bend.extra);
        }
        let mut happened = Vec::new();
        for position in 0..turn.count {
            if self.ended() || (turn.holds && self.is_held(turn.now, wanted)) {
                break;
            }
            let spread = turn.from_ms + (turn.now_ms - turn.from_ms) * position as i64 / turn.count as i64;
            match &mut self.source {
                Source::Synthetic(synthetic) => synthetic.step(spread, turn.now_ms, wanted, &mut happened),
                Source::Recorded(recording) => recording.step(&mut happened),
            }
        }
        if let Source::Synthetic(synthetic) = &mut self.source {
            synthetic.by_the_clock(turn.now_ms, &mut happened);
            synthetic.close_windows(turn, wanted, &mut happened);
        }
        for (item, id) in happened {
            let first = match &item.body {
                Body::Diff(diff) => diff.first,
                Body::View(diff) => diff.previous + 1,
                _ => id,
            };
            if let Body::Recorded(position) = item.body
                && let Source::Recorded(recording) = &self.source
                && recording.frame(position).is_malformed()
            {
                out.push(item);
                continue;
            }
            let bend = &mut self.bends[item.stream.index()];
            let fate = bend.pass(item, id, turn.now_ms, turn.now, &mut out);
            told.extend(fate.told.map(|record| (record, first, id)));
        }
        if self.ended() {
            self.bends.iter_mut().for_each(|bend| bend.release(&mut out));
        }
        out
    }

    /// Queues the last `count` frames of a stream once more and returns the first and last identifier.
    pub(crate) fn duplicate(&mut self, stream: Stream, count: u64) -> Option<(u64, u64)> {
        let again = self.bends[stream.index()].duplicate(count);
        let (first, last) = (again.first()?.clone(), again.last()?.clone());
        self.ids(&first)
            .zip(self.ids(&last))
            .map(|(first, last)| (first.0, last.1))
    }

    fn ids(&self, item: &Item) -> Option<(u64, u64)> {
        match (&item.body, &self.source) {
            (Body::Trade { trade, .. }, _) => Some((trade.id, trade.id)),
            (Body::Aggregate(aggregate), _) => Some((aggregate.id, aggregate.id)),
            (Body::Diff(diff), _) => Some((diff.first, diff.last)),
            (Body::Broken { id, .. } | Body::Ticker { id, .. }, _) => Some((*id, *id)),
            (Body::View(diff), _) => Some((diff.previous + 1, diff.id)),
            (Body::Top(top), _) => Some((top.id, top.id)),
            (Body::Liquidation(liquidation), _) => Some((liquidation.id, liquidation.id)),
            (Body::Mark(_) | Body::Quote(_) | Body::Interest(_) | Body::Volatility(_), _) => None,
            (Body::Recorded(position), Source::Recorded(recording)) => recording.frame(*position).ids(),
            (Body::Recorded(_), Source::Synthetic(_)) => None,
        }
    }
}
