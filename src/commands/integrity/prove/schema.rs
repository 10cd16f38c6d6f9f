//! Proof 1: tables are what this version makes.

use mprism_clickhouse::{Difference, DifferenceKind};

use super::super::observe::Observed;
use super::super::report::{Check, Level};
use super::parts::data_type_of;

/// Proves it.
pub(super) fn prove(observed: &Observed) -> Vec<Check> {
    if observed.schema.is_empty() {
        return vec![Check::ok("schema", "tables and columns are what this version makes")];
    }
    observed.schema.iter().map(check).collect()
}

fn check(difference: &Difference) -> Check {
    let check = Check::new(
        "schema",
        Level::Error,
        cause(difference.kind),
        difference.message.as_str(),
    );
    match data_type_of(&difference.table) {
        Some(data_type) => check.of(data_type),
        None => check,
    }
}

/// Returns a stable word.
fn cause(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::MissingTable => "table_missing",
        DifferenceKind::MissingColumn => "column_missing",
        DifferenceKind::MissingIndex => "index_missing",
        DifferenceKind::Setting | DifferenceKind::Definition => "definition",
        DifferenceKind::Type => "column_type",
        DifferenceKind::Original => "original",
        DifferenceKind::View => "view",
        DifferenceKind::Identity
        | DifferenceKind::Key
        | DifferenceKind::Engine
        | DifferenceKind::Ttl
        | DifferenceKind::Extra => "storage",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_with_its_type_and_a_stable_word() {
        let missing = Difference {
            database: "marketprism_hot",
            table: "trades".into(),
            column: Some("trade_id".into()),
            kind: DifferenceKind::MissingColumn,
            message: "column trades.trade_id is missing".into(),
            statement: None,
        };
        let told = check(&missing);
        assert_eq!(
            (told.id, told.cause.as_str(), told.level),
            ("schema", "column_missing", Level::Error)
        );
        assert_eq!(told.r#type.as_deref(), Some("trade"));
        let ledger = Difference {
            table: "departures".into(),
            kind: DifferenceKind::Key,
            ..missing
        };
        assert_eq!(
            (check(&ledger).cause.as_str(), check(&ledger).r#type),
            ("storage", None)
        );
    }
}
