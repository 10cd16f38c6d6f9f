//! One look at all rows of a table, market by market.

use mprism_clickhouse::Tier;
use mprism_model::DataType;
use serde::Deserialize;

use super::super::prove::FUTURE_TOLERANCE_MS;
use super::super::shape::{Rule, Shape};
use super::stores::{QUERY_WITHIN, name};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Rows of one market.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct MarketScan {
    pub(crate) exchange: String,
    pub(crate) market_type: String,
    pub(crate) symbol: String,
    pub(crate) rows: u64,
    /// Distinct producer identities: never more than there are, and fewer only where rows are doubled, or where two epochs
    /// happen to look alike.
    pub(crate) identities: u64,
    /// Distinct natural ids.
    pub(crate) naturals: u64,
    /// Rows that have a number, of types that are numbered; how many different numbers; the first and the last.
    pub(crate) numbered: u64,
    pub(crate) numbers: u64,
    pub(crate) first_number: u64,
    pub(crate) last_number: u64,
    /// Event times, in milliseconds since the epoch.
    pub(crate) first_event: i64,
    pub(crate) last_event: i64,
    /// When rows were stored, in milliseconds since the epoch.
    pub(crate) first_insert: i64,
    pub(crate) last_insert: i64,
    /// Rows from the future.
    pub(crate) future: u64,
    /// Time from the event to the store in milliseconds, of what came by websocket: the median and the 99th percentile.
    pub(crate) delays: Vec<Option<f64>>,
    /// Rows for which each rule holds.
    pub(crate) wrong: Vec<u64>,
}

impl MarketScan {
    pub(crate) fn market(&self) -> super::Market {
        (self.exchange.clone(), self.symbol.clone())
    }

    /// Returns whether rows may be there more than once.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.identities < self.rows || self.naturals < self.rows
    }

    /// Returns whether every number between the first and the last is there.
    pub(crate) fn is_gapless(&self) -> bool {
        self.numbered == 0 || self.last_number - self.first_number + 1 == self.numbers
    }
}

/// Counts everything that can be counted in one pass.
///
/// Distinct numbers are counted by bitmaps: exact, and ten times as fast as a hash table, because numbers stand close together.
/// The epoch goes into the upper bits of the sequence, where no sequence reaches.
pub(super) async fn markets(
    reader: &Reader,
    tier: Tier,
    data_type: DataType,
    rules: &[Rule],
    within: &str,
) -> Result<Vec<MarketScan>, CliError> {
    let shape = Shape::of(data_type);
    let distinct = shape.distinct;
    let numbers = match shape.number {
        Some(number) => format!(
            "countIf({number} > 0) AS numbered, groupBitmapIf({number}, {number} > 0) AS numbers, \
             minIf({number}, {number} > 0) AS first_number, max({number}) AS last_number, {distinct} AS naturals"
        ),
        None => format!("0 AS numbered, 0 AS numbers, 0 AS first_number, 0 AS last_number, {distinct} AS naturals"),
    };
    let wrong: Vec<String> = rules.iter().map(|rule| format!("countIf({})", rule.wrong)).collect();
    let event = "toUnixTimestamp64Milli(timestamp)";
    let insert = "toUnixTimestamp64Milli(ts_insert)";
    // The engine's, when it begins to read: a proof takes its time, and rows come meanwhile.
    let now = "toUnixTimestamp64Milli(now64(3))";
    // How long rows take is a matter of the hot store.
    let delays = match tier {
        Tier::Hot => format!("quantilesTimingIf(0.5, 0.99)(greatest({insert} - {event}, 0), source = 'ws')"),
        Tier::Leaving | Tier::Cold => "[]".to_owned(),
    };
    let query = format!(
        "SELECT exchange, market_type, symbol, count() AS rows, \
         groupBitmap(bitXor(producer_seq, bitShiftLeft(cityHash64(producer_epoch), 40))) AS identities, {numbers}, \
         min({event}) AS first_event, max({event}) AS last_event, min({insert}) AS first_insert, \
         max({insert}) AS last_insert, \
         countIf({event} > {insert} + {FUTURE_TOLERANCE_MS} OR {event} > {now} + {FUTURE_TOLERANCE_MS}) AS future, \
         {delays} AS delays, [{}] AS wrong \
         FROM {} WHERE {within} GROUP BY exchange, market_type, symbol ORDER BY exchange, symbol, market_type",
        wrong.join(", "),
        name(tier, data_type.table())
    );
    reader.rows(&query, QUERY_WITHIN).await
}
