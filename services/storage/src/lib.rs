//! The storage workers. The hot one, here, consumes the bus and stores each message once; the cold one, in [`cold`], copies what
//! is stored to where it stays, and proves that it is there.
//!
//! One lane a table, each with its own durable, its own writer lock and its own fence. What is in the argument for exactly
//! once: the identity in the rows, the table's own marks, and inserts of which no earlier one can still run. Batch borders,
//! delivery counts and stream sequences are not.

mod batch;
pub mod cold;
mod dead_letter;
mod endpoints;
mod gather;
mod intake;
mod lane;
pub mod letters;
mod marks;
mod process;
mod rejected;
mod room;
mod row;
mod settle;
mod stats;
mod storing;
mod tables;
mod writer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mprism_bus::{Bus, BusError, BusOptions, DurableSpec};
use mprism_clickhouse::{Store, StoreError, StoreOptions};
use mprism_model::{DataType, Epoch};
use mprism_runtime::endpoint::Endpoint;
use mprism_runtime::guard::Guard;
use mprism_runtime::http::ServeError;
use mprism_runtime::lock::LockError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use stats::Stats;

/// The file beside the writer locks in which `mprism integrity` leaves its last result for `/metrics`: a JSON object with
/// `score_percent`, `verdict` and `at_ms`, milliseconds since the epoch.
pub const INTEGRITY_FILE: &str = "integrity.json";

/// Everything the hot worker needs to know.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Where `/health`, `/stats` and `/metrics` answer.
    pub listen: SocketAddr,
    /// What stands before the endpoints, where other hosts can reach them.
    pub guard: Option<Guard>,
    /// The bus.
    pub bus: BusOptions,
    /// The store.
    pub store: StoreOptions,
    /// The store that rows leave to, where it is another one.
    pub cold: Option<StoreOptions>,
    /// The durables, one for each data type that is stored.
    pub durables: Vec<(DataType, DurableSpec)>,
    /// When a batch is written.
    pub batch: BatchOptions,
    /// Folder of the writer locks (`writer.<table>.lock`).
    pub locks: PathBuf,
    /// How long a table's lease lasts without being renewed: so long nobody writes it after its writer's host has died.
    pub lease_ttl: Duration,
    /// Where the cold worker answers: MarketPrism's hot storage told of the copying, so ours asks.
    pub cold_worker: Endpoint,
}

/// When a batch is written: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Rows; at most 500,000.
    pub rows_max: usize,
    /// Payload bytes.
    pub bytes_max: usize,
    /// Age of its oldest message.
    pub age_max: Duration,
}

/// What all lanes together hold is as much as this many of the largest batches.
const BATCHES_HELD: usize = 2;
/// An order book of 400 levels a side on the bus, in bytes.
const BOOK_BYTES: usize = 44 << 10;

impl BatchOptions {
    /// Returns the options of a type's lane: what is pulled ahead is held in memory, and books are large.
    fn of(self, data_type: DataType) -> Self {
        match data_type {
            DataType::OrderBook => Self {
                rows_max: self.rows_max.min(self.bytes_max / BOOK_BYTES).max(1),
                ..self
            },
            _ => self,
        }
    }
}

/// Why the hot worker ended.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The bus cannot be used.
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// Another writer has a table.
    #[error("another writer has the table `{table}`")]
    Writer {
        /// The table.
        table: String,
        /// The lock.
        source: LockError,
    },
    /// The endpoints cannot be served.
    #[error("endpoints cannot be served")]
    Serve(#[from] ServeError),
    /// A lane ended without being asked to.
    #[error("the lane of `{table}` ended: {reason}")]
    Lane {
        /// The table.
        table: &'static str,
        /// Why.
        reason: String,
    },
}

/// Stores until `shutdown` is cancelled; what is pulled then is stored and acked first.
///
/// # Errors
/// Where another writer has a table, an address is taken, or the process lacks what it cannot go without. Servers that are
/// away are waited for and are no error.
pub async fn run(options: StorageOptions, shutdown: CancellationToken) -> Result<(), StorageError> {
    // The address first: a second worker fails here before it touches anything.
    let listener = mprism_runtime::http::bind(options.listen).await?;
    let bus = Arc::new(Bus::connect(options.bus.clone()).await?);
    let store = Store::new(options.store.clone())?;
    let cold = options.cold.clone().map_or_else(|| Ok(store.clone()), Store::new)?;
    let stats = Arc::new(Stats::new(options.durables.len()));
    let own_epoch = Epoch::new(
        u64::try_from(mprism_runtime::clock::now_ms()).unwrap_or(0),
        rand::random(),
    );
    let mut tasks = JoinSet::new();
    // Endpoints live until the lanes have drained.
    let drained = CancellationToken::new();
    let integrity = options.locks.join(INTEGRITY_FILE);
    let router = endpoints::router(
        Arc::clone(&stats),
        Arc::clone(&bus),
        store.clone(),
        options.cold_worker.clone(),
        integrity,
    );
    let serving = tokio::spawn(mprism_runtime::http::serve_guarded(
        listener,
        options.guard.clone(),
        router,
        drained.clone(),
    ));
    let room = room::Room::new(options.batch.bytes_max.saturating_mul(BATCHES_HELD));
    let (letters, buried) = mpsc::channel(1_000);
    let letters_lock = lane::writer_lock(&options, "dead_letters")?;
    let copying = tokio::spawn(dead_letter::copy_all(store.clone(), buried));
    for (data_type, durable) in options.durables.clone() {
        let lane = lane::Lane::new(
            data_type,
            durable,
            &options,
            Arc::clone(&bus),
            (store.clone(), cold.clone()),
            Arc::clone(&stats),
            own_epoch,
            room.clone(),
            letters.clone(),
        )?;
        tasks.spawn(lane.run(shutdown.clone()));
    }
    drop(letters);
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|panic| {
            Err(StorageError::Lane {
                table: "unknown",
                reason: panic.to_string(),
            })
        });
        if let Err(error) = ended {
            // The first to fail stops the others; they still store what they hold.
            shutdown.cancel();
            result = result.and(Err(error));
        }
    }
    if let Err(panic) = copying.await {
        tracing::error!(error = %panic, "copying dead letters ended; they are in their stream");
    }
    drop(letters_lock);
    drained.cancel();
    match serving.await {
        Ok(Ok(())) | Err(_) => result,
        Ok(Err(error)) => result.and(Err(error.into())),
    }
}
