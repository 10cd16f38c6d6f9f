//! What the running server says about its durability: proof instead of belief.

use std::time::Duration;

use serde::Deserialize;

use crate::{BrokerError, BrokerOptions, SyncPolicy};

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

/// Compares the running server's fsync policy with the wanted one.
pub(crate) async fn prove(options: &BrokerOptions) -> Result<(), BrokerError> {
    let monitor = options.monitor;
    let failed = |reason: String| BrokerError::Monitoring { monitor, reason };
    let answer = mprism_runtime::probe::get(monitor, "/varz", Duration::from_secs(5)).await;
    let (status, body) = answer.map_err(failed)?;
    if status != 200 {
        return Err(failed(format!("status {status}")));
    }
    let varz: Varz = serde_json::from_str(&body).map_err(|e| failed(e.to_string()))?;
    let found = match varz.jetstream.config {
        Some(config) if config.sync_always => Some(SyncPolicy::Always),
        Some(config) => Some(SyncPolicy::Every(Duration::from_nanos(config.sync_interval))),
        None => None,
    };
    if found == Some(options.sync) {
        return Ok(());
    }
    Err(BrokerError::Durability {
        wanted: format!("sync_interval {}", options.sync),
        found: found.map_or_else(|| "no JetStream".into(), |found| format!("sync_interval {found}")),
    })
}
