//! From what there is to what it proves. Pure.

mod continuity;

use mprism_model::DataType;

use super::observe::{Observed, TableObserved};
use super::{Check, IntegrityReport, Level, TableSummary};
use continuity::{Continuity, continuity};

/// Messages that may wait in a durable before that is worth a look.
const BACKLOG_MAX: u64 = 100_000;

/// Proves what can be proven.
pub(crate) fn prove(observed: &Observed) -> IntegrityReport {
    let mut checks = schema(observed);
    let mut tables = Vec::new();
    for table in &observed.tables {
        let duplicates = no_duplicates(table, &mut checks);
        let found = continuity(table, &mut checks);
        tables.push(summary(table, duplicates, &found));
    }
    if observed.gap_rows > observed.gap_identities {
        let doubled = observed.gap_rows - observed.gap_identities;
        let message = format!("{doubled} rows of gaps are doubled");
        checks.push(check("duplicates", Level::Error, message));
    }
    transport(observed, &mut checks);
    IntegrityReport::new(checks, tables)
}

fn summary(table: &TableObserved, duplicates: u64, found: &Continuity) -> TableSummary {
    let rows: u64 = table.markets.iter().map(|market| market.rows).sum();
    let expected = rows - duplicates + found.missing;
    TableSummary {
        r#type: table.data_type.to_string(),
        hot_rows: rows,
        cold_rows: None,
        duplicates,
        gaps: found.open,
        missing: found.missing,
        lag_s: table.newest_age_ms.map(|ms| ms.max(0) as f64 / 1_000.0),
        coverage_percent: if expected == 0 {
            0.0
        } else {
            (rows - duplicates) as f64 / expected as f64 * 100.0
        },
    }
}

fn check(id: &'static str, level: Level, message: impl Into<String>) -> Check {
    Check {
        id,
        level,
        r#type: None,
        exchange: None,
        symbol: None,
        message: message.into(),
        expected: None,
        actual: None,
    }
}

fn schema(observed: &Observed) -> Vec<Check> {
    if observed.schema.is_empty() {
        return vec![check(
            "schema",
            Level::Ok,
            "tables and columns are what this version makes",
        )];
    }
    observed
        .schema
        .iter()
        .map(|difference| check("schema", Level::Error, difference))
        .collect()
}

/// A finding about one market.
fn about(table: &TableObserved, exchange: &str, symbol: &str, check: Check) -> Check {
    Check {
        r#type: Some(table.data_type.to_string()),
        exchange: Some(exchange.to_owned()),
        symbol: Some(symbol.to_owned()),
        ..check
    }
}

/// Returns how many rows are there more than once.
fn no_duplicates(table: &TableObserved, checks: &mut Vec<Check>) -> u64 {
    let mut duplicates = 0;
    for market in &table.markets {
        let doubled = market.rows - market.identities.min(market.contents);
        duplicates += doubled;
        let conflicts = market.contents.saturating_sub(market.ids);
        let say = |level, message: String, expected: u64, actual: u64| Check {
            expected: Some(expected.to_string()),
            actual: Some(actual.to_string()),
            ..about(
                table,
                &market.exchange,
                &market.symbol,
                check("duplicates", level, message),
            )
        };
        let rows = market.rows;
        checks.push(if doubled > 0 {
            say(
                Level::Error,
                format!("{doubled} rows are doubled"),
                rows - doubled,
                rows,
            )
        } else {
            say(Level::Ok, format!("{rows} rows, each once"), rows, rows)
        });
        if conflicts > 0 {
            let what = match table.data_type {
                DataType::OrderBook => "update ids",
                _ => "trade ids",
            };
            let message = format!("{conflicts} {what} have rows of different content; all are kept");
            checks.push(say(Level::Warn, message, market.ids, market.contents));
        }
    }
    duplicates
}

fn transport(observed: &Observed, checks: &mut Vec<Check>) {
    let transport = &observed.transport;
    if let Some(reason) = &transport.unreachable {
        checks.push(check(
            "transport",
            Level::Error,
            format!("the broker cannot be asked: {reason}"),
        ));
        return;
    }
    let before = checks.len();
    for difference in &transport.differs {
        checks.push(check("transport", Level::Error, difference));
    }
    if let Some((wanted, found)) = transport.sync.as_ref().filter(|(wanted, found)| wanted != found) {
        checks.push(Check {
            expected: Some(wanted.clone()),
            actual: Some(found.clone()),
            ..check(
                "transport",
                Level::Error,
                format!("the broker writes for good every {found}, not {wanted}"),
            )
        });
    }
    for durable in &transport.durables {
        let name = &durable.name;
        if durable.ack_floor > durable.last_seq {
            let (at, last) = (durable.ack_floor, durable.last_seq);
            checks.push(check(
                "transport",
                Level::Error,
                format!("{name} stands at {at}, ahead of its stream's end {last}"),
            ));
        }
        if durable.pending > BACKLOG_MAX {
            checks.push(check(
                "transport",
                Level::Warn,
                format!("{} messages of {name} are not stored yet", durable.pending),
            ));
        }
    }
    if observed.dead_letters > 0 {
        let message = format!(
            "{} messages could never be stored (stream DEAD_LETTER)",
            observed.dead_letters
        );
        checks.push(check("transport", Level::Warn, message));
    }
    if checks.len() == before {
        let waiting: u64 = transport.durables.iter().map(|durable| durable.pending).sum();
        let message = format!("streams, durables and fsync policy as configured; {waiting} messages on their way");
        checks.push(check("transport", Level::Ok, message));
    }
}

#[cfg(test)]
mod tests {
    use super::super::observe::{DurableState, LedgerRow, MarketCount, Range, Transport};
    use super::*;

    fn market(rows: u64, identities: u64, ids: u64, contents: u64) -> MarketCount {
        MarketCount {
            exchange: "binance_spot".into(),
            symbol: "BTC-USDT".into(),
            rows,
            identities,
            ids,
            contents,
        }
    }

    fn hole(from_id: u64, to_id: u64) -> Range {
        Range {
            exchange: "binance_spot".into(),
            symbol: "BTC-USDT".into(),
            from_id,
            to_id,
        }
    }

    fn gap(from_id: u64, to_id: u64, state: &str) -> LedgerRow {
        LedgerRow {
            exchange: "binance_spot".into(),
            symbol: "BTC-USDT".into(),
            from_id,
            to_id,
            cause: "disconnect".into(),
            state: state.into(),
        }
    }

    fn observed(data_type: DataType, markets: Vec<MarketCount>, holes: Vec<Range>, gaps: Vec<LedgerRow>) -> Observed {
        Observed {
            tables: vec![TableObserved {
                data_type,
                markets,
                holes,
                gaps,
                newest_age_ms: None,
            }],
            ..Observed::default()
        }
    }

    fn trades(markets: Vec<MarketCount>) -> Observed {
        observed(DataType::Trade, markets, Vec::new(), Vec::new())
    }

    fn errors(observed: &Observed) -> Vec<String> {
        let report = prove(observed);
        report
            .checks
            .into_iter()
            .filter(|c| c.level == Level::Error)
            .map(|c| c.message)
            .collect()
    }

    #[test]
    fn clean_data_passes() {
        let observed = Observed {
            tables: trades(vec![market(100, 100, 100, 100)]).tables,
            transport: Transport {
                durables: vec![DurableState {
                    ack_floor: 100,
                    last_seq: 100,
                    ..DurableState::default()
                }],
                ..Transport::default()
            },
            ..Observed::default()
        };
        let report = prove(&observed);
        assert_eq!((report.verdict, report.score_percent), ("pass", 100.0));
    }

    #[test]
    fn doubled_rows_are_errors_whichever_identity_tells() {
        for (identities, contents, ids) in [(99, 100, 100), (100, 99, 99)] {
            let observed = trades(vec![market(100, identities, ids, contents)]);
            assert_eq!(errors(&observed), ["1 rows are doubled"]);
        }
        let conflict = trades(vec![market(100, 100, 99, 100)]);
        assert!(
            errors(&conflict).is_empty(),
            "a conflict is kept and told, not an error"
        );
        assert_eq!(prove(&conflict).verdict, "warn");
    }

    #[test]
    fn a_hole_needs_its_entry_in_the_ledger() {
        let with = |holes: &[Range], gaps: Vec<LedgerRow>| {
            observed(DataType::Trade, vec![market(90, 90, 90, 90)], holes.to_vec(), gaps)
        };
        let holes = [hole(11, 20)];
        assert_eq!(
            errors(&with(&holes, vec![])),
            ["10 of 10 trades 11 to 20 are missing and not in the ledger"]
        );
        assert_eq!(errors(&with(&holes, vec![gap(11, 15, "open")])).len(), 2);
        let unfillable = with(&holes, vec![gap(11, 20, "unfillable")]);
        assert!(errors(&unfillable).is_empty());
        let report = prove(&unfillable);
        assert_eq!((report.verdict, report.score_percent), ("warn", 90.0));
        let filled = prove(&with(&[], vec![gap(11, 20, "filled")]));
        assert_eq!(filled.verdict, "pass");
        assert!(
            filled.checks.iter().any(|c| c.message.contains("1 gap, filled")),
            "{:?}",
            filled.checks
        );
    }

    #[test]
    fn a_broken_chain_of_books_needs_an_entry_that_says_why() {
        let with = |gaps| {
            observed(
                DataType::OrderBook,
                vec![market(90, 90, 90, 90)],
                vec![hole(11, 20)],
                gaps,
            )
        };
        assert_eq!(
            errors(&with(vec![])),
            ["the order book's chain is broken between updates 11 and 20, and the ledger does not say why"]
        );
        // Some of the updates were applied and never published: the ledger knows of those that were not seen.
        let report = prove(&with(vec![gap(14, 18, "unfillable")]));
        assert_eq!((report.verdict, report.score_percent), ("warn", 100.0));
        assert!(
            report
                .checks
                .iter()
                .any(|c| c.message.contains("1 gap of order books (1 disconnect)"))
        );
    }

    #[test]
    fn a_durable_ahead_of_its_stream_is_an_error() {
        let observed = Observed {
            transport: Transport {
                durables: vec![DurableState {
                    name: "d".into(),
                    ack_floor: 8_000,
                    last_seq: 5_000,
                    ..DurableState::default()
                }],
                ..Transport::default()
            },
            ..Observed::default()
        };
        assert_eq!(errors(&observed), ["d stands at 8000, ahead of its stream's end 5000"]);
    }
}
