//! `open_interests`.

use mprism_clickhouse::StoreError;
use mprism_model::{DataType, OpenInterest, UnixMillis, open_interest_content_hash};

use super::rowbinary::{put, put_absent, put_decimal, put_identity, put_market, put_text, put_time};
use super::{Found, Place, Shape, by_time};
use crate::row::Row;

pub(super) const SHAPE: Shape = Shape {
    columns: "timestamp, exchange, market_type, symbol, open_interest, open_interest_value, count, data_source, created_at, \
              ts_recv, ts_insert, producer_epoch, producer_seq, source, open_interest_unit, contracts, mark_price, index_price",
    natural_text: by_time::NATURAL_TEXT,
    natural_number: Some(by_time::NATURAL_NUMBER),
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

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let data_type = DataType::OpenInterest;
    by_time::find(place, data_type, "open_interest", open_interest_content_hash, condition).await
}
