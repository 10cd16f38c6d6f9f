//! Tables of one value at a time: told apart by the venue's event time.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{DataType, Decimal, UnixMillis};
use serde::Deserialize;

use super::{Found, Place};
use crate::row::natural_of_time;

/// The event time as a natural id; never `timestamp` itself, see the schema.
pub(super) const NATURAL_TEXT: &str = "toString(toUnixTimestamp64Milli(timestamp))";
/// The same as a number.
pub(super) const NATURAL_NUMBER: &str = "toUInt64(toUnixTimestamp64Milli(timestamp))";

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    timestamp: i64,
    value: i128,
    producer_epoch: u64,
    producer_seq: u64,
}

/// Reads back rows whose content is the value in `column`.
pub(super) async fn find(
    place: Place<'_>,
    data_type: DataType,
    column: &str,
    content: impl Fn(UnixMillis, Decimal) -> u64,
    condition: &str,
) -> Result<Vec<Found>, StoreError> {
    let query = format!(
        "SELECT exchange, market_type, symbol, timestamp, {column} AS value, producer_epoch, producer_seq FROM {} \
         WHERE {condition}",
        super::name_in(place.tier, data_type)
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    let found = rows.into_iter().map(|row| {
        let ts = UnixMillis(row.timestamp);
        // As with trades: every value of the column type is a decimal of ours.
        let value = Decimal::from_scaled(row.value).unwrap_or_default();
        Found {
            market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
            natural: natural_of_time(ts),
            identity: super::identity(row.producer_epoch, row.producer_seq),
            content: content(ts, value),
        }
    });
    Ok(found.collect())
}
