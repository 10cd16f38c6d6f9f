//! What should be collected, and on which days it was.

use std::collections::BTreeMap;

use mprism_clickhouse::Tier;
use mprism_collector::registry::wire;
use mprism_collector::wire::Terms;
use mprism_model::{DataType, Exchange, InstrumentId, MarketType};
use mprism_settings::Settings;
use serde::Deserialize;

use super::super::shape::Shape;
use super::stores::{QUERY_WITHIN, name};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Minutes of what need not happen: it is only counted.
const EVENT_MINUTES: i64 = 60;

/// A market of which a type should be collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) data_type: DataType,
    pub(crate) exchange: String,
    pub(crate) symbol: String,
}

/// On how many of a day's intervals a market has rows.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct DayBuckets {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    /// Days since the epoch.
    #[serde(rename = "day_number")]
    pub(crate) day: i64,
    pub(crate) buckets: u64,
    pub(crate) last_event: i64,
}

/// Returns what the settings say to collect.
pub(super) fn wanted(settings: &Settings) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (id, exchange) in settings.collector.enabled() {
        let Ok(venue) = id.parse::<Exchange>() else { continue };
        for symbol in &exchange.symbols {
            let known = InstrumentId::new(symbol).and_then(|id| wire(venue).known(&id, &Terms::default()));
            let Ok(known) = known else { continue };
            let types = exchange
                .data_types
                .iter()
                .filter_map(|name| name.parse::<DataType>().ok());
            let types = types.filter(|data_type| has(venue, known.market_type, symbol, *data_type));
            wanted.extend(types.map(|data_type| Wanted {
                data_type,
                exchange: id.to_owned(),
                symbol: known.symbol.to_string(),
            }));
        }
    }
    wanted
}

/// Returns whether an instrument has a type: an index has nothing but itself, and only perpetuals pay funding.
fn has(venue: Exchange, market_type: MarketType, symbol: &str, data_type: DataType) -> bool {
    let is_index = venue == Exchange::DeribitDerivatives && !symbol.contains('-');
    match data_type {
        DataType::VolatilityIndex => is_index,
        _ if is_index => false,
        DataType::FundingRate => market_type == MarketType::Perpetual,
        _ => true,
    }
}

/// Counts the intervals with rows, by market and day.
pub(super) async fn days(
    reader: &Reader,
    tier: Tier,
    data_type: DataType,
    within: &str,
) -> Result<Vec<DayBuckets>, CliError> {
    let minutes = Shape::of(data_type).bucket_minutes.unwrap_or(EVENT_MINUTES);
    let query = format!(
        "SELECT exchange, symbol, toInt64(toUInt16(day)) AS day_number, \
         groupBitmap(toUInt64(intDiv(toUnixTimestamp64Milli(timestamp), {}))) AS buckets, \
         max(toUnixTimestamp64Milli(timestamp)) AS last_event FROM {} WHERE {within} GROUP BY exchange, symbol, day \
         ORDER BY exchange, symbol, day",
        minutes * 60_000,
        name(tier, data_type.table())
    );
    reader.rows(&query, QUERY_WITHIN).await
}

/// Returns the days of both stores: where both have one, what the fuller says.
pub(super) fn joined(hot: Vec<DayBuckets>, cold: Vec<DayBuckets>) -> Vec<DayBuckets> {
    let mut days: BTreeMap<(String, String, i64), DayBuckets> = BTreeMap::new();
    for day in hot.into_iter().chain(cold) {
        let key = (day.exchange.clone(), day.symbol.clone(), day.day);
        let known = days.entry(key).or_insert_with(|| day.clone());
        known.buckets = known.buckets.max(day.buckets);
        known.last_event = known.last_event.max(day.last_event);
    }
    days.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_only_itself() {
        let venue = Exchange::DeribitDerivatives;
        assert!(has(venue, MarketType::Options, "BTC", DataType::VolatilityIndex));
        assert!(!has(venue, MarketType::Options, "BTC", DataType::Trade));
        assert!(has(venue, MarketType::Perpetual, "BTC-PERPETUAL", DataType::Trade));
        assert!(!has(
            venue,
            MarketType::Perpetual,
            "BTC-PERPETUAL",
            DataType::VolatilityIndex
        ));
        assert!(!has(venue, MarketType::Future, "BTC-25DEC26", DataType::FundingRate));
    }

    #[test]
    fn a_day_that_left_the_hot_store_is_the_cold_stores() {
        let day = |day, buckets| DayBuckets {
            exchange: "okx_spot".into(),
            symbol: "BTC-USDT".into(),
            day,
            buckets,
            last_event: day * 10,
        };
        let joined = joined(vec![day(2, 5), day(3, 1)], vec![day(1, 9), day(2, 4)]);
        assert_eq!(joined, [day(1, 9), day(2, 5), day(3, 1)]);
    }
}
