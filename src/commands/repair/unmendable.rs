//! What no source can mend: told, with why.

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError};
use mprism_model::DataType;
use serde::Deserialize;

use super::plan::{Action, Kind, Work};

/// Clocks differ; what is further ahead than this is from no present.
const AHEAD_MAX_S: u32 = 60;

#[derive(Row, Deserialize)]
struct Wrong {
    exchange: String,
    symbol: String,
    rows: u64,
    first: i64,
    last: i64,
}

/// Returns what is never zero where a venue said it, in SQL.
fn zero(data_type: DataType) -> Option<&'static str> {
    match data_type {
        DataType::Trade => Some("price = 0 OR quantity = 0"),
        DataType::OrderBook => Some("bids_count > 0 AND best_bid_price = 0 OR asks_count > 0 AND best_ask_price = 0"),
        DataType::Liquidation => Some("quantity = 0"),
        DataType::LsrTopPosition | DataType::LsrAllAccount => Some("long_short_ratio = 0"),
        DataType::VolatilityIndex => Some("index_value = 0"),
        // Where a venue says a mark price it always does.
        DataType::FundingRate => Some(
            "mark_price = 0 AND (exchange, symbol, kind, source) IN (SELECT exchange, symbol, kind, source \
             FROM marketprism_hot.funding_rates GROUP BY exchange, symbol, kind, source HAVING countIf(mark_price > 0) > count() / 2)",
        ),
        // Nothing open is said, too.
        DataType::OpenInterest | DataType::Gap => None,
    }
}

/// Plans nothing, and says why.
pub(super) async fn plan(store: &Store, data_type: DataType, condition: &str) -> Result<Vec<Action>, StoreError> {
    let future = format!("timestamp > now64(3) + toIntervalSecond({AHEAD_MAX_S})");
    let ahead = "the row is from the future: its time was written with it, and no source tells another";
    let zeros = "a value is zero where the venue says one: what it was is not in the store any more";
    let mut actions = Vec::new();
    for (wrong, why) in [(Some(future.as_str()), ahead), (zero(data_type), zeros)] {
        let Some(wrong) = wrong else { continue };
        let query = format!(
            "SELECT exchange, symbol, count() AS rows, toUnixTimestamp64Milli(min(timestamp)) AS first, \
             toUnixTimestamp64Milli(max(timestamp)) AS last FROM marketprism_hot.{} WHERE ({condition}) AND ({wrong}) \
             GROUP BY exchange, symbol ORDER BY exchange, symbol",
            data_type.table()
        );
        for row in store.fetch_all::<Wrong>(&query).await? {
            actions.push(
                Action::new(Kind::NotMendable, row.rows, why, Work::Nothing)
                    .about(data_type, &row.exchange, &row.symbol)
                    .within((row.first, row.last)),
            );
        }
    }
    Ok(actions)
}
