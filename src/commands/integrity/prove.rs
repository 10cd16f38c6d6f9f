//! From what there is to what it proves. Pure.

use super::observe::{LedgerRow, Observed, Range};
use super::{Check, IntegrityReport, Level, TableSummary};

/// Messages that may wait in a durable before that is worth a look.
const BACKLOG_MAX: u64 = 100_000;

/// Proves what can be proven.
pub(crate) fn prove(observed: &Observed) -> IntegrityReport {
    let mut checks = schema(observed);
    let duplicates = no_duplicates(observed, &mut checks);
    let (open, missing) = continuity(observed, &mut checks);
    transport(observed, &mut checks);
    let rows: u64 = observed.trades.iter().map(|market| market.rows).sum();
    let expected = rows - duplicates + missing;
    let trades = TableSummary {
        r#type: "trade".into(),
        hot_rows: rows,
        cold_rows: None,
        duplicates,
        gaps: open,
        missing,
        lag_s: observed.newest_age_ms.map(|ms| ms.max(0) as f64 / 1_000.0),
        coverage_percent: if expected == 0 {
            0.0
        } else {
            (rows - duplicates) as f64 / expected as f64 * 100.0
        },
    };
    IntegrityReport::new(checks, vec![trades])
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

/// Returns how many rows are there more than once.
fn no_duplicates(observed: &Observed, checks: &mut Vec<Check>) -> u64 {
    let mut duplicates = 0;
    for market in &observed.trades {
        let doubled = market.rows - market.identities.min(market.contents);
        duplicates += doubled;
        let conflicts = market.contents.saturating_sub(market.ids);
        let about = |level, message: String, expected: u64, actual: u64| Check {
            r#type: Some("trade".into()),
            exchange: Some(market.exchange.clone()),
            symbol: Some(market.symbol.clone()),
            expected: Some(expected.to_string()),
            actual: Some(actual.to_string()),
            ..check("duplicates", level, message)
        };
        checks.push(if doubled > 0 {
            about(
                Level::Error,
                format!("{doubled} rows are doubled"),
                market.rows - doubled,
                market.rows,
            )
        } else {
            about(
                Level::Ok,
                format!("{} rows, each once", market.rows),
                market.rows,
                market.rows,
            )
        });
        if conflicts > 0 {
            let message = format!("{conflicts} trade ids have rows of different content; all are kept");
            checks.push(about(Level::Warn, message, market.ids, market.contents));
        }
    }
    if observed.gap_rows > observed.gap_identities {
        let doubled = observed.gap_rows - observed.gap_identities;
        checks.push(check(
            "duplicates",
            Level::Error,
            format!("{doubled} rows of gaps are doubled"),
        ));
    }
    duplicates
}

/// Returns how many gaps are open and how many trades are missing, in the ledger or not.
fn continuity(observed: &Observed, checks: &mut Vec<Check>) -> (u64, u64) {
    let (mut open, mut missing) = (0, 0);
    let mut is_clean = true;
    for hole in &observed.holes {
        let absent = hole.to_id - hole.from_id + 1;
        missing += absent;
        let ledgered: u64 = observed
            .gaps
            .iter()
            .filter(|gap| gap.state != "filled")
            .map(|gap| overlap(hole, gap))
            .sum();
        if ledgered < absent {
            is_clean = false;
            checks.push(Check {
                r#type: Some("trade".into()),
                exchange: Some(hole.exchange.clone()),
                symbol: Some(hole.symbol.clone()),
                ..check(
                    "continuity",
                    Level::Error,
                    format!(
                        "{} of {absent} trades {} to {} are missing and not in the ledger",
                        absent - ledgered,
                        hole.from_id,
                        hole.to_id
                    ),
                )
            });
        }
    }
    for gap in observed.gaps.iter().filter(|gap| gap.state != "filled") {
        let level = if gap.state == "open" { Level::Error } else { Level::Warn };
        open += u64::from(gap.state == "open");
        is_clean = false;
        checks.push(Check {
            r#type: Some("trade".into()),
            exchange: Some(gap.exchange.clone()),
            symbol: Some(gap.symbol.clone()),
            ..check(
                "continuity",
                level,
                format!(
                    "{} gap of trades {} to {} ({})",
                    gap.state, gap.from_id, gap.to_id, gap.cause
                ),
            )
        });
    }
    if is_clean {
        checks.push(check("continuity", Level::Ok, "trade ids have no hole"));
    }
    (open, missing)
}

fn overlap(hole: &Range, gap: &LedgerRow) -> u64 {
    if hole.exchange != gap.exchange || hole.symbol != gap.symbol {
        return 0;
    }
    let (from, to) = (hole.from_id.max(gap.from_id), hole.to_id.min(gap.to_id));
    (to + 1).saturating_sub(from)
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
    use super::super::observe::{DurableState, MarketCount, Transport};
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
            trades: vec![market(100, 100, 100, 100)],
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
            let observed = Observed {
                trades: vec![market(100, identities, ids, contents)],
                ..Observed::default()
            };
            assert_eq!(errors(&observed), ["1 rows are doubled"]);
        }
        let conflict = Observed {
            trades: vec![market(100, 100, 99, 100)],
            ..Observed::default()
        };
        assert!(
            errors(&conflict).is_empty(),
            "a conflict is kept and told, not an error"
        );
        assert_eq!(prove(&conflict).verdict, "warn");
    }

    #[test]
    fn a_hole_needs_its_entry_in_the_ledger() {
        let mut observed = Observed {
            trades: vec![market(90, 90, 90, 90)],
            holes: vec![hole(11, 20)],
            ..Observed::default()
        };
        assert_eq!(
            errors(&observed),
            ["10 of 10 trades 11 to 20 are missing and not in the ledger"]
        );
        observed.gaps = vec![gap(11, 15, "open")];
        assert_eq!(errors(&observed).len(), 2);
        observed.gaps = vec![gap(11, 20, "unfillable")];
        assert!(errors(&observed).is_empty());
        let report = prove(&observed);
        assert_eq!((report.verdict, report.score_percent), ("warn", 90.0));
        observed.holes.clear();
        observed.gaps = vec![gap(11, 20, "filled")];
        assert_eq!(prove(&observed).verdict, "pass");
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
