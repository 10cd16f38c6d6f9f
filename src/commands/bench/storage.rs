//! What the cold worker makes of a day of trades, against the engine's own copying of the same rows.

use std::time::{Duration, Instant};

use mprism_clickhouse::Store;
use mprism_storage::cold::{ColdOptions, LeaveOptions, run};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Better, Measured};
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::commands::worker;
use crate::error::CliError;

/// As many as MarketPrism says to have archived.
pub(super) const ROWS: u64 = 1_040_333;
const SAMPLES: usize = 5;
/// Of what the engine copies by itself, the cold worker copies and proves at least so much.
const COPY_BUDGET: f64 = 0.6;
/// From the hot store to the cold one, proven, and out of the hot store, proven again.
const WAY_BUDGET_MS: f64 = 60_000.0;
/// Something is wrong where it takes longer.
const WITHIN: Duration = Duration::from_secs(300);
/// Between looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Measures copying, and the whole way out of the hot store.
pub(super) async fn measure(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["init", "clickhouse"]).await?;
    home.mprism(&["start", "clickhouse"]).await?;
    let settings = home.settings()?;
    let store = worker::store(&settings)?;
    let options = ColdOptions {
        interval: LOOK_EVERY,
        ..worker::cold(&settings)?
    };
    execute(&store, "CREATE DATABASE bare").await?;
    execute(&store, "CREATE TABLE bare.trades AS marketprism_cold.trades").await?;
    let columns = insert_columns(&store).await?;
    let (mut bare, mut copies, mut proofs, mut ways) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=SAMPLES {
        fill(&store).await?;
        super::settled().await;
        let began = Instant::now();
        let copy = format!("INSERT INTO bare.trades ({columns}) SELECT {columns} FROM marketprism_hot.trades");
        execute(&store, &copy).await?;
        bare.push(rate(began));
        super::settled().await;
        let began = Instant::now();
        let copying = work(&options, None, || async {
            let proven = "SELECT sum(row_count) FROM marketprism_cold.window_ledger FINAL WHERE table = 'trades'";
            Ok(count(&store, proven).await? == ROWS)
        })
        .await?;
        proofs.push(rate(began));
        copies.push(ROWS as f64 / copying);
        for table in [
            "bare.trades",
            "marketprism_cold.trades",
            "marketprism_cold.window_ledger",
        ] {
            execute(&store, &format!("TRUNCATE TABLE {table}")).await?;
        }
        let began = Instant::now();
        let leave = LeaveOptions {
            after_days: 1,
            delay: Duration::ZERO,
        };
        work(&options, Some(leave), || async {
            let left = "SELECT sum(row_count) FROM marketprism_cold.departures FINAL";
            let here = "SELECT count() FROM (SELECT 1 FROM marketprism_hot.trades UNION ALL SELECT 1 FROM marketprism_leaving.trades)";
            Ok(count(&store, left).await? == ROWS && count(&store, here).await? == 0)
        })
        .await?;
        ways.push(began.elapsed());
        if count(
            &store,
            "SELECT uniqExact(producer_epoch, producer_seq) FROM marketprism_cold.trades",
        )
        .await?
            != ROWS
        {
            return Err(CliError::failed(
                "bench",
                anyhow::anyhow!("the cold store has not each row once"),
            ));
        }
        for table in [
            "marketprism_cold.trades",
            "marketprism_cold.window_ledger",
            "marketprism_cold.departures",
        ] {
            execute(&store, &format!("TRUNCATE TABLE {table}")).await?;
        }
        context.printer.note(&format!(
            "{round}/{SAMPLES}: bare {:.0} rows/s, copied {:.0} rows/s, copied and proven {:.0} rows/s, all the way {:?}",
            bare[round - 1],
            copies[round - 1],
            proofs[round - 1],
            ways[round - 1]
        ));
    }
    let ceiling = super::median_of(&bare);
    let exported = super::export::measure(home, &store, context).await?;
    let mut results = vec![
        Measured::of(
            "cold_copy",
            "rows/s",
            Better::Higher,
            &copies,
            Some(super::rounded(ceiling * COPY_BUDGET)),
            Some(ceiling),
        ),
        // From a worker that does not run yet to all of it proven.
        Measured::of("cold_proven", "rows/s", Better::Higher, &proofs, None, Some(ceiling)),
        Measured::new("cold_way", &ways, Some(WAY_BUDGET_MS), None),
        exported,
    ];
    results.extend(super::integrity::measure(home, context).await?);
    // Last: from then on the table takes inserts of the worker only.
    results.extend(super::hot::measure(home, &store, context).await?);
    Ok(results)
}

fn rate(began: Instant) -> f64 {
    ROWS as f64 / began.elapsed().as_secs_f64()
}

/// Runs the worker until something holds. Returns how long it copied trades, in seconds.
async fn work<F: Future<Output = Result<bool, CliError>>>(
    options: &ColdOptions,
    leave: Option<LeaveOptions>,
    is_done: impl Fn() -> F,
) -> Result<f64, CliError> {
    let shutdown = CancellationToken::new();
    let options = ColdOptions {
        leave,
        ..options.clone()
    };
    let listen = options.listen;
    let running = tokio::spawn(run(options, shutdown.clone()));
    let deadline = Instant::now() + WITHIN;
    let mut is_late = false;
    while !is_done().await? && !running.is_finished() && !is_late {
        tokio::time::sleep(LOOK_EVERY).await;
        is_late = Instant::now() > deadline;
    }
    let said = mprism_runtime::probe::get(listen, "/stats", Duration::from_secs(5)).await;
    shutdown.cancel();
    let ended = running.await.map_err(|e| CliError::failed("bench", e))?;
    ended.map_err(|e| CliError::failed("bench", e).context("the cold worker ended"))?;
    if is_late {
        let text = format!("the cold worker is not done after {WITHIN:?}");
        return Err(CliError::failed("bench", anyhow::Error::msg(text)));
    }
    let (_, said) =
        said.map_err(|e| CliError::failed("bench", anyhow::Error::msg(e)).context("the cold worker does not answer"))?;
    let stats: Value = serde_json::from_str(&said).map_err(|e| CliError::failed("bench", e))?;
    Ok(stats["storage_stats"]["tables"]["trades"]["copying_s"]
        .as_f64()
        .unwrap_or(f64::NAN))
}

pub(super) async fn execute(store: &Store, statement: &str) -> Result<(), CliError> {
    let done = store.execute(statement).await;
    done.map_err(|e| CliError::failed("bench", e).context("the engine refused a statement"))
}

pub(super) async fn count(store: &Store, query: &str) -> Result<u64, CliError> {
    let counted = store.fetch_one(query).await;
    counted.map_err(|e| CliError::failed("bench", e).context("the engine refused a query"))
}

/// Returns the columns that rows are written with.
pub(super) async fn insert_columns(store: &Store) -> Result<String, CliError> {
    let query = "SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns \
                 WHERE database = 'marketprism_hot' AND table = 'trades' AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')";
    let columns = store.fetch_one(query).await;
    columns.map_err(|e| CliError::failed("bench", e).context("the engine refused a query"))
}

/// Writes a day of trades of two symbols, five days ago.
pub(super) async fn fill(store: &Store) -> Result<(), CliError> {
    let statement = format!(
        "INSERT INTO marketprism_hot.trades (timestamp, exchange, market_type, symbol, trade_id, price, quantity, side, \
         trade_time, created_at, ts_recv, ts_insert, producer_epoch, producer_seq, source) \
         SELECT addMilliseconds(toDateTime64(today() - 5, 3, 'UTC'), intDiv(number * 86399999, {ROWS})) AS time, 'binance_spot', \
         'spot', if(number % 2 = 0, 'BTC-USDT', 'ETH-USDT'), toString(5000000000 + number), \
         toDecimal128(60000 + number % 1000, 18), toDecimal128(cityHash64(number) % 100000, 3), \
         if(number % 3 = 0, 'buy', 'sell'), time, time, time, time, 7, number, 'ws' FROM numbers({ROWS})"
    );
    execute(store, &statement).await
}
