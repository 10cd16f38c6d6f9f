//! The tables: how a row is written, how what is there is read back. One place maps events to columns.

mod by_time;
#[cfg(test)]
mod engine;
pub(crate) mod funding_rates;
mod gaps;
mod liquidations;
pub(crate) mod long_short_ratios;
mod open_interests;
mod orderbooks;
mod rowbinary;
mod trades;
mod volatility_indices;

use std::collections::{BTreeMap, HashSet};

use clickhouse::Row as ClickhouseRow;
use mprism_clickhouse::{Store, StoreError, Tier};
use mprism_model::{DataType, Epoch, Event, Population, ProducerId, UnixMillis};
use serde::Deserialize;

use crate::marks::Marks;
use crate::row::{Market, Natural};
use crate::settle::{Present, Suspects};

pub(crate) use rowbinary::put_bytes;

/// What has to be known of a table to write it and to look into it.
struct Shape {
    /// The columns that [`encode`] writes, in its order: first those that [`stamp`] writes.
    columns: &'static str,
    /// Whether `created_at` is one of them.
    has_created_at: bool,
    /// The SQL expression of a row's natural id as text.
    natural_text: &'static str,
    /// The SQL expression of a row's natural id as a number that an index knows, where it is one.
    natural_number: Option<&'static str>,
    /// Longest list in one question.
    lookup_max: usize,
}

fn shape(data_type: DataType) -> &'static Shape {
    match data_type {
        DataType::OrderBook => &orderbooks::SHAPE,
        DataType::Trade => &trades::SHAPE,
        DataType::FundingRate => &funding_rates::SHAPE,
        DataType::OpenInterest => &open_interests::SHAPE,
        DataType::Liquidation => &liquidations::SHAPE,
        DataType::LsrTopPosition => &long_short_ratios::TOP_POSITIONS,
        DataType::LsrAllAccount => &long_short_ratios::ALL_ACCOUNTS,
        DataType::VolatilityIndex => &volatility_indices::SHAPE,
        DataType::Gap => &gaps::SHAPE,
    }
}

/// A server, and which tier's tables of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tier: Tier,
}

/// Returns `database.table` of the hot store.
pub(crate) fn full_name(data_type: DataType) -> String {
    name_in(Tier::Hot, data_type)
}

/// Returns `database.table` of a tier.
pub(crate) fn name_in(tier: Tier, data_type: DataType) -> String {
    format!("{}.{}", tier.database(), data_type.table())
}

/// Returns the columns that [`encode`] writes, in its order.
pub(crate) fn columns(data_type: DataType) -> &'static str {
    shape(data_type).columns
}

/// Returns about how many bytes a row takes as [`encode`] writes it.
pub(crate) fn row_bytes(data_type: DataType) -> usize {
    match data_type {
        DataType::OrderBook => 26_000,
        DataType::FundingRate | DataType::OpenInterest | DataType::Liquidation => 280,
        DataType::Trade
        | DataType::LsrTopPosition
        | DataType::LsrAllAccount
        | DataType::VolatilityIndex
        | DataType::Gap => 160,
    }
}

/// Appends a row in ClickHouse's RowBinary format, without its identity and when it is stored, which [`stamp`] writes.
pub(crate) fn encode(event: &Event, market: &Market, out: &mut Vec<u8>) {
    match event {
        Event::OrderBook(book) => orderbooks::encode(book, market, out),
        Event::Trade(trade) => trades::encode(trade, market, out),
        Event::FundingRate(rate) => funding_rates::encode(rate, market, out),
        Event::OpenInterest(interest) => open_interests::encode(interest, market, out),
        Event::Liquidation(liquidation) => liquidations::encode(liquidation, market, out),
        Event::LongShortRatio(ratio) => long_short_ratios::encode(ratio, market, out),
        Event::VolatilityIndex(index) => volatility_indices::encode(index, market, out),
        Event::Gap(gap) => gaps::encode(gap, market, out),
    }
}

/// Writes into a row of [`encode`] who it is and when it is stored.
pub(crate) fn stamp(data_type: DataType, row: &mut [u8], identity: ProducerId, ts_insert: UnixMillis) {
    rowbinary::stamp(row, shape(data_type), identity, ts_insert);
}

/// A stored row, as far as it matters to whoever wants to store another.
struct Found {
    /// `None` where a newer version wrote it: such messages do not come to us.
    market: Option<Market>,
    natural: Natural,
    identity: ProducerId,
    content: u64,
}

pub(crate) fn identity(epoch: u64, seq: u64) -> ProducerId {
    ProducerId {
        epoch: Epoch(epoch),
        seq,
    }
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
    if let Some(number) = shape(data_type).natural_number {
        let query = format!(
            "SELECT exchange, market_type, symbol, max({number}) AS id FROM {table} GROUP BY exchange, market_type, symbol"
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

/// Reads back what a table has of the suspects, beside what `present` says already.
pub(crate) async fn read_back(
    place: Place<'_>,
    data_type: DataType,
    suspects: &Suspects,
    present: &mut Present,
) -> Result<(), StoreError> {
    for condition in identity_conditions(data_type, &suspects.identities) {
        read_into(place, data_type, &condition, present).await?;
    }
    for condition in natural_conditions(data_type, &suspects.naturals) {
        read_into(place, data_type, &condition, present).await?;
    }
    Ok(())
}

/// Sequences of one epoch stand close together: a range uses the index, a list keeps the answer small.
fn identity_conditions(data_type: DataType, identities: &[ProducerId]) -> Vec<String> {
    let mut by_epoch: BTreeMap<Epoch, Vec<u64>> = BTreeMap::new();
    for identity in identities {
        by_epoch.entry(identity.epoch).or_default().push(identity.seq);
    }
    let mut conditions = Vec::new();
    for (epoch, mut seqs) in by_epoch {
        seqs.sort_unstable();
        seqs.dedup();
        for part in seqs.chunks(shape(data_type).lookup_max) {
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
    let shape = shape(data_type);
    let mut conditions = Vec::new();
    for (market, list) in by_market {
        let place = format!(
            "exchange = {} AND market_type = {} AND symbol = {}",
            quoted(market.exchange.as_str()),
            quoted(market.market_type.as_str()),
            quoted(market.symbol.as_str())
        );
        for part in list.chunks(shape.lookup_max) {
            let texts = join(part.iter().map(|natural| quoted(&natural.text())));
            let numbers: Vec<u64> = part
                .iter()
                .filter_map(|natural| match natural {
                    Natural::Number(number) => Some(*number),
                    Natural::Text(_) => None,
                })
                .collect();
            // Where all are numbers, their range uses the index on the number.
            let range = shape
                .natural_number
                .filter(|_| numbers.len() == part.len())
                .map(|number| {
                    let low = numbers.iter().min().copied().unwrap_or(0);
                    let high = numbers.iter().max().copied().unwrap_or(u64::MAX);
                    format!(" AND {number} BETWEEN {low} AND {high}")
                });
            let range = range.unwrap_or_default();
            conditions.push(format!("{place}{range} AND {} IN ({texts})", shape.natural_text));
        }
    }
    conditions
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

/// Writes a text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

async fn read_into(
    place: Place<'_>,
    data_type: DataType,
    condition: &str,
    present: &mut Present,
) -> Result<(), StoreError> {
    let rows = match data_type {
        DataType::OrderBook => orderbooks::find(place, condition).await?,
        DataType::Trade => trades::find(place, condition).await?,
        DataType::FundingRate => funding_rates::find(place, condition).await?,
        DataType::OpenInterest => open_interests::find(place, condition).await?,
        DataType::Liquidation => liquidations::find(place, condition).await?,
        DataType::LsrTopPosition => long_short_ratios::find(place, Population::TopPositions, condition).await?,
        DataType::LsrAllAccount => long_short_ratios::find(place, Population::AllAccounts, condition).await?,
        DataType::VolatilityIndex => volatility_indices::find(place, condition).await?,
        DataType::Gap => gaps::find(place, condition).await?,
    };
    for row in rows {
        present.by_identity.insert(row.identity, row.content);
        if let Some(market) = row.market {
            let contents: &mut HashSet<u64> = present.by_natural.entry((market, row.natural)).or_default();
            contents.insert(row.content);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::gather::{Gathering, Sizes};
    use crate::room::Room;
    use mprism_model::{
        DecimalText, Exchange, InstrumentId, MarketType, Side, Source, Symbol, Trade, TsSource, UnixNanos,
    };

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
            contracts: None,
            sequence: None,
            side: Side::Buy,
            is_maker: false,
            trade_ts: UnixMillis(1_760_054_400_077),
            ts: UnixMillis(1_760_054_400_123),
            ts_source: TsSource::Event,
            ts_recv: Some(UnixNanos(1_760_054_400_125_000_000)),
            source: Source::Ws,
        }
    }

    /// Trades of one market, each by its epoch, its sequence, its id and its price.
    pub(crate) fn trades(of: &[(u64, u64, u64, &str)]) -> Batch {
        let mut gathering = Gathering::new(DataType::Trade, &Room::new(usize::MAX), Sizes::default());
        for (epoch, seq, id, price) in of {
            let reply = format!("$JS.ACK.MARKET_DATA.trades.1.{seq}.1.1760054400000000000.0").into();
            gathering.push(&Event::Trade(trade(*id, price)), identity(*epoch, *seq), Some(&reply));
        }
        gathering.close()
    }
}
