//! `liquidations`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{Decimal, Liquidation, LiquidationStatus, UnixMillis, liquidation_content_hash};
use serde::Deserialize;

use super::rowbinary::{put_absent, put_decimal, put_head, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape};
use crate::row::{Market, Natural};

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, side, price, \
              quantity, liquidation_time, data_source, ts_recv, source, liquidation_id, status, filled_quantity, \
              average_price, bankruptcy_price, contracts",
    has_created_at: true,
    natural_text: "liquidation_id",
    natural_number: None,
    lookup_max: 5_000,
};

pub(super) fn encode(liquidation: &Liquidation, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    put_time(out, liquidation.origin.ts);
    put_market(out, market);
    put_text(out, liquidation.side.as_str());
    put_decimal(out, liquidation.price.value());
    put_decimal(out, liquidation.quantity.value());
    put_time(out, liquidation.liquidation_ts);
    put_text(out, "marketprism");
    put_receive_time(out, liquidation.origin.ts_recv);
    put_text(out, liquidation.origin.source.as_str());
    put_text(out, &liquidation.liquidation_id);
    put_text(out, liquidation.status.map_or("", LiquidationStatus::as_str));
    put_absent(out, liquidation.filled_quantity.as_ref());
    put_absent(out, liquidation.average_price.as_ref());
    put_absent(out, liquidation.bankruptcy_price.as_ref());
    put_absent(out, liquidation.contracts.as_ref());
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    liquidation_id: String,
    price: i128,
    quantity: i128,
    side: String,
    liquidation_time: i64,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let database = place.tier.database();
    let query = format!(
        "SELECT exchange, market_type, symbol, liquidation_id, price, quantity, side, liquidation_time, producer_epoch, \
         producer_seq FROM {database}.liquidations WHERE {condition}"
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    // As with trades: every value of the column type is a decimal of ours.
    let decimal = |units: i128| Decimal::from_scaled(units).unwrap_or_default();
    let found = rows.into_iter().map(|row| Found {
        market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
        identity: super::identity(row.producer_epoch, row.producer_seq),
        content: liquidation_content_hash(
            &row.liquidation_id,
            decimal(row.price),
            decimal(row.quantity),
            &row.side,
            UnixMillis(row.liquidation_time),
        ),
        natural: Natural::Text(row.liquidation_id.into()),
    });
    Ok(found.collect())
}
