//! Which numbers of a market are there, and what the ledger says of those that are not.

use std::collections::BTreeMap;

use mprism_clickhouse::Tier;
use mprism_model::DataType;
use serde::Deserialize;

use super::super::shape::Shape;
use super::stores::{QUERY_WITHIN, name, of_markets};
use super::{Market, MarketScan};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Numbers that are looked at together: only those with a hole are looked at one by one.
const BUCKET: u64 = 65_536;
/// Holes of one table that are told.
const HOLES_MAX: u32 = 100_000;

/// Numbers that are there: spans from the first up to the last, both in them, which do not touch, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans(pub(crate) Vec<(u64, u64)>);

impl Spans {
    /// Returns the numbers between two that are not among these holes.
    pub(crate) fn between(first: u64, last: u64, holes: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut holes: Vec<(u64, u64)> = holes.into_iter().collect();
        holes.sort_unstable();
        let mut spans = Vec::new();
        let mut from = first;
        for (hole_from, hole_to) in holes {
            if hole_from > from {
                spans.push((from, hole_from - 1));
            }
            from = from.max(hole_to.saturating_add(1));
        }
        if from <= last {
            spans.push((from, last));
        }
        Self(spans)
    }

    /// Returns what is in one or the other.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(u64, u64)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match joined.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// Returns what lies between the first and the last and is not there.
    pub(crate) fn holes(&self) -> Vec<(u64, u64)> {
        let pairs = self.0.windows(2);
        pairs.map(|pair| (pair[0].1 + 1, pair[1].0 - 1)).collect()
    }
}

/// The last word of the ledger about a gap.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct LedgerRow {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) from_id: u64,
    pub(crate) to_id: u64,
    pub(crate) cause: String,
    pub(crate) state: String,
    /// Who gave what was missing, where somebody did.
    pub(crate) source: String,
}

/// Reads what the ledger says of a type.
pub(super) async fn ledger(reader: &Reader, data_type: DataType) -> Result<Vec<LedgerRow>, CliError> {
    let query = format!(
        "SELECT exchange, symbol, toUInt64OrZero(from_id) AS from_id, toUInt64OrZero(to_id) AS to_id, cause, state, source \
         FROM marketprism_hot.gaps_current WHERE type = '{data_type}' ORDER BY exchange, symbol, from_id"
    );
    reader.rows(&query, QUERY_WITHIN).await
}

#[derive(Deserialize)]
struct Hole {
    exchange: String,
    symbol: String,
    from_id: u64,
    to_id: u64,
}

#[derive(Deserialize)]
struct Bucket {
    exchange: String,
    symbol: String,
    first: u64,
    last: u64,
    count: u64,
}

/// Returns which numbers each market has.
pub(super) async fn numbers(
    reader: &Reader,
    tier: Tier,
    data_type: DataType,
    markets: &[MarketScan],
    within: &str,
) -> Result<BTreeMap<Market, Spans>, CliError> {
    let holes = match data_type {
        DataType::OrderBook => breaks(reader, tier, within).await?,
        _ => {
            let suspects = markets.iter().filter(|market| !market.is_gapless());
            let suspects: Vec<Market> = suspects.map(MarketScan::market).collect();
            holes(reader, tier, data_type, &suspects, within).await?
        }
    };
    let mut by_market: BTreeMap<Market, Vec<(u64, u64)>> = BTreeMap::new();
    for hole in holes {
        let market = by_market.entry((hole.exchange, hole.symbol)).or_default();
        market.push((hole.from_id, hole.to_id));
    }
    let mut spans: BTreeMap<Market, Spans> = BTreeMap::new();
    for scan in markets.iter().filter(|scan| scan.numbered > 0) {
        let holes = by_market.remove(&scan.market()).unwrap_or_default();
        let found = Spans::between(scan.first_number, scan.last_number, holes);
        let known = spans.entry(scan.market()).or_default();
        *known = known.union(&found);
    }
    Ok(spans)
}

/// Finds where numbers are missing. Only where a bucket lacks some are its rows sorted.
async fn holes(
    reader: &Reader,
    tier: Tier,
    data_type: DataType,
    suspects: &[Market],
    within: &str,
) -> Result<Vec<Hole>, CliError> {
    let (Some(number), false) = (Shape::of(data_type).number, suspects.is_empty()) else {
        return Ok(Vec::new());
    };
    let from = format!(
        "{} WHERE {within} AND {number} > 0 AND {}",
        name(tier, data_type.table()),
        of_markets(suspects)
    );
    let buckets = format!(
        "SELECT exchange, symbol, intDiv({number}, {BUCKET}) AS bucket, min({number}) AS first, max({number}) AS last, \
         groupBitmap({number}) AS count FROM {from} GROUP BY exchange, symbol, bucket ORDER BY exchange, symbol, bucket"
    );
    let buckets: Vec<Bucket> = reader.rows(&buckets, QUERY_WITHIN).await?;
    let mut holes = between_buckets(&buckets);
    let torn: Vec<String> = buckets
        .iter()
        .filter(|bucket| bucket.last - bucket.first + 1 != bucket.count)
        .map(|bucket| {
            let market = of_markets(&[(bucket.exchange.clone(), bucket.symbol.clone())]);
            format!("({market} AND {number} BETWEEN {} AND {})", bucket.first, bucket.last)
        })
        .collect();
    // A statement has a limit, and so has what a human reads.
    for torn in torn.chunks(200) {
        let query = format!(
            "SELECT exchange, symbol, prev + 1 AS from_id, id - 1 AS to_id FROM (SELECT exchange, symbol, id, \
             lagInFrame(id) OVER (PARTITION BY exchange, market_type, symbol, intDiv(id, {BUCKET}) ORDER BY id \
             ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS prev FROM (SELECT DISTINCT exchange, market_type, symbol, \
             {number} AS id FROM {from} AND ({}))) WHERE prev > 0 AND id > prev + 1 \
             ORDER BY exchange, symbol, from_id LIMIT {HOLES_MAX}",
            torn.join(" OR ")
        );
        holes.extend(reader.rows::<Hole>(&query, QUERY_WITHIN).await?);
    }
    Ok(holes)
}

fn between_buckets(buckets: &[Bucket]) -> Vec<Hole> {
    let pairs = buckets.windows(2);
    let of_one_market = pairs.filter(|pair| pair[0].exchange == pair[1].exchange && pair[0].symbol == pair[1].symbol);
    let torn = of_one_market.filter(|pair| pair[0].last + 1 < pair[1].first);
    torn.map(|pair| Hole {
        exchange: pair[0].exchange.clone(),
        symbol: pair[0].symbol.clone(),
        from_id: pair[0].last + 1,
        to_id: pair[1].first - 1,
    })
    .collect()
}

/// Finds where an order book does not continue the one published before, in the order of publishing, because a venue may begin
/// its numbers anew.
async fn breaks(reader: &Reader, tier: Tier, within: &str) -> Result<Vec<Hole>, CliError> {
    let query = format!(
        "SELECT exchange, symbol, prev + 1 AS from_id, if(update_type = 'snapshot', last_update_id, prev_update_id) AS \
         to_id FROM (SELECT exchange, symbol, last_update_id, prev_update_id, update_type, lagInFrame(last_update_id) \
         OVER (PARTITION BY exchange, market_type, symbol ORDER BY producer_epoch, producer_seq ROWS BETWEEN 1 PRECEDING \
         AND CURRENT ROW) AS prev FROM {} WHERE {within}) WHERE prev > 0 AND to_id > prev \
         ORDER BY exchange, symbol, from_id LIMIT {HOLES_MAX}",
        name(tier, DataType::OrderBook.table())
    );
    reader.rows(&query, QUERY_WITHIN).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_store_lacks_the_other_may_have() {
        let hot = Spans::between(100, 200, [(150, 160), (110, 112)]);
        assert_eq!(hot.0, [(100, 109), (113, 149), (161, 200)]);
        assert_eq!(hot.holes(), [(110, 112), (150, 160)]);
        let cold = Spans::between(50, 155, [(111, 111), (60, 61)]);
        let both = hot.union(&cold);
        assert_eq!(both.0, [(50, 59), (62, 110), (112, 155), (161, 200)]);
        assert_eq!(both.holes(), [(60, 61), (111, 111), (156, 160)]);
        assert_eq!(Spans::default().union(&hot), hot);
        assert_eq!(Spans::default().holes(), []);
    }

    #[test]
    fn holes_at_the_ends_and_over_each_other_do_no_harm() {
        assert_eq!(Spans::between(1, 10, [(1, 3), (2, 5), (10, 10)]).0, [(6, 9)]);
        assert_eq!(Spans::between(1, 10, [(1, u64::MAX)]).0, []);
    }

    #[test]
    fn what_lies_between_buckets_is_missing_too() {
        let bucket = |symbol: &str, first, last| Bucket {
            exchange: "okx_spot".into(),
            symbol: symbol.into(),
            first,
            last,
            count: last - first + 1,
        };
        let buckets = [
            bucket("A", 1, 65_535),
            bucket("A", 65_536, 70_000),
            bucket("A", 200_000, 200_001),
            bucket("B", 900_000, 900_001),
        ];
        let holes = between_buckets(&buckets);
        let told: Vec<_> = holes.iter().map(|hole| (hole.from_id, hole.to_id)).collect();
        assert_eq!(told, [(70_001, 199_999)]);
    }
}
