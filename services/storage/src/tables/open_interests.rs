//! `open_interests`.

use mprism_clickhouse::StoreError;
use mprism_model::{DataType, OpenInterest, open_interest_content_hash};

use super::rowbinary::{put, put_absent, put_decimal, put_head, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape, by_time};
use crate::row::Market;

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, \
              open_interest, open_interest_value, count, data_source, ts_recv, source, open_interest_unit, contracts, \
              mark_price, index_price",
    has_created_at: true,
    natural_text: by_time::NATURAL_TEXT,
    natural_number: Some(by_time::NATURAL_NUMBER),
    lookup_max: 5_000,
};

pub(super) fn encode(interest: &OpenInterest, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    put_time(out, interest.origin.ts);
    put_market(out, market);
    put_decimal(out, interest.open_interest.value());
    put_absent(out, interest.value_usd.as_ref());
    put(out, &interest.count.unwrap_or(0).to_le_bytes());
    put_text(out, "marketprism");
    put_receive_time(out, interest.origin.ts_recv);
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
