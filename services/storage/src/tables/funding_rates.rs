//! `funding_rates`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{Decimal, DecimalText, FundingRate, UnixMillis, funding_rate_content_hash};
use serde::Deserialize;

use super::rowbinary::{
    put_absent, put_decimal, put_head, put_market, put_optional, put_receive_time, put_text, put_time,
};
use super::{Found, Place, Shape};
use crate::row::{Market, Natural};

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, \
              funding_rate, funding_time, next_funding_time, mark_price, index_price, data_source, ts_recv, source, kind, \
              estimated_funding_rate, premium_index, funding_interval",
    has_created_at: true,
    natural_text: "concat(toString(toUnixTimestamp64Milli(timestamp)), ':', kind)",
    natural_number: None,
    lookup_max: 5_000,
};

/// A rate is told apart by the venue's event time and whether it was paid.
pub(crate) fn natural(ts: UnixMillis, kind: &str) -> Natural {
    Natural::Text(format!("{}:{kind}", ts.0).into())
}

pub(super) fn encode(rate: &FundingRate, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    let ts = rate.origin.ts;
    put_time(out, ts);
    put_market(out, market);
    put_decimal(out, rate.current_funding_rate.value());
    // As in the original: a time that the message does not have is that of the message.
    put_time(out, rate.funding_ts.unwrap_or(ts));
    put_time(out, rate.next_funding_ts.unwrap_or(ts));
    put_absent(out, rate.mark_price.as_ref());
    put_absent(out, rate.index_price.as_ref());
    put_text(out, "marketprism");
    put_receive_time(out, rate.origin.ts_recv);
    put_text(out, rate.origin.source.as_str());
    put_text(out, rate.kind.as_str());
    put_optional(out, rate.estimated_funding_rate.as_ref().map(DecimalText::value));
    put_optional(out, rate.premium_index.as_ref().map(DecimalText::value));
    put_text(out, rate.funding_interval.as_deref().unwrap_or_default());
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    timestamp: i64,
    funding_rate: i128,
    kind: String,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let database = place.tier.database();
    let query = format!(
        "SELECT exchange, market_type, symbol, timestamp, funding_rate, kind, producer_epoch, producer_seq \
         FROM {database}.funding_rates WHERE {condition}"
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    let found = rows.into_iter().map(|row| {
        let ts = UnixMillis(row.timestamp);
        // As with trades: every value of the column type is a decimal of ours.
        let rate = Decimal::from_scaled(row.funding_rate).unwrap_or_default();
        Found {
            market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
            natural: natural(ts, &row.kind),
            identity: super::identity(row.producer_epoch, row.producer_seq),
            content: funding_rate_content_hash(ts, &row.kind, rate),
        }
    });
    Ok(found.collect())
}
