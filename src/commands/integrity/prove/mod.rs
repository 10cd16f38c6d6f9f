//! From what there is to what it proves, one file a proof. Pure.

mod continuity;
mod duplicates;
mod parts;
mod presence;
mod replication;
mod schema;
mod time;
mod transport;
mod values;

use mprism_model::DataType;

use super::observe::{Observed, TableObserved};
use super::report::{Check, IntegrityReport, Score, TableSummary};

pub(crate) use parts::data_type_of;
pub(crate) use replication::{Compared, compared};
pub(crate) use time::{BACKWARDS_TOLERANCE_MS, FUTURE_TOLERANCE_MS};

/// Proves what can be proven.
pub(crate) fn prove(observed: &Observed) -> IntegrityReport {
    let mut checks = schema::prove(observed);
    parts::prove(observed, &mut checks);
    let coverage = presence::prove(observed, &mut checks);
    let mut tables = Vec::new();
    let mut score = Score::default();
    for table in &observed.tables {
        let found = Found {
            doubled: duplicates::prove(table, &mut checks),
            continuity: continuity::prove(table, &mut checks),
            replication: replication::prove(table, observed, &mut checks),
            wrong: values::prove(table, &mut checks),
            future: time::prove(table, observed, &mut checks),
        };
        let hot = table.hot.as_ref().or(table.cold.as_ref());
        let rows = hot.map_or(0, super::observe::TierObserved::rows);
        let sound = rows.saturating_sub(found.doubled);
        let not_there = found.continuity.missing + found.replication.missing_in_hot;
        let not_right = found.wrong + found.future + found.replication.missing_in_cold + found.replication.differ;
        score.expected += sound + not_there;
        score.proven += sound.saturating_sub(not_right);
        if table.data_type != DataType::Gap {
            tables.push(summary(table, observed.now, sound, not_there, &found));
        }
    }
    replication::of_engine(observed, &mut checks);
    transport::prove(observed, &mut checks);
    IntegrityReport::new(in_order(checks), tables, coverage, score)
}

/// What a table's proofs found.
struct Found {
    doubled: u64,
    continuity: continuity::Continuity,
    replication: Compared,
    wrong: u64,
    future: u64,
}

fn summary(table: &TableObserved, now: i64, sound: u64, not_there: u64, found: &Found) -> TableSummary {
    let expected = sound + not_there;
    let tiers = [&table.hot, &table.cold].into_iter().flatten();
    let newest = tiers
        .flat_map(|tier| tier.markets.iter().map(|market| market.last_insert))
        .max();
    TableSummary {
        r#type: table.data_type.to_string(),
        hot_rows: table.hot.as_ref().map_or(0, super::observe::TierObserved::rows),
        cold_rows: table.cold.as_ref().map(super::observe::TierObserved::rows),
        duplicates: found.doubled,
        gaps: found.continuity.open,
        missing: not_there,
        lag_s: table
            .replication
            .as_ref()
            .map(|_| found.replication.lag_ms(now) as f64 / 1_000.0),
        newest_age_s: newest.map(|newest| (now - newest).max(0) as f64 / 1_000.0),
        coverage_percent: match expected {
            0 => 0.0,
            expected => sound as f64 / expected as f64 * 100.0,
        },
    }
}

/// Puts checks in the order of the proofs.
fn in_order(mut checks: Vec<Check>) -> Vec<Check> {
    const PROOFS: [&str; 8] = [
        "schema",
        "presence",
        "duplicates",
        "continuity",
        "time",
        "transport",
        "replication",
        "values",
    ];
    checks.sort_by_key(|check| PROOFS.iter().position(|proof| *proof == check.id));
    checks
}

/// Returns a number with its noun, in its form.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::observe::{LedgerRow, MarketScan, Spans, TierObserved};
    use super::super::report::Level;
    use super::*;

    /// A market of which all is as it should be.
    pub(in crate::commands::integrity) fn scan(rows: u64) -> MarketScan {
        MarketScan {
            exchange: "binance_spot".into(),
            market_type: "spot".into(),
            symbol: "BTC-USDT".into(),
            rows,
            identities: rows,
            naturals: rows,
            numbered: rows,
            numbers: rows,
            first_number: 1,
            last_number: rows,
            ..MarketScan::default()
        }
    }

    pub(in crate::commands::integrity) fn tier(markets: Vec<MarketScan>) -> TierObserved {
        let numbers = markets.iter().map(|market| {
            let spans = Spans::between(market.first_number, market.last_number, []);
            (market.market(), spans)
        });
        TierObserved {
            numbers: numbers.collect(),
            markets,
            ..TierObserved::default()
        }
    }

    pub(in crate::commands::integrity) fn table(data_type: DataType, hot: TierObserved) -> TableObserved {
        TableObserved {
            data_type,
            hot: Some(hot),
            cold: None,
            gaps: Vec::new(),
            days: Vec::new(),
            backwards: Vec::new(),
            replication: None,
        }
    }

    pub(in crate::commands::integrity) fn gap(from_id: u64, to_id: u64, state: &str) -> LedgerRow {
        LedgerRow {
            exchange: "binance_spot".into(),
            symbol: "BTC-USDT".into(),
            from_id,
            to_id,
            cause: "disconnect".into(),
            state: state.into(),
            source: "backfill".into(),
        }
    }

    pub(in crate::commands::integrity) fn messages(checks: &[Check], level: Level) -> Vec<String> {
        let found = checks.iter().filter(|check| check.level == level);
        found.map(|check| check.message.clone()).collect()
    }

    #[test]
    fn clean_data_passes_and_counts_for_all_of_it() {
        let observed = Observed {
            tables: vec![table(DataType::Trade, tier(vec![scan(100)]))],
            transport: Some(super::super::observe::Transport::default()),
            ..Observed::default()
        };
        let report = prove(&observed);
        assert_eq!((report.verdict, report.score_percent), ("pass", 100.0), "{report:?}");
        assert_eq!(report.tables[0].hot_rows, 100);
    }

    #[test]
    fn what_is_missing_lowers_the_score() {
        let mut hot = tier(vec![scan(90)]);
        let market = ("binance_spot".to_owned(), "BTC-USDT".to_owned());
        hot.numbers.insert(market, Spans::between(1, 100, [(11, 20)]));
        let mut table = table(DataType::Trade, hot);
        table.gaps.push(gap(11, 20, "unfillable"));
        let observed = Observed {
            tables: vec![table],
            ..Observed::default()
        };
        let report = prove(&observed);
        assert_eq!((report.verdict, report.score_percent), ("warn", 90.0), "{report:?}");
    }
}
