//! What market, connections and control endpoints share.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::Message;
use mprism_runtime::log::Causes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::corpus::Recorded;
use crate::emit::Symbol;
use crate::places::{self, Places};
use crate::{Fault, PingRule, SimulatorOptions};

/// Connection attempts an address has in [`ATTEMPTS_SPAN`].
const ATTEMPTS_MAX: usize = 300;
const ATTEMPTS_SPAN: Duration = Duration::from_secs(300);
/// Batches of frames that may wait for one client.
const QUEUE_BATCHES: usize = 256;
/// Fault records kept; older ones are dropped.
const RECORDS_MAX: usize = 10_000;

pub(crate) type Batch = Arc<Vec<Message>>;

pub(crate) struct Hub {
    pub(crate) pings: PingRule,
    pub(crate) connection_life: Duration,
    pub(crate) stop: CancellationToken,
    pub(crate) connections: TaskTracker,
    /// Wakes the market: a subscriber came, the market goes on, a fault is there.
    pub(crate) wake: Notify,
    pub(crate) causes: Causes,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) symbols: BTreeMap<String, Symbol>,
    pub(crate) clients: HashMap<u64, Client>,
    next_client: u64,
    pub(crate) paused: bool,
    /// Scheduled faults, the next one first.
    pub(crate) faults: VecDeque<Fault>,
    /// Faults that strike at once.
    pub(crate) injected: Vec<Fault>,
    pub(crate) records: VecDeque<serde_json::Value>,
    pub(crate) no_ping_until: Option<Instant>,
    attempts: HashMap<IpAddr, VecDeque<Instant>>,
    weights: HashMap<IpAddr, (i64, u64)>,
}

/// A connection as the market sees it.
pub(crate) struct Client {
    pub(crate) streams: BTreeSet<String>,
    pub(crate) combined: bool,
    pub(crate) micros: bool,
    pub(crate) queue: mpsc::Sender<Batch>,
    /// Cuts the connection without a close frame.
    pub(crate) cut: CancellationToken,
    /// Closes it with the code for a planned end.
    pub(crate) leave: CancellationToken,
}

impl Hub {
    pub(crate) fn new(
        options: &SimulatorOptions,
        pings: PingRule,
        stop: CancellationToken,
        recorded: Option<BTreeMap<String, Vec<Recorded>>>,
    ) -> Self {
        let limit = options.limit_trades.unwrap_or(u64::MAX);
        let symbols = match recorded {
            Some(recorded) => Symbol::recorded(recorded, options, limit),
            None => {
                let places = options.places.as_deref().map(places::load).unwrap_or_default();
                Symbol::synthetic(options, limit, &places)
            }
        };
        let mut faults = options.faults.clone();
        faults.sort_by_key(|fault| fault.at);
        Self {
            pings,
            connection_life: options.connection_life,
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
                no_ping_until: None,
                attempts: HashMap::new(),
                weights: HashMap::new(),
            }),
        }
    }

    /// Returns where the synthetic markets stand that somebody has subscribed to.
    pub(crate) fn places(&self) -> Places {
        let state = self.lock();
        let started = state.symbols.values().filter(|symbol| symbol.started);
        started
            .filter_map(|symbol| Some((symbol.name.clone(), symbol.place()?)))
            .collect()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `cause`, and logs it the first time.
    pub(crate) fn note(&self, cause: &str) {
        if self.causes.first(cause) {
            tracing::warn!(cause, "simulator refused or closed");
        }
    }

    /// Adds a connection; its frames come out of the receiver.
    pub(crate) fn join(&self, streams: BTreeSet<String>, combined: bool, micros: bool) -> Joined {
        let (queue, batches) = mpsc::channel(QUEUE_BATCHES);
        let (cut, leave) = (CancellationToken::new(), CancellationToken::new());
        let mut state = self.lock();
        let id = state.next_client;
        state.next_client += 1;
        let client = Client {
            streams,
            combined,
            micros,
            queue,
            cut: cut.clone(),
            leave: leave.clone(),
        };
        state.start_markets(&client.streams);
        state.clients.insert(id, client);
        drop(state);
        self.wake.notify_one();
        Joined {
            id,
            batches,
            cut,
            leave,
        }
    }

    /// Whether `address` may try one more connection.
    pub(crate) fn may_connect(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let attempts = state.attempts.entry(address).or_default();
        attempts.retain(|at| now.duration_since(*at) < ATTEMPTS_SPAN);
        let may = attempts.len() < ATTEMPTS_MAX;
        if may {
            attempts.push_back(now);
        }
        may
    }

    /// Adds `weight` to what `address` used in this minute and returns the sum.
    pub(crate) fn use_weight(&self, address: IpAddr, weight: u64) -> u64 {
        let minute = mprism_runtime::clock::now_ms() / 60_000;
        let mut state = self.lock();
        let used = state.weights.entry(address).or_insert((minute, 0));
        if used.0 != minute {
            *used = (minute, 0);
        }
        used.1 += weight;
        used.1
    }
}

impl State {
    pub(crate) fn start_markets(&mut self, streams: &BTreeSet<String>) {
        for stream in streams {
            if let Some(symbol) = self.symbol_of(stream) {
                symbol.started = true;
            }
        }
    }

    fn symbol_of(&mut self, stream: &str) -> Option<&mut Symbol> {
        let name = stream.strip_suffix("@trade")?;
        // The venue takes lower case only; other names are acknowledged and stay silent.
        (name == name.to_lowercase()).then_some(())?;
        self.symbols.get_mut(&name.to_uppercase())
    }

    pub(crate) fn record(&mut self, fault: &Fault, ids: &[(String, u64, Option<u64>)]) {
        let affected = ids.iter().map(|(symbol, first, last)| {
            serde_json::json!({"symbol": symbol, "first_id": first.to_string(), "last_id": last.map(|id| id.to_string())})
        });
        let at_ms = mprism_runtime::clock::now_ms();
        let ids = affected.collect::<Vec<_>>();
        let line = serde_json::json!({"fault": fault.kind.name(), "symbol": fault.symbol, "at_ms": at_ms, "ids": ids});
        tracing::info!(fault = fault.kind.name(), symbol = ?fault.symbol, "fault");
        self.records.push_back(line);
        if self.records.len() > RECORDS_MAX {
            self.records.pop_front();
        }
    }
}

/// A connection's side of [`Hub::join`].
pub(crate) struct Joined {
    pub(crate) id: u64,
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) cut: CancellationToken,
    pub(crate) leave: CancellationToken,
}
