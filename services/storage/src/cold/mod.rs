//! The cold storage worker: copies rows from the hot store to where they stay, proves that they are there, and lets them leave
//! the hot store then.
//!
//! What is copied is decided by comparing the rows of both stores, window by window: count, sum and exclusive or of a hash over
//! all columns of each row. What is missing, by producer identity, is copied; so whatever was done before, and wherever it was
//! interrupted, doing it again is right. Late rows change their window's count and are found. The ledger only says what need not
//! be compared again.

mod compare;
mod copier;
mod endpoints;
mod fingerprint;
mod leaving;
mod ledger;
mod mend;
mod schema;
mod stats;
mod step;
mod table;
mod windows;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mprism_clickhouse::{StoreError, StoreOptions};
use mprism_model::DataType;
use mprism_runtime::guard::Guard;
use mprism_runtime::http::ServeError;

pub use copier::copied_at_once;
pub use fingerprint::hash_of;
pub use mend::{CopierLock, Differences, Hours, MendError, Mender, Rows};
pub use step::{Step, StepObserver};
pub use windows::{DAY, HOUR};
pub use worker::run;

/// Everything the cold worker needs to know.
#[derive(Clone, Debug)]
pub struct ColdOptions {
    /// Where `/health`, `/stats` and `/metrics` answer.
    pub listen: SocketAddr,
    /// What stands before the endpoints, where other hosts can reach them.
    pub guard: Option<Guard>,
    /// The store that rows are in first.
    pub hot: StoreOptions,
    /// The store that they stay in, where it is another one.
    pub cold: Option<StoreOptions>,
    /// The lock of whoever copies: the worker for a round at a time, or an operator's command. `None` where nobody else does.
    pub lock: Option<PathBuf>,
    /// What is copied.
    pub data_types: Vec<DataType>,
    /// Between looks at the hot store.
    pub interval: Duration,
    /// Width of the windows in which the newest hour is copied. An hour is a multiple of it.
    pub window: Duration,
    /// Windows that ended less than this ago are left alone: their rows may be on their way.
    pub safety_lag: Duration,
    /// How often an hour that was proven long ago is compared again.
    pub look_back_interval: Duration,
    /// Being behind for longer, without getting on, is unhealthy.
    pub lag_max: Duration,
    /// Rows of one statement.
    pub rows_max: u64,
    /// Bytes of one statement's rows, about.
    pub bytes_max: u64,
    /// When partitions leave the hot store; `None` is never.
    pub leave: Option<LeaveOptions>,
    /// Days that the cold store keeps; `None` is for ever.
    pub retention_days: Option<u32>,
    /// Told of each step.
    pub observer: StepObserver,
}

/// When partitions leave the hot store.
#[derive(Clone, Copy, Debug)]
pub struct LeaveOptions {
    /// Whole days that a day is over. At least 1: the hot worker looks for rows of today in the hot store only.
    pub after_days: u32,
    /// For so long a partition has to have been proven as it is.
    pub delay: Duration,
}

/// Why the cold worker ended.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The process cannot make connections.
    #[error("no store can be reached")]
    Store(#[from] StoreError),
    /// The endpoints cannot be served.
    #[error("endpoints cannot be served")]
    Serve(#[from] ServeError),
}
