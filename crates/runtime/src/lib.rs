//! What every worker needs to live: locks, process identities, signals, logs, health and metrics endpoints.
//!
//! Nothing here knows what a worker does; workers, the supervisor and tests use the same parts.

pub mod backoff;
pub mod clock;
pub mod endpoint;
pub mod files;
pub mod guard;
pub mod http;
pub mod lock;
pub mod log;
pub mod metrics;
pub mod probe;
pub mod process;
pub mod redact;
pub mod shutdown;
pub mod tls;
