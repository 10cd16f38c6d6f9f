//! Proof 4: a sequence is whole, or everything that it lacks is in the ledger. Rows may have left the hot store, so what counts is
//! what both stores have together.

use std::collections::BTreeMap;

use mprism_model::DataType;

use super::super::observe::{LedgerRow, Market, Spans, TableObserved};
use super::super::report::{Check, Level};
use super::counted;

/// What a sequence lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Continuity {
    /// Gaps that are still open.
    pub(super) open: u64,
    /// Rows that are missing, in the ledger or not.
    pub(super) missing: u64,
}

/// Numbers of a market that neither store has, the first and the last of them.
struct Hole<'a> {
    market: &'a Market,
    from_id: u64,
    to_id: u64,
}

/// Holds a table's holes against the ledger.
pub(super) fn prove(table: &TableObserved, checks: &mut Vec<Check>) -> Continuity {
    if table.data_type == DataType::Gap {
        return Continuity::default();
    }
    let numbers = numbers(table);
    let holes: Vec<Hole<'_>> = numbers
        .iter()
        .flat_map(|(market, spans)| {
            let holes = spans.holes().into_iter();
            holes.map(|(from_id, to_id)| Hole { market, from_id, to_id })
        })
        .collect();
    let before = checks.len();
    let found = match table.data_type {
        DataType::OrderBook => order_books(table, &holes, checks),
        DataType::Trade => trades(table, &holes, checks),
        _ => {
            by_cause(table, "moments", checks);
            Continuity::default()
        }
    };
    let tiers = [&table.hot, &table.cold].into_iter().flatten();
    if checks.len() == before && tiers.into_iter().any(|tier| !tier.markets.is_empty()) {
        let message = match table.data_type {
            DataType::OrderBook => "every order book continues the one before",
            DataType::Trade => "trade ids have no hole",
            _ => "no moment is known to be missing",
        };
        checks.push(Check::ok("continuity", message).of(table.data_type));
    }
    filled(table, checks);
    found
}

/// Returns which numbers the two stores have together.
fn numbers(table: &TableObserved) -> BTreeMap<Market, Spans> {
    let mut numbers: BTreeMap<Market, Spans> = BTreeMap::new();
    for tier in [&table.hot, &table.cold].into_iter().flatten() {
        for (market, spans) in &tier.numbers {
            let known = numbers.entry(market.clone()).or_default();
            *known = known.union(spans);
        }
    }
    numbers
}

/// Every trade has a number: what is missing is known to the trade.
fn trades(table: &TableObserved, holes: &[Hole<'_>], checks: &mut Vec<Check>) -> Continuity {
    let mut found = Continuity::default();
    let unfilled = || table.gaps.iter().filter(|gap| gap.state != "filled");
    for hole in holes {
        let absent = hole.to_id - hole.from_id + 1;
        found.missing += absent;
        let ledgered: u64 = unfilled().map(|gap| overlap(hole, gap)).sum();
        if ledgered < absent {
            let missing = absent - ledgered;
            let message = format!(
                "{missing} of {absent} trades {} to {} are missing and not in the ledger",
                hole.from_id, hole.to_id
            );
            let check = Check::new("continuity", Level::Error, "not_in_ledger", message).rows(missing);
            checks.push(check.of(table.data_type).at(&hole.market.0, &hole.market.1));
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
        let check = Check::new("continuity", level, gap.state.as_str(), message);
        let rows = (gap.to_id + 1).saturating_sub(gap.from_id);
        checks.push(check.of(table.data_type).at(&gap.exchange, &gap.symbol).rows(rows));
    }
    found
}

/// Books form chains. Where one ends the ledger has to say why; books that were not seen cannot be had afterwards, so their
/// gaps are told by market and cause and not one by one.
fn order_books(table: &TableObserved, holes: &[Hole<'_>], checks: &mut Vec<Check>) -> Continuity {
    let mut found = Continuity::default();
    for hole in holes {
        if table.gaps.iter().any(|gap| overlap(hole, gap) > 0) {
            continue;
        }
        found.missing += 1;
        let message = format!(
            "the order book's chain is broken between updates {} and {}, and the ledger does not say why",
            hole.from_id, hole.to_id
        );
        let check = Check::new("continuity", Level::Error, "not_in_ledger", message).rows(1);
        checks.push(check.of(table.data_type).at(&hole.market.0, &hole.market.1));
    }
    by_cause(table, "order books", checks);
    found
}

/// Tells of gaps that nobody can fill, by market and cause and not one by one.
fn by_cause(table: &TableObserved, what: &str, checks: &mut Vec<Check>) {
    let mut causes: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
    for gap in table.gaps.iter().filter(|gap| gap.state != "filled") {
        let market = causes.entry((&gap.exchange, &gap.symbol)).or_default();
        *market.entry(&gap.cause).or_default() += 1;
    }
    for ((exchange, symbol), causes) in causes {
        let count: u64 = causes.values().sum();
        let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        let message = format!("{} of {what} ({})", counted(count, "gap", "gaps"), causes.join(", "));
        let check = Check::new("continuity", Level::Warn, "unfillable", message);
        checks.push(check.of(table.data_type).at(exchange, symbol));
    }
}

/// Tells what was missing and is there now, and who had it.
fn filled(table: &TableObserved, checks: &mut Vec<Check>) {
    let mut filled: BTreeMap<(&str, &str, &str), (u64, u64)> = BTreeMap::new();
    for gap in table.gaps.iter().filter(|gap| gap.state == "filled") {
        let (gaps, ids) = filled.entry((&gap.exchange, &gap.symbol, &gap.source)).or_default();
        *gaps += 1;
        *ids += (gap.to_id + 1).saturating_sub(gap.from_id);
    }
    for ((exchange, symbol, source), (gaps, ids)) in filled {
        let message = format!("{}, filled with {ids} rows ({source})", counted(gaps, "gap", "gaps"));
        checks.push(
            Check::ok("continuity", message)
                .of(table.data_type)
                .at(exchange, symbol),
        );
    }
}

fn overlap(hole: &Hole<'_>, gap: &LedgerRow) -> u64 {
    if hole.market.0 != gap.exchange || hole.market.1 != gap.symbol {
        return 0;
    }
    let (from, to) = (hole.from_id.max(gap.from_id), hole.to_id.min(gap.to_id));
    (to + 1).saturating_sub(from)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{gap, messages, scan, table, tier};
    use super::*;

    fn market() -> Market {
        ("binance_spot".into(), "BTC-USDT".into())
    }

    fn proven(data_type: DataType, holes: &[(u64, u64)], gaps: Vec<LedgerRow>) -> (Continuity, Vec<Check>) {
        let mut hot = tier(vec![scan(90)]);
        hot.numbers.insert(market(), Spans::between(1, 100, holes.to_vec()));
        let mut table = table(data_type, hot);
        table.gaps = gaps;
        let mut checks = Vec::new();
        let found = prove(&table, &mut checks);
        (found, checks)
    }

    #[test]
    fn a_hole_needs_its_entry_in_the_ledger() {
        let with = |gaps| proven(DataType::Trade, &[(11, 20)], gaps);
        assert_eq!(
            messages(&with(vec![]).1, Level::Error),
            ["10 of 10 trades 11 to 20 are missing and not in the ledger"]
        );
        assert_eq!(messages(&with(vec![gap(11, 15, "open")]).1, Level::Error).len(), 2);
        let (found, unfillable) = with(vec![gap(11, 20, "unfillable")]);
        assert_eq!((found.missing, messages(&unfillable, Level::Error).len()), (10, 0));
        assert_eq!(messages(&unfillable, Level::Warn).len(), 1);
        let (_, filled) = proven(DataType::Trade, &[], vec![gap(11, 20, "filled")]);
        assert_eq!(
            messages(&filled, Level::Ok),
            ["trade ids have no hole", "1 gap, filled with 10 rows (backfill)"]
        );
    }

    #[test]
    fn what_only_the_cold_store_has_is_no_hole() {
        let mut hot = tier(vec![scan(90)]);
        hot.numbers.insert(market(), Spans::between(51, 100, [(61, 63)]));
        let mut both = table(DataType::Trade, hot);
        let mut cold = tier(vec![scan(80)]);
        cold.numbers.insert(market(), Spans::between(1, 90, [(31, 32)]));
        both.cold = Some(cold);
        let mut checks = Vec::new();
        assert_eq!(prove(&both, &mut checks).missing, 2);
        assert_eq!(
            messages(&checks, Level::Error),
            ["2 of 2 trades 31 to 32 are missing and not in the ledger"]
        );
    }

    #[test]
    fn a_broken_chain_of_books_needs_an_entry_that_says_why() {
        let with = |gaps| proven(DataType::OrderBook, &[(11, 20)], gaps).1;
        assert_eq!(
            messages(&with(vec![]), Level::Error),
            ["the order book's chain is broken between updates 11 and 20, and the ledger does not say why"]
        );
        // Some of the updates were applied and never published: the ledger knows of those that were not seen.
        let told = with(vec![gap(14, 18, "unfillable")]);
        assert_eq!(messages(&told, Level::Error), [] as [String; 0]);
        assert_eq!(messages(&told, Level::Warn), ["1 gap of order books (1 disconnect)"]);
    }
}
