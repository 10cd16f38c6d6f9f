//! Proof 5: no row from the future, none that should have left, event times that grow, and how long rows take.

use std::collections::BTreeMap;

use mprism_model::UnixMillis;
use mprism_storage::cold::DAY;

use super::super::observe::{Market, Observed, TableObserved, TierObserved};
use super::super::report::{Check, Level};
use super::counted;

/// A row whose event time is later than this after it was stored, or after now, is from the future. Venues' clocks are right to
/// well below a second, and so are machines with NTP: a minute is no clock's mistake any more. Milliseconds.
pub(crate) const FUTURE_TOLERANCE_MS: i64 = 60_000;
/// Event times of one market may run backwards by so much in the order of publishing: venues send what happened on several
/// engines of theirs. Milliseconds.
pub(crate) const BACKWARDS_TOLERANCE_MS: i64 = 60_000;
/// A partition leaves some time after it may: the delay of its proof, and a look at it. Days.
const LEAVING_DAYS: i64 = 2;
/// The cold store is dropped by the month. Days.
const MONTH_DAYS: i64 = 31;

/// Returns how many rows of the hot store are from the future.
pub(super) fn prove(table: &TableObserved, observed: &Observed, checks: &mut Vec<Check>) -> u64 {
    let before = checks.len();
    let known = table.hot.as_ref().map(future).unwrap_or_default();
    let mut rows = tell_future(table, &known, "", checks);
    if let Some(cold) = &table.cold {
        let mut left = future(cold);
        for (market, count) in &mut left {
            *count = count.saturating_sub(known.get(market).copied().unwrap_or(0));
        }
        rows += tell_future(table, &left, " in the cold store", checks);
    }
    old(table, observed, checks);
    for back in &table.backwards {
        let message = format!(
            "{} older than the one before, by up to {} s",
            counted(back.rows, "event is", "events are"),
            back.most / 1_000
        );
        let check = Check::new("time", Level::Warn, "backwards", message).rows(back.rows);
        checks.push(check.of(table.data_type).at(&back.exchange, &back.symbol));
    }
    let is_sound = checks.len() == before;
    let tier = table.hot.as_ref().or(table.cold.as_ref());
    if let Some(tier) = tier.filter(|tier| is_sound && !tier.markets.is_empty()) {
        checks.push(delays(table, tier));
    }
    rows
}

fn future(tier: &TierObserved) -> BTreeMap<Market, u64> {
    let mut future: BTreeMap<Market, u64> = BTreeMap::new();
    for market in tier.markets.iter().filter(|market| market.future > 0) {
        *future.entry(market.market()).or_default() += market.future;
    }
    future
}

fn tell_future(table: &TableObserved, future: &BTreeMap<Market, u64>, place: &str, checks: &mut Vec<Check>) -> u64 {
    let mut rows = 0;
    for ((exchange, symbol), count) in future.iter().filter(|(_, count)| **count > 0) {
        rows += count;
        let message = format!("{}{place} from the future", counted(*count, "row", "rows"));
        let check = Check::new("time", Level::Error, "future", message).rows(*count);
        checks.push(check.of(table.data_type).at(exchange, symbol));
    }
    rows
}

/// Tells of rows that are older than they are kept, as far as they were stored before: what is old when it comes has its time
/// to leave, too.
fn old(table: &TableObserved, observed: &Observed, checks: &mut Vec<Check>) {
    let stores = [
        (&table.hot, observed.hot_days.map(|days| days + 1 + LEAVING_DAYS), "hot"),
        (
            &table.cold,
            observed.cold_days.map(|days| days + MONTH_DAYS + LEAVING_DAYS),
            "cold",
        ),
    ];
    for (tier, days, store) in stores {
        let (Some(tier), Some(days)) = (tier, days) else {
            continue;
        };
        let limit = observed.now - days * DAY;
        for market in &tier.markets {
            let is_old = market.first_event < limit && market.first_insert < observed.now - LEAVING_DAYS * DAY;
            if is_old {
                let message = format!(
                    "rows of {} are in the {store} store for longer than it keeps them",
                    UnixMillis(market.first_event).to_rfc3339()
                );
                let check = Check::new("time", Level::Warn, "older_than_retention", message);
                checks.push(check.of(table.data_type).at(&market.exchange, &market.symbol));
            }
        }
    }
}

/// Says how long events take from the venue to the store: the slowest market's median and 99th percentile.
fn delays(table: &TableObserved, tier: &TierObserved) -> Check {
    let slowest = |index: usize| {
        let delays = tier
            .markets
            .iter()
            .filter_map(|market| market.delays.get(index).copied().flatten());
        delays.max_by(f64::total_cmp)
    };
    let message = match (slowest(0), slowest(1)) {
        (Some(p50), Some(p99)) => {
            format!("{}: event to store p50 {p50:.0} ms, p99 {p99:.0} ms", table.data_type)
        }
        _ => format!("{}: no row from the future", table.data_type),
    };
    Check::ok("time", message).of(table.data_type)
}

#[cfg(test)]
mod tests {
    use super::super::super::observe::{Backwards, MarketScan};
    use super::super::tests::{messages, scan, table, tier};
    use super::*;
    use mprism_model::DataType;

    const NOW: i64 = 1_000 * DAY;

    fn observed() -> Observed {
        Observed {
            now: NOW,
            hot_days: Some(3),
            cold_days: Some(365),
            ..Observed::default()
        }
    }

    /// A market that has just begun.
    fn young() -> MarketScan {
        let mut market = scan(10);
        (market.first_event, market.first_insert) = (NOW, NOW);
        market
    }

    #[test]
    fn the_future_is_an_error_and_told_once() {
        let mut market = young();
        market.future = 2;
        let mut both = table(DataType::Trade, tier(vec![market.clone()]));
        both.cold = Some(tier(vec![market]));
        let mut checks = Vec::new();
        assert_eq!(prove(&both, &observed(), &mut checks), 2);
        assert_eq!(messages(&checks, Level::Error), ["2 rows from the future"]);
    }

    #[test]
    fn what_stays_for_too_long_is_told_but_not_what_has_just_come() {
        let at = |event_days: i64, insert_days: i64| {
            let mut market = scan(10);
            market.first_event = NOW - event_days * DAY;
            market.first_insert = NOW - insert_days * DAY;
            let mut checks = Vec::new();
            prove(&table(DataType::Trade, tier(vec![market])), &observed(), &mut checks);
            messages(&checks, Level::Warn).len()
        };
        assert_eq!([at(5, 5), at(8, 8), at(800, 0)], [0, 1, 0]);
    }

    #[test]
    fn times_that_run_backwards_are_worth_a_look() {
        let mut back = table(DataType::Trade, tier(vec![young()]));
        back.backwards.push(Backwards {
            exchange: "okx_spot".into(),
            symbol: "BTC-USDT".into(),
            rows: 1,
            most: 3_600_000,
        });
        let mut checks = Vec::new();
        prove(&back, &observed(), &mut checks);
        assert_eq!(
            messages(&checks, Level::Warn),
            ["1 event is older than the one before, by up to 3600 s"]
        );
    }

    #[test]
    fn delays_are_those_of_the_slowest_market() {
        let mut slow = young();
        slow.delays = vec![Some(40.0), Some(900.0)];
        let mut quiet = young();
        quiet.delays = vec![None, None];
        let mut checks = Vec::new();
        prove(
            &table(DataType::Trade, tier(vec![slow, quiet])),
            &observed(),
            &mut checks,
        );
        assert_eq!(
            messages(&checks, Level::Ok),
            ["trade: event to store p50 40 ms, p99 900 ms"]
        );
    }
}
