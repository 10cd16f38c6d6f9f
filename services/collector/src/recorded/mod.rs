//! Recorded frames, read as the collector reads live ones. Needs no service and no clock.

mod books;

use std::borrow::Cow;
use std::collections::BTreeMap;

use mprism_model::{
    DataType, Event, Exchange, Gap, GapCause, InstrumentId, Source, Trade, TsSource, UnixMillis, UnixNanos,
};

use crate::market::natural_time;
use crate::registry;
use crate::sequencer::{Seen, Sequencer, Verdict};
use crate::wire::{About, Known, ParseError, Said, Terms, Wire, unnamed};

use books::{Books, Owner};
pub use books::{BooksAt, Place};

/// One stream of recorded frames: a venue's market, its files one after another.
pub struct Recording {
    wire: &'static dyn Wire,
    terms: Terms,
    sequencers: BTreeMap<(Numbering, InstrumentId), Sequencer>,
    books: Books,
}

/// Trades and aggregates are numbered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Numbering {
    Trades,
    Aggregates,
}

/// Positions within a frame.
#[derive(Debug, Default)]
struct Items {
    next: usize,
    /// The last trade's.
    trade: Option<usize>,
}

impl Items {
    fn next(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn trade(&mut self) -> usize {
        let item = self.next();
        self.trade = Some(item);
        item
    }

    /// A trade that liquidates says both, at one position.
    fn event(&mut self, data_type: DataType) -> usize {
        match self.trade.filter(|_| data_type == DataType::Liquidation) {
            Some(trade) => trade,
            None => self.next(),
        }
    }
}

/// What is known of a frame beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// When it was received.
    pub ts_recv: Option<UnixNanos>,
    /// The instrument that a REST request asked about: the answer does not say it.
    pub instrument: Option<String>,
    /// The address of the REST request.
    pub url: Option<String>,
}

/// What a frame holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Events in their order.
    pub events: Vec<Recorded>,
    /// What is valid and not stored, by kind.
    pub skipped: Vec<Cow<'static, str>>,
}

/// One event of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// Its position within the frame, from 0; a trade and the liquidation that it is share one.
    pub item: usize,
    /// What nobody recorded of it.
    pub unknown: Unknown,
}

/// What nobody recorded of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Whose it is: a REST body often does not say it.
    pub instrument: bool,
    /// When it was.
    pub time: bool,
    /// How much it is in base currency: that takes the size of a contract.
    pub quantity: bool,
}

impl Recorded {
    fn new(event: Event, item: usize, unknown: Unknown) -> Self {
        Self { event, item, unknown }
    }
}

impl Content {
    fn push(&mut self, event: Event) {
        self.events.push(Recorded::new(event, 0, Unknown::default()));
    }

    fn skip(&mut self, kind: &'static str) {
        self.skipped.push(kind.into());
    }
}

impl Recording {
    /// Starts with nothing known but the terms of instruments.
    pub fn new(exchange: Exchange, terms: Terms, books: BooksAt) -> Self {
        Self {
            wire: registry::wire(exchange),
            terms,
            sequencers: BTreeMap::new(),
            books: Books::new(books),
        }
    }

    /// Takes a REST body that lies beside the stream, before its frames: diffs are joined with it. Returns whether it is an
    /// order book of a known instrument; any other body is a frame like the others.
    ///
    /// # Errors
    /// Where it is not understood.
    pub fn beside(&mut self, text: &str, about: &Circumstances, place: &Place) -> Result<bool, ParseError> {
        let mut is_book = false;
        for said in read(self.wire, &self.terms, text, about).0 {
            if let Said::Depth(Some(instrument), snapshot) = said {
                let owner = self.owner(&instrument)?;
                self.books.offer(owner, *snapshot, place.clone());
                is_book = true;
            }
        }
        Ok(is_book)
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

    /// Reads one frame or REST body; what was understood of it before an error counts.
    ///
    /// # Errors
    /// Where it, or a part of it, is not understood.
    pub fn frame(&mut self, text: &str, about: &Circumstances, place: &Place) -> (Content, Result<(), ParseError>) {
        let (said, mut result) = read(self.wire, &self.terms, text, about);
        let mut content = Content::default();
        let mut items = Items::default();
        for said in said {
            if let Err(error) = self.take(said, place, &mut items, &mut content) {
                result = Err(error);
            }
        }
        (content, result)
    }

    fn take(&mut self, said: Said, place: &Place, items: &mut Items, content: &mut Content) -> Result<(), ParseError> {
        match said {
            Said::Trade {
                trade,
                number,
                is_sized,
            } => {
                let item = items.trade();
                self.sequenced(Numbering::Trades, *trade, Some(number), (item, is_sized), content);
            }
            Said::Aggregate {
                trade,
                number,
                is_sized,
            } => {
                let item = items.trade();
                self.sequenced(Numbering::Aggregates, *trade, number, (item, is_sized), content);
            }
            Said::Diff(instrument, diff) => {
                let owner = self.owner(&instrument)?;
                self.books.diff(owner, *diff, place, content);
            }
            Said::Book(instrument, snapshot) => {
                let owner = self.owner(&instrument)?;
                self.books.snapshot(owner, &snapshot, place, content);
            }
            Said::Depth(instrument, snapshot) => {
                let is_named = instrument.is_some();
                let owner = self.owner(&instrument.unwrap_or_else(unnamed))?;
                let mut book = books::alone(&owner, &snapshot);
                book.item = items.next();
                book.unknown.instrument = !is_named;
                content.events.push(book);
            }
            Said::Event {
                instrument,
                event,
                is_sized,
            } => {
                let item = items.event(event.data_type());
                let unknown = Unknown {
                    instrument: instrument == unnamed(),
                    quantity: !is_sized,
                    time: is_timeless(&event),
                };
                content.events.push(Recorded::new(*event, item, unknown));
            }
            Said::Blank { kind, number } => {
                items.next();
                if let Some((instrument, id, ts)) = number {
                    let owner = self.owner(&instrument)?;
                    let sequencer = self.sequencer(Numbering::Aggregates, &instrument, &owner.known);
                    told(sequencer.observe(Seen { id, ts }, ts), content);
                }
                content.skipped.push(kind);
            }
            Said::Terms(terms) => {
                for (instrument, term) in terms {
                    self.terms.set(instrument, term);
                }
                content.skip("instrument");
            }
            Said::Skipped(kind) => content.skipped.push(kind),
            Said::Accepted(_) | Said::Refused { .. } | Said::Leaving | Said::Asks(_) | Said::Alive => {
                content.skip("answer or notice");
            }
        }
        Ok(())
    }

    fn owner(&self, instrument: &InstrumentId) -> Result<Owner, ParseError> {
        Ok(Owner {
            exchange: self.wire.exchange(),
            instrument: instrument.clone(),
            known: self.wire.known(instrument, &self.terms)?,
        })
    }

    fn sequenced(
        &mut self,
        numbering: Numbering,
        trade: Trade,
        number: Option<u64>,
        (item, is_sized): (usize, bool),
        content: &mut Content,
    ) {
        let unknown = Unknown {
            quantity: !is_sized,
            ..Unknown::default()
        };
        let Some(id) = number else {
            content.events.push(Recorded::new(Event::Trade(trade), item, unknown));
            return;
        };
        let known = Known {
            symbol: trade.symbol.clone(),
            market_type: trade.market_type,
            sizing: None,
        };
        let sequencer = self.sequencer(numbering, &trade.instrument_id, &known);
        if told(sequencer.observe(Seen { id, ts: trade.ts }, trade.ts), content) {
            content.events.push(Recorded::new(Event::Trade(trade), item, unknown));
        } else {
            content.skip("trade that was seen before");
        }
    }

    fn sequencer(&mut self, numbering: Numbering, instrument: &InstrumentId, known: &Known) -> &mut Sequencer {
        let exchange = self.wire.exchange();
        let numbered = self.sequencers.entry((numbering, instrument.clone()));
        numbered.or_insert_with(|| Sequencer::new(exchange, known.market_type, known.symbol.clone(), None))
    }
}

/// Tells the holes that a number shows; returns whether it is new.
fn told(verdict: Verdict, content: &mut Content) -> bool {
    let Verdict::Pass(gaps) = verdict else { return false };
    for gap in gaps {
        content.push(Event::Gap(Gap {
            source: Source::Replay,
            ..gap
        }));
    }
    true
}

/// Returns whether an event's time is when it was received, and nobody recorded that.
fn is_timeless(event: &Event) -> bool {
    let origin = match event {
        Event::FundingRate(rate) => &rate.origin,
        Event::OpenInterest(interest) => &interest.origin,
        Event::Liquidation(liquidation) => &liquidation.origin,
        Event::LongShortRatio(ratio) => &ratio.origin,
        Event::VolatilityIndex(index) => &index.origin,
        Event::OrderBook(_) | Event::Trade(_) | Event::Gap(_) => return false,
    };
    origin.ts_source == TsSource::Recv && origin.ts_recv.is_none()
}

/// Reads a text that may be a frame or an answer.
fn read(wire: &dyn Wire, terms: &Terms, text: &str, about: &Circumstances) -> (Vec<Said>, Result<(), ParseError>) {
    let instrument = about
        .instrument
        .as_deref()
        .and_then(|name| InstrumentId::new(name).ok());
    let about = About {
        ts_recv: about.ts_recv,
        source: Source::Replay,
        terms,
        instrument: instrument.as_ref(),
        path: about.url.as_deref(),
    };
    let mut said = Vec::new();
    if text.starts_with('[') || about.path.is_some() {
        let result = wire.answer(text, &about, &mut said);
        return (said, result);
    }
    let result = match wire.frame(text, &about, &mut said) {
        Err(ParseError::Unknown) => {
            said.clear();
            wire.answer(text, &about, &mut said)
        }
        other => other,
    };
    (said, result)
}

/// Returns the venue's time of a frame's first event, where it is one that is stored and says it.
pub fn event_time(exchange: Exchange, text: &str) -> Option<UnixMillis> {
    let (said, _) = read(
        registry::wire(exchange),
        &Terms::default(),
        text,
        &Circumstances::default(),
    );
    said.into_iter().find_map(|said| match said {
        Said::Trade { trade, .. } | Said::Aggregate { trade, .. } => Some(trade.ts),
        Said::Diff(_, diff) => Some(diff.ts),
        Said::Book(_, snapshot) | Said::Depth(_, snapshot) => snapshot.ts,
        Said::Event { event, .. } => Some(natural_time(&event)),
        _ => None,
    })
}

/// Learns what a recorded list of instruments says.
///
/// # Errors
/// Where it is not understood.
pub fn learn(exchange: Exchange, text: &str, about: &Circumstances, terms: &mut Terms) -> Result<(), ParseError> {
    let (said, result) = read(registry::wire(exchange), terms, text, about);
    for said in said {
        if let Said::Terms(learnt) = said {
            learnt
                .into_iter()
                .for_each(|(instrument, term)| terms.set(instrument, term));
        }
    }
    result
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
        let (content, result) = recording.frame(text, &Circumstances::default(), &Place::default());
        result.expect("valid");
        if content.events.is_empty() {
            return vec![format!("{content:?}")];
        }
        let event = |told: &Recorded| match &told.event {
            Event::Trade(trade) => format!("trade {} at {}", trade.trade_id, told.item),
            Event::Gap(gap) => format!("{} gap {} to {}", gap.cause, gap.from_id, gap.to_id),
            other => format!("{other:?}"),
        };
        content.events.iter().map(event).collect()
    }

    #[test]
    fn holes_are_told_where_they_are_noticed_and_replays_are_not_repeated() {
        let mut recording = Recording::new(Exchange::BinanceSpot, Terms::default(), BooksAt::Every);
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
        let mut recording = Recording::new(Exchange::BinanceSpot, Terms::default(), BooksAt::Every);
        assert!(told(&mut recording, body)[0].contains("unknown instrument"));
        let about = Circumstances {
            instrument: Some("ETHBTC".into()),
            ..Circumstances::default()
        };
        let (content, result) = recording.frame(body, &about, &Place::default());
        result.expect("valid");
        let told = &content.events[1];
        let (Event::Trade(trade), 1) = (&told.event, told.item) else {
            panic!("{told:?}");
        };
        assert_eq!((trade.symbol.as_str(), trade.price.text()), ("ETH-BTC", "2.6"));
        assert_eq!((trade.ts.0, trade.ts_source.as_str()), (1_679_280_337_592, "trade"));
    }
}
