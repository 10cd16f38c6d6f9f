//! One symbol's recording: what was played of it, and the books it makes.

use std::sync::Arc;

use super::book::RecordedBook;
use super::frame::{Frame, Kind};
use crate::market::write_line;
use crate::symbol::{Body, Interval, Item, Stream};

/// Diffs that continue each other, over as many files as they do.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The recorded snapshot that the diffs join: its last update identifier and its text.
    pub(crate) snapshot: Option<(u64, String)>,
}

/// All frames of a symbol in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Tape {
    pub(crate) frames: Vec<Frame>,
    pub(crate) segments: Vec<Segment>,
    /// The segment of each diff, by position of the frame.
    pub(crate) segment_of: std::collections::HashMap<u32, u32>,
}

/// A tape that is being played.
#[derive(Debug)]
pub(crate) struct Recording {
    tape: Arc<Tape>,
    next: usize,
    shift_ms: i64,
    keep_time: bool,
    /// Positions of the trades, and of the diffs, that were played.
    trades: Vec<u32>,
    diffs: Vec<u32>,
    book: Option<(u32, RecordedBook)>,
    /// Whether it stands at the first diff of a book whose snapshot nobody has asked for yet.
    holds: bool,
    /// Whether somebody asked for the book before it stood there.
    asked: bool,
}

impl Recording {
    pub(crate) fn new(tape: Tape, keep_time: bool) -> Self {
        Self {
            tape: Arc::new(tape),
            next: 0,
            shift_ms: 0,
            keep_time,
            trades: Vec::new(),
            diffs: Vec::new(),
            book: None,
            holds: false,
            asked: false,
        }
    }

    /// Whether it stands at the first diff of a book whose snapshot nobody has asked for yet: played on as fast as it is taken,
    /// all of it would be over before anybody could.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// Says that nobody will ask.
    pub(crate) fn go_on(&mut self) {
        self.holds = false;
    }

    /// Says that somebody has asked for the book.
    pub(crate) fn asked(&mut self) {
        self.asked = !std::mem::take(&mut self.holds);
    }

    pub(crate) fn frame(&self, position: usize) -> &Frame {
        &self.tape.frames[position]
    }

    pub(crate) fn trades(&self) -> u64 {
        self.trades.len() as u64
    }

    pub(crate) fn ended(&self) -> bool {
        self.next == self.tape.frames.len()
    }

    pub(crate) fn shift_ms(&self) -> i64 {
        self.shift_ms
    }

    /// Returns the first and the last recorded event time, where times are to move.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let times = || self.tape.frames.iter().filter_map(Frame::event_ms);
        let movable = !self.keep_time;
        movable.then(|| times().min().zip(times().max())).flatten()
    }

    /// Sets by how much recorded times move.
    pub(crate) fn shift(&mut self, ms: i64) {
        if !self.keep_time {
            self.shift_ms = ms;
        }
    }

    pub(crate) fn coming(&self, count: u64) -> Option<(u64, u64)> {
        let ids = self.tape.frames[self.next..]
            .iter()
            .filter_map(|frame| match &frame.kind {
                Kind::Trade(trade) => Some(trade.id),
                _ => None,
            });
        let mut ids = ids.take(usize::try_from(count).unwrap_or(usize::MAX));
        let first = ids.next()?;
        Some((first, ids.last().unwrap_or(first)))
    }

    /// Plays the next frame; best bids and asks that were recorded before it come with it.
    pub(crate) fn step(&mut self, out: &mut Vec<(Item, u64)>) {
        while let Some(frame) = self.tape.frames.get(self.next) {
            let position = self.next;
            self.next += 1;
            let index = u32::try_from(position).unwrap_or(u32::MAX);
            match &frame.kind {
                Kind::Trade(_) => self.trades.push(index),
                Kind::Depth { last, .. } => {
                    self.diffs.push(index);
                    let segment = self.tape.segment_of.get(&index).copied().unwrap_or(0);
                    let is_new = self.book.as_ref().is_none_or(|(of, _)| *of != segment);
                    let of = self.tape.segments.get(segment as usize);
                    if is_new && of.is_some_and(|of| of.snapshot.is_some()) {
                        self.holds = !std::mem::take(&mut self.asked);
                    }
                    fold(&self.tape, &mut self.book, segment, *last, &frame.text);
                }
                Kind::Other(_) | Kind::Malformed => {}
            }
            let id = frame.ids().map_or(0, |ids| ids.1);
            let body = || Body::Recorded(position);
            out.push((
                Item {
                    stream: frame.stream,
                    body: body(),
                },
                id,
            ));
            if frame.stream == Stream::DEPTH && !frame.is_malformed() {
                // Whoever asked for the slower stream gets the diffs that there are.
                let stream = Stream::Depth(Interval::Ms1000);
                out.push((Item { stream, body: body() }, id));
            }
            if frame.stream != Stream::Ticker {
                break;
            }
        }
    }

    /// Returns the book as the venue's REST would tell it now: the fold of everything sent, or the recorded snapshot where that is
    /// newer. `None` where no snapshot was recorded for what is played.
    pub(crate) fn book(&self) -> Option<RecordedBook> {
        match &self.book {
            Some((_, book)) => Some(book.clone()),
            None if self.diffs.is_empty() => self.first_snapshot(),
            None => None,
        }
    }

    /// Returns the recorded snapshot of what is played.
    pub(crate) fn first_snapshot(&self) -> Option<RecordedBook> {
        let last = self.diffs.last().and_then(|index| self.tape.segment_of.get(index));
        let segment = self.tape.segments.get(last.map_or(0, |segment| *segment as usize))?;
        let (id, text) = segment.snapshot.as_ref()?;
        Some(RecordedBook::from_snapshot(*id, text))
    }

    /// Takes what is needed to tell books without a lock.
    pub(crate) fn fold(&self) -> RecordedFold {
        RecordedFold {
            tape: self.tape.clone(),
            diffs: self.diffs.clone(),
            next: 0,
            book: None,
        }
    }

    /// Returns the trades that were played.
    pub(crate) fn played(&self) -> impl Iterator<Item = Played<'_>> {
        let frames = self.trades.iter().map(|index| &self.tape.frames[*index as usize]);
        frames.filter_map(|frame| match &frame.kind {
            Kind::Trade(trade) => Some(Played {
                id: trade.id,
                price: frame.price(trade),
                quantity: frame.quantity(trade),
                ts_ms: trade.trade_ms + self.shift_ms,
                buyer_is_maker: trade.buyer_is_maker,
            }),
            _ => None,
        })
    }

    /// Appends the played trades from position `from` on, at most `count`, as JSON lines of the truth.
    pub(crate) fn write_lines(&self, from: u64, count: u64, out: &mut Vec<u8>) {
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        for trade in self.played().skip(whole(from)).take(whole(count)) {
            let (price, quantity) = (trade.price.as_bytes(), trade.quantity.as_bytes());
            write_line(out, trade.id, price, quantity, trade.buyer_is_maker, trade.ts_ms);
        }
    }
}

/// A recorded trade that was played.
pub(crate) struct Played<'a> {
    pub(crate) id: u64,
    pub(crate) price: &'a str,
    pub(crate) quantity: &'a str,
    pub(crate) ts_ms: i64,
    pub(crate) buyer_is_maker: bool,
}

impl Played<'_> {
    /// Returns price times quantity, cut to eight decimals.
    pub(crate) fn notional(&self) -> Vec<u8> {
        const ONE: u128 = 100_000_000;
        let units = |text: &str| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let fraction = fraction.get(..8).unwrap_or(fraction);
            format!("{whole}{fraction:0<8}").parse::<u128>().unwrap_or(0)
        };
        let product = units(self.price).saturating_mul(units(self.quantity)) / ONE;
        format!("{}.{:08}", product / ONE, product % ONE).into_bytes()
    }
}

/// Brings a book forward by one diff; a segment begins with its snapshot, and has no book without one.
fn fold(tape: &Tape, book: &mut Option<(u32, RecordedBook)>, segment: u32, last: u64, text: &str) {
    if book.as_ref().is_none_or(|(of, _)| *of != segment) {
        let snapshot = tape
            .segments
            .get(segment as usize)
            .and_then(|segment| segment.snapshot.as_ref());
        *book = snapshot.map(|(id, text)| (segment, RecordedBook::from_snapshot(*id, text)));
    }
    if let Some((_, book)) = book
        && last > book.id
    {
        book.apply(last, text);
    }
}

/// Tells recorded books in the order in which they were played.
pub(crate) struct RecordedFold {
    tape: Arc<Tape>,
    diffs: Vec<u32>,
    next: usize,
    book: Option<(u32, RecordedBook)>,
}

impl RecordedFold {
    /// Returns the identifiers that can be told: snapshots, and ends of the diffs that were played.
    pub(crate) fn known(&self) -> Option<(u64, u64)> {
        let folded = self
            .tape
            .segments
            .iter()
            .filter_map(|segment| segment.snapshot.as_ref());
        let first = folded.map(|snapshot| snapshot.0).min()?;
        let lasts = self
            .diffs
            .iter()
            .filter_map(|index| self.tape.frames[*index as usize].ids());
        Some((first, lasts.map(|ids| ids.1).max().unwrap_or(first).max(first)))
    }

    /// Returns the book right after update `id`, which is not before the last one asked for.
    pub(crate) fn book(&mut self, id: u64) -> Option<&RecordedBook> {
        let has = |book: &Option<(u32, RecordedBook)>| book.as_ref().is_some_and(|(_, book)| book.id == id);
        while !has(&self.book) {
            let index = *self.diffs.get(self.next)?;
            let segment = *self.tape.segment_of.get(&index)?;
            let frame = &self.tape.frames[index as usize];
            let last = frame.ids()?.1;
            // The snapshot itself is a book, too.
            let begins = self.book.as_ref().is_none_or(|(of, _)| *of != segment);
            if begins {
                fold(&self.tape, &mut self.book, segment, 0, "");
                if has(&self.book) {
                    break;
                }
            }
            if self
                .book
                .as_ref()
                .is_some_and(|(_, book)| book.id > id && last > book.id)
            {
                return None;
            }
            self.next += 1;
            fold(&self.tape, &mut self.book, segment, last, &frame.text);
        }
        self.book.as_ref().map(|(_, book)| book)
    }
}
