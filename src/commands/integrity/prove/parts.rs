//! What a server keeps aside because it cannot read it: part of proof 2, because its rows are not there.

use mprism_model::DataType;

use super::super::observe::Observed;
use super::super::report::{Check, Level};

/// Tells each part with its table and its rows. Which of them are missing the other proofs say; what was mended stays a warning until
/// somebody agrees to drop the part.
pub(super) fn prove(observed: &Observed, checks: &mut Vec<Check>) {
    for (tier, part) in &observed.broken_parts {
        let (database, table, name) = (tier.database(), &part.table, &part.name);
        let message = match part.rows {
            Some(rows) => format!("the engine cannot read part {name} of {database}.{table}: {rows} rows"),
            None => format!("the engine cannot read part {name} of {database}.{table}"),
        };
        let check = Check::new("presence", Level::Warn, "broken_part", message).rows(part.rows.unwrap_or(0));
        checks.push(match data_type_of(table) {
            Some(data_type) => check.of(data_type),
            None => check,
        });
    }
}

/// Returns whose table it is.
pub(crate) fn data_type_of(table: &str) -> Option<DataType> {
    DataType::ALL
        .iter()
        .copied()
        .find(|data_type| data_type.table() == table)
}

#[cfg(test)]
mod tests {
    use mprism_clickhouse::{BrokenPart, Tier};

    use super::*;

    #[test]
    fn a_part_is_told_with_its_table_and_its_rows_where_they_are_known() {
        let part = |table: &str, rows| BrokenPart {
            table: table.into(),
            name: "broken-on-start_20261126_1_5_1".into(),
            reason: "broken-on-start".into(),
            rows,
            earlier: Vec::new(),
        };
        let observed = Observed {
            broken_parts: vec![
                (Tier::Cold, part("trades", Some(12))),
                (Tier::Hot, part("dead_letters", None)),
            ],
            ..Observed::default()
        };
        let mut checks = Vec::new();
        prove(&observed, &mut checks);
        let told: Vec<(Option<&str>, u64, &str)> = checks
            .iter()
            .map(|check| (check.r#type.as_deref(), check.rows, check.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Some("trade"),
                    12,
                    "the engine cannot read part broken-on-start_20261126_1_5_1 of marketprism_cold.trades: 12 rows"
                ),
                (
                    None,
                    0,
                    "the engine cannot read part broken-on-start_20261126_1_5_1 of marketprism_hot.dead_letters"
                ),
            ]
        );
    }
}
