//! Whether a sequence is whole, or everything that it lacks is in the ledger.

use std::collections::BTreeMap;

use mprism_model::DataType;

use super::super::observe::{LedgerRow, Range, TableObserved};
use super::super::{Check, Level};
use super::{about, check};

/// What a sequence lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Continuity {
    /// Gaps that are still open.
    pub(super) open: u64,
    /// Rows that are missing, in the ledger or not.
    pub(super) missing: u64,
}

/// Holds a table's holes against the ledger.
pub(super) fn continuity(table: &TableObserved, checks: &mut Vec<Check>) -> Continuity {
    let before = checks.len();
    let found = match table.data_type {
        DataType::OrderBook => order_books(table, checks),
        DataType::Trade => trades(table, checks),
        _ => {
            by_cause(table, "moments", checks);
            Continuity::default()
        }
    };
    if checks.len() == before && !table.markets.is_empty() {
        let message = match table.data_type {
            DataType::OrderBook => "every order book continues the one before",
            DataType::Trade => "trade ids have no hole",
            _ => "no moment is known to be missing",
        };
        checks.push(Check {
            r#type: Some(table.data_type.to_string()),
            ..check("continuity", Level::Ok, message)
        });
    }
    filled(table, checks);
    found
}

/// Every trade has a number: what is missing is known to the trade.
fn trades(table: &TableObserved, checks: &mut Vec<Check>) -> Continuity {
    let mut found = Continuity::default();
    let unfilled = || table.gaps.iter().filter(|gap| gap.state != "filled");
    for hole in &table.holes {
        let absent = hole.to_id - hole.from_id + 1;
        found.missing += absent;
        let ledgered: u64 = unfilled().map(|gap| overlap(hole, gap)).sum();
        if ledgered < absent {
            let message = format!(
                "{} of {absent} trades {} to {} are missing and not in the ledger",
                absent - ledgered,
                hole.from_id,
                hole.to_id
            );
            let missing = check("continuity", Level::Error, message);
            checks.push(about(table, &hole.exchange, &hole.symbol, missing));
        }
    }
    for gap in unfilled() {
        let is_open = gap.state == "open";
        found.open += u64::from(is_open);
        let level = if is_open { Level::Error } else { Level::Warn };
        let message = format!(
            "{} gap of trades {} to {} ({})",
            gap.state, gap.from_id, gap.to_id, gap.cause
        );
        let gap_check = check("continuity", level, message);
        checks.push(about(table, &gap.exchange, &gap.symbol, gap_check));
    }
    found
}

/// Books form chains. Where one ends the ledger has to say why; books that were not seen cannot be had afterwards, so their
/// gaps are told by market and cause and not one by one.
fn order_books(table: &TableObserved, checks: &mut Vec<Check>) -> Continuity {
    let mut found = Continuity::default();
    for hole in &table.holes {
        if table.gaps.iter().any(|gap| overlap(hole, gap) > 0) {
            continue;
        }
        found.missing += 1;
        let message = format!(
            "the order book's chain is broken between updates {} and {}, and the ledger does not say why",
            hole.from_id, hole.to_id
        );
        let broken = check("continuity", Level::Error, message);
        checks.push(about(table, &hole.exchange, &hole.symbol, broken));
    }
    by_cause(table, "order books", checks);
    found
}

/// Tells of gaps that nobody can fill, by market and cause and not one by one.
fn by_cause(table: &TableObserved, what: &str, checks: &mut Vec<Check>) {
    let mut causes: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
    for gap in &table.gaps {
        let market = causes.entry((&gap.exchange, &gap.symbol)).or_default();
        *market.entry(&gap.cause).or_default() += 1;
    }
    for ((exchange, symbol), causes) in causes {
        let count: u64 = causes.values().sum();
        let gaps = if count == 1 { "gap" } else { "gaps" };
        let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        let message = format!("{count} {gaps} of {what} ({})", causes.join(", "));
        checks.push(about(
            table,
            exchange,
            symbol,
            check("continuity", Level::Warn, message),
        ));
    }
}

/// Tells what was missing and is there now.
fn filled(table: &TableObserved, checks: &mut Vec<Check>) {
    let mut filled: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for gap in table.gaps.iter().filter(|gap| gap.state == "filled") {
        let (gaps, ids) = filled.entry((&gap.exchange, &gap.symbol)).or_default();
        *gaps += 1;
        *ids += (gap.to_id + 1).saturating_sub(gap.from_id);
    }
    for ((exchange, symbol), (gaps, ids)) in filled {
        let word = if gaps == 1 { "gap" } else { "gaps" };
        let message = format!("{gaps} {word}, filled with {ids} rows");
        checks.push(about(table, exchange, symbol, check("continuity", Level::Ok, message)));
    }
}

fn overlap(hole: &Range, gap: &LedgerRow) -> u64 {
    if hole.exchange != gap.exchange || hole.symbol != gap.symbol {
        return 0;
    }
    let (from, to) = (hole.from_id.max(gap.from_id), hole.to_id.min(gap.to_id));
    (to + 1).saturating_sub(from)
}
