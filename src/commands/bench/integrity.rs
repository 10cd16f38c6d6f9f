//! What proving ten million rows takes, in a home of its own.

use std::time::{Duration, Instant};

use mprism_clickhouse::{Copy, Pace, Store, StoreOptions};

use super::{Better, Measured};
use crate::commands::Context;
use crate::commands::integrity::examine;
use crate::commands::isolated::IsolatedHome;
use crate::commands::worker;
use crate::error::CliError;

/// Rows of both stores together: half of them are in the hot one, and the same in the cold one, so that they are compared.
const ROWS: u64 = 10_000_000;
const SAMPLES: usize = 3;
const BUDGET_MS: f64 = 5_000.0;
/// A trade in the store, about.
const TRADE_BYTES: usize = 160;
/// Statements that write as many rows take longer than a worker's.
const WRITE_WITHIN: Duration = Duration::from_secs(600);

/// Measures `integrity` over a day of trades of four markets, half of the rows in each store. The engine runs already.
pub(super) async fn measure(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    // A broker that does not answer is waited for.
    home.mprism(&["init", "nats"]).await?;
    home.mprism(&["start", "nats"]).await?;
    let settings = home.settings()?;
    let options = StoreOptions {
        query_timeout: WRITE_WITHIN,
        insert_timeout: WRITE_WITHIN,
        ..worker::cold(&settings)?.hot
    };
    let store = Store::new(options).map_err(|e| CliError::failed("bench", e))?;
    let execute = async |statement: &str| {
        let done = store.execute(statement).await;
        done.map_err(|e| CliError::failed("bench", e).context("the engine refused a statement"))
    };
    execute("TRUNCATE TABLE marketprism_hot.trades").await?;
    execute("TRUNCATE TABLE marketprism_cold.trades").await?;
    execute(&fill(ROWS / 2)).await?;
    let columns = super::storage::insert_columns(&store).await?;
    // As a writer of the table: where the cold worker has run, it takes no other inserts.
    let table = "marketprism_cold.trades";
    let refused = |e: anyhow::Error| CliError::failed("bench", e).context("the engine refused a statement");
    let generation = store.fence(table).await.map_err(|e| refused(e.into()))?;
    let copy = Copy {
        table,
        columns: &columns,
        generation,
        select: &format!("SELECT {columns} FROM marketprism_hot.trades"),
        row_bytes: TRADE_BYTES,
        pace: Pace::Steady,
    };
    store.copy(&copy).await.map_err(|e| refused(e.into()))?;
    store.release(table, generation).await;
    super::settled().await;
    let mut took = Vec::new();
    for round in 1..=SAMPLES {
        let began = Instant::now();
        let report = examine(&settings, None).await?;
        took.push(began.elapsed());
        if report.rows() != ROWS || report.has_errors_about_rows() {
            let wrong = anyhow::anyhow!("the rows are not proven: {:?}", report.checks);
            return Err(CliError::failed("bench", wrong));
        }
        context
            .printer
            .note(&format!("{round}/{SAMPLES}: integrity {:?}", began.elapsed()));
    }
    execute("TRUNCATE TABLE marketprism_hot.trades").await?;
    execute("TRUNCATE TABLE marketprism_cold.trades").await?;
    let took: Vec<f64> = took.iter().map(super::in_ms).collect();
    Ok(vec![Measured::of(
        "integrity_10m_rows",
        "ms",
        Better::Lower,
        &took,
        Some(BUDGET_MS),
        None,
    )])
}

/// Trades as a collector publishes them: numbered without holes, in the order of their times.
fn fill(rows: u64) -> String {
    format!(
        "INSERT INTO marketprism_hot.trades (timestamp, exchange, market_type, symbol, trade_id, price, quantity, side, \
         trade_time, created_at, ts_recv, ts_insert, producer_epoch, producer_seq, source) \
         SELECT addMilliseconds(toDateTime64(today() - 1, 3, 'UTC'), intDiv(number * 86399999, {rows})) AS time, 'binance_spot', \
         'spot', ['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'XRP-USDT'][1 + number % 4], toString(5000000000 + intDiv(number, 4)), \
         toDecimal128(60000 + number % 1000, 18), toDecimal128(1 + cityHash64(number) % 100000, 3), \
         if(number % 3 = 0, 'buy', 'sell'), time, time, time, time, 7, number, 'ws' FROM numbers({rows})"
    )
}
