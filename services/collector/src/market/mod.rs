//! What is known of a venue's instruments: one task owns it, and everything that is learnt of them comes to it.
//!
//! The connection hands over what frames say; here it is decided what is new, what is missing and what is published.

mod books;
mod trades;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_bus::SubjectText;
use mprism_model::{
    DataType, Event, Exchange, Gap, GapCause, InstrumentId, MarketType, Subject, Symbol, Trade, UnixMillis,
};
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::ledger::{OpenGap, open_trade_gaps};
use crate::orderbook::{Diff, Snapshot};
use crate::rest::{History, RestError};
use crate::sequencer::Seen;
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;
use books::BookState;
use trades::{Piece, TradeState};

pub use books::Cadence;

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
}

/// What a connection learnt.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A trade and its number.
    Trade(Box<Trade>, u64),
    /// A change of an instrument's book.
    Diff(InstrumentId, Box<Diff>),
    /// A frame that is not understood, about this instrument, or nobody knows about whom.
    Malformed(Option<InstrumentId>),
    /// The connection ended.
    Ended,
}

/// What somebody who asked the venue found.
enum Found {
    Snapshot(InstrumentId, Result<Snapshot, RestError>),
    Piece(InstrumentId, Result<Piece, RestError>),
    Open(Vec<OpenGap>),
}

/// How a market is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketOptions {
    pub(crate) exchange: Exchange,
    /// When books are published.
    pub(crate) cadence: Cadence,
    /// A store on this machine whose ledger knows what earlier lives left open.
    pub(crate) store: Option<SocketAddr>,
}

/// A venue's instruments.
pub(crate) struct Market<H> {
    options: MarketOptions,
    states: HashMap<InstrumentId, State>,
    history: Arc<H>,
    asked: JoinSet<Found>,
    out: Out,
}

/// One instrument's.
struct State {
    trades: Option<TradeState>,
    books: Option<BookState>,
}

/// Where everything goes that is published.
struct Out {
    batch: Vec<Outgoing>,
    batches: mpsc::Sender<Vec<Outgoing>>,
    admission: Admission,
    stats: Arc<ExchangeStats>,
}

/// Starts following a venue's instruments; the sender takes what connections learn, in order.
pub(crate) fn start<H: History>(
    options: MarketOptions,
    instruments: Vec<Instrument>,
    history: H,
    stats: Arc<ExchangeStats>,
    batches: mpsc::Sender<Vec<Outgoing>>,
    admission: Admission,
    shutdown: CancellationToken,
) -> (mpsc::Sender<Vec<Heard>>, impl Future<Output = ()> + Send) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let states = instruments.into_iter().map(|instrument| {
        let state = State::new(options.exchange, &instrument, &stats);
        (instrument.id, state)
    });
    let market = Market {
        options,
        states: states.collect(),
        history: Arc::new(history),
        asked: JoinSet::new(),
        out: Out {
            batch: Vec::new(),
            batches,
            admission,
            stats,
        },
    };
    (sender, market.run(receiver, shutdown))
}

impl State {
    fn new(exchange: Exchange, instrument: &Instrument, stats: &ExchangeStats) -> Self {
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
        Self { trades, books }
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
            if !shutdown.is_cancelled() {
                self.ask();
            }
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
                Heard::Trade(trade, number) => {
                    let state = self.states.get_mut(&trade.instrument_id);
                    match state.and_then(|state| state.trades.as_mut()) {
                        Some(trades) => trades.hear(*trade, number, &mut self.out),
                        None => self.out.skipped("trade of an instrument that is not collected"),
                    }
                }
                Heard::Diff(instrument, diff) => {
                    let state = self.states.get_mut(&instrument);
                    match state.and_then(|state| state.books.as_mut()) {
                        Some(books) => books.hear(*diff, self.options.cadence, &mut self.out),
                        None => self.out.skipped("order book of an instrument that is not collected"),
                    }
                }
                // What one instrument lost is no explanation of another one's gap.
                Heard::Malformed(Some(instrument)) if self.states.contains_key(&instrument) => {
                    let state = self.states.get_mut(&instrument);
                    if let Some(trades) = state.and_then(|state| state.trades.as_mut()) {
                        trades.expect(GapCause::Malformed);
                    }
                }
                Heard::Malformed(_) => {
                    let trades = self.states.values_mut().filter_map(|state| state.trades.as_mut());
                    trades.for_each(|trades| trades.expect(GapCause::Malformed));
                }
                Heard::Ended => {
                    for state in self.states.values_mut() {
                        if let Some(trades) = &mut state.trades {
                            trades.expect(GapCause::Disconnect);
                        }
                        if let Some(books) = &mut state.books {
                            books.suspend();
                        }
                    }
                }
            }
        }
    }

    fn find(&mut self, found: Found) {
        match found {
            Found::Snapshot(instrument, answer) => {
                let state = self.states.get_mut(&instrument);
                if let Some(books) = state.and_then(|state| state.books.as_mut()) {
                    books.joined(answer, self.options.cadence, &mut self.out);
                }
            }
            Found::Piece(instrument, answer) => {
                let state = self.states.get_mut(&instrument);
                if let Some(trades) = state.and_then(|state| state.trades.as_mut()) {
                    trades.found(answer, &mut self.out);
                }
            }
            Found::Open(gaps) => {
                for gap in gaps {
                    let trades = self.states.values_mut().filter_map(|state| state.trades.as_mut());
                    trades
                        .filter(|trades| trades.symbol() == gap.symbol)
                        .for_each(|trades| trades.adopt(&gap));
                }
            }
        }
    }

    /// Asks the venue for what is missing, one question an instrument and kind at a time.
    fn ask(&mut self) {
        for (instrument, state) in &mut self.states {
            if let Some(wait) = state.books.as_mut().and_then(BookState::question) {
                let (history, instrument) = (Arc::clone(&self.history), instrument.clone());
                self.out.stats.snapshots.fetch_add(1, Ordering::Relaxed);
                self.asked.spawn(async move {
                    tokio::time::sleep(wait).await;
                    let answer = history.snapshot(&instrument).await;
                    Found::Snapshot(instrument, answer)
                });
            }
            // What history gives needs room in the spool like everything else.
            if !self.out.admission.admits() {
                continue;
            }
            if let Some(question) = state.trades.as_mut().and_then(TradeState::question) {
                let (history, instrument) = (Arc::clone(&self.history), instrument.clone());
                self.asked.spawn(async move {
                    let answer = question.ask(&*history, &instrument).await;
                    Found::Piece(instrument, answer)
                });
            }
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
        let books = self.states.values().filter_map(|state| state.books.as_ref());
        books.filter_map(BookState::due).min()
    }

    fn publish_due(&mut self) {
        let now = Instant::now();
        let books = self.states.values_mut().filter_map(|state| state.books.as_mut());
        for books in books.filter(|books| books.due().is_some_and(|due| due <= now)) {
            books.publish(self.options.cadence, &mut self.out);
        }
    }

    fn publish_last(&mut self) {
        let books = self.states.values_mut().filter_map(|state| state.books.as_mut());
        for books in books.filter(|books| books.due().is_some()) {
            books.publish(self.options.cadence, &mut self.out);
        }
    }
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
