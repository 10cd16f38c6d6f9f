//! Rows for every table, and whether two places have the same of them: told by other means than the worker's own.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::net::SocketAddr;
use std::time::Duration;

use mprism_clickhouse::{Store, StoreOptions};
use mprism_model::DataType;
use mprism_storage::cold::{ColdOptions, LeaveOptions, StepObserver};

/// A minute and a day, in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 86_400_000;

/// A place that keeps what was ever written.
pub(crate) const TRUTH: &str = "truth";

/// Rows to be made.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// The first row's time, and the time between two rows, in milliseconds.
    pub(crate) from: i64,
    pub(crate) step: i64,
}

/// Returns the names of all tables.
pub(crate) fn tables() -> Vec<&'static str> {
    DataType::ALL.iter().map(|data_type| data_type.table()).collect()
}

pub(crate) fn now() -> i64 {
    mprism_runtime::clock::now_ms()
}

/// Returns what rows of a table say beyond what all rows say: columns, and values of the number `n`. Never of a float: its decimal
/// depends on whether the engine compiled the expression.
fn special(table: &str) -> (&'static str, &'static str) {
    match table {
        "orderbooks" => (
            "last_update_id, bids_count, best_bid_price, bid_levels, ask_levels",
            "n, 40, toDecimal128(1000 + n, 18), arrayMap(i -> CAST((toDecimal128(1000 + n - i, 18), toDecimal128(i, 18)), \
             'Tuple(price Decimal(38, 18), quantity Decimal(38, 18))'), range(1, 41)), []",
        ),
        "trades" => (
            "trade_id, price, quantity, side, trade_time",
            "toString(n), toDecimal128(60000 + n, 18), toDecimal128('0.000000000000000001', 18), 'buy', time",
        ),
        "funding_rates" => (
            "funding_rate, kind, estimated_funding_rate",
            "toDecimal128('-0.0001', 18), 'current', if(n % 2 = 0, NULL, toDecimal128(n, 18))",
        ),
        "open_interests" => ("open_interest, count", "toDecimal128(n, 18), n"),
        "liquidations" => (
            "liquidation_id, side, price",
            "toString(n), 'sell', toDecimal128(n, 18)",
        ),
        "lsr_top_positions" | "lsr_all_accounts" => ("long_short_ratio, period_ts", "toDecimal128(n, 18), time"),
        "volatility_indices" => ("index_value, underlying_asset", "toDecimal128(n, 18), 'BTC'"),
        "gaps" => ("gap_id, version, from_id", "toString(n), 1, toString(n)"),
        other => panic!("no rows of {other} are known"),
    }
}

/// Writes rows into the table as each of the databases has it: the same rows.
pub(crate) async fn fill(store: &Store, databases: &[&str], table: &str, rows: Rows) {
    let (columns, values) = special(table);
    let Rows {
        epoch,
        first,
        count,
        from,
        step,
    } = rows;
    for database in databases {
        let statement = format!(
            "INSERT INTO {database}.{table} (timestamp, exchange, market_type, symbol, {columns}, {}ts_recv, ts_insert, \
             producer_epoch, producer_seq, source) \
             SELECT fromUnixTimestamp64Milli(toInt64({from} + toInt64(n - {first}) * {step}), 'UTC') AS time, \
             if(n % 3 = 0, 'binance_spot', 'okx_spot'), 'spot', if(n % 2 = 0, 'BTC-USDT', 'ETH-USDT'), {values}, {}time, time, \
             {epoch}, n, 'ws' FROM (SELECT number + {first} AS n FROM numbers({count}))",
            if table == "gaps" { "" } else { "created_at, " },
            if table == "gaps" { "" } else { "time, " },
        );
        store.execute(&statement).await.expect("rows");
    }
}

/// Makes the place that keeps what was ever written.
pub(crate) async fn make_truth(store: &Store) {
    store.execute("CREATE DATABASE truth").await.expect("made");
    for table in tables() {
        let statement = format!("CREATE TABLE truth.{table} AS marketprism_hot.{table}");
        store.execute(&statement).await.expect("made");
    }
}

/// Returns count, count of identities and content of a table: not computed as the worker does.
pub(crate) async fn content(store: &Store, database: &str, table: &str) -> (u64, u64, u64) {
    let query = format!(
        "SELECT toString((count(), uniqExact(producer_epoch, producer_seq), sum(sipHash64(tuple(*))))) FROM {database}.{table}"
    );
    let text: String = store.fetch_one(&query).await.expect("rows");
    let numbers: Vec<u64> = text
        .trim_matches(['(', ')'])
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect();
    (numbers[0], numbers[1], numbers[2])
}

/// Says how the cold store differs from another place; nothing where it does not, and has no row twice.
pub(crate) async fn difference(store: &Store, cold: &Store, other: &str, table: &str) -> Result<(), String> {
    let wanted = content(store, other, table).await;
    let found = content(cold, "marketprism_cold", table).await;
    if wanted == found && found.0 == found.1 {
        return Ok(());
    }
    Err(format!("{table}: {other} has {wanted:?}, the cold store {found:?}"))
}

/// Returns options with which everything happens at once.
pub(crate) fn options(hot: &StoreOptions, listen: SocketAddr) -> ColdOptions {
    ColdOptions {
        listen,
        guard: None,
        hot: hot.clone(),
        cold: None,
        lock: None,
        data_types: DataType::ALL.to_vec(),
        interval: Duration::from_millis(20),
        window: Duration::from_secs(1),
        safety_lag: Duration::ZERO,
        look_back_interval: Duration::from_secs(3_600),
        lag_max: Duration::from_secs(900),
        rows_max: 500_000,
        bytes_max: 512 << 20,
        leave: None,
        retention_days: None,
        observer: StepObserver::default(),
    }
}

/// Partitions leave as soon as they may.
pub(crate) const AT_ONCE: Option<LeaveOptions> = Some(LeaveOptions {
    after_days: 1,
    delay: Duration::ZERO,
});

/// Asks an endpoint: status and body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("http://{address}{path}")).send().await;
    let answer = answer.map_err(|e| e.to_string())?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(|e| e.to_string())?))
}
