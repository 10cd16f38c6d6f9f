//! Columns that this version has and a table has not: added before anything else, because the rest compares whole rows.

use std::collections::BTreeSet;

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError, Tier, columns_of};
use serde::Deserialize;

use super::plan::{Action, Kind, Work};

#[derive(Row, Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
}

/// Plans to add what a tier's tables lack. A table that is not there at all is `init`'s.
pub(super) async fn plan(store: &Store, tier: Tier) -> Result<Vec<Action>, StoreError> {
    let query = format!(
        "SELECT table, name FROM system.columns WHERE database = '{}'",
        tier.database()
    );
    let found = store.fetch_all::<ColumnRow>(&query).await?;
    let tables: BTreeSet<&str> = found.iter().map(|column| column.table.as_str()).collect();
    let mut actions = Vec::new();
    for table in tier.market_tables().iter().filter(|table| tables.contains(**table)) {
        for column in columns_of(tier, table) {
            if !found
                .iter()
                .any(|here| here.table == **table && here.name == column.name)
            {
                let what = format!("{}.{table}.{}", tier.database(), column.name);
                let detail = format!("{what} ({}): values that the other store has come back", column.kind);
                actions.push(Action::new(Kind::AddColumn, 0, detail, Work::AddColumns { tier }));
            }
        }
    }
    Ok(actions)
}
