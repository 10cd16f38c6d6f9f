//! Rows of a few markets, exactly: for what a first look leaves open.

use mprism_clickhouse::Tier;
use mprism_model::DataType;
use serde::Deserialize;

use super::super::shape::Shape;
use super::Market;
use super::stores::{QUERY_WITHIN, name, of_markets};
use crate::commands::store::Reader;
use crate::error::CliError;

/// How often rows of one market are there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Doubled {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) rows: u64,
    /// Distinct producer identities.
    pub(crate) identities: u64,
    /// Distinct natural ids.
    pub(crate) ids: u64,
    /// Distinct contents of natural ids.
    pub(crate) contents: u64,
}

/// A row of one of two stores: who it is, and what it says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) producer_epoch: u64,
    pub(crate) producer_seq: u64,
    pub(crate) hash: u64,
    /// The start of its window, in milliseconds since the epoch.
    pub(crate) start: i64,
    /// When it was stored, in milliseconds since the epoch.
    pub(crate) inserted: i64,
    /// Whether a rule about its values holds: then that is what is wrong with it.
    pub(crate) is_wrong: u8,
}

/// Counts identities exactly.
pub(super) async fn doubled(
    reader: &Reader,
    tier: Tier,
    data_type: DataType,
    markets: &[Market],
    within: &str,
) -> Result<Vec<Doubled>, CliError> {
    if markets.is_empty() {
        return Ok(Vec::new());
    }
    let Shape { id, content, .. } = Shape::of(data_type);
    let query = format!(
        "SELECT exchange, symbol, count() AS rows, uniqExact(producer_epoch, producer_seq) AS identities, \
         uniqExact(market_type, {id}) AS ids, uniqExact(market_type, {content}) AS contents FROM {} \
         WHERE {within} AND {} GROUP BY exchange, symbol ORDER BY exchange, symbol",
        name(tier, data_type.table()),
        of_markets(markets)
    );
    reader.rows(&query, QUERY_WITHIN).await
}
