//! Proof 2: everything that should be collected has rows, as its cadence demands. What need not happen may be empty.

use std::collections::BTreeMap;

use mprism_model::{DataType, UnixMillis};
use mprism_storage::cold::DAY;

use super::super::observe::{DayBuckets, Observed, TableObserved, Wanted};
use super::super::report::{Check, CoverageDay, CoverageState, Level};
use super::super::shape::Shape;
use super::counted;

/// Within so long of the system's first row nothing is late. Milliseconds.
const FRESH_MS: i64 = 600_000;
/// Of a day's intervals that much has to have rows for it to be covered, in percent.
const COVERED_PERCENT: f64 = 90.0;
/// Days that are told, the newest ones.
const DAYS_MAX: i64 = 31;

/// Proves it, and returns how each day of each market is covered.
pub(super) fn prove(observed: &Observed, checks: &mut Vec<Check>) -> Vec<CoverageDay> {
    let mut coverage = Vec::new();
    if observed.tables.iter().all(|table| table.hot.is_none()) {
        return coverage;
    }
    for table in observed.tables.iter().filter(|table| table.hot.is_some()) {
        let wanted = observed
            .wanted
            .iter()
            .filter(|wanted| wanted.data_type == table.data_type);
        let (mut waiting, mut present) = (0, 0);
        for wanted in wanted {
            let days = days(table, wanted, observed);
            let worst = days.iter().map(|day| day.state).max();
            match tell(table.data_type, wanted, &days, worst) {
                Some(check) => checks.push(check),
                None if worst == Some(CoverageState::Pending) || worst.is_none() => waiting += 1,
                None => present += 1,
            }
            coverage.extend(days);
        }
        if present + waiting > 0 {
            let waiting = match (waiting, Shape::of(table.data_type).bucket_minutes) {
                (0, _) => String::new(),
                (waiting, Some(_)) => format!(", {waiting} waiting for a first row"),
                (waiting, None) => format!(", {waiting} of which nothing happened"),
            };
            let message = format!(
                "{}: {}{waiting}",
                table.data_type,
                counted(present, "market", "markets")
            );
            checks.push(Check::ok("presence", message).of(table.data_type));
        }
    }
    coverage
}

fn tell(data_type: DataType, wanted: &Wanted, days: &[CoverageDay], worst: Option<CoverageState>) -> Option<Check> {
    let of = |state| {
        days.iter()
            .filter(move |day| day.state == state)
            .map(|day| day.day.as_str())
    };
    let listed = |state| of(state).collect::<Vec<_>>().join(", ");
    let (cause, message) = match worst? {
        CoverageState::Available | CoverageState::Pending => return None,
        CoverageState::Missing if days.iter().all(|day| day.state == CoverageState::Missing) => {
            ("missing", "no row, though it is to be collected".to_owned())
        }
        CoverageState::Missing => ("missing", format!("no row on {}", listed(CoverageState::Missing))),
        CoverageState::Degraded => (
            "degraded",
            format!("rows for only a part of {}", listed(CoverageState::Degraded)),
        ),
    };
    let check = Check::new("presence", Level::Warn, cause, message);
    Some(check.of(data_type).at(&wanted.exchange, &wanted.symbol))
}

/// Returns how each day is covered that the system lived.
fn days(table: &TableObserved, wanted: &Wanted, observed: &Observed) -> Vec<CoverageDay> {
    let Some((from, to)) = lived(observed) else {
        return Vec::new();
    };
    let is_it = |day: &&DayBuckets| day.exchange == wanted.exchange && day.symbol == wanted.symbol;
    let found: BTreeMap<i64, &DayBuckets> = table.days.iter().filter(is_it).map(|day| (day.day, day)).collect();
    let is_fresh = to - from < FRESH_MS;
    let first = from.div_euclid(DAY).max(to.div_euclid(DAY) - DAYS_MAX + 1);
    let minutes = Shape::of(table.data_type).bucket_minutes;
    (first..=to.div_euclid(DAY))
        .map(|day| {
            let span = (to.min((day + 1) * DAY) - from.max(day * DAY)).max(0);
            let buckets = found.get(&day).map_or(0, |day| day.buckets);
            let (state, percent) = state(buckets, span, minutes, is_fresh);
            CoverageDay {
                r#type: table.data_type.to_string(),
                exchange: wanted.exchange.clone(),
                symbol: wanted.symbol.clone(),
                day: date(day),
                state,
                percent,
            }
        })
        .collect()
}

/// Returns from when to when there should be rows: from the first one on, within the window that is asked about.
fn lived(observed: &Observed) -> Option<(i64, i64)> {
    let first = observed.first_insert()?;
    let (from, to) = observed.window.unwrap_or((i64::MIN, i64::MAX));
    let (from, to) = (from.max(first), to.min(observed.now));
    (from < to).then_some((from, to))
}

fn state(buckets: u64, span: i64, minutes: Option<i64>, is_fresh: bool) -> (CoverageState, f64) {
    let Some(minutes) = minutes else {
        // What need not happen is covered by listening.
        return match buckets {
            0 => (CoverageState::Pending, 100.0),
            _ => (CoverageState::Available, 100.0),
        };
    };
    // The first and the last interval may be cut.
    let expected = (span / (minutes * 60_000)).max(1);
    let percent = (buckets as f64 / expected as f64 * 100.0).min(100.0);
    let state = match buckets {
        0 if is_fresh || span < minutes * 60_000 => CoverageState::Pending,
        0 => CoverageState::Missing,
        _ if percent >= COVERED_PERCENT || is_fresh => CoverageState::Available,
        _ => CoverageState::Degraded,
    };
    (state, (percent * 100.0).round() / 100.0)
}

fn date(day: i64) -> String {
    let text = UnixMillis(day * DAY).to_rfc3339();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, scan, table, tier};
    use super::*;

    const DAY_START: i64 = 20_000 * DAY;
    const HOUR: i64 = 3_600_000;

    /// A system that has lived from a moment on until another, and has rows of trades on these days.
    fn observed(from: i64, to: i64, days: &[(i64, u64)]) -> Observed {
        let mut market = scan(1);
        market.first_insert = from;
        let mut trades = table(DataType::Trade, tier(vec![market]));
        trades.days = days
            .iter()
            .map(|(day, buckets)| DayBuckets {
                exchange: "okx_spot".into(),
                symbol: "BTC-USDT".into(),
                day: *day,
                buckets: *buckets,
                last_event: 0,
            })
            .collect();
        Observed {
            now: to,
            tables: vec![trades],
            wanted: vec![Wanted {
                data_type: DataType::Trade,
                exchange: "okx_spot".into(),
                symbol: "BTC-USDT".into(),
            }],
            ..Observed::default()
        }
    }

    fn states(observed: &Observed) -> (Vec<(String, CoverageState)>, Vec<Check>) {
        let mut checks = Vec::new();
        let coverage = prove(observed, &mut checks);
        (coverage.into_iter().map(|day| (day.day, day.state)).collect(), checks)
    }

    #[test]
    fn a_young_system_waits_and_an_old_one_lacks() {
        let (days, checks) = states(&observed(DAY_START, DAY_START + FRESH_MS - 1, &[]));
        assert_eq!(days, [("2024-10-04".into(), CoverageState::Pending)]);
        assert_eq!(
            messages(&checks, Level::Ok),
            ["trade: 0 markets, 1 waiting for a first row"]
        );
        let (days, checks) = states(&observed(DAY_START, DAY_START + 2 * HOUR, &[]));
        assert_eq!(days[0].1, CoverageState::Missing);
        assert_eq!(messages(&checks, Level::Warn), ["no row, though it is to be collected"]);
    }

    #[test]
    fn a_day_is_covered_as_far_as_it_has_rows() {
        let to = DAY_START + 2 * DAY + 12 * HOUR;
        let of = |days: &[(i64, u64)]| states(&observed(DAY_START, to, days));
        let (days, checks) = of(&[(20_000, 24), (20_001, 22), (20_002, 12)]);
        assert!(days.iter().all(|day| day.1 == CoverageState::Available), "{days:?}");
        assert_eq!(messages(&checks, Level::Warn), [] as [String; 0]);
        let (days, checks) = of(&[(20_000, 24), (20_001, 10)]);
        let found: Vec<CoverageState> = days.into_iter().map(|day| day.1).collect();
        assert_eq!(
            found,
            [
                CoverageState::Available,
                CoverageState::Degraded,
                CoverageState::Missing
            ]
        );
        assert_eq!(messages(&checks, Level::Warn), ["no row on 2024-10-06"]);
    }

    #[test]
    fn a_window_is_all_that_counts() {
        let mut observed = observed(DAY_START, DAY_START + 3 * DAY, &[(20_001, 24)]);
        observed.window = Some((DAY_START + DAY, DAY_START + 2 * DAY - 1));
        let (days, _) = states(&observed);
        assert_eq!(days, [("2024-10-05".into(), CoverageState::Available)]);
    }

    #[test]
    fn what_need_not_happen_may_be_empty() {
        assert_eq!(state(0, DAY, None, false).0, CoverageState::Pending);
        assert_eq!(state(1, DAY, None, false).0, CoverageState::Available);
    }
}
