//! Rows that say the same: found by what they say, removed by where they stand.
//!
//! **Why a kill in between loses nothing.** One statement deletes exactly the surplus copies, named by part and offset within the
//! part; the first copy is never touched, and nothing is written again, so there is no moment without the row. The engine notes
//! the mutation on disk before it begins and finishes it in its next life. A part's content never changes under its name: where
//! parts were merged or changed between looking and deleting the name is gone, and the deletion does nothing; then it is looked
//! again. Which copy stays depends on the rows and their places alone, so an earlier repair's deletion that still runs, or runs
//! late, takes the same copies as this one; and this one waits for it all the same.
//! Running workers only add parts, and know rows by what these say, not by where they stand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError, Tier};
use mprism_model::DataType;
use serde::Deserialize;

use super::plan::{Action, Copy, Kind, Work, surplus};

/// How often is looked again where parts were merged meanwhile.
const ATTEMPTS: usize = 10;
/// How long an earlier deletion may take to finish.
const EARLIER_WITHIN: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Rows that one statement names.
const NAMED_ROWS: usize = 2_000;

/// A copy, and of whom it is.
#[derive(Clone, Debug, Row, Deserialize)]
struct Found {
    hash: u64,
    exchange: String,
    symbol: String,
    day_number: u16,
    time: i64,
    stored: i64,
    producer_epoch: u64,
    producer_seq: u64,
    partition: String,
    part: String,
    offset: u64,
}

impl Found {
    fn copy(&self) -> Copy {
        Copy {
            hash: self.hash,
            stored: self.stored,
            producer_epoch: self.producer_epoch,
            producer_seq: self.producer_seq,
            part: self.part.clone(),
            offset: self.offset,
        }
    }
}

/// Returns the columns that rows of one natural id have in common if they are the same event.
fn content(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Trade => "trade_id, price, quantity, side, trade_time",
        DataType::OrderBook => "last_update_id, bid_levels, ask_levels",
        DataType::FundingRate => "timestamp, kind, funding_rate",
        DataType::OpenInterest => "timestamp, open_interest",
        DataType::Liquidation => "liquidation_id, timestamp, side, price, quantity",
        DataType::LsrTopPosition | DataType::LsrAllAccount => "period_ts, period, long_short_ratio",
        DataType::VolatilityIndex => "timestamp, index_value",
        DataType::Gap => "gap_id, version, to_id, cause, state",
    }
}

/// Finds copies: all of the same, the first too.
async fn find(store: &Store, tier: Tier, data_type: DataType, condition: &str) -> Result<Vec<Found>, StoreError> {
    let table = format!("{}.{}", tier.database(), data_type.table());
    let hash = format!(
        "cityHash64(tuple(exchange, market_type, symbol, {}))",
        content(data_type)
    );
    let query = format!(
        "SELECT {hash} AS hash, exchange, symbol, toUInt16(day) AS day_number, toUnixTimestamp64Milli(timestamp) AS time, \
         toUnixTimestamp64Milli(ts_insert) AS stored, producer_epoch, producer_seq, _partition_id AS partition, \
         _part AS part, _part_offset AS offset FROM {table} WHERE {condition} AND {hash} IN (SELECT h FROM (SELECT {hash} AS h \
         FROM {table} WHERE {condition}) GROUP BY h HAVING count() > 1)"
    );
    store.fetch_all(&query).await
}

/// What one market has more than once of one day.
struct Doubled {
    /// How many copies go.
    rows: u64,
    hashes: Vec<u64>,
    /// The first and the last row's time, in milliseconds since the Unix epoch.
    span: (i64, i64),
}

/// Plans the removal of what a tier has more than once.
pub(super) async fn plan(
    store: &Store,
    tier: Tier,
    data_type: DataType,
    condition: &str,
) -> Result<Vec<Action>, StoreError> {
    let found = find(store, tier, data_type, condition).await?;
    let copies: Vec<Copy> = found.iter().map(Found::copy).collect();
    let gone = surplus(&copies, |copy| copy.hash);
    let mut by_market: BTreeMap<(&str, &str, u16), Doubled> = BTreeMap::new();
    for row in &found {
        let key = (row.exchange.as_str(), row.symbol.as_str(), row.day_number);
        let market = by_market.entry(key).or_insert_with(|| Doubled {
            rows: 0,
            hashes: Vec::new(),
            span: (row.time, row.time),
        });
        market.rows += u64::from(gone.binary_search(&row.copy()).is_ok());
        market.hashes.push(row.hash);
        market.span = (market.span.0.min(row.time), market.span.1.max(row.time));
    }
    let actions = by_market
        .into_iter()
        .map(|((exchange, symbol, _), Doubled { rows, mut hashes, span })| {
            hashes.sort_unstable();
            hashes.dedup();
            let detail = format!("{}.{}: the first of each stays", tier.database(), data_type.table());
            let work = Work::Deduplicate {
                tier,
                data_type,
                hashes,
            };
            Action::new(Kind::RemoveDuplicates, rows, detail, work)
                .about(data_type, exchange, symbol)
                .within(span)
        });
    Ok(actions.collect())
}

/// Why copies are still there.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoveError {
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    #[error("an earlier deletion is not finished after {EARLIER_WITHIN:?}")]
    Earlier,
    #[error("{rows} copies stood somewhere else each time, {ATTEMPTS} times")]
    Moving { rows: usize },
}

/// Removes all but the first of each. Returns how many rows are gone.
pub(super) async fn remove(store: &Store, tier: Tier, data_type: DataType, hashes: &[u64]) -> Result<u64, RemoveError> {
    let table = format!("{}.{}", tier.database(), data_type.table());
    let mut removed = 0;
    for hashes in hashes.chunks(NAMED_ROWS) {
        let list: Vec<String> = hashes.iter().map(u64::to_string).collect();
        let hash = format!(
            "cityHash64(tuple(exchange, market_type, symbol, {}))",
            content(data_type)
        );
        let condition = format!("{hash} IN ({})", list.join(","));
        let mut attempts = 0;
        let mut before: Option<usize> = None;
        loop {
            finish_earlier(store, tier, data_type).await?;
            let found = find(store, tier, data_type, &condition).await?;
            let copies: Vec<Copy> = found.iter().map(Found::copy).collect();
            let gone = surplus(&copies, |copy| copy.hash);
            removed += before.map_or(0, |before| before.saturating_sub(gone.len())) as u64;
            if gone.is_empty() {
                break;
            }
            if attempts == ATTEMPTS {
                return Err(RemoveError::Moving { rows: gone.len() });
            }
            attempts += 1;
            before = Some(gone.len());
            let mut by_partition: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for row in found.iter().filter(|row| gone.binary_search(&row.copy()).is_ok()) {
                let place = format!("('{}',{})", row.part, row.offset);
                by_partition.entry(&row.partition).or_default().push(place);
            }
            for (partition, places) in by_partition {
                let statement = format!(
                    "ALTER TABLE {table} DELETE IN PARTITION ID '{partition}' WHERE (_part, _part_offset) IN ({}) \
                     SETTINGS mutations_sync = 1",
                    places.join(",")
                );
                store.execute(&statement).await?;
            }
        }
    }
    Ok(removed)
}

/// Waits until nothing is being deleted from a table that somebody else asked for.
async fn finish_earlier(store: &Store, tier: Tier, data_type: DataType) -> Result<(), RemoveError> {
    let query = format!(
        "SELECT count() FROM system.mutations WHERE database = '{}' AND table = '{}' AND NOT is_done",
        tier.database(),
        data_type.table()
    );
    let began = Instant::now();
    while store.fetch_one::<u64>(&query).await? > 0 {
        if began.elapsed() > EARLIER_WITHIN {
            return Err(RemoveError::Earlier);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
