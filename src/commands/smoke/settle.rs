//! The end of a simulated market: nothing more is sent, and everything that was arrives.

use std::time::{Duration, Instant};

use mprism_settings::{Settings, loopback};
use serde::Deserialize;

use super::reconcile::counts;
use crate::commands::store::Reader;
use crate::error::CliError;

/// Nothing new for so long, and nothing more comes.
const QUIET_FOR: Duration = Duration::from_secs(2);
/// Between looks at something that changes elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What came of waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// Trades that are stored.
    pub(crate) rows: u64,
    /// Trades that were sent.
    pub(crate) sent: u64,
}

/// Stops sending and waits until as many rows are stored as were sent, or nothing is on its way any more; no longer than `within`.
pub(crate) async fn settle(settings: &Settings, within: Duration) -> Result<Settled, CliError> {
    let sim = loopback(settings.sim.port);
    crate::commands::sim::pause(sim).await?;
    let sent = sent_trades(settings).await?;
    let began = Instant::now();
    let (mut rows, mut still) = (stored_trades(settings).await?, Instant::now());
    while began.elapsed() < within {
        let is_quiet = still.elapsed() >= QUIET_FOR || rows >= sent;
        if is_quiet && !is_on_its_way(settings).await && open_gaps(settings, within).await? == 0 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let before = std::mem::replace(&mut rows, stored_trades(settings).await?);
        if rows != before {
            still = Instant::now();
        }
    }
    Ok(Settled { rows, sent })
}

/// Returns how many trades the simulator has sent.
pub(crate) async fn sent_trades(settings: &Settings) -> Result<u64, CliError> {
    let trades = counts(loopback(settings.sim.port)).await?.remove("trade");
    let exchanges = trades.into_iter().flat_map(|exchanges| exchanges.into_values());
    Ok(exchanges.flat_map(|symbols| symbols.into_values()).sum())
}

/// Returns how many trades are stored.
pub(crate) async fn stored_trades(settings: &Settings) -> Result<u64, CliError> {
    let rows = crate::commands::up::rows(settings).await?;
    Ok(rows.get("trade").copied().unwrap_or(0))
}

/// Returns whether the broker has messages that are not stored yet.
async fn is_on_its_way(settings: &Settings) -> bool {
    let streams = crate::commands::health::streams(settings).await.unwrap_or_default();
    streams.iter().any(|stream| stream.pending > 0)
}

/// Returns how many holes in trades are still asked for.
async fn open_gaps(settings: &Settings, within: Duration) -> Result<u64, CliError> {
    #[derive(Deserialize)]
    struct Open {
        rows: u64,
    }
    let reader = Reader::new(settings)?;
    let query = "SELECT count() AS rows FROM marketprism_hot.gaps_current WHERE type = 'trade' AND state = 'open'";
    let open: Open = reader.row(query, within).await?;
    Ok(open.rows)
}
