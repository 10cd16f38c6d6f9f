//! Proof 8: rows say what venues say: nothing is empty, zero or impossible where the venue sent a value.

use std::collections::BTreeMap;

use super::super::observe::{Market, TableObserved, TierObserved};
use super::super::report::{Check, Level};
use super::counted;

/// Returns how many rows break a rule, those that break several counted for each.
pub(super) fn prove(table: &TableObserved, checks: &mut Vec<Check>) -> u64 {
    let before = checks.len();
    let mut rows = 0;
    let known = table.hot.as_ref().map(broken).unwrap_or_default();
    if let Some(hot) = &table.hot {
        rows += tell(table, hot, &known, "", checks);
    }
    if let Some(cold) = &table.cold {
        // What both stores have is told once: the cold store's share is what has left the hot one.
        let mut left = broken(cold);
        for (key, count) in &mut left {
            *count = count.saturating_sub(known.get(key).copied().unwrap_or(0));
        }
        rows += tell(table, cold, &left, " in the cold store", checks);
    }
    let tiers = [&table.hot, &table.cold].into_iter().flatten();
    if checks.len() == before && tiers.into_iter().any(|tier| !tier.markets.is_empty()) {
        let message = "every value is there and possible";
        checks.push(Check::ok("values", message).of(table.data_type));
    }
    rows
}

/// Rows by market and rule.
type Broken = BTreeMap<(Market, usize), u64>;

fn broken(tier: &TierObserved) -> Broken {
    let mut broken = Broken::new();
    for market in &tier.markets {
        for (rule, count) in market.wrong.iter().enumerate().filter(|(_, count)| **count > 0) {
            *broken.entry((market.market(), rule)).or_default() += count;
        }
    }
    broken
}

fn tell(table: &TableObserved, tier: &TierObserved, broken: &Broken, place: &str, checks: &mut Vec<Check>) -> u64 {
    let mut rows = 0;
    for (((exchange, symbol), rule), count) in broken.iter().filter(|(_, count)| **count > 0) {
        let Some(rule) = tier.rules.get(*rule) else { continue };
        rows += count;
        let message = format!("{}{place} with {}", counted(*count, "row", "rows"), rule.says);
        let check = Check::new("values", Level::Error, rule.column, message).rows(*count);
        checks.push(check.of(table.data_type).at(exchange, symbol).compared(0, count));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::super::shape::Shape;
    use super::super::tests::{messages, scan, table, tier};
    use super::*;
    use mprism_clickhouse::{Tier, columns_of};
    use mprism_model::DataType;

    fn with_wrong(rule: &str, count: u64) -> TierObserved {
        let columns = columns_of(Tier::Hot, "trades").into_iter().map(|column| column.name);
        let rules = Shape::of(DataType::Trade).rules(&columns.collect::<Vec<_>>());
        let at = rules.iter().position(|found| found.column == rule).expect("a rule");
        let mut market = scan(10);
        market.wrong = vec![0; rules.len()];
        market.wrong[at] = count;
        TierObserved {
            rules,
            ..tier(vec![market])
        }
    }

    #[test]
    fn a_rule_that_is_broken_names_the_column_and_what_both_stores_have_is_told_once() {
        let mut both = table(DataType::Trade, with_wrong("price", 2));
        both.cold = Some(with_wrong("price", 2));
        let mut checks = Vec::new();
        assert_eq!(prove(&both, &mut checks), 2);
        assert_eq!(messages(&checks, Level::Error), ["2 rows with no price"]);
        assert_eq!(checks[0].cause, "price");
        both.cold = Some(with_wrong("price", 5));
        let mut checks = Vec::new();
        assert_eq!(prove(&both, &mut checks), 5);
        assert_eq!(
            messages(&checks, Level::Error),
            ["2 rows with no price", "3 rows in the cold store with no price"]
        );
    }
}
