//! `volatility_indices`.

use mprism_clickhouse::StoreError;
use mprism_model::{DataType, UnixMillis, VolatilityIndex, volatility_index_content_hash};

use super::rowbinary::{put_date, put_decimal, put_head, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape, by_time};
use crate::row::Market;

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, index_value, \
              underlying_asset, maturity_date, data_source, ts_recv, source",
    has_created_at: true,
    natural_text: by_time::NATURAL_TEXT,
    natural_number: Some(by_time::NATURAL_NUMBER),
    lookup_max: 5_000,
};

pub(super) fn encode(index: &VolatilityIndex, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    put_time(out, index.origin.ts);
    put_market(out, market);
    put_decimal(out, index.volatility_index.value());
    put_text(out, &index.currency);
    // An index of constant maturity has no such day: 1970-01-01, as the original's default.
    put_date(out, index.maturity.unwrap_or(UnixMillis(0)));
    put_text(out, "marketprism");
    put_receive_time(out, index.origin.ts_recv);
    put_text(out, index.origin.source.as_str());
}

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let data_type = DataType::VolatilityIndex;
    by_time::find(
        place,
        data_type,
        "index_value",
        volatility_index_content_hash,
        condition,
    )
    .await
}
