//! What is known of a venue's instruments: one task owns it, and everything that is learnt of them comes to it.
//!
//! The connection hands over what frames say; here it is decided what is new, what is missing and what is published.

mod asking;
mod books;
pub(crate) mod crowd;
mod hearing;
mod out;
mod polling;
mod series;
pub(crate) mod trades;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_model::{DataType, Exchange, InstrumentId, MarketType, Subject, Symbol, UnixMillis};
use mprism_runtime::endpoint::Endpoint;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::ledger::OpenGap;
use crate::link::Plan;
use crate::orderbook::Snapshot;
use crate::rest::{History, RestError};
use crate::sequencer::Seen;
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;
use crate::wire::{Said, SharedTerms, Wire};
use books::BookState;
use out::{Out, gap_subject, now};
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
    /// A connection ended, and no other one carries its streams; nothing is heard of them since.
    Ended(Arc<Plan>, UnixMillis),
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
    /// How often live books are compared with a second snapshot.
    pub(crate) audit_every: Option<Duration>,
    /// How often is asked for a type, where that is not left to the venue.
    pub(crate) polling: BTreeMap<DataType, Duration>,
    /// A store whose ledger knows what earlier lives left open.
    pub(crate) store: Option<Endpoint>,
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
        let state = State::new::<H>(&options, &instrument, thinned, &stats);
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
    fn new<H: History>(
        options: &MarketOptions,
        instrument: &Instrument,
        thinned: &dyn Fn(DataType) -> Option<Duration>,
        stats: &ExchangeStats,
    ) -> Self {
        let subject = |data_type| Subject {
            data_type,
            exchange: options.exchange,
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
            BookState::new(
                subject(DataType::OrderBook),
                instrument.id.clone(),
                last,
                stream,
                H::DIFFS_ARE_NET,
                options.audit_every,
            )
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

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
