//! Order books whose chain is broken without a word in the ledger: what was not kept cannot be had, and is said to be missing.

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError};
use mprism_model::{DataType, Gap, GapCause, GapState, Source, Symbol, UnixMillis};
use mprism_runtime::clock;
use serde::Deserialize;

use super::plan::{Action, Kind, Work};
use super::trades::{LedgerRow, Market};

#[derive(Row, Deserialize)]
struct BreakRow {
    exchange: String,
    market_type: String,
    symbol: String,
    from_id: u64,
    to_id: u64,
    from_ts: i64,
    to_ts: i64,
}

/// Every book names the one published before; in the order of publishing, because a venue may begin its numbers anew.
async fn breaks(store: &Store, condition: &str) -> Result<Vec<BreakRow>, StoreError> {
    let window = "(PARTITION BY exchange, market_type, symbol ORDER BY producer_epoch, producer_seq \
                  ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    let query = format!(
        "SELECT exchange, market_type, symbol, previous + 1 AS from_id, continues AS to_id, previous_time AS from_ts, \
         time AS to_ts FROM (SELECT exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp) AS time, \
         if(update_type = 'snapshot', last_update_id, prev_update_id) AS continues, \
         lagInFrame(last_update_id) OVER {window} AS previous, \
         lagInFrame(toUnixTimestamp64Milli(timestamp)) OVER {window} AS previous_time \
         FROM marketprism_hot.orderbooks WHERE {condition}) WHERE previous > 0 AND continues > previous"
    );
    store.fetch_all(&query).await
}

/// Plans to write down the breaks that the ledger says nothing of, except those that rows from the cold store are going to mend, and
/// those of after `until`, which the rest may still come of.
pub(super) async fn plan(
    store: &Store,
    ledger: &[LedgerRow],
    (condition, until): (&str, i64),
    restored: &[(Market, (i64, i64))],
) -> Result<Vec<Action>, StoreError> {
    let mut actions = Vec::new();
    for broken in breaks(store, condition).await? {
        let market = Market {
            exchange: broken.exchange.clone(),
            market_type: broken.market_type.clone(),
            symbol: broken.symbol.clone(),
        };
        let range = (broken.from_id, broken.to_id);
        let is_told = ledger
            .iter()
            .any(|row| row.tells_of(DataType::OrderBook, &market, range));
        let comes_back = restored.iter().any(|(other, (from, to))| {
            (&other.exchange, &other.symbol) == (&market.exchange, &market.symbol)
                && *from <= broken.to_ts
                && *to >= broken.from_ts
        });
        if is_told || comes_back || broken.to_ts >= until {
            continue;
        }
        let detail = format!("updates {} to {}: no venue tells its past ones", range.0, range.1);
        let gap = gap(&broken, ledger);
        let work = gap.map_or(Work::Nothing, |gap| Work::WriteGap(Box::new(gap)));
        actions.push(
            Action::new(Kind::MarkUnfillable, 0, detail, work)
                .about(DataType::OrderBook, &broken.exchange, &broken.symbol)
                .within((broken.from_ts, broken.to_ts)),
        );
    }
    Ok(actions)
}

fn gap(broken: &BreakRow, ledger: &[LedgerRow]) -> Option<Gap> {
    let mut gap = Gap {
        ts: UnixMillis(clock::now_ms()),
        exchange: broken.exchange.parse().ok()?,
        market_type: broken.market_type.parse().ok()?,
        symbol: Symbol::new(&broken.symbol).ok()?,
        data_type: DataType::OrderBook,
        from_id: broken.from_id.to_string().into(),
        to_id: broken.to_id.to_string().into(),
        from_ts: UnixMillis(broken.from_ts),
        to_ts: UnixMillis(broken.to_ts),
        cause: GapCause::StoreLoss,
        state: GapState::Unfillable,
        source: Source::Backfill,
        version: 1,
    };
    let id = gap.gap_id();
    gap.version += ledger
        .iter()
        .find(|row| row.gap_id() == id)
        .map_or(0, LedgerRow::version);
    Some(gap)
}
