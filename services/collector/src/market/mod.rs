//! What is known of a venue's instruments: one task owns it, and everything that is learnt of them comes to it.
//!
//! The connection hands over what frames say; here it is decided what is new, what is missing and what is published.

mod books;
pub(crate) mod crowd;
mod polling;
mod series;
mod trades;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_bus::SubjectText;
use mprism_model::{
    DataType, Event, Exchange, Gap, GapCause, InstrumentId, Level, MarketType, Source, Subject, Symbol, UnixMillis,
};
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::ledger::{OpenGap, open_trade_gaps};
use crate::link::Plan;
use crate::orderbook::{Publishable, Snapshot, publishable};
use crate::rest::{History, RestError};
use crate::sequencer::Seen;
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;
use crate::wire::{Said, SharedTerms, Wire};
use books::BookState;
use polling::{Polled, Polling};
use series::SeriesState;
use trades::{Piece, TradeState};

pub use books::Cadence;
pub(crate) use series::{SeriesMark, natural_time};

/// How often the ledger is asked for holes that earlier lives left open.
const LEDGER_EVERY: Duration = Duration::from_secs(30);
/// Messages of a connection that may wait here.
const QUEUE: usize = 64;

/// One collected instrument.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) id: InstrumentId,
    pub(crate) symbol: Symbol,
    pub(crate) market_type: MarketType,
    /// The last trade that is known to be accepted; `None` where trades are not collected.
    pub(crate) trades: Option<Option<Seen>>,
    /// The last book that is known to be published; `None` where books are not collected.
    pub(crate) books: Option<Option<Seen>>,
    /// The other types that are collected, and where each was left off.
    pub(crate) series: Vec<(DataType, SeriesMark)>,
}

/// What a connection learnt.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A trade, a change of a book, a book, or an observation.
    Said(Said),
    /// A frame of this connection that is not understood, about this instrument, or nobody knows about whom.
    Malformed(Option<InstrumentId>, Arc<Plan>),
    /// The streams of a connection are listened to from now on.
    Began(Arc<Plan>),
    /// A connection ended, and no other one carries its streams.
    Ended(Arc<Plan>),
    /// A question was answered.
    Polled(Box<Polled>),
}

/// What somebody who asked the venue found.
enum Found {
    Snapshot(InstrumentId, Result<Snapshot, RestError>),
    Piece(InstrumentId, Result<Piece, RestError>),
    Open(Vec<OpenGap>),
}

/// How a market is followed.
#[derive(Clone)]
pub(crate) struct MarketOptions {
    pub(crate) exchange: Exchange,
    pub(crate) wire: &'static dyn Wire,
    pub(crate) terms: SharedTerms,
    /// When books are published.
    pub(crate) cadence: Cadence,
    /// How often is asked for a type, where that is not left to the venue.
    pub(crate) polling: BTreeMap<DataType, Duration>,
    /// A store on this machine whose ledger knows what earlier lives left open.
    pub(crate) store: Option<SocketAddr>,
}

/// A venue's instruments.
pub(crate) struct Market<H> {
    options: MarketOptions,
    states: HashMap<InstrumentId, State>,
    history: Arc<H>,
    asked: JoinSet<Found>,
    /// Instruments of which something was learnt since they were last looked after: however many there are, only these cost.
    touched: Vec<InstrumentId>,
    /// Instruments whose questions wait for room in the spool.
    waiting: HashSet<InstrumentId>,
    /// When which book is to be published.
    due: BinaryHeap<Reverse<(Instant, InstrumentId)>>,
    out: Out,
}

/// One instrument's.
struct State {
    trades: Option<TradeState>,
    books: Option<BookState>,
    series: HashMap<DataType, SeriesState>,
    /// When its book is noted to be published.
    noted: Option<Instant>,
}

/// Where everything goes that is published.
struct Out {
    batch: Vec<Outgoing>,
    batches: mpsc::Sender<Vec<Outgoing>>,
    admission: Admission,
    stats: Arc<ExchangeStats>,
    wire: &'static dyn Wire,
    terms: SharedTerms,
}

/// Starts following a venue's instruments; the sender takes what connections learn, in order. `thinned` says of a type how far
/// apart its values are to be, if the venue gives more.
pub(crate) fn start<H: History>(
    options: MarketOptions,
    instruments: Vec<Instrument>,
    history: Arc<H>,
    thinned: &dyn Fn(DataType) -> Option<Duration>,
    (stats, batches, admission): (Arc<ExchangeStats>, mpsc::Sender<Vec<Outgoing>>, Admission),
    shutdown: CancellationToken,
) -> (mpsc::Sender<Vec<Heard>>, impl Future<Output = ()> + Send + use<H>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let polled = polled(&instruments, &*history, &options.polling, &stats);
    let polling = polling::run(Arc::clone(&history), polled, sender.clone(), shutdown.clone());
    let market = assemble(options, instruments, history, thinned, (stats, batches, admission));
    (sender, async move {
        tokio::join!(market.run(receiver, shutdown), polling);
    })
}

/// Puts a market together.
fn assemble<H: History>(
    options: MarketOptions,
    instruments: Vec<Instrument>,
    history: Arc<H>,
    thinned: &dyn Fn(DataType) -> Option<Duration>,
    (stats, batches, admission): (Arc<ExchangeStats>, mpsc::Sender<Vec<Outgoing>>, Admission),
) -> Market<H> {
    let states = instruments.into_iter().map(|instrument| {
        let state = State::new(options.exchange, &instrument, thinned, &stats);
        (instrument.id, state)
    });
    Market {
        states: states.collect(),
        history,
        asked: JoinSet::new(),
        touched: Vec::new(),
        waiting: HashSet::new(),
        due: BinaryHeap::new(),
        out: Out {
            batch: Vec::new(),
            batches,
            admission,
            stats,
            wire: options.wire,
            terms: options.terms.clone(),
        },
        options,
    }
}

/// Returns what is asked for again and again, and says of each how long it may have nothing new.
fn polled<H: History>(
    instruments: &[Instrument],
    history: &H,
    every: &BTreeMap<DataType, Duration>,
    stats: &ExchangeStats,
) -> Vec<Polling> {
    let mut series = Vec::new();
    for mut poll in history.polls() {
        poll.every = every.get(&poll.data_type).copied().unwrap_or(poll.every);
        for instrument in instruments {
            let wanted = instrument
                .series
                .iter()
                .find(|(data_type, _)| *data_type == poll.data_type);
            let Some((_, mark)) = wanted else {
                continue;
            };
            let is_settled = poll.data_type == DataType::FundingRate;
            series.push(Polling {
                poll,
                instrument: instrument.id.clone(),
                after: if is_settled { mark.settled } else { mark.newest },
            });
            let stream = stats.stream(poll.data_type, instrument.symbol.as_str());
            let patience = poll.period.unwrap_or(poll.every) * 3 + poll.every;
            // Where a stream tells it, too, that one's patience counts.
            let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
            let _is_streamed = stream
                .silence_ms
                .compare_exchange(0, patience_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
    series
}

impl State {
    fn new(
        exchange: Exchange,
        instrument: &Instrument,
        thinned: &dyn Fn(DataType) -> Option<Duration>,
        stats: &ExchangeStats,
    ) -> Self {
        let subject = |data_type| Subject {
            data_type,
            exchange,
            market_type: instrument.market_type,
            symbol: instrument.symbol.clone(),
        };
        let symbol = instrument.symbol.as_str();
        let trades = instrument.trades.map(|last| {
            let stream = stats.stream(DataType::Trade, symbol);
            TradeState::new(&subject(DataType::Trade), last, stream)
        });
        let books = instrument.books.map(|last| {
            let stream = stats.stream(DataType::OrderBook, symbol);
            BookState::new(subject(DataType::OrderBook), instrument.id.clone(), last, stream)
        });
        let series = instrument.series.iter().map(|(data_type, mark)| {
            let stream = stats.stream(*data_type, symbol);
            let state = SeriesState::new(subject(*data_type), *mark, thinned(*data_type), stream);
            (*data_type, state)
        });
        Self {
            trades,
            books,
            series: series.collect(),
            noted: None,
        }
    }
}

impl<H: History> Market<H> {
    /// Follows until every connection has ended and nobody will come any more.
    async fn run(mut self, mut heard: mpsc::Receiver<Vec<Heard>>, shutdown: CancellationToken) {
        let mut ledger = tokio::time::interval(LEDGER_EVERY);
        ledger.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.next_due();
            tokio::select! {
                biased;
                // Answers are few and frames may never end: a book that waits for its snapshot must not wait for a pause.
                Some(found) = self.asked.join_next(), if !self.asked.is_empty() => match found {
                    Ok(found) => self.find(found),
                    Err(panic) => tracing::error!(%panic, "a question to the venue panicked"),
                },
                portion = heard.recv() => match portion {
                    Some(portion) => self.hear(portion),
                    None => break,
                },
                () = sleep_until(due) => {}
                _ = ledger.tick(), if self.options.store.is_some() && !shutdown.is_cancelled() => self.ask_ledger(),
            }
            self.attend(shutdown.is_cancelled());
            self.publish_due();
            if !self.out.flush().await {
                return;
            }
        }
        // What is known and was not due yet is the last word on it.
        self.publish_last();
        self.out.flush().await;
    }

    fn hear(&mut self, portion: Vec<Heard>) {
        for heard in portion {
            match heard {
                Heard::Said(said) => self.take(said),
                Heard::Polled(polled) => self.polled(*polled),
                // What one instrument lost is no explanation of another one's gap.
                Heard::Malformed(Some(instrument), _) if self.states.contains_key(&instrument) => {
                    let state = self.states.get_mut(&instrument);
                    if let Some(trades) = state.and_then(|state| state.trades.as_mut()) {
                        trades.expect(GapCause::Malformed);
                    }
                }
                Heard::Malformed(_, plan) => self.told_by(&plan, |state, data_type, _, _| {
                    if let (DataType::Trade, Some(trades)) = (data_type, &mut state.trades) {
                        trades.expect(GapCause::Malformed);
                    }
                }),
                Heard::Began(plan) => self.told_by(&plan, |state, data_type, is_had_elsewhere, out| {
                    if let Some(series) = state.series.get_mut(&data_type) {
                        if is_had_elsewhere {
                            series.is_had_elsewhere();
                        }
                        series.resume(out);
                    }
                }),
                Heard::Ended(plan) => self.told_by(&plan, |state, data_type, _, _| match data_type {
                    DataType::Trade => {
                        if let Some(trades) = &mut state.trades {
                            trades.expect(GapCause::Disconnect);
                        }
                    }
                    DataType::OrderBook => {
                        if let Some(books) = &mut state.books {
                            books.suspend();
                        }
                    }
                    other => {
                        if let Some(series) = state.series.get_mut(&other) {
                            series.suspend();
                        }
                    }
                }),
            }
        }
    }

    /// Does something for each type of each instrument that a connection tells. What comes with trades is had with them from
    /// history.
    fn told_by(&mut self, plan: &Plan, mut act: impl FnMut(&mut State, DataType, bool, &mut Out)) {
        for stream in &plan.streams {
            let has_trades = stream.tells.iter().any(|(data_type, _)| *data_type == DataType::Trade);
            for (data_type, instrument) in &stream.tells {
                if let Some(state) = self.states.get_mut(instrument) {
                    act(state, *data_type, has_trades, &mut self.out);
                    self.touched.push(instrument.clone());
                }
            }
        }
    }

    fn take(&mut self, said: Said) {
        let cadence = self.options.cadence;
        if let Some(latency_ms) = latency_ms(&said) {
            self.out.stats.latency_ms.store(latency_ms, Ordering::Relaxed);
        }
        match said {
            Said::Trade {
                trade,
                number,
                is_sized,
            } => {
                self.touch(&trade.instrument_id);
                let state = self.states.get_mut(&trade.instrument_id);
                match state.and_then(|state| state.trades.as_mut()) {
                    Some(trades) if !is_sized => {
                        trades.expect(GapCause::Malformed);
                        self.out.unsized_event();
                    }
                    Some(trades) => trades.hear(*trade, number, &mut self.out),
                    None => self.out.skipped("trade of an instrument that is not collected"),
                }
            }
            Said::Diff(instrument, diff) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                match state.and_then(|state| state.books.as_mut()) {
                    Some(books) => books.hear(*diff, cadence, &mut self.out),
                    None => self.out.skipped("order book of an instrument that is not collected"),
                }
            }
            Said::Book(instrument, snapshot) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                match state.and_then(|state| state.books.as_mut()) {
                    Some(books) => books.told(&snapshot, cadence, &mut self.out),
                    None => self.out.skipped("order book of an instrument that is not collected"),
                }
            }
            Said::Event {
                instrument,
                event,
                is_sized,
            } => {
                let state = self.states.get_mut(&instrument);
                match state.and_then(|state| state.series.get_mut(&event.data_type())) {
                    Some(_) if !is_sized => self.out.unsized_event(),
                    Some(series) => series.hear(&event, &mut self.out),
                    // All-market streams tell it of every instrument.
                    None => self.out.skipped("observation of an instrument that is not collected"),
                }
            }
            _ => self.out.skipped("something that is no event"),
        }
    }

    fn polled(&mut self, polled: Polled) {
        self.out.stats.polls.fetch_add(1, Ordering::Relaxed);
        match polled.answer {
            Ok(said) => {
                let state = self.states.get_mut(&polled.instrument);
                if let Some(series) = state.and_then(|state| state.series.get_mut(&polled.data_type)) {
                    for periods in polled.missing {
                        series.missing(periods, polled.cause, &mut self.out);
                    }
                }
                said.into_iter().for_each(|said| self.take(said));
            }
            Err(error) => self.out.unanswered(&error),
        }
    }

    fn find(&mut self, found: Found) {
        match found {
            Found::Snapshot(instrument, answer) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                if let Some(books) = state.and_then(|state| state.books.as_mut()) {
                    books.joined(answer, self.options.cadence, &mut self.out);
                }
            }
            Found::Piece(instrument, answer) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                if let Some(trades) = state.and_then(|state| state.trades.as_mut()) {
                    trades.found(answer, &mut self.out);
                }
            }
            Found::Open(gaps) => {
                for (instrument, state) in &mut self.states {
                    let Some(trades) = &mut state.trades else {
                        continue;
                    };
                    for gap in &gaps {
                        if gap.symbol == trades.symbol() {
                            trades.adopt(gap);
                            self.touched.push(instrument.clone());
                        }
                    }
                }
            }
        }
    }

    /// Looks after the instruments of which something was learnt.
    fn attend(&mut self, is_ending: bool) {
        // What history gives needs room in the spool like everything else.
        let has_room = self.out.admission.admits();
        if has_room {
            self.touched.extend(self.waiting.drain());
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for instrument in touched.drain(..) {
            let Some(state) = self.states.get_mut(&instrument) else {
                continue;
            };
            if let Some(due) = state.books.as_ref().and_then(BookState::due)
                && state.noted != Some(due)
            {
                state.noted = Some(due);
                self.due.push(Reverse((due, instrument.clone())));
            }
            if !is_ending {
                self.ask(&instrument, has_room);
            }
        }
        self.touched = touched;
    }

    /// Asks the venue for what an instrument lacks, one question of a kind at a time.
    fn ask(&mut self, instrument: &InstrumentId, has_room: bool) {
        let Some(state) = self.states.get_mut(instrument) else {
            return;
        };
        if let Some(wait) = state.books.as_mut().and_then(BookState::question) {
            let (history, instrument) = (Arc::clone(&self.history), instrument.clone());
            self.out.stats.snapshots.fetch_add(1, Ordering::Relaxed);
            self.asked.spawn(async move {
                tokio::time::sleep(wait).await;
                let answer = history.snapshot(&instrument).await;
                Found::Snapshot(instrument, answer)
            });
        }
        if !has_room {
            self.waiting.insert(instrument.clone());
            return;
        }
        if let Some(question) = state.trades.as_mut().and_then(TradeState::question) {
            let (history, instrument) = (Arc::clone(&self.history), instrument.clone());
            self.asked.spawn(async move {
                let answer = question.ask(&*history, &instrument).await;
                Found::Piece(instrument, answer)
            });
        }
    }

    fn touch(&mut self, instrument: &InstrumentId) {
        if self.touched.last() != Some(instrument) {
            self.touched.push(instrument.clone());
        }
    }

    fn ask_ledger(&mut self) {
        let exchange = self.options.exchange;
        if let Some(store) = self.options.store {
            self.asked
                .spawn(async move { Found::Open(open_trade_gaps(store, exchange).await) });
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    fn publish_due(&mut self) {
        let now = Instant::now();
        while self.next_due().is_some_and(|due| due <= now) {
            let Some(Reverse((due, instrument))) = self.due.pop() else {
                return;
            };
            let Some(state) = self.states.get_mut(&instrument) else {
                continue;
            };
            // What was noted may have come to nothing meanwhile, or be noted for another time.
            if state.noted == Some(due) {
                state.noted = None;
                if let Some(books) = state.books.as_mut().filter(|books| books.due() == Some(due)) {
                    books.publish(self.options.cadence, &mut self.out);
                }
            }
        }
    }

    fn publish_last(&mut self) {
        let books = self.states.values_mut().filter_map(|state| state.books.as_mut());
        for books in books.filter(|books| books.due().is_some()) {
            books.publish(self.options.cadence, &mut self.out);
        }
    }
}

/// Returns how old an event was when it left the socket, where both clocks are known.
fn latency_ms(said: &Said) -> Option<i64> {
    let (ts, ts_recv) = match said {
        Said::Trade { trade, .. } if trade.source == Source::Ws => (trade.ts, trade.ts_recv),
        Said::Diff(_, diff) => (diff.ts, diff.ts_recv),
        _ => return None,
    };
    Some(ts_recv?.to_millis().0.saturating_sub(ts.0))
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Out {
    fn push(&mut self, subject: &SubjectText, event: &Event) {
        self.batch.push(Outgoing {
            subject: subject.clone(),
            message_id: event.message_id().0.into(),
            payload: event.to_json().into(),
        });
    }

    fn gap(&mut self, subject: &SubjectText, gap: Gap) {
        self.stats.gaps.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            r#type = %gap.data_type,
            symbol = %gap.symbol,
            from = &*gap.from_id,
            to = &*gap.to_id,
            cause = %gap.cause,
            state = %gap.state,
            "gap"
        );
        self.push(subject, &Event::Gap(gap));
    }

    /// Hands over what was made; returns whether anybody took it.
    async fn flush(&mut self) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        self.batches.send(std::mem::take(&mut self.batch)).await.is_ok()
    }

    /// Returns a book's levels as they are published; `None` where nobody knows yet what a contract is worth.
    fn sized(&self, instrument: &InstrumentId, bids: Vec<Level>, asks: Vec<Level>) -> Option<Publishable> {
        let known = self.wire.known(instrument, &self.terms.now()).ok()?;
        publishable(bids, asks, known.sizing?)
    }

    /// Counts something whose quantity cannot be told, because nobody knows what a contract is worth.
    fn unsized_event(&self) {
        if self.stats.malformed.first("no_terms") {
            tracing::error!(
                "sizes in contracts cannot be told in base currency: the venue's list of instruments is not known"
            );
        }
    }

    fn skipped(&self, kind: &str) {
        if self.stats.skipped.first(kind) {
            tracing::info!(kind, "valid, but not collected");
        }
    }

    /// Counts a question without a good answer, and logs it the first time.
    fn unanswered(&self, error: &RestError) {
        if self.stats.rest_errors.first(error.cause()) {
            let error = mprism_runtime::log::chain(error);
            tracing::warn!(error, "the venue does not answer as it should; it is asked again");
        }
    }
}

/// Returns the gap ledger's subject beside a subject of data.
fn gap_subject(subject: &Subject) -> SubjectText {
    let gap = Subject {
        data_type: DataType::Gap,
        ..subject.clone()
    };
    gap.to_string().into()
}

fn now() -> UnixMillis {
    UnixMillis(clock::now_ms())
}
