//! The worker: looks at every table, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mprism_clickhouse::{Store, Tier, ensure_schema};
use mprism_runtime::lock::LockError;
use mprism_runtime::log::chain;
use tokio_util::sync::CancellationToken;

use super::copier::Stores;
use super::mend::CopierLock;
use super::stats::Stats;
use super::table::{CopiedTable, Shared};
use super::{ColdError, ColdOptions, endpoints};

/// For so long history is copied before the newest windows have their turn again.
const HISTORY_FOR: Duration = Duration::from_secs(5);
/// Between two rounds while there is more to do: long enough for who waits for a turn to take it.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(20);

/// Copies until `shutdown` is cancelled; what is being copied then is finished first.
///
/// # Errors
/// Where the address is taken, or the process lacks what it cannot go without. Servers that are away, or are not what they should
/// be, are waited for, and told of in `/health`.
pub async fn run(options: ColdOptions, shutdown: CancellationToken) -> Result<(), ColdError> {
    // The address first: a second worker fails here before it touches anything.
    let listener = mprism_runtime::http::bind(options.listen).await?;
    let hot = Store::new(options.hot.clone())?;
    let stores = Stores {
        cold: options.cold.clone().map_or_else(|| Ok(hot.clone()), Store::new)?,
        are_one: options.cold.is_none(),
        hot,
    };
    let stats = Arc::new(Stats::new(&options.data_types));
    let options = Arc::new(options);
    let served = CancellationToken::new();
    let router = endpoints::router(Arc::clone(&stats), stores.clone(), Arc::clone(&options));
    let serving = tokio::spawn(mprism_runtime::http::serve_guarded(
        listener,
        options.guard.clone(),
        router,
        served.clone(),
    ));
    let shared = Shared {
        options,
        stores,
        stats,
        shutdown,
    };
    copy_all(shared).await;
    served.cancel();
    match serving.await {
        Ok(Ok(())) | Err(_) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
    }
}

async fn copy_all(shared: Shared) {
    let Shared {
        options,
        stats,
        shutdown,
        ..
    } = &shared;
    let table = |data_type| CopiedTable::new(data_type, shared.clone());
    let mut tables: Vec<CopiedTable> = options.data_types.iter().copied().map(table).collect();
    let mut are_made = false;
    while !shutdown.is_cancelled() {
        // A round at a time: an operator's command that copies has its turn between two of them.
        let turn = match options.lock.as_deref().map(CopierLock::acquire).transpose() {
            Ok(turn) => turn,
            Err(error) => {
                for table in &mut tables {
                    table.close().await;
                }
                // Whoever has it copies; anything else is in the way.
                if !matches!(error, LockError::Held { .. }) {
                    closed(&shared, &format!("nothing can be copied: {}", chain(&error)));
                }
                wait(options.interval, shutdown).await;
                continue;
            }
        };
        let began = Instant::now();
        are_made = are_made || make_tables(&shared).await;
        let mut is_more = false;
        if are_made {
            for table in &mut tables {
                if !shutdown.is_cancelled() {
                    table.begin().await;
                }
            }
            for table in &mut tables {
                if !shutdown.is_cancelled() {
                    table.advance().await;
                }
            }
            let deadline = Instant::now() + HISTORY_FOR;
            for table in &mut tables {
                if !shutdown.is_cancelled() {
                    is_more |= table.catch_up(deadline).await;
                }
            }
        }
        stats.cycled(began.elapsed(), is_more);
        drop(turn);
        wait(if is_more { BETWEEN_ROUNDS } else { options.interval }, shutdown).await;
    }
    for table in &mut tables {
        table.close().await;
    }
}

async fn wait(time: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// Says of every table why it is not copied now, and logs it the first time.
fn closed(shared: &Shared, why: &str) {
    let mut is_news = false;
    for data_type in &shared.options.data_types {
        is_news |= shared.stats.closed(data_type.table(), why);
    }
    if is_news {
        tracing::warn!(error = why, "no table is copied now");
    }
}

/// Makes the tables that are needed. Returns whether they are there.
async fn make_tables(shared: &Shared) -> bool {
    let stores = &shared.stores;
    for (store, tiers) in [
        (&stores.hot, &[Tier::Hot, Tier::Leaving][..]),
        (&stores.cold, &[Tier::Cold][..]),
    ] {
        match ensure_schema(store, tiers).await {
            Ok(report) => {
                if !report.created.is_empty() || !report.added.is_empty() {
                    tracing::info!(created = ?report.created, added = ?report.added, "tables made");
                }
            }
            Err(error) => {
                let why = format!("tables cannot be made: {}", chain(&error));
                closed(shared, &why);
                return false;
            }
        }
    }
    true
}
