//! The collector: from the venues' sockets through the spool onto the bus.
//!
//! A frame becomes events; continuity is decided; events are appended to the spool, which gives them their identity; from
//! there they are published until the broker has them.

mod admission;
mod binance_spot;
mod binance_usdm;
mod deribit;
mod endpoints;
mod ledger;
mod link;
mod market;
mod marks;
mod okx;
pub mod orderbook;
pub mod recorded;
mod registry;
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
use mprism_model::{DataType, Epoch, Exchange, InstrumentId, MarketType, Subject, Symbol, UnknownName};
use mprism_runtime::http::ServeError;
use mprism_runtime::lock::{LockError, LockFile};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use market::Cadence;
pub use shipper::{PublishOptions, ShipError};
pub use spool::SpoolError;

use admission::Admission;
use market::{Instrument, MarketOptions};
use rest::Budget;
use spool::{Feed, Tail, Writer, WriterOptions};
use stats::Stats;

/// How long a bus that is away is waited for when the collector starts.
const BUS_WITHIN: Duration = Duration::from_secs(5);

/// Everything the collector needs to know.
#[derive(Clone, Debug)]
pub struct CollectorOptions {
    /// Where `/health` and `/status` answer.
    pub listen: SocketAddr,
    /// Where `/metrics` answers.
    pub metrics_listen: SocketAddr,
    /// The bus.
    pub bus: BusOptions,
    /// A ClickHouse on this machine that knows the last stored trades, if there is one.
    pub store: Option<SocketAddr>,
    /// Binance spot, if it is collected.
    pub binance_spot: Option<ExchangeOptions>,
    /// The spool.
    pub spool: SpoolOptions,
    /// Publishing.
    pub publish: PublishOptions,
    /// When silence means trouble.
    pub liveness: LivenessOptions,
    /// Order books.
    pub order_book: OrderBookOptions,
}

/// Order books.
#[derive(Clone, Copy, Debug)]
pub struct OrderBookOptions {
    /// When they are published.
    pub cadence: Cadence,
    /// Levels a side of the snapshots they begin with.
    pub snapshot_limit: usize,
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
    serving.spawn(mprism_runtime::http::serve_on(
        health,
        endpoints::health_router(endpoints.clone()),
        drained.clone(),
    ));
    serving.spawn(mprism_runtime::http::serve_on(
        metrics,
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
    let shipper = shipper::Shipper::new(Arc::clone(bus), feed, tail, options.publish, Arc::clone(stats));
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
    let writing_failed = writer.batches();
    if let Some(exchange) = &options.binance_spot {
        let instruments = instruments(exchange, options.store, bus, &recovered.last).await?;
        let streams = instruments.iter().flat_map(binance_spot::streams_of).collect();
        let stats = stats.exchange(Exchange::BinanceSpot.as_str());
        let budget = Arc::new(Budget::new(binance_spot::WEIGHT_PER_MINUTE, Duration::from_secs(60)));
        stats.budget_is(&budget);
        let limit = options.order_book.snapshot_limit;
        let rest = binance_spot::Rest::new(exchange.rest_url.clone(), limit, budget)
            .map_err(|e| part("asking the venue", &mprism_runtime::log::chain(&e)))?;
        let followed = MarketOptions {
            exchange: Exchange::BinanceSpot,
            cadence: options.order_book.cadence,
            store: options.store,
        };
        let (heard, market) = market::start(
            followed,
            instruments,
            rest,
            Arc::clone(&stats),
            writer.batches(),
            admission,
            shutdown.clone(),
        );
        intake.spawn(market);
        intake.spawn(binance_spot::run(
            exchange.websocket_url.clone(),
            streams,
            options.liveness,
            stats,
            heard,
            shutdown.clone(),
        ));
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

/// Finds out where each of a venue's instruments was left off.
async fn instruments(
    exchange: &ExchangeOptions,
    store: Option<SocketAddr>,
    bus: &Bus,
    spool: &BTreeMap<String, spool::Record>,
) -> Result<Vec<Instrument>, CollectorError> {
    // Waited for once: without it the spool, which has almost always the same, and the store decide.
    let bus = bus.ready(BUS_WITHIN).await.is_ok().then_some(bus);
    let mut instruments = Vec::new();
    for name in &exchange.symbols {
        let id = InstrumentId::new(name)?;
        let symbol = Symbol::from_binance(&id)?;
        let mut left_off = [None, None];
        for (place, data_type) in left_off.iter_mut().zip([DataType::Trade, DataType::OrderBook]) {
            if !exchange.data_types.contains(&data_type) {
                continue;
            }
            let subject = Subject {
                data_type,
                exchange: Exchange::BinanceSpot,
                market_type: MarketType::Spot,
                symbol: symbol.clone(),
            };
            let last = marks::last_seen(&subject, spool, bus, store).await;
            tracing::info!(%subject, last = last.map(|seen| seen.id), "collecting");
            *place = Some(last);
        }
        let [trades, books] = left_off;
        instruments.push(Instrument {
            id,
            symbol,
            market_type: MarketType::Spot,
            trades,
            books,
        });
    }
    Ok(instruments)
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
