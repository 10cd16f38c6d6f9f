//! The collector: from the venues' sockets through the spool onto the bus.
//!
//! A frame becomes events; continuity is decided; events are appended to the spool, which gives them their identity; from
//! there they are published until the broker has them.

mod admission;
mod binance;
mod binance_spot;
mod binance_usdm;
mod deribit;
mod endpoints;
mod following;
mod latency;
mod ledger;
mod link;
mod market;
mod marks;
mod okx;
pub mod orderbook;
pub mod recorded;
pub mod refill;
pub mod registry;
mod rest;
mod sequencer;
mod shipper;
mod spool;
mod stats;
pub mod wire;
pub mod workload;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_bus::{Bus, BusError, BusOptions};
use mprism_model::{DataType, Epoch, Exchange, InstrumentId, Subject, UnknownName};
use mprism_runtime::endpoint::Endpoint;
use mprism_runtime::guard::Guard;
use mprism_runtime::http::ServeError;
use mprism_runtime::lock::{LockError, LockFile};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use market::Cadence;
pub use shipper::{PublishOptions, ShipError};
pub use spool::SpoolError;

use admission::Admission;
use following::Surroundings;
use market::Instrument;
use spool::{Feed, Tail, Writer, WriterOptions};
use stats::Stats;
use wire::Terms;

/// How long a bus that is away is waited for when the collector starts.
const BUS_WITHIN: Duration = Duration::from_secs(5);

/// Everything the collector needs to know.
#[derive(Clone, Debug)]
pub struct CollectorOptions {
    /// Where `/health` and `/status` answer.
    pub listen: SocketAddr,
    /// Where `/metrics` answers.
    pub metrics_listen: SocketAddr,
    /// What stands before both, where other hosts can reach them.
    pub guard: Option<Guard>,
    /// The bus.
    pub bus: BusOptions,
    /// The ClickHouse that knows the last stored trades, if it can be asked.
    pub store: Option<Endpoint>,
    /// The exchanges that are collected.
    pub exchanges: Vec<(Exchange, ExchangeOptions)>,
    /// The spool.
    pub spool: SpoolOptions,
    /// Publishing.
    pub publish: PublishOptions,
    /// Subjects of which copies go to core NATS; mostly none.
    pub mirror: Vec<String>,
    /// When silence means trouble.
    pub liveness: LivenessOptions,
    /// When a rising latency is worth a warning.
    pub latency: LatencyOptions,
    /// How often is asked for a type, where that is not left to each exchange.
    pub polling: BTreeMap<DataType, Duration>,
    /// Order books.
    pub order_book: OrderBookOptions,
}

/// When a rising latency is worth a warning.
#[derive(Clone, Copy, Debug)]
pub struct LatencyOptions {
    /// Below this it is none.
    pub warn_above: Duration,
    /// Seconds over which it has to rise.
    pub samples: usize,
}

/// Order books.
#[derive(Clone, Copy, Debug)]
pub struct OrderBookOptions {
    /// When they are published.
    pub cadence: Cadence,
    /// Levels a side of the snapshots they begin with.
    pub snapshot_limit: usize,
    /// How often live books are compared with a second snapshot; `None` is never.
    pub audit_every: Option<Duration>,
}

/// One venue.
#[derive(Clone, Debug)]
pub struct ExchangeOptions {
    /// Base of its websocket endpoints, without a slash at the end.
    pub websocket_url: String,
    /// Base of its REST endpoints, without a slash at the end.
    pub rest_url: String,
    /// What is collected.
    pub data_types: Vec<DataType>,
    /// Instrument ids as the venue writes them.
    pub symbols: Vec<String>,
}

/// The spool.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// Its folder.
    pub folder: PathBuf,
    /// Its largest size in bytes; beyond, nothing is accepted.
    pub bytes_max: u64,
    /// Room in bytes that its disk must keep.
    pub free_bytes_min: u64,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Between group commits.
    pub fsync_interval: Duration,
}

/// When silence means trouble.
#[derive(Clone, Copy, Debug)]
pub struct LivenessOptions {
    /// From the connection to each subscription's first event.
    pub first_message: Duration,
    /// Between any two events of a subscription.
    pub silence: Duration,
}

/// Why the collector ended.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The bus cannot be used.
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
    /// The spool cannot be used.
    #[error("the spool cannot be used")]
    Spool(#[from] SpoolError),
    /// Another collector uses the spool.
    #[error("the spool is in use")]
    Lock(#[from] LockError),
    /// A symbol of the settings is not one.
    #[error("a symbol in the settings cannot be used")]
    Symbol(#[from] UnknownName),
    /// The endpoints cannot be served.
    #[error("endpoints cannot be served")]
    Serve(#[from] ServeError),
    /// Publishing ended.
    #[error("publishing ended")]
    Ship(#[from] ShipError),
    /// A part of the collector ended without being asked to.
    #[error("{part} ended: {reason}")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        reason: String,
    },
}

/// Collects until `shutdown` is cancelled; what is accepted then is published first.
///
/// # Errors
/// Where an address or the spool is taken, or the spool cannot be written. A venue or a bus that is away is waited for.
pub async fn run(options: CollectorOptions, shutdown: CancellationToken) -> Result<(), CollectorError> {
    let health = mprism_runtime::http::bind(options.listen).await?;
    let metrics = mprism_runtime::http::bind(options.metrics_listen).await?;
    let _spool_lock = LockFile::acquire(&options.spool.folder.join("spool.lock"))?;
    let stats = Arc::new(Stats::new());
    let bus = Arc::new(Bus::connect(options.bus.clone()).await?);
    let drained = CancellationToken::new();
    let endpoints = endpoints::Source::new(Arc::clone(&stats), Arc::clone(&bus), options.liveness);
    let mut serving = JoinSet::new();
    serving.spawn(mprism_runtime::http::serve_guarded(
        health,
        options.guard.clone(),
        endpoints::health_router(endpoints.clone()),
        drained.clone(),
    ));
    serving.spawn(mprism_runtime::http::serve_guarded(
        metrics,
        options.guard.clone(),
        endpoints::metrics_router(endpoints),
        drained.clone(),
    ));
    let result = collect(&options, &stats, &bus, &shutdown).await;
    drained.cancel();
    while let Some(served) = serving.join_next().await {
        if let Ok(Err(error)) = served {
            tracing::warn!(error = %mprism_runtime::log::chain(&error), "endpoints ended with an error");
        }
    }
    result
}

async fn collect(
    options: &CollectorOptions,
    stats: &Arc<Stats>,
    bus: &Arc<Bus>,
    shutdown: &CancellationToken,
) -> Result<(), CollectorError> {
    let folder = options.spool.folder.clone();
    let recovering = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || spool::recover(&folder))
    };
    let recovered = recovering.await.map_err(|panic| part("recovery", &panic))??;
    if recovered.damaged > 0 || recovered.torn_bytes > 0 {
        let (damaged, torn_bytes) = (recovered.damaged, recovered.torn_bytes);
        tracing::error!(
            damaged,
            torn_bytes,
            "the spool was damaged; a copy of each damaged segment is kept"
        );
    }
    stats.spool_found.store(recovered.bytes, Ordering::Relaxed);

    let unix_ms = u64::try_from(mprism_runtime::clock::now_ms()).unwrap_or(0);
    let epoch = Epoch::new(unix_ms, rand::random());
    let tail = Arc::new(Tail::new(epoch));
    let writer = Writer::start(
        WriterOptions {
            folder: folder.clone(),
            epoch,
            segment_bytes: options.spool.segment_bytes,
            fsync_interval: options.spool.fsync_interval,
        },
        Arc::clone(&tail),
    )?;
    let written = CancellationToken::new();
    let feed = Feed::new(folder.clone(), Arc::clone(&tail), recovered.from);
    let shipper = shipper::Shipper::new(Arc::clone(bus), feed, tail, options.publish, Arc::clone(stats))
        .mirroring(&options.mirror);
    let mut shipping = tokio::spawn(shipper.run(written.clone()));

    let admission = Admission::new();
    let mut intake = JoinSet::new();
    intake.spawn(admission.clone().watch(
        folder,
        options.spool.bytes_max,
        options.spool.free_bytes_min,
        shutdown.clone(),
    ));
    let watched = writer.state();
    // Set once a life, and this is where.
    let _first = stats.spool_written.set(writer.state());
    let writing_failed = writer.batches();
    // Waited for once: without it the spool, which has almost always the same, and the store decide.
    let ready = bus.ready(BUS_WITHIN).await.is_ok().then_some(&**bus);
    for (exchange, exchange_options) in &options.exchanges {
        let left_off = LeftOff {
            spool: &recovered.last,
            bus: ready,
            store: options.store.as_ref(),
            life: recovered.life,
        };
        let instruments = instruments(*exchange, exchange_options, &left_off).await?;
        let around = Surroundings {
            order_book: options.order_book,
            liveness: options.liveness,
            latency: options.latency,
            polling: options.polling.clone(),
            store: options.store.clone(),
            batches: writer.batches(),
            admission: admission.clone(),
            shutdown: shutdown.clone(),
        };
        let stats = stats.exchange(exchange.as_str());
        let following = registry::following(*exchange, exchange_options, instruments, &stats, around)
            .map_err(|e| part("asking an exchange", &mprism_runtime::log::chain(&e)))?;
        intake.spawn(following);
    }
    let early = tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        () = writing_failed.closed() => Some(CollectorError::Part {
            part: "the spool",
            reason: "it cannot be written".into(),
        }),
        ended = &mut shipping => Some(shipped(ended).err().unwrap_or_else(|| part("publishing", &"without a reason"))),
    };
    // Intake ends first, then writing, then publishing: nothing accepted is left behind.
    drop(writing_failed);
    shutdown.cancel();
    while let Some(ended) = intake.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(%panic, "a connection's task panicked");
        }
    }
    writer.finish().await;
    if watched.failed.load(Ordering::Relaxed) {
        tracing::error!("the spool failed; what was not written is not published");
    }
    written.cancel();
    match early {
        Some(error) => {
            shipping.abort();
            Err(error)
        }
        None => shipped(shipping.await),
    }
}

/// What knows where earlier lives left off.
struct LeftOff<'a> {
    spool: &'a BTreeMap<String, spool::Record>,
    bus: Option<&'a Bus>,
    store: Option<&'a Endpoint>,
    /// The life before this one.
    life: Option<Epoch>,
}

/// Finds out where each of an exchange's instruments was left off.
async fn instruments(
    exchange: Exchange,
    options: &ExchangeOptions,
    left_off: &LeftOff<'_>,
) -> Result<Vec<Instrument>, CollectorError> {
    let LeftOff {
        spool,
        bus,
        store,
        life,
    } = *left_off;
    let mut instruments = Vec::new();
    for name in &options.symbols {
        let id = InstrumentId::new(name)?;
        let known = registry::wire(exchange).known(&id, &Terms::default())?;
        let mut instrument = Instrument {
            id,
            symbol: known.symbol,
            market_type: known.market_type,
            trades: None,
            books: None,
            series: Vec::new(),
        };
        for &data_type in &options.data_types {
            if !offers(&instrument, exchange, data_type) {
                continue;
            }
            let subject = Subject {
                data_type,
                exchange,
                market_type: instrument.market_type,
                symbol: instrument.symbol.clone(),
            };
            match data_type {
                DataType::Trade | DataType::OrderBook => {
                    let last = marks::last_seen(&subject, spool, bus, store).await;
                    tracing::info!(%subject, last = last.map(|seen| seen.id), "collecting");
                    match data_type {
                        DataType::Trade => instrument.trades = Some(last),
                        _ => instrument.books = Some(last),
                    }
                }
                _ => {
                    let mut mark = marks::series_mark(&subject, spool, bus, store).await;
                    if data_type == DataType::Liquidation {
                        mark.newest = mark.newest.or(life.map(marks::beginning_of));
                    }
                    tracing::info!(%subject, newest = mark.newest.map(|at| at.0), "collecting");
                    instrument.series.push((data_type, mark));
                }
            }
        }
        instruments.push(instrument);
    }
    Ok(instruments)
}

/// Whether there is such a type of such an instrument: an index has no trades, and nothing else has an index's.
fn offers(instrument: &Instrument, exchange: Exchange, data_type: DataType) -> bool {
    let is_index = exchange == Exchange::DeribitDerivatives && !instrument.id.as_str().contains('-');
    (data_type == DataType::VolatilityIndex) == is_index
}

fn shipped(ended: Result<Result<(), ShipError>, tokio::task::JoinError>) -> Result<(), CollectorError> {
    ended
        .map_err(|panic| part("publishing", &panic))?
        .map_err(CollectorError::from)
}

fn part(part: &'static str, reason: &impl ToString) -> CollectorError {
    CollectorError::Part {
        part,
        reason: reason.to_string(),
    }
}
