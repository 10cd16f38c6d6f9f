//! `gaps`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{Gap, gap_content_hash};
use serde::Deserialize;

use super::rowbinary::{put, put_head, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape};
use crate::row::{Market, Natural};

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, timestamp, exchange, market_type, symbol, type, from_id, to_id, \
              from_ts, to_ts, cause, state, source, gap_id, version, ts_recv",
    has_created_at: false,
    natural_text: "concat(gap_id, '#', toString(version))",
    natural_number: None,
    lookup_max: 5_000,
};

pub(super) fn encode(gap: &Gap, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    put_time(out, gap.ts);
    put_market(out, market);
    put_text(out, gap.data_type.as_str());
    put_text(out, &gap.from_id);
    put_text(out, &gap.to_id);
    put_time(out, gap.from_ts);
    put_time(out, gap.to_ts);
    put_text(out, gap.cause.as_str());
    put_text(out, gap.state.as_str());
    put_text(out, gap.source.as_str());
    put_text(out, &gap.gap_id());
    put(out, &gap.version.to_le_bytes());
    put_receive_time(out, Some(gap.ts.into()));
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    gap_id: String,
    version: u32,
    to_id: String,
    cause: String,
    state: String,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let database = place.tier.database();
    let query = format!(
        "SELECT exchange, market_type, symbol, gap_id, version, to_id, cause, state, producer_epoch, producer_seq \
         FROM {database}.gaps WHERE {condition}"
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    let found = rows.into_iter().map(|row| Found {
        market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
        natural: Natural::Text(format!("{}#{}", row.gap_id, row.version).into()),
        identity: super::identity(row.producer_epoch, row.producer_seq),
        content: gap_content_hash(&row.gap_id, row.version, &row.to_id, &row.cause, &row.state),
    });
    Ok(found.collect())
}
