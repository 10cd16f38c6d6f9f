//! Recorded frames, read as the collector reads live ones. Needs no service and no clock.

mod books;

use std::collections::BTreeMap;

use mprism_model::{Gap, GapCause, OrderBook, Source, Trade, UnixMillis, UnixNanos};

use crate::binance_spot::{ParseError, Parsed, is_depth, parse_depth, parse_frame, parse_rest_trades};
use crate::sequencer::{Seen, Sequencer, Verdict};

use books::Books;
pub use books::{BooksAt, Place};

/// One stream of recorded frames: a venue's market, its files one after another.
#[derive(Debug)]
pub struct Recording {
    sequencers: BTreeMap<(Numbering, Box<str>), Sequencer>,
    books: Books,
}

/// Trades and aggregates are numbered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Numbering {
    Trades,
    Aggregates,
}

/// What is known of a frame beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// When it was received.
    pub ts_recv: Option<UnixNanos>,
    /// The instrument that a REST request asked about: the answer does not say it.
    pub instrument: Option<String>,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Events in their order.
    Events(Vec<Recorded>),
    /// Something valid that is not stored, by kind.
    Skipped(String),
}

/// One event of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A trade and its position within the frame, from 0.
    Trade(Box<Trade>, usize),
    /// A hole that this frame shows.
    Gap(Gap),
    /// An order book, and what nobody recorded of it.
    Book(Box<OrderBook>, Unknown),
}

/// What nobody recorded of an order book: a REST body says neither whose it is nor when it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Whose it is.
    pub instrument: bool,
    /// When it was.
    pub time: bool,
}

impl Recording {
    /// Starts with nothing known.
    pub fn new(books: BooksAt) -> Self {
        Self {
            sequencers: BTreeMap::new(),
            books: Books::new(books),
        }
    }

    /// Takes a REST body that lies beside the stream, before its frames: diffs are joined with it. Returns whether it is an
    /// order book of a known instrument; any other body is a frame like the others.
    ///
    /// # Errors
    /// Where it is an order book and not understood.
    pub fn beside(&mut self, text: &str, about: &Circumstances, place: Place) -> Result<bool, ParseError> {
        match &about.instrument {
            Some(instrument) if is_depth(text) => {
                let snapshot = parse_depth(text.as_bytes(), usize::MAX)?;
                self.books.offer(instrument, snapshot, about.ts_recv, place)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Returns whether a place was taken as a snapshot beside the stream.
    pub fn has(&self, place: &Place) -> bool {
        self.books.has(place)
    }

    /// Returns what is left to tell at the end, and where it was found.
    pub fn end(&mut self) -> Vec<(Place, Recorded)> {
        self.books.end()
    }

    /// Says that the next frame is of another file: holes before it are the recorder's.
    pub fn next_file(&mut self) {
        for sequencer in self.sequencers.values_mut() {
            sequencer.expect(GapCause::CollectorDown);
        }
    }

    /// Reads one frame or REST body.
    ///
    /// # Errors
    /// Where it is not understood.
    pub fn frame(&mut self, text: &str, about: &Circumstances, place: &Place) -> Result<Content, ParseError> {
        if text.starts_with('[') {
            return rest_body(text, about);
        }
        if is_depth(text) {
            let snapshot = parse_depth(text.as_bytes(), usize::MAX)?;
            let book = books::alone(about.instrument.as_deref(), &snapshot, about.ts_recv)?;
            return Ok(Content::Events(vec![book]));
        }
        Ok(match parse_frame(text, about.ts_recv, Source::Replay)? {
            Parsed::Trade(trade, id) => self.sequenced(Numbering::Trades, trade, id),
            Parsed::Aggregate(trade, id) => self.sequenced(Numbering::Aggregates, trade, id),
            Parsed::Diff(instrument, diff) => self.books.diff(&instrument, *diff, place)?,
            Parsed::Depth(instrument, snapshot) => {
                let book = books::alone(Some(instrument.as_str()), &snapshot, about.ts_recv)?;
                Content::Events(vec![book])
            }
            Parsed::Skipped(kind) => Content::Skipped(kind),
            Parsed::Accepted(_) | Parsed::Refused { .. } | Parsed::Shutdown => {
                Content::Skipped("answer or notice".into())
            }
        })
    }

    fn sequenced(&mut self, numbering: Numbering, trade: Box<Trade>, id: u64) -> Content {
        let key = (numbering, trade.instrument_id.as_str().into());
        let sequencer = self
            .sequencers
            .entry(key)
            .or_insert_with(|| Sequencer::new(trade.exchange, trade.market_type, trade.symbol.clone(), None));
        match sequencer.observe(Seen { id, ts: trade.ts }, trade.ts) {
            Verdict::Replay => Content::Skipped("trade that was seen before".into()),
            Verdict::Pass(gaps) => {
                let gaps = gaps.into_iter().map(|gap| {
                    Recorded::Gap(Gap {
                        source: Source::Replay,
                        ..gap
                    })
                });
                Content::Events(gaps.chain([Recorded::Trade(trade, 0)]).collect())
            }
        }
    }
}

/// Returns the venue's time of a frame's event, where it is one that is stored and says it.
pub fn event_time(text: &str) -> Option<UnixMillis> {
    match parse_frame(text, None, Source::Replay).ok()? {
        Parsed::Trade(trade, _) | Parsed::Aggregate(trade, _) => Some(trade.ts),
        Parsed::Diff(_, diff) => Some(diff.ts),
        _ => None,
    }
}

/// A list of past trades fills holes and shows none: it is not part of the sequence.
fn rest_body(text: &str, about: &Circumstances) -> Result<Content, ParseError> {
    let Some(instrument) = &about.instrument else {
        return Ok(Content::Skipped("REST body of an unknown instrument".into()));
    };
    let trades = parse_rest_trades(text, instrument, about.ts_recv, Source::Replay)?;
    let trades = trades.into_iter().enumerate();
    Ok(Content::Events(
        trades
            .map(|(item, trade)| Recorded::Trade(Box::new(trade), item))
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u64) -> String {
        format!(
            r#"{{"e":"trade","E":1795176000123,"s":"BTCUSDT","t":{id},"p":"64000.10","q":"0.015","T":1795176000121,"m":true}}"#
        )
    }

    fn told(recording: &mut Recording, text: &str) -> Vec<String> {
        let content = recording
            .frame(text, &Circumstances::default(), &Place::default())
            .expect("valid");
        let Content::Events(events) = content else {
            return vec![format!("{content:?}")];
        };
        let event = |event: &Recorded| match event {
            Recorded::Trade(trade, item) => format!("trade {} at {item}", trade.trade_id),
            Recorded::Gap(gap) => format!("{} gap {} to {}", gap.cause, gap.from_id, gap.to_id),
            Recorded::Book(book, _) => format!("book at {}", book.last_update_id),
        };
        events.iter().map(event).collect()
    }

    #[test]
    fn holes_are_told_where_they_are_noticed_and_replays_are_not_repeated() {
        let mut recording = Recording::new(BooksAt::Every);
        assert_eq!(told(&mut recording, &frame(5)), ["trade 5 at 0"]);
        assert_eq!(told(&mut recording, &frame(8)), ["sequence gap 6 to 7", "trade 8 at 0"]);
        assert!(told(&mut recording, &frame(8))[0].contains("seen before"));
        recording.next_file();
        assert_eq!(
            told(&mut recording, &frame(10)),
            ["collector_down gap 9 to 9", "trade 10 at 0"]
        );
        let aggregate = frame(3).replace("\"trade\"", "\"aggTrade\"").replace("\"t\"", "\"a\"");
        assert_eq!(told(&mut recording, &aggregate), ["trade 3 at 0"], "numbered apart");
    }

    #[test]
    fn a_rest_body_needs_the_request_it_answers() {
        let body = r#"[{"id":1,"price":"2.5","qty":"3","time":1679280337591,"isBuyerMaker":false},
                       {"id":2,"price":"2.6","qty":"1","time":1679280337592,"isBuyerMaker":true}]"#;
        let mut recording = Recording::new(BooksAt::Every);
        assert!(told(&mut recording, body)[0].contains("unknown instrument"));
        let about = Circumstances {
            instrument: Some("ETHBTC".into()),
            ..Circumstances::default()
        };
        let Ok(Content::Events(events)) = recording.frame(body, &about, &Place::default()) else {
            panic!("events");
        };
        let Recorded::Trade(trade, 1) = &events[1] else {
            panic!("{events:?}");
        };
        assert_eq!((trade.symbol.as_str(), trade.price.text()), ("ETH-BTC", "2.6"));
        assert_eq!((trade.ts.0, trade.ts_source.as_str()), (1_679_280_337_592, "trade"));
    }
}
