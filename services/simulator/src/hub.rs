//! What markets, connections and control endpoints share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Message;
use mprism_runtime::log::Causes;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::corpus::Tape;
use crate::fault::{Affected, Troubles};
use crate::limits::Limits;
use crate::market::{Places, SplitMix};
use crate::symbol::{Mask, Source, Symbol};
use crate::{Exchange, Fault, PingRule, SimulatorOptions, Tuning, binance_spot, binance_usdm, deribit, okx};

/// Batches of frames that may wait for one client.
const QUEUE_BATCHES: usize = 256;
/// Fault records kept; older ones are dropped.
const RECORDS_MAX: usize = 10_000;

pub(crate) type Batch = Arc<Vec<Message>>;
/// An instrument: its exchange and the venue's name.
pub(crate) type Key = (Exchange, String);

pub(crate) struct Hub {
    pub(crate) pings: PingRule,
    pub(crate) tuning: Tuning,
    connection_life: watch::Sender<Duration>,
    pub(crate) stop: CancellationToken,
    pub(crate) connections: TaskTracker,
    /// Wakes the markets: a subscriber came, the markets go on, a fault is there.
    pub(crate) wake: Notify,
    pub(crate) causes: Causes,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) symbols: BTreeMap<Exchange, BTreeMap<String, Symbol>>,
    pub(crate) clients: HashMap<u64, Client>,
    next_client: u64,
    pub(crate) paused: bool,
    /// Scheduled faults, the next one first.
    pub(crate) faults: VecDeque<Fault>,
    /// Faults that strike at once.
    pub(crate) injected: Vec<Fault>,
    pub(crate) records: VecDeque<serde_json::Value>,
    /// Records that were dropped: the number of the first one that is left.
    records_dropped: u64,
    pub(crate) troubles: Troubles,
    /// By how much a venue's clock is off.
    pub(crate) skew_ms: HashMap<Exchange, i64>,
    /// Until when a venue bans everybody, in Unix milliseconds.
    pub(crate) banned_until_ms: HashMap<Exchange, i64>,
    pub(crate) limits: HashMap<(Exchange, IpAddr), Limits>,
    /// Decides what REST does.
    pub(crate) random: SplitMix,
}

/// How a client wants its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Form {
    /// Each in a wrapper that names its stream.
    pub(crate) combined: bool,
    /// Times in microseconds.
    pub(crate) micros: bool,
}

/// What a connection wants to hear, by instrument.
pub(crate) type Wants = HashMap<Key, Mask>;

/// A connection as the markets see it.
pub(crate) struct Client {
    /// The exchange it is connected to; of a venue with several, one of them.
    pub(crate) exchange: Exchange,
    pub(crate) wants: Wants,
    /// The last change before it began to hear of an instrument's book.
    pub(crate) since: HashMap<Key, u64>,
    pub(crate) form: Form,
    pub(crate) queue: mpsc::Sender<Batch>,
    /// Cuts the connection without a close frame.
    pub(crate) cut: CancellationToken,
    /// Closes it with the code for a planned end.
    pub(crate) leave: CancellationToken,
    /// Leaves it open and dead.
    pub(crate) freeze: CancellationToken,
    /// Ends it as the venue ends who cannot follow.
    pub(crate) full: CancellationToken,
}

/// Frames on their way to a client.
pub(crate) struct Delivery {
    pub(crate) queue: mpsc::Sender<Batch>,
    /// Ends a client that cannot follow.
    pub(crate) full: CancellationToken,
    pub(crate) batch: Batch,
}

impl Delivery {
    pub(crate) fn new(client: &Client, batch: Batch) -> Self {
        let (queue, full) = (client.queue.clone(), client.full.clone());
        Self { queue, full, batch }
    }
}

impl Hub {
    pub(crate) fn new(
        options: &SimulatorOptions,
        pings: PingRule,
        stop: CancellationToken,
        recorded: Option<BTreeMap<String, Tape>>,
    ) -> Self {
        let places = options.places.as_deref().map(crate::market::load).unwrap_or_default();
        let spot = match recorded {
            Some(tapes) => binance_spot::recorded(tapes, options),
            None => binance_spot::synthetic(options, &places),
        };
        let symbols = BTreeMap::from([
            (Exchange::BinanceSpot, spot),
            (Exchange::BinanceDerivatives, binance_usdm::synthetic(options, &places)),
            (Exchange::OkxSpot, okx::synthetic(Exchange::OkxSpot, options, &places)),
            (
                Exchange::OkxDerivatives,
                okx::synthetic(Exchange::OkxDerivatives, options, &places),
            ),
            (Exchange::DeribitDerivatives, deribit::synthetic(options, &places)),
        ]);
        let mut faults = options.faults.clone();
        faults.sort_by_key(|fault| fault.at);
        Self {
            pings,
            tuning: options.tuning.clone(),
            connection_life: watch::Sender::new(options.connection_life),
            stop,
            connections: TaskTracker::new(),
            wake: Notify::new(),
            causes: Causes::new(),
            state: Mutex::new(State {
                symbols,
                clients: HashMap::new(),
                next_client: 0,
                paused: false,
                faults: faults.into(),
                injected: Vec::new(),
                records: VecDeque::new(),
                records_dropped: 0,
                troubles: Troubles::default(),
                skew_ms: HashMap::new(),
                banned_until_ms: HashMap::new(),
                limits: HashMap::new(),
                random: SplitMix::named(options.seed, "rest"),
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the longest life of a connection, and hears where it changes.
    pub(crate) fn connection_life(&self) -> watch::Receiver<Duration> {
        self.connection_life.subscribe()
    }

    pub(crate) fn set_connection_life(&self, life: Duration) {
        self.connection_life.send_replace(life);
    }

    /// Counts `cause`, and logs it the first time.
    pub(crate) fn note(&self, cause: &str) {
        if self.causes.first(cause) {
            tracing::warn!(cause, "simulator refused or closed");
        }
    }

    /// Returns the venue's time in milliseconds.
    pub(crate) fn now_ms(&self, exchange: Exchange) -> i64 {
        let skew_ms = self.lock().skew_ms.get(&exchange).copied().unwrap_or(0);
        mprism_runtime::clock::now_ms() + skew_ms
    }

    /// Adds a connection; its frames come out of the receiver.
    pub(crate) fn join(&self, exchange: Exchange, wants: Wants, form: Form) -> Joined {
        let (queue, batches) = mpsc::channel(QUEUE_BATCHES);
        let token = CancellationToken::new;
        let (cut, leave, freeze, full) = (token(), token(), token(), token());
        let mut state = self.lock();
        let id = state.next_client;
        state.next_client += 1;
        let since = state.since(&wants, &HashMap::new());
        let client = Client {
            exchange,
            wants,
            since,
            form,
            queue,
            cut: cut.clone(),
            leave: leave.clone(),
            freeze: freeze.clone(),
            full: full.clone(),
        };
        state.start_markets(&client.wants);
        state.clients.insert(id, client);
        drop(state);
        self.wake.notify_one();
        Joined {
            id,
            batches,
            cut,
            leave,
            freeze,
            full,
        }
    }

    /// Passes on what a connection wants by now.
    pub(crate) fn change(&self, id: u64, wants: Wants, form: Form) {
        self.change_and_greet(id, wants, form, |_| Vec::new());
    }

    /// As [`Hub::change`]; `greet` makes what goes to it before anything else that it wants now.
    pub(crate) fn change_and_greet(
        &self,
        id: u64,
        wants: Wants,
        form: Form,
        greet: impl FnOnce(&mut State) -> Vec<Message>,
    ) {
        let mut state = self.lock();
        state.start_markets(&wants);
        let Some(client) = state.clients.get(&id) else {
            return;
        };
        let since = state.since(&wants, &client.since);
        let greeting = greet(&mut state);
        if let Some(client) = state.clients.get_mut(&id) {
            client.since = since;
            client.wants = wants;
            client.form = form;
            if !greeting.is_empty() && client.queue.try_send(Arc::new(greeting)).is_err() {
                client.full.cancel();
            }
        }
        drop(state);
        self.wake.notify_one();
    }
}

impl State {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.values().flat_map(BTreeMap::values)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Symbol> {
        self.symbols.values_mut().flat_map(BTreeMap::values_mut)
    }

    /// Finds an instrument by the venue's name.
    pub(crate) fn symbol(&self, exchange: Exchange, name: &str) -> Option<&Symbol> {
        self.symbols.get(&exchange)?.get(name)
    }

    pub(crate) fn symbol_mut(&mut self, exchange: Exchange, name: &str) -> Option<&mut Symbol> {
        self.symbols.get_mut(&exchange)?.get_mut(name)
    }

    /// Finds an instrument by our name or the venue's.
    pub(crate) fn called(&self, exchange: Exchange, name: &str) -> Option<&Symbol> {
        self.symbols
            .get(&exchange)?
            .values()
            .find(|symbol| symbol.is_called(name))
    }

    pub(crate) fn start_markets(&mut self, wants: &Wants) {
        for (exchange, name) in wants.keys() {
            if let Some(symbol) = self.symbol_mut(*exchange, name) {
                symbol.started = true;
            }
        }
    }

    /// Returns since which change a client hears of each book; `known` is what it has heard of before.
    fn since(&self, wants: &Wants, known: &HashMap<Key, u64>) -> HashMap<Key, u64> {
        let since = wants.keys().filter_map(|key| {
            let now = || match &self.symbol(key.0, &key.1)?.source {
                Source::Synthetic(synthetic) => Some(synthetic.end_of_window(0)),
                Source::Recorded(_) => None,
            };
            Some((key.clone(), known.get(key).copied().or_else(now)?))
        });
        since.collect()
    }

    /// Returns a change before anything that anybody has heard of a book.
    pub(crate) fn before_anybody(&self, key: &Key) -> Option<u64> {
        self.clients
            .values()
            .filter_map(|client| client.since.get(key))
            .min()
            .copied()
    }

    /// Returns where the synthetic markets stand that somebody has subscribed to.
    pub(crate) fn places(&self) -> Places {
        let started = self.all().filter(|symbol| symbol.started);
        started
            .filter_map(|symbol| Some((symbol.place_name(), symbol.place()?)))
            .collect()
    }

    /// Returns the most that an update identifier grows with one change.
    pub(crate) fn stride_max(&self) -> u64 {
        let strides = self.all().filter_map(|symbol| match &symbol.source {
            Source::Synthetic(synthetic) => Some(synthetic.stride()),
            Source::Recorded(_) => None,
        });
        strides.max().unwrap_or(1)
    }

    /// Returns the number of the next fault record.
    pub(crate) fn next_record(&self) -> u64 {
        self.records_dropped + self.records.len() as u64
    }

    pub(crate) fn record(&mut self, fault: &Fault, affected: &[Affected]) {
        let ids = affected.iter().map(|hit| {
            let last = hit.last.map(|id| id.to_string());
            serde_json::json!({"symbol": hit.symbol, "first_id": hit.first.to_string(), "last_id": last})
        });
        let ids = ids.collect::<Vec<_>>();
        let at_ms = mprism_runtime::clock::now_ms();
        let line = serde_json::json!({"fault": fault.kind.name(), "exchange": fault.exchange.map(Exchange::as_str),
            "symbol": fault.symbol, "stream": fault.stream, "at_ms": at_ms, "ids": ids});
        tracing::info!(fault = fault.kind.name(), symbol = ?fault.symbol, "fault");
        self.records.push_back(line);
        if self.records.len() > RECORDS_MAX {
            self.records.pop_front();
            self.records_dropped += 1;
        }
    }

    /// Tells a fault's record what it has hit.
    pub(crate) fn tell(&mut self, record: u64, symbol: &str, first: u64, last: u64) {
        let index = record
            .checked_sub(self.records_dropped)
            .and_then(|index| usize::try_from(index).ok());
        let Some(ids) = index
            .and_then(|index| self.records.get_mut(index))
            .and_then(|line| line.get_mut("ids"))
            .and_then(serde_json::Value::as_array_mut)
        else {
            return;
        };
        match ids.iter_mut().find(|hit| hit["symbol"] == symbol) {
            Some(hit) => hit["last_id"] = last.to_string().into(),
            None => ids.push(serde_json::json!({
                "symbol": symbol, "first_id": first.to_string(), "last_id": last.to_string()})),
        }
    }
}

/// A connection's side of [`Hub::join`].
pub(crate) struct Joined {
    pub(crate) id: u64,
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) cut: CancellationToken,
    pub(crate) leave: CancellationToken,
    pub(crate) freeze: CancellationToken,
    pub(crate) full: CancellationToken,
}
