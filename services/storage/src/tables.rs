//! The tables: how a row is written, how what is there is read back. One place maps events to columns.

use std::collections::{BTreeMap, HashSet};

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::{DATABASE, Store, StoreError};
use mprism_model::{DataType, Decimal, Epoch, Event, ProducerId, Side, UnixMillis, UnixNanos, trade_content_hash};
use serde::Deserialize;

use crate::marks::Marks;
use crate::row::{Market, Natural, Row};
use crate::settle::Present;

/// Longest list in one question.
const LOOKUP_MAX: usize = 5_000;

/// Returns `database.table`.
pub(crate) fn full_name(data_type: DataType) -> String {
    format!("{DATABASE}.{}", data_type.table())
}

/// Returns the columns that [`encode`] writes, in its order.
pub(crate) fn columns(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Trade => {
            "timestamp, exchange, market_type, symbol, trade_id, price, quantity, side, is_maker, trade_time, data_source, \
             created_at, ts_recv, ts_insert, producer_epoch, producer_seq, source"
        }
        DataType::Gap => {
            "timestamp, exchange, market_type, symbol, type, from_id, to_id, from_ts, to_ts, cause, state, source, gap_id, \
             version, ts_recv, ts_insert, producer_epoch, producer_seq"
        }
    }
}

/// Appends a row in ClickHouse's RowBinary format.
///
/// The format: <https://clickhouse.com/docs/interfaces/formats/RowBinary>, integers little-endian, strings with a LEB128
/// length, DateTime64 as its ticks, Decimal(38, 18) as its scaled 128-bit integer.
pub(crate) fn encode(row: &Row, ts_insert: UnixMillis, out: &mut Vec<u8>) {
    let market = &row.market;
    match &row.event {
        Event::Trade(trade) => {
            put(out, &trade.ts.0.to_le_bytes());
            put_market(out, market);
            put_text(out, &trade.trade_id);
            put(out, &trade.price.value().scaled().to_le_bytes());
            put(out, &trade.quantity.value().scaled().to_le_bytes());
            put_text(out, trade.side.as_str());
            put(out, &[u8::from(trade.is_maker)]);
            put(out, &trade.trade_ts.0.to_le_bytes());
            put_text(out, "marketprism");
            put(out, &ts_insert.0.to_le_bytes());
            put(out, &recv_ticks(row.ts_recv()).to_le_bytes());
            put(out, &ts_insert.0.to_le_bytes());
            put(out, &row.identity.epoch.0.to_le_bytes());
            put(out, &row.identity.seq.to_le_bytes());
            put_text(out, trade.source.as_str());
        }
        Event::Gap(gap) => {
            put(out, &gap.ts.0.to_le_bytes());
            put_market(out, market);
            put_text(out, gap.data_type.as_str());
            put_text(out, &gap.from_id);
            put_text(out, &gap.to_id);
            put(out, &gap.from_ts.0.to_le_bytes());
            put(out, &gap.to_ts.0.to_le_bytes());
            put_text(out, gap.cause.as_str());
            put_text(out, gap.state.as_str());
            put_text(out, gap.source.as_str());
            put_text(out, &gap.gap_id());
            put(out, &gap.version.to_le_bytes());
            put(out, &recv_ticks(row.ts_recv()).to_le_bytes());
            put(out, &ts_insert.0.to_le_bytes());
            put(out, &row.identity.epoch.0.to_le_bytes());
            put(out, &row.identity.seq.to_le_bytes());
        }
    }
}

/// A receive time that nobody recorded is stored as the epoch.
fn recv_ticks(ts_recv: Option<UnixNanos>) -> i64 {
    ts_recv.map_or(0, |ts| ts.0)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn put_market(out: &mut Vec<u8>, market: &Market) {
    put_text(out, market.exchange.as_str());
    put_text(out, market.market_type.as_str());
    put_text(out, market.symbol.as_str());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends a String of the RowBinary format.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

#[derive(ClickhouseRow, Deserialize)]
struct EpochMark {
    producer_epoch: u64,
    producer_seq: u64,
}

#[derive(ClickhouseRow, Deserialize)]
struct MarketMark {
    exchange: String,
    market_type: String,
    symbol: String,
    id: u64,
}

/// Reads the marks of a table: what its writer has to know before its first insert.
pub(crate) async fn read_marks(store: &Store, data_type: DataType) -> Result<Marks, StoreError> {
    let table = full_name(data_type);
    let mut marks = Marks::default();
    let query =
        format!("SELECT producer_epoch, max(producer_seq) AS producer_seq FROM {table} GROUP BY producer_epoch");
    for mark in store.fetch_all::<EpochMark>(&query).await? {
        marks.raise_identity(ProducerId {
            epoch: Epoch(mark.producer_epoch),
            seq: mark.producer_seq,
        });
    }
    if data_type == DataType::Trade {
        let query = format!(
            "SELECT exchange, market_type, symbol, max(toUInt64OrZero(trade_id)) AS id FROM {table} \
             GROUP BY exchange, market_type, symbol"
        );
        for mark in store.fetch_all::<MarketMark>(&query).await? {
            if let Some(market) = market_of(&mark.exchange, &mark.market_type, &mark.symbol) {
                marks.raise_natural(&market, &Natural::Number(mark.id));
            }
        }
    }
    Ok(marks)
}

/// Rows of a market that this version does not know were written by a newer one; their messages do not come to us.
fn market_of(exchange: &str, market_type: &str, symbol: &str) -> Option<Market> {
    Some(Market {
        exchange: exchange.parse().ok()?,
        market_type: market_type.parse().ok()?,
        symbol: mprism_model::Symbol::new(symbol).ok()?,
    })
}

/// Reads back what the table has of the suspects.
pub(crate) async fn read_back(
    store: &Store,
    data_type: DataType,
    identities: &[ProducerId],
    naturals: &[(Market, Natural)],
) -> Result<Present, StoreError> {
    let mut present = Present::default();
    for condition in identity_conditions(identities) {
        read_into(store, data_type, &condition, &mut present).await?;
    }
    for condition in natural_conditions(data_type, naturals) {
        read_into(store, data_type, &condition, &mut present).await?;
    }
    Ok(present)
}

/// Sequences of one epoch stand close together: a range uses the index, a list keeps the answer small.
fn identity_conditions(identities: &[ProducerId]) -> Vec<String> {
    let mut by_epoch: BTreeMap<Epoch, Vec<u64>> = BTreeMap::new();
    for identity in identities {
        by_epoch.entry(identity.epoch).or_default().push(identity.seq);
    }
    let mut conditions = Vec::new();
    for (epoch, mut seqs) in by_epoch {
        seqs.sort_unstable();
        seqs.dedup();
        for part in seqs.chunks(LOOKUP_MAX) {
            let (low, high) = (part[0], part[part.len() - 1]);
            let epoch = epoch.0;
            conditions.push(if high - low < part.len() as u64 * 2 {
                format!("producer_epoch = {epoch} AND producer_seq BETWEEN {low} AND {high}")
            } else {
                let list = join(part.iter().map(u64::to_string));
                format!("producer_epoch = {epoch} AND producer_seq IN ({list})")
            });
        }
    }
    conditions
}

fn natural_conditions(data_type: DataType, naturals: &[(Market, Natural)]) -> Vec<String> {
    let mut by_market: Vec<(&Market, Vec<&Natural>)> = Vec::new();
    for (market, natural) in naturals {
        match by_market.iter_mut().find(|(found, _)| *found == market) {
            Some((_, list)) => list.push(natural),
            None => by_market.push((market, vec![natural])),
        }
    }
    let mut conditions = Vec::new();
    for (market, list) in by_market {
        let place = format!(
            "exchange = {} AND market_type = {} AND symbol = {}",
            quoted(market.exchange.as_str()),
            quoted(market.market_type.as_str()),
            quoted(market.symbol.as_str())
        );
        for part in list.chunks(LOOKUP_MAX) {
            let texts = join(part.iter().map(|natural| quoted(&natural.text())));
            let numbers: Vec<u64> = part
                .iter()
                .filter_map(|natural| match natural {
                    Natural::Number(number) => Some(*number),
                    Natural::Text(_) => None,
                })
                .collect();
            conditions.push(match data_type {
                // Where all are numbers, their range uses the index on the number.
                DataType::Trade if numbers.len() == part.len() => {
                    let low = numbers.iter().min().copied().unwrap_or(0);
                    let high = numbers.iter().max().copied().unwrap_or(u64::MAX);
                    format!("{place} AND toUInt64OrZero(trade_id) BETWEEN {low} AND {high} AND trade_id IN ({texts})")
                }
                DataType::Trade => format!("{place} AND trade_id IN ({texts})"),
                DataType::Gap => format!("{place} AND concat(gap_id, '#', toString(version)) IN ({texts})"),
            });
        }
    }
    conditions
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

/// Writes a text as an SQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[derive(ClickhouseRow, Deserialize)]
struct StoredTrade {
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

#[derive(ClickhouseRow, Deserialize)]
struct StoredGap {
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

async fn read_into(
    store: &Store,
    data_type: DataType,
    condition: &str,
    present: &mut Present,
) -> Result<(), StoreError> {
    let table = full_name(data_type);
    match data_type {
        DataType::Trade => {
            let query = format!(
                "SELECT exchange, market_type, symbol, trade_id, price, quantity, side, trade_time, producer_epoch, \
                 producer_seq FROM {table} WHERE {condition}"
            );
            for row in store.fetch_all::<StoredTrade>(&query).await? {
                let side = if row.side == Side::Buy.as_str() {
                    Side::Buy
                } else {
                    Side::Sell
                };
                let time = UnixMillis(row.trade_time);
                // Every value of the column type is a decimal of ours; what were not would equal nothing we hold.
                let content = Decimal::from_scaled(row.price)
                    .zip(Decimal::from_scaled(row.quantity))
                    .map_or(0, |(price, quantity)| {
                        trade_content_hash(&row.trade_id, price, quantity, side, time)
                    });
                let market = market_of(&row.exchange, &row.market_type, &row.symbol);
                let natural = crate::row::natural_of(&row.trade_id);
                note(
                    present,
                    (row.producer_epoch, row.producer_seq),
                    market,
                    natural,
                    content,
                );
            }
        }
        DataType::Gap => {
            let query = format!(
                "SELECT exchange, market_type, symbol, gap_id, version, to_id, cause, state, producer_epoch, \
                 producer_seq FROM {table} WHERE {condition}"
            );
            for row in store.fetch_all::<StoredGap>(&query).await? {
                let content =
                    mprism_model::gap_content_hash(&row.gap_id, row.version, &row.to_id, &row.cause, &row.state);
                let market = market_of(&row.exchange, &row.market_type, &row.symbol);
                let natural = Natural::Text(format!("{}#{}", row.gap_id, row.version));
                note(
                    present,
                    (row.producer_epoch, row.producer_seq),
                    market,
                    natural,
                    content,
                );
            }
        }
    }
    Ok(())
}

fn note(present: &mut Present, identity: (u64, u64), market: Option<Market>, natural: Natural, content: u64) {
    let identity = ProducerId {
        epoch: Epoch(identity.0),
        seq: identity.1,
    };
    present.by_identity.insert(identity, content);
    if let Some(market) = market {
        let contents: &mut HashSet<u64> = present.by_natural.entry((market, natural)).or_default();
        contents.insert(content);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::row::Delivery;
    use mprism_model::{DecimalText, Exchange, InstrumentId, MarketType, Source, Symbol, Trade, TsSource};

    /// A trade as it comes from the bus.
    pub(crate) fn trade(id: u64, price: &str) -> Trade {
        Trade {
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: Symbol::new("BTC-USDT").expect("valid"),
            instrument_id: InstrumentId::new("BTCUSDT").expect("valid"),
            trade_id: id.to_string().into(),
            price: DecimalText::new(price).expect("valid"),
            quantity: DecimalText::new("0.5").expect("valid"),
            side: Side::Buy,
            is_maker: false,
            trade_ts: UnixMillis(1_760_054_400_077),
            ts: UnixMillis(1_760_054_400_123),
            ts_source: TsSource::Event,
            ts_recv: Some(UnixNanos(1_760_054_400_125_000_000)),
            source: Source::Ws,
        }
    }

    /// The same with an identity, as a row to be.
    pub(crate) fn trade_row(epoch: u64, seq: u64, id: u64, price: &str) -> Row {
        let identity = ProducerId {
            epoch: Epoch(epoch),
            seq,
        };
        let event = Event::Trade(trade(id, price));
        let delivery = Delivery {
            subject: "trade.binance_spot.spot.BTC-USDT".into(),
            message_id: event.message_id().0,
            payload: event.to_json().into(),
            reply: None,
        };
        Row::of(event, identity, delivery)
    }
}
