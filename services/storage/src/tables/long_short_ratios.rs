//! `lsr_top_positions` and `lsr_all_accounts`: they differ in the names of the shares.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{Decimal, LongShortRatio, Population, UnixMillis, long_short_ratio_content_hash};
use serde::Deserialize;

use super::rowbinary::{put_decimal, put_head, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape};
use crate::row::{Market, Natural};

const NATURAL_TEXT: &str = "concat(toString(toUnixTimestamp64Milli(period_ts)), ':', period)";

pub(super) const TOP_POSITIONS: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, \
              long_position_ratio, short_position_ratio, period, data_source, ts_recv, source, period_ts, long_short_ratio",
    has_created_at: true,
    natural_text: NATURAL_TEXT,
    natural_number: None,
    lookup_max: 5_000,
};

pub(super) const ALL_ACCOUNTS: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, \
              long_account_ratio, short_account_ratio, period, data_source, ts_recv, source, period_ts, long_short_ratio",
    has_created_at: true,
    natural_text: NATURAL_TEXT,
    natural_number: None,
    lookup_max: 5_000,
};

/// A ratio is told apart by the venue's label of its period, and the period's length.
pub(crate) fn natural(period_ts: UnixMillis, period: &str) -> Natural {
    Natural::Text(format!("{}:{period}", period_ts.0).into())
}

pub(super) fn encode(ratio: &LongShortRatio, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &TOP_POSITIONS);
    put_time(out, ratio.origin.ts);
    put_market(out, market);
    put_decimal(out, ratio.long_ratio.value());
    put_decimal(out, ratio.short_ratio.value());
    put_text(out, &ratio.period);
    put_text(out, "api");
    put_receive_time(out, ratio.origin.ts_recv);
    put_text(out, ratio.origin.source.as_str());
    put_time(out, ratio.period_ts);
    put_decimal(out, ratio.long_short_ratio.value());
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    period: String,
    period_ts: i64,
    long_short_ratio: i128,
    long_ratio: i128,
    short_ratio: i128,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(place: Place<'_>, population: Population, condition: &str) -> Result<Vec<Found>, StoreError> {
    let database = place.tier.database();
    let shares = match population {
        Population::TopPositions => "long_position_ratio AS long_ratio, short_position_ratio AS short_ratio",
        Population::AllAccounts => "long_account_ratio AS long_ratio, short_account_ratio AS short_ratio",
    };
    let query = format!(
        "SELECT exchange, market_type, symbol, period, period_ts, long_short_ratio, {shares}, producer_epoch, producer_seq \
         FROM {database}.{} WHERE {condition}",
        population.data_type().table()
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    // As with trades: every value of the column type is a decimal of ours.
    let decimal = |units: i128| Decimal::from_scaled(units).unwrap_or_default();
    let found = rows.into_iter().map(|row| {
        let period_ts = UnixMillis(row.period_ts);
        let values = [row.long_short_ratio, row.long_ratio, row.short_ratio].map(decimal);
        Found {
            market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
            natural: natural(period_ts, &row.period),
            identity: super::identity(row.producer_epoch, row.producer_seq),
            content: long_short_ratio_content_hash(&row.period, period_ts, values),
        }
    });
    Ok(found.collect())
}
