//! `volatility_indices`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::{Store, StoreError};
use mprism_model::{Decimal, UnixMillis, VolatilityIndex, volatility_index_content_hash};
use serde::Deserialize;

use super::rowbinary::{put_date, put_decimal, put_identity, put_market, put_text, put_time};
use super::{EVENT_TIME_NUMBER, EVENT_TIME_TEXT, Found, Shape};
use crate::row::{Row, natural_of_time};

pub(super) const SHAPE: Shape = Shape {
    columns: "timestamp, exchange, market_type, symbol, index_value, underlying_asset, maturity_date, data_source, \
              created_at, ts_recv, ts_insert, producer_epoch, producer_seq, source",
    natural_text: EVENT_TIME_TEXT,
    natural_number: Some(EVENT_TIME_NUMBER),
    lookup_max: 5_000,
};

pub(super) fn encode(index: &VolatilityIndex, row: &Row, ts_insert: UnixMillis, out: &mut Vec<u8>) {
    put_time(out, index.origin.ts);
    put_market(out, &row.market);
    put_decimal(out, index.volatility_index.value());
    put_text(out, &index.currency);
    // An index of constant maturity has no such day: 1970-01-01, as the original's default.
    put_date(out, index.maturity.unwrap_or(UnixMillis(0)));
    put_text(out, "marketprism");
    put_time(out, ts_insert);
    put_identity(out, row, ts_insert);
    put_text(out, index.origin.source.as_str());
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    timestamp: i64,
    index_value: i128,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(store: &Store, condition: &str) -> Result<Vec<Found>, StoreError> {
    let query = format!(
        "SELECT exchange, market_type, symbol, timestamp, index_value, producer_epoch, producer_seq \
         FROM marketprism_hot.volatility_indices WHERE {condition}"
    );
    let rows = store.fetch_all::<Stored>(&query).await?;
    let found = rows.into_iter().map(|row| {
        let ts = UnixMillis(row.timestamp);
        // As with trades: every value of the column type is a decimal of ours.
        let index = Decimal::from_scaled(row.index_value).unwrap_or_default();
        Found {
            market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
            natural: natural_of_time(ts),
            identity: super::identity(row.producer_epoch, row.producer_seq),
            content: volatility_index_content_hash(ts, index),
        }
    });
    Ok(found.collect())
}
