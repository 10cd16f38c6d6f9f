//! `trades`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{Decimal, Side, Trade, UnixMillis, trade_content_hash};
use serde::Deserialize;

use super::rowbinary::{put, put_decimal, put_head, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape};
use crate::row::{Market, natural_of};

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, trade_id, \
              price, quantity, side, is_maker, trade_time, data_source, ts_recv, source, trade_seq, contracts",
    has_created_at: true,
    natural_text: "trade_id",
    natural_number: Some("toUInt64OrZero(trade_id)"),
    lookup_max: 5_000,
};

pub(super) fn encode(trade: &Trade, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    put_time(out, trade.ts);
    put_market(out, market);
    put_text(out, &trade.trade_id);
    put_decimal(out, trade.price.value());
    put_decimal(out, trade.quantity.value());
    put_text(out, trade.side.as_str());
    put(out, &[u8::from(trade.is_maker)]);
    put_time(out, trade.trade_ts);
    put_text(out, "marketprism");
    put_receive_time(out, trade.ts_recv);
    put_text(out, trade.source.as_str());
    put(out, &trade.sequence.unwrap_or(0).to_le_bytes());
    put_decimal(out, trade.contracts.as_ref().map_or(Decimal::ZERO, |size| size.value()));
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    trade_id: String,
    price: i128,
    quantity: i128,
    side: String,
    trade_time: i64,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let database = place.tier.database();
    let query = format!(
        "SELECT exchange, market_type, symbol, trade_id, price, quantity, side, trade_time, producer_epoch, producer_seq \
         FROM {database}.trades WHERE {condition}"
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    Ok(rows.into_iter().map(found).collect())
}

fn found(row: Stored) -> Found {
    let side = if row.side == Side::Buy.as_str() {
        Side::Buy
    } else {
        Side::Sell
    };
    // Every value of the column type is a decimal of ours; what were not would equal nothing we hold.
    let values = Decimal::from_scaled(row.price).zip(Decimal::from_scaled(row.quantity));
    let content = values.map_or(0, |(price, quantity)| {
        trade_content_hash(&row.trade_id, price, quantity, side, UnixMillis(row.trade_time))
    });
    Found {
        market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
        natural: natural_of(&row.trade_id),
        identity: super::identity(row.producer_epoch, row.producer_seq),
        content,
    }
}
