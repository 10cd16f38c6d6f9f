//! `open_interests`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::{Store, StoreError};
use mprism_model::{Decimal, OpenInterest, UnixMillis, open_interest_content_hash};
use serde::Deserialize;

use super::rowbinary::{put, put_absent, put_decimal, put_identity, put_market, put_text, put_time};
use super::{EVENT_TIME_NUMBER, EVENT_TIME_TEXT, Found, Shape};
use crate::row::{Row, natural_of_time};

pub(super) const SHAPE: Shape = Shape {
    columns: "timestamp, exchange, market_type, symbol, open_interest, open_interest_value, count, data_source, created_at, \
              ts_recv, ts_insert, producer_epoch, producer_seq, source, open_interest_unit, contracts, mark_price, index_price",
    natural_text: EVENT_TIME_TEXT,
    natural_number: Some(EVENT_TIME_NUMBER),
    lookup_max: 5_000,
};

pub(super) fn encode(interest: &OpenInterest, row: &Row, ts_insert: UnixMillis, out: &mut Vec<u8>) {
    put_time(out, interest.origin.ts);
    put_market(out, &row.market);
    put_decimal(out, interest.open_interest.value());
    put_absent(out, interest.value_usd.as_ref());
    put(out, &interest.count.unwrap_or(0).to_le_bytes());
    put_text(out, "marketprism");
    put_time(out, ts_insert);
    put_identity(out, row, ts_insert);
    put_text(out, interest.origin.source.as_str());
    put_text(out, interest.unit.as_deref().unwrap_or_default());
    put_absent(out, interest.contracts.as_ref());
    put_absent(out, interest.mark_price.as_ref());
    put_absent(out, interest.index_price.as_ref());
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    timestamp: i64,
    open_interest: i128,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(store: &Store, condition: &str) -> Result<Vec<Found>, StoreError> {
    let query = format!(
        "SELECT exchange, market_type, symbol, timestamp, open_interest, producer_epoch, producer_seq \
         FROM marketprism_hot.open_interests WHERE {condition}"
    );
    let rows = store.fetch_all::<Stored>(&query).await?;
    let found = rows.into_iter().map(|row| {
        let ts = UnixMillis(row.timestamp);
        // As with trades: every value of the column type is a decimal of ours.
        let interest = Decimal::from_scaled(row.open_interest).unwrap_or_default();
        Found {
            market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
            natural: natural_of_time(ts),
            identity: super::identity(row.producer_epoch, row.producer_seq),
            content: open_interest_content_hash(ts, interest),
        }
    });
    Ok(found.collect())
}
