//! Fixed work to measure: what becomes of a frame, without a socket, a spool or a broker. For `mprism bench`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use mprism_model::{
    Exchange, InstrumentId, Level, MarketType, OrderBook, Source, Symbol, TsSource, UnixMillis, UnixNanos, UpdateType,
    Written,
};

use crate::orderbook::{Book, Diff, Snapshot};
use crate::recorded::Circumstances;
use crate::registry;
use crate::wire::{About, ParseError, Said, Terms};

/// Levels a side that a measured book begins with.
const LEVELS: u64 = 1_000;
/// Changes in one measured diff: what a busy instrument has in a tenth of a second.
const CHANGES: u64 = 8;
/// Diffs that are applied over and over.
const DIFFS: usize = 4_096;

/// Diffs, and the book that they belong to.
#[derive(Debug)]
pub struct BookWorkload {
    book: Book,
    diffs: Vec<Diff>,
}

/// What following books costs.
#[derive(Clone, Copy, Debug)]
pub struct BookCosts {
    /// Diffs applied.
    pub diffs: u64,
    /// Level changes in them.
    pub changes: u64,
    /// Time that took on a core.
    pub applying: Duration,
    /// Time on a core that one message of 400 levels a side takes, from the book to its text, hash and id.
    pub publishing: Duration,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes that one book's levels take in memory.
    pub book_bytes: usize,
}

impl BookWorkload {
    /// Makes the same work every time: changes near the best prices, as markets have them.
    ///
    /// # Panics
    /// Never: the numbers are valid ones.
    pub fn synthetic() -> Self {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = move |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let level = |cents: u64, hundredths: u64| {
            let text = format!("{}.{:02}000000", cents / 100, cents % 100);
            let quantity = format!("{}.{:02}000000", hundredths / 100, hundredths % 100);
            Level {
                price: Written::new(&text).expect("digits and a point"),
                quantity: Written::new(&quantity).expect("digits and a point"),
            }
        };
        let middle = 6_400_000;
        let snapshot = Snapshot {
            last: 0,
            ts: None,
            ts_recv: None,
            checksum: None,
            bids: (1..=LEVELS).map(|n| level(middle - n, n)).collect(),
            asks: (1..=LEVELS).map(|n| level(middle + n, n)).collect(),
            limit: LEVELS as usize + 1,
        };
        let diffs = (0..DIFFS).map(|n| {
            let mut side = |is_bid: bool| {
                let change = |_| {
                    // Most changes are among the best levels.
                    let depth = 1 + below(20) * below(20) / 4;
                    let cents = if is_bid { middle - depth } else { middle + depth };
                    level(cents, below(4) * 50)
                };
                (0..CHANGES / 2).map(change).collect()
            };
            Diff {
                first: n as u64 + 1,
                last: n as u64 + 1,
                checksum: None,
                ts: UnixMillis(n as i64),
                ts_recv: None,
                bids: side(true),
                asks: side(false),
            }
        });
        let diffs = diffs.collect();
        let mut book = Book::default();
        book.replace(&snapshot);
        Self { book, diffs }
    }

    /// Reads recorded frames of one instrument, each a diff; returns `None` where there is none.
    pub fn recorded(exchange: Exchange, frames: &[String]) -> Option<Self> {
        let (terms, mut said) = (Terms::default(), Vec::new());
        for frame in frames {
            // What is not understood was counted by who reads the frames first.
            let _ = registry::wire(exchange).frame(frame, &about(&terms), &mut said);
        }
        let diff = |said| match said {
            Said::Diff(_, diff) => Some(*diff),
            _ => None,
        };
        let diffs: Vec<Diff> = said.into_iter().filter_map(diff).collect();
        let mut book = Book::default();
        // What the diffs name is there from the beginning: as deep a book as the recording was made of.
        diffs.iter().for_each(|diff| book.apply(diff));
        (!diffs.is_empty()).then_some(Self { book, diffs })
    }

    /// Does the work for about `time`, on this thread.
    pub fn measure(&self, time: Duration) -> BookCosts {
        let mut book = self.book.clone();
        let (mut diffs, mut changes) = (0, 0);
        let (began, began_on_core) = (Instant::now(), on_core());
        loop {
            for diff in &self.diffs {
                book.apply(black_box(diff));
                changes += (diff.bids.len() + diff.asks.len()) as u64;
            }
            diffs += self.diffs.len() as u64;
            // Once at least, however long others had the core before.
            if began.elapsed() >= time {
                break;
            }
        }
        let applying = on_core() - began_on_core;
        let mut published = 0_u32;
        let (began, began_on_core) = (Instant::now(), on_core());
        let message_bytes = loop {
            let message_bytes = message_of(black_box(&self.book));
            published += 1;
            if began.elapsed() >= time {
                break message_bytes;
            }
        };
        BookCosts {
            diffs,
            changes,
            applying,
            publishing: (on_core() - began_on_core) / published,
            message_bytes,
            book_bytes: (book.bids.len() + book.asks.len()) * size_of::<Level>(),
        }
    }
}

/// Makes a book's message and its id; returns its size.
fn message_of(book: &Book) -> usize {
    let (bids, asks) = book.told_levels();
    let book = OrderBook {
        exchange: Exchange::BinanceSpot,
        market_type: MarketType::Spot,
        symbol: Symbol::new("BTC-USDT").expect("a symbol"),
        instrument_id: InstrumentId::new("BTCUSDT").expect("an instrument"),
        last_update_id: 70_000_000_117,
        first_update_id: Some(70_000_000_101),
        prev_update_id: Some(70_000_000_100),
        update_type: UpdateType::Update,
        bids,
        asks,
        contracts: None,
        ts: UnixMillis(1_795_176_000_200),
        ts_source: TsSource::Event,
        ts_recv: Some(UnixNanos(1_795_176_000_201_000_000)),
        source: Source::Ws,
    };
    let id = black_box(book.message_id());
    black_box(book.to_json()).len() + id.0.len()
}

/// Takes the trades of so many instruments in turn through one market for about `time`; returns how many, and the time that took.
pub fn crowd(instruments: usize, time: Duration) -> (u64, Duration) {
    let mut crowd = crate::market::crowd::Crowd::new(instruments);
    // What is made at first use is no cost of a row.
    crowd.measure(time / 10);
    crowd.measure(time)
}

fn about(terms: &Terms) -> About<'_> {
    About {
        ts_recv: Some(UnixNanos(1)),
        source: Source::Ws,
        terms,
        instrument: None,
        path: None,
    }
}

/// A recorded text, and what was noted about it.
#[derive(Clone, Debug)]
pub struct Frame {
    text: String,
    instrument: Option<InstrumentId>,
    path: Option<String>,
}

impl Frame {
    /// Takes a text and what was noted about it.
    pub fn new(text: String, about: Circumstances) -> Self {
        Self {
            text,
            instrument: about.instrument.and_then(|name| InstrumentId::new(&name).ok()),
            path: about.url,
        }
    }
}

/// What reading frames over and over came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameCosts {
    /// Frames or answers that were understood.
    pub frames: u64,
    /// Messages that were made of them: a diff of a book makes none by itself.
    pub messages: u64,
    /// Time that took on a core.
    pub took: Duration,
}

/// Reads frames over and over for about `time`, and makes of each event what is published: its text and its id.
pub fn read(exchange: Exchange, terms: &Terms, frames: &[Frame], time: Duration) -> FrameCosts {
    let (wire, mut said) = (registry::wire(exchange), Vec::new());
    let mut costs = FrameCosts::default();
    let (began, began_on_core) = (Instant::now(), on_core());
    while began.elapsed() < time {
        for frame in frames {
            said.clear();
            let about = About {
                instrument: frame.instrument.as_ref(),
                path: frame.path.as_deref(),
                ..about(terms)
            };
            let text = black_box(frame.text.as_str());
            let is_answer = frame.path.is_some() || text.starts_with('[');
            let result = match is_answer {
                true => wire.answer(text, &about, &mut said),
                false => match wire.frame(text, &about, &mut said) {
                    Err(ParseError::Unknown) => wire.answer(text, &about, &mut said),
                    result => result,
                },
            };
            costs.frames += u64::from(result.is_ok());
            for said in said.drain(..) {
                costs.messages += u64::from(publish(said));
            }
        }
    }
    costs.took = on_core() - began_on_core;
    costs
}

/// Returns for how long this thread had a core: what it waited for one while others had it is not its cost.
pub(crate) fn on_core() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// Makes what is published of an event; returns whether it is one.
fn publish(said: Said) -> bool {
    match said {
        Said::Trade { trade, .. } | Said::Aggregate { trade, .. } => {
            black_box((trade.message_id(), trade.to_json()));
        }
        Said::Event { event, .. } => {
            black_box((event.message_id(), event.to_json()));
        }
        other => {
            black_box(other);
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_the_same_every_time_and_leaves_a_book() {
        let (one, other) = (BookWorkload::synthetic(), BookWorkload::synthetic());
        assert_eq!(one.diffs, other.diffs);
        let costs = one.measure(Duration::from_millis(1));
        assert!(costs.diffs >= DIFFS as u64 && costs.changes == costs.diffs * CHANGES);
        assert!((30_000..44_000).contains(&costs.message_bytes), "{costs:?}");
        let mut book = one.book.clone();
        one.diffs.iter().for_each(|diff| book.apply(diff));
        assert!(!book.is_crossed());
    }
}
