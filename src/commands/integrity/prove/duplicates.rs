//! Proof 3: each row is there once, by the producer's identity and by the venue's.

use std::collections::BTreeSet;

use mprism_model::DataType;

use super::super::observe::{Doubled, TableObserved, TierObserved};
use super::super::report::{Check, Level};
use super::counted;

/// Returns how many rows are there more than once in the hot store.
pub(super) fn prove(table: &TableObserved, checks: &mut Vec<Check>) -> u64 {
    let hot = table
        .hot
        .as_ref()
        .map_or(0, |tier| in_tier(table.data_type, tier, "", checks));
    let cold = table.cold.as_ref();
    let cold = cold.map_or(0, |tier| in_tier(table.data_type, tier, " in the cold store", checks));
    match table.hot {
        Some(_) => hot,
        None => cold,
    }
}

fn in_tier(data_type: DataType, tier: &TierObserved, place: &str, checks: &mut Vec<Check>) -> u64 {
    let mut duplicates = 0;
    let mut told = BTreeSet::new();
    for market in &tier.markets {
        let is_it = |found: &&Doubled| found.exchange == market.exchange && found.symbol == market.symbol;
        let Some(counts) = tier.doubled.iter().find(is_it) else {
            let message = format!("{} rows{place}, each once", market.rows);
            let check = Check::ok("duplicates", message).of(data_type);
            checks.push(
                check
                    .at(&market.exchange, &market.symbol)
                    .compared(market.rows, market.rows),
            );
            continue;
        };
        // Two market types of one symbol were counted together.
        if told.insert(market.market()) {
            duplicates += tell(data_type, counts, place, checks);
        }
    }
    duplicates
}

fn tell(data_type: DataType, counts: &Doubled, place: &str, checks: &mut Vec<Check>) -> u64 {
    let doubled = counts.rows - counts.identities.min(counts.contents);
    let about = |check: Check| check.of(data_type).at(&counts.exchange, &counts.symbol);
    if doubled > 0 {
        let message = format!("{} doubled{place}", counted(doubled, "row is", "rows are"));
        let check = about(Check::new("duplicates", Level::Error, "doubled", message)).rows(doubled);
        checks.push(check.compared(counts.rows - doubled, counts.rows));
    } else {
        let message = format!("{} rows{place}, each once", counts.rows);
        checks.push(about(Check::ok("duplicates", message)).compared(counts.rows, counts.rows));
    }
    let conflicts = counts.contents.saturating_sub(counts.ids);
    if conflicts > 0 {
        let what = match data_type {
            DataType::OrderBook => "update ids",
            DataType::Trade => "trade ids",
            _ => "events",
        };
        let message = format!("{conflicts} {what} have rows of different content{place}; all are kept");
        let check = about(Check::new("duplicates", Level::Warn, "conflict", message)).rows(conflicts);
        checks.push(check.compared(counts.ids, counts.contents));
    }
    doubled
}

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, scan, table, tier};
    use super::*;

    fn proven(identities: u64, ids: u64, contents: u64) -> (u64, Vec<Check>) {
        let mut hot = tier(vec![scan(100)]);
        hot.doubled.push(Doubled {
            exchange: "binance_spot".into(),
            symbol: "BTC-USDT".into(),
            rows: 100,
            identities,
            ids,
            contents,
        });
        let mut checks = Vec::new();
        let doubled = prove(&table(DataType::Trade, hot), &mut checks);
        (doubled, checks)
    }

    #[test]
    fn doubled_rows_are_errors_whichever_identity_tells() {
        for (identities, contents, ids) in [(99, 100, 100), (100, 99, 99)] {
            let (doubled, checks) = proven(identities, ids, contents);
            assert_eq!(
                (doubled, messages(&checks, Level::Error)),
                (1, vec!["1 row is doubled".into()])
            );
        }
        let (doubled, conflict) = proven(100, 99, 100);
        assert_eq!(doubled, 0, "a conflict is kept and told, not an error");
        assert_eq!(messages(&conflict, Level::Warn).len(), 1);
        let (doubled, false_alarm) = proven(100, 100, 100);
        assert_eq!((doubled, messages(&false_alarm, Level::Ok).len()), (0, 1));
    }

    #[test]
    fn each_store_is_told_of_by_itself() {
        let mut both = table(DataType::Trade, tier(vec![scan(100)]));
        let mut cold = tier(vec![scan(101)]);
        cold.doubled.push(Doubled {
            exchange: "binance_spot".into(),
            symbol: "BTC-USDT".into(),
            rows: 101,
            identities: 100,
            ids: 100,
            contents: 100,
        });
        both.cold = Some(cold);
        let mut checks = Vec::new();
        assert_eq!(prove(&both, &mut checks), 0, "the hot store has each once");
        assert_eq!(messages(&checks, Level::Error), ["1 row is doubled in the cold store"]);
    }
}
