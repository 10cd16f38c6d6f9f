//! Proof 7: the cold store has what the hot store has, what left the hot store is in the cold one, and the engine finds rows by
//! their time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mprism_storage::cold::{DAY, HOUR};

use super::super::observe::{CellKey, Market, Observed, Replication, StoredRow, TableObserved};
use super::super::report::{Check, Level};
use super::counted;
use crate::report::duration_text;

/// How one table compares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Windows with rows in either store; those that are the same, that are not copied yet, and that are neither.
    pub(crate) windows: u64,
    pub(crate) equal: u64,
    pub(crate) pending: u64,
    pub(crate) different: u64,
    /// Rows of the hot store that are not copied yet.
    pub(crate) pending_rows: u64,
    /// Event time of the oldest of them, in milliseconds since the epoch.
    pub(crate) oldest_pending: Option<i64>,
    /// Rows that one store lacks, or that say something else.
    pub(crate) missing_in_hot: u64,
    pub(crate) missing_in_cold: u64,
    pub(crate) differ: u64,
    /// Rows that left and are not in the cold store.
    pub(crate) lost: u64,
    markets: BTreeMap<(Market, Wrong), u64>,
    partitions: BTreeMap<(i64, String), u64>,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    MissingInHot,
    MissingInCold,
    Differs,
}

impl Compared {
    /// Returns for how long the oldest row waits to be copied, in milliseconds.
    pub(crate) fn lag_ms(&self, now: i64) -> i64 {
        self.oldest_pending.map_or(0, |oldest| (now - oldest).max(0))
    }

    fn add(&mut self, market: Market, wrong: Wrong, rows: u64) {
        *match wrong {
            Wrong::MissingInHot => &mut self.missing_in_hot,
            Wrong::MissingInCold => &mut self.missing_in_cold,
            Wrong::Differs => &mut self.differ,
        } += rows;
        *self.markets.entry((market, wrong)).or_default() += rows;
    }

    fn wait(&mut self, time: i64, rows: u64) {
        self.pending_rows += rows;
        self.oldest_pending = Some(self.oldest_pending.map_or(time, |oldest| oldest.min(time)));
    }
}

/// Decides about every window and row. `window` says whether only a part of time was looked at.
pub(crate) fn compared(found: &Replication, is_all_of_time: bool) -> Compared {
    let mut compared = Compared {
        windows: found.windows,
        equal: found.equal,
        ..Compared::default()
    };
    for (key, rows) in &found.untouched {
        let hour = key.3 - key.3.rem_euclid(HOUR);
        // Nobody was ever there, or everything is gone.
        if found.proven_hours.get(&hour).is_some_and(|proven| *proven > 0) && hour + HOUR <= found.to {
            compared.different += 1;
            compared.add((key.0.clone(), key.2.clone()), Wrong::MissingInCold, *rows);
        } else {
            compared.pending += 1;
            compared.wait(key.3, *rows);
        }
    }
    for (key, (hot, cold)) in &found.unread {
        compared.different += 1;
        let market = (key.0.clone(), key.2.clone());
        match hot.cmp(cold) {
            std::cmp::Ordering::Less => compared.add(market, Wrong::MissingInHot, cold - hot),
            std::cmp::Ordering::Equal => compared.add(market, Wrong::Differs, *hot),
            std::cmp::Ordering::Greater => compared.add(market, Wrong::MissingInCold, hot - cold),
        }
    }
    rows(found, &mut compared);
    let read = found.different.iter().filter(|key| !found.unread.contains_key(*key));
    let is_wrong = |key: &&CellKey| {
        let market = (key.0.clone(), key.2.clone());
        compared.markets.keys().any(|(wrong, _)| *wrong == market)
    };
    let (wrong, sound): (Vec<&CellKey>, Vec<&CellKey>) = read.partition(is_wrong);
    compared.different += wrong.len() as u64;
    // Rows that are doubled are told as such; those that have just come wait.
    compared.pending += sound.len() as u64;
    if is_all_of_time {
        departed(found, &mut compared);
    }
    compared
}

/// Holds rows against rows, by who they are.
fn rows(found: &Replication, compared: &mut Compared) {
    let id = |row: &StoredRow| (row.producer_epoch, row.producer_seq);
    let hot: HashMap<(u64, u64), &StoredRow> = found.hot.iter().map(|row| (id(row), row)).collect();
    let cold: HashMap<(u64, u64), &StoredRow> = found.cold.iter().map(|row| (id(row), row)).collect();
    // A copy takes all that there is of a window: what was stored before the newest row that it took was there.
    let was_copied = |row: &StoredRow| {
        let newest = found.copied.get(&(row.exchange.clone(), row.start));
        newest.is_some_and(|newest| row.inserted <= *newest)
    };
    let market = |row: &StoredRow| (row.exchange.clone(), row.symbol.clone());
    for row in hot.values() {
        match cold.get(&id(row)) {
            None if was_copied(row) => {
                compared.add(market(row), Wrong::MissingInCold, 1);
            }
            None => compared.wait(row.start, 1),
            // What is wrong with its values is told as that.
            Some(other) if other.hash != row.hash && row.is_wrong == 0 && other.is_wrong == 0 => {
                compared.add(market(row), Wrong::Differs, 1);
            }
            Some(_) => {}
        }
    }
    for row in cold.values().filter(|row| !hot.contains_key(&id(row))) {
        let partition = (row.start.div_euclid(DAY), row.exchange.clone());
        if !found.departed.contains_key(&partition) && !found.leaving.contains(&partition) {
            compared.add(market(row), Wrong::MissingInHot, 1);
        }
    }
}

/// What left, and what the hot store still has of the same day, are what the cold store has.
fn departed(found: &Replication, compared: &mut Compared) {
    for (partition, left) in &found.departed {
        if found.leaving.contains(partition) {
            continue;
        }
        let cold = found.cold_days.get(partition).copied().unwrap_or(0);
        if cold < *left {
            compared.lost += left - cold;
            compared.partitions.insert(partition.clone(), left - cold);
        }
    }
}

/// Tells of one table.
pub(super) fn prove(table: &TableObserved, observed: &Observed, checks: &mut Vec<Check>) -> Compared {
    let Some(found) = &table.replication else {
        return Compared::default();
    };
    let mut found = found.clone();
    // A month that was dropped is gone because it is old.
    if let Some(days) = observed.cold_days {
        let first = observed.now.div_euclid(DAY) - days;
        found.departed.retain(|(day, _), _| *day >= first);
    }
    let compared = compared(&found, observed.window.is_none());
    let before = checks.len();
    for (((exchange, symbol), wrong), rows) in &compared.markets {
        let rows = *rows;
        let (cause, what) = match wrong {
            Wrong::MissingInHot => (
                "missing_in_hot",
                "in the cold store and not in the hot one, whose day has not left",
            ),
            Wrong::MissingInCold => ("missing_in_cold", "in the hot store and not in the cold one"),
            Wrong::Differs => ("differs", "of other content in the cold store"),
        };
        let message = format!("{} {what}", counted(rows, "row is", "rows are"));
        let check = Check::new("replication", Level::Error, cause, message).rows(rows);
        checks.push(check.of(table.data_type).at(exchange, symbol));
    }
    for ((day, exchange), rows) in &compared.partitions {
        let day = mprism_model::UnixMillis(day * DAY).to_rfc3339();
        let day = day.split('T').next().unwrap_or_default();
        let message = format!(
            "{} that left the hot store and not in the cold one: {day} of {exchange}",
            counted(*rows, "row is missing", "rows are missing")
        );
        let check = Check::new("replication", Level::Error, "lost", message).rows(*rows);
        checks.push(Check {
            exchange: Some(exchange.clone()),
            ..check.of(table.data_type)
        });
    }
    let lag = compared.lag_ms(observed.now);
    if lag > observed.lag_max_ms {
        let lag = duration_text(Duration::from_millis(lag.unsigned_abs()));
        let message = format!("the cold store is {lag} behind, {} rows", compared.pending_rows);
        let check = Check::new("replication", Level::Warn, "behind", message).rows(compared.pending_rows);
        checks.push(check.of(table.data_type));
    }
    if checks.len() == before && compared.windows > 0 {
        let waiting = match compared.pending {
            0 => String::new(),
            pending => format!(", {pending} not copied yet"),
        };
        let message = format!(
            "{}: {} of {} windows equal{waiting}",
            table.data_type, compared.equal, compared.windows
        );
        checks.push(Check::ok("replication", message).of(table.data_type));
    }
    compared
}

/// Tells whether both stores could be asked, and whether the engine finds rows by their time.
pub(super) fn of_engine(observed: &Observed, checks: &mut Vec<Check>) {
    if let Some(reason) = &observed.cold_unreachable {
        let message = format!("the cold store cannot be asked: {reason}");
        checks.push(Check::new("replication", Level::Error, "unreachable", message));
    }
    let Some(canary) = &observed.canary else { return };
    for (predicate, by_predicate, by_scan) in &canary.wrong {
        let message = format!(
            "the engine finds {by_predicate} rows of {} by `{predicate}`, and there are {by_scan}",
            canary.table
        );
        let check = Check::new("replication", Level::Error, "time_predicate", message);
        checks.push(check.compared(by_scan, by_predicate));
    }
    if canary.wrong.is_empty() {
        let message = format!("{} time predicates find what a full scan finds", canary.predicates);
        checks.push(Check::ok("replication", message));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, scan, table, tier};
    use super::*;
    use mprism_model::DataType;

    fn row(seq: u64, hash: u64, inserted: i64) -> StoredRow {
        StoredRow {
            exchange: "okx_spot".into(),
            symbol: "BTC-USDT".into(),
            producer_epoch: 1,
            producer_seq: seq,
            hash,
            start: 0,
            inserted,
            is_wrong: 0,
        }
    }

    fn key(start: i64) -> CellKey {
        ("okx_spot".into(), "spot".into(), "BTC-USDT".into(), start)
    }

    fn different(hot: Vec<StoredRow>, cold: Vec<StoredRow>) -> Replication {
        let newest = cold.iter().map(|row| row.inserted).max();
        Replication {
            to: 100 * DAY,
            windows: 1,
            different: [key(0)].into(),
            copied: newest
                .map(|newest| (("okx_spot".into(), 0), newest))
                .into_iter()
                .collect(),
            hot,
            cold,
            ..Replication::default()
        }
    }

    #[test]
    fn each_kind_of_difference_is_told_and_what_has_just_come_waits() {
        let hot = vec![row(1, 10, 5), row(2, 20, 5), row(3, 30, 5), row(4, 40, 99)];
        let cold = vec![row(1, 10, 5), row(2, 21, 5), row(9, 90, 6)];
        let found = compared(&different(hot, cold), true);
        assert_eq!((found.missing_in_hot, found.missing_in_cold, found.differ), (1, 1, 1));
        assert_eq!((found.pending_rows, found.different), (1, 1));
    }

    #[test]
    fn all_rows_of_a_market_are_missing_where_others_of_its_window_were_copied() {
        let mut found = different(vec![row(1, 10, 5), row(2, 20, 9)], vec![]);
        assert_eq!(
            (
                compared(&found, true).missing_in_cold,
                compared(&found, true).pending_rows
            ),
            (0, 2)
        );
        found.copied.insert(("okx_derivatives".into(), 0), 9);
        assert_eq!(
            compared(&found, true).missing_in_cold,
            0,
            "another exchange's rows say nothing"
        );
        found.copied.insert(("okx_spot".into(), 0), 7);
        assert_eq!(
            (
                compared(&found, true).missing_in_cold,
                compared(&found, true).pending_rows
            ),
            (1, 1)
        );
    }

    #[test]
    fn a_row_that_is_there_twice_is_no_difference_and_neither_is_one_with_a_wrong_value() {
        let doubled = compared(
            &different(vec![row(1, 10, 5), row(1, 10, 5)], vec![row(1, 10, 5)]),
            true,
        );
        assert_eq!((doubled.different, doubled.markets.len()), (0, 0));
        let mut zero = row(1, 11, 5);
        zero.is_wrong = 1;
        let found = compared(&different(vec![zero], vec![row(1, 10, 5)]), true);
        assert_eq!(found.differ, 0, "the values' proof tells it");
    }

    #[test]
    fn what_left_is_not_missing_in_the_hot_store_but_has_to_be_in_the_cold_one() {
        let partition = (0, "okx_spot".to_owned());
        let mut found = different(vec![], vec![row(1, 10, 5), row(2, 20, 5)]);
        found.departed.insert(partition.clone(), 2);
        found.cold_days.insert(partition.clone(), 2);
        assert_eq!(
            compared(&found, true),
            Compared {
                windows: 1,
                pending: 1,
                ..Compared::default()
            }
        );
        found.cold_days.insert(partition.clone(), 1);
        assert_eq!(compared(&found, true).lost, 1);
        assert_eq!(compared(&found, false).lost, 0, "a part of time says nothing of a day");
        found.leaving.insert(partition);
        assert_eq!(compared(&found, true).lost, 0, "it is on its way out");
    }

    #[test]
    fn a_window_that_nobody_copied_waits_and_one_that_was_proven_is_gone() {
        let mut found = Replication {
            to: 100 * DAY,
            windows: 1,
            untouched: [(key(7 * HOUR), 12)].into(),
            ..Replication::default()
        };
        let waits = compared(&found, true);
        assert_eq!(
            (waits.pending, waits.pending_rows, waits.oldest_pending),
            (1, 12, Some(7 * HOUR))
        );
        assert_eq!(waits.lag_ms(8 * HOUR), HOUR);
        found.proven_hours.insert(7 * HOUR, 12);
        assert_eq!(compared(&found, true).missing_in_cold, 12);
    }

    #[test]
    fn a_lag_is_told_once_it_is_too_long() {
        let mut trades = table(DataType::Trade, tier(vec![scan(1)]));
        trades.replication = Some(Replication {
            to: 100 * DAY,
            windows: 1,
            untouched: [(key(0), 5)].into(),
            ..Replication::default()
        });
        let at = |now, trades: &TableObserved| {
            let observed = Observed {
                now,
                lag_max_ms: 900_000,
                ..Observed::default()
            };
            let mut checks = Vec::new();
            prove(trades, &observed, &mut checks);
            messages(&checks, Level::Warn)
        };
        assert_eq!(at(900_000, &trades), [] as [String; 0]);
        assert_eq!(at(960_000, &trades), ["the cold store is 16m 00s behind, 5 rows"]);
    }
}
