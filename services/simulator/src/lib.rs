//! An exchange simulator: Binance, OKX and Deribit as they look on the wire, and the truth about what happened.
//!
//! It is a test instrument. It shares no code with what it tests, so that one mistake cannot hide another.

mod binance;
mod binance_spot;
mod binance_usdm;
mod control;
mod corpus;
mod deribit;
mod engine;
mod exchange;
mod fault;
mod hub;
mod limits;
mod market;
mod okx;
mod snapshot;
mod socket;
mod symbol;
mod truth;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use exchange::Exchange;
pub use fault::{Fault, FaultError, FaultKind, Malformed, RECENT_MAX};

/// What the simulator does.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// Address of everything it serves.
    pub listen: SocketAddr,
    /// The venue's names of the synthetic instruments, such as `BTCUSDT`; a corpus brings its own.
    pub symbols: Vec<String>,
    /// The synthetic instruments of the other venues.
    pub instruments: Instruments,
    /// How fast trades happen, all symbols together.
    pub rate: Rate,
    /// Decides the synthetic market.
    pub seed: u64,
    /// Recorded frames to play instead: the corpus' root or a folder in it.
    pub corpus: Option<PathBuf>,
    /// Recorded times stay as they are.
    pub keep_time: bool,
    /// Scripted faults.
    pub faults: Vec<Fault>,
    /// Adds a field nobody knows to some synthetic frames.
    pub unknown_fields: bool,
    /// Trades per symbol after which its market stops.
    pub limit_trades: Option<u64>,
    /// File that keeps where the synthetic markets stand, so that the next simulator goes on there.
    pub places: Option<PathBuf>,
    /// Longest life of a connection (the venue's: 24 h).
    pub connection_life: Duration,
    /// How the venues' REST behaves while nothing is wrong.
    pub tuning: Tuning,
}

/// Synthetic instruments by venue, by the venue's names; a market costs nothing before somebody subscribes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruments {
    /// Binance USDⓈ-M perpetuals.
    pub binance_derivatives: Vec<String>,
    /// OKX spot pairs.
    pub okx_spot: Vec<String>,
    /// OKX linear swaps.
    pub okx_derivatives: Vec<String>,
    /// Deribit inverse perpetuals.
    pub deribit_derivatives: Vec<String>,
    /// Deribit volatility indices.
    pub deribit_indices: Vec<String>,
}

impl Default for Instruments {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            binance_derivatives: names(&["BTCUSDT", "ETHUSDT"]),
            okx_spot: names(&["BTC-USDT", "ETH-USDT"]),
            okx_derivatives: names(&["BTC-USDT-SWAP", "ETH-USDT-SWAP"]),
            deribit_derivatives: names(&["BTC-PERPETUAL", "ETH-PERPETUAL"]),
            deribit_indices: names(&["btc_usd", "eth_usd"]),
        }
    }
}

/// How the venues' REST behaves while nothing is wrong: a little behind the streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Share of snapshots that are 200 to 300 ms old: older than what a fresh subscriber has buffered.
    pub stale_snapshots: f64,
    /// Share of snapshots that end exactly where an event ends.
    pub snapshots_at_event_end: f64,
    /// How long a trade takes to reach the database that REST answers from (0 to 3 s are seen).
    pub trades_lag: Duration,
    /// So many times as fast as documented goes what happens by the clock: funding, open interest, ratios, the volatility index.
    pub pace: u32,
    /// What Binance's futures do with an address that has no category.
    pub legacy_path: LegacyPath,
    /// OKX begins its channel `books` with a snapshot; it was announced, and withdrawn, that it would not.
    pub okx_initial_snapshot: bool,
}

/// What Binance's futures do with an address that has no category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyPath {
    /// It is accepted, and streams that are not public stay silent: since April 2026.
    Silent,
    /// It is refused.
    Refused,
    /// Every stream is served: before April 2026.
    Served,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            stale_snapshots: 0.2,
            snapshots_at_event_end: 0.1,
            trades_lag: Duration::from_millis(50),
            pace: 1,
            legacy_path: LegacyPath::Silent,
            okx_initial_snapshot: true,
        }
    }
}

/// How fast trades happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many a second; a client that cannot follow is disconnected.
    PerSecond(f64),
    /// As fast as the slowest subscribed client absorbs them; none is lost.
    Max,
}

/// When pings are sent and how long their pongs may take.
#[derive(Clone, Copy, Debug)]
pub struct PingRule {
    /// Time between two pings.
    pub interval: Duration,
    /// Longest wait for a pong.
    pub timeout: Duration,
}

impl Default for PingRule {
    /// The venue's rule: 20 s and 60 s.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(20),
            timeout: Duration::from_secs(60),
        }
    }
}

/// Why the simulator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address cannot be had.
    #[error("simulator cannot listen")]
    Bind(#[source] mprism_runtime::http::ServeError),
    /// The listener failed.
    #[error("simulator cannot serve")]
    Serve(#[source] io::Error),
    /// The rate is no positive number.
    #[error("rate `{0}` is not a positive number")]
    Rate(f64),
    /// Recorded frames cannot be read.
    #[error("cannot read recorded frames in {}", path.display())]
    Corpus {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Serves until `shutdown` is cancelled.
///
/// # Errors
/// Where the address is taken, the corpus unreadable or the rate senseless.
pub async fn run(options: SimulatorOptions, shutdown: CancellationToken) -> Result<(), SimulatorError> {
    let listener = mprism_runtime::http::bind(options.listen)
        .await
        .map_err(SimulatorError::Bind)?;
    run_on(listener, options, PingRule::default(), shutdown).await
}

/// As [`run`], on a listener that is there already and with another rule for pings.
///
/// # Errors
/// Where the corpus is unreadable, the rate senseless, or the listener fails.
pub async fn run_on(
    listener: TcpListener,
    options: SimulatorOptions,
    pings: PingRule,
    shutdown: CancellationToken,
) -> Result<(), SimulatorError> {
    if let Rate::PerSecond(rate) = options.rate
        && !(rate.is_finite() && rate > 0.0)
    {
        return Err(SimulatorError::Rate(rate));
    }
    tracing::info!(seed = options.seed, rate = ?options.rate, corpus = ?options.corpus, "simulator starts");
    let fallback = options.symbols.first().map_or("BTCUSDT", String::as_str).to_owned();
    let recorded = match options.corpus.clone() {
        None => None,
        Some(root) => {
            let loaded = tokio::task::spawn_blocking(move || corpus::load(&root, &fallback)).await;
            Some(loaded.map_err(|error| SimulatorError::Serve(error.into()))??)
        }
    };
    // Everything ends with the server, also when the listener fails.
    let stop = shutdown.child_token();
    let hub = Arc::new(hub::Hub::new(&options, pings, stop.clone(), recorded));
    let market = tokio::spawn(engine::play(
        hub.clone(),
        options.rate,
        options.places.map(market::Keeper::new),
    ));
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    let app = control::router(hub.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, app)
        .with_graceful_shutdown(stop.clone().cancelled_owned())
        .await;
    stop.cancel();
    hub.connections.close();
    hub.connections.wait().await;
    market.await.map_err(|error| SimulatorError::Serve(error.into()))?;
    served.map_err(SimulatorError::Serve)
}
