//! Where event times run backwards in the order in which events were published.

use mprism_clickhouse::Tier;
use mprism_model::DataType;
use serde::Deserialize;

use super::super::prove::BACKWARDS_TOLERANCE_MS;
use super::super::shape::Shape;
use super::stores::{QUERY_WITHIN, name, of_markets};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Sequences whose times are looked at together: only where a bucket is conspicuous are its market's rows sorted.
const BUCKET: u64 = 4_096;

/// Events of a market that are older than the one before by more than the tolerance.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Backwards {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) rows: u64,
    /// By how much at most, in milliseconds.
    pub(crate) most: i64,
}

#[derive(Deserialize)]
struct Conspicuous {
    exchange: String,
    symbol: String,
}

/// Finds them, of what came by websocket: what was asked for afterwards is older.
pub(super) async fn backwards(reader: &Reader, data_type: DataType, within: &str) -> Result<Vec<Backwards>, CliError> {
    if !Shape::of(data_type).has_venue_time {
        return Ok(Vec::new());
    }
    let from = format!(
        "{} WHERE {within} AND source = 'ws'",
        name(Tier::Hot, data_type.table())
    );
    let tolerance = BACKWARDS_TOLERANCE_MS;
    let query = format!(
        "SELECT DISTINCT exchange, symbol FROM (SELECT exchange, symbol, low, high, lagInFrame(high, 1, low) OVER (PARTITION \
         BY exchange, market_type, symbol, producer_epoch ORDER BY bucket ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before \
         FROM (SELECT exchange, market_type, symbol, producer_epoch, intDiv(producer_seq, {BUCKET}) AS bucket, \
         min(toUnixTimestamp64Milli(timestamp)) AS low, max(toUnixTimestamp64Milli(timestamp)) AS high FROM {from} \
         GROUP BY exchange, market_type, symbol, producer_epoch, bucket)) \
         WHERE before > low + {tolerance} OR high > low + {tolerance}"
    );
    let conspicuous: Vec<Conspicuous> = reader.rows(&query, QUERY_WITHIN).await?;
    if conspicuous.is_empty() {
        return Ok(Vec::new());
    }
    let markets: Vec<super::Market> = conspicuous
        .into_iter()
        .map(|found| (found.exchange, found.symbol))
        .collect();
    let query = format!(
        "SELECT exchange, symbol, count() AS rows, max(before - time) AS most FROM (SELECT exchange, symbol, \
         toUnixTimestamp64Milli(timestamp) AS time, lagInFrame(time, 1, time) OVER (PARTITION BY exchange, market_type, symbol, \
         producer_epoch ORDER BY producer_seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before FROM {from} AND {}) \
         WHERE before > time + {tolerance} GROUP BY exchange, symbol ORDER BY exchange, symbol",
        of_markets(&markets)
    );
    reader.rows(&query, QUERY_WITHIN).await
}
