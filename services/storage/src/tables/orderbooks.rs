//! `orderbooks`.

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::StoreError;
use mprism_model::{Decimal, Level, OrderBook, Written, orderbook_content_hash};
use serde::Deserialize;

use super::rowbinary::{put, put_decimal, put_head, put_length, put_market, put_receive_time, put_text, put_time};
use super::{Found, Place, Shape};
use crate::row::{Market, Natural};

pub(super) const SHAPE: Shape = Shape {
    columns: "producer_epoch, producer_seq, ts_insert, created_at, timestamp, exchange, market_type, symbol, \
              last_update_id, bids_count, asks_count, best_bid_price, best_ask_price, best_bid_quantity, \
              best_ask_quantity, data_source, ts_recv, source, first_update_id, prev_update_id, update_type, bid_levels, \
              ask_levels",
    has_created_at: true,
    natural_text: "toString(last_update_id)",
    natural_number: Some("last_update_id"),
    // A row has 25 KB: what is read back at once stays small.
    lookup_max: 200,
};

pub(super) fn encode(book: &OrderBook, market: &Market, out: &mut Vec<u8>) {
    put_head(out, &SHAPE);
    let best = |levels: &[Level]| {
        let first = levels.first();
        first.map_or((Written::ZERO, Written::ZERO), |level| (level.price, level.quantity))
    };
    let (bid, ask) = (best(&book.bids), best(&book.asks));
    put_time(out, book.ts);
    put_market(out, market);
    put(out, &book.last_update_id.to_le_bytes());
    put(out, &(book.bids.len() as u32).to_le_bytes());
    put(out, &(book.asks.len() as u32).to_le_bytes());
    for value in [bid.0, ask.0, bid.1, ask.1] {
        put_decimal(out, value.decimal());
    }
    put_text(out, "marketprism");
    put_receive_time(out, book.ts_recv);
    put_text(out, book.source.as_str());
    // Where a chain begins there is nothing before it.
    put(out, &book.first_update_id.unwrap_or(0).to_le_bytes());
    put(out, &book.prev_update_id.unwrap_or(0).to_le_bytes());
    put_text(out, book.update_type.as_str());
    for levels in [&book.bids, &book.asks] {
        put_length(out, levels.len());
        for level in levels {
            put_decimal(out, level.price.decimal());
            put_decimal(out, level.quantity.decimal());
        }
    }
}

#[derive(ClickhouseRow, Deserialize)]
struct Stored {
    exchange: String,
    market_type: String,
    symbol: String,
    last_update_id: u64,
    bids_found: Vec<(i128, i128)>,
    asks_found: Vec<(i128, i128)>,
    producer_epoch: u64,
    producer_seq: u64,
}

pub(super) async fn find(place: Place<'_>, condition: &str) -> Result<Vec<Found>, StoreError> {
    let database = place.tier.database();
    // Without the names of its elements: the client's reader of column types does not know them.
    let levels = |column: &str| format!("CAST({column}, 'Array(Tuple(Decimal(38, 18), Decimal(38, 18)))')");
    let query = format!(
        "SELECT exchange, market_type, symbol, last_update_id, {} AS bids_found, {} AS asks_found, producer_epoch, \
         producer_seq FROM {database}.orderbooks WHERE {condition}",
        levels("bid_levels"),
        levels("ask_levels")
    );
    let rows = place.store.fetch_all::<Stored>(&query).await?;
    Ok(rows.into_iter().map(found).collect())
}

fn found(row: Stored) -> Found {
    // As with trades: every value of the column type is a decimal of ours.
    let decimal = |units: i128| Decimal::from_scaled(units).unwrap_or_default();
    let values = |levels: Vec<(i128, i128)>| levels.into_iter().map(move |(p, q)| (decimal(p), decimal(q)));
    let content = orderbook_content_hash(row.last_update_id, values(row.bids_found), values(row.asks_found));
    Found {
        market: super::market_of(&row.exchange, &row.market_type, &row.symbol),
        natural: Natural::Number(row.last_update_id),
        identity: super::identity(row.producer_epoch, row.producer_seq),
        content,
    }
}
