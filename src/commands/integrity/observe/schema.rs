//! Which tables and columns there are, and how they differ from what this version makes.

use mprism_clickhouse::{Difference, Tier};
use serde::Deserialize;

use super::stores::QUERY_WITHIN;
use crate::commands::store::Reader;
use crate::error::CliError;

/// The columns that a server has in the tables of a tier.
#[derive(Debug, Default)]
pub(crate) struct Found {
    columns: Vec<ColumnRow>,
}

#[derive(Clone, Debug, Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
    /// Whether rows are stored with it.
    is_stored: u8,
}

/// Asks a server.
pub(super) async fn found(reader: &Reader, tier: Tier) -> Result<Found, CliError> {
    let columns = format!(
        "SELECT table, name, default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') AS is_stored \
         FROM system.columns WHERE database = '{}' ORDER BY table, position",
        tier.database()
    );
    let columns = reader.rows(&columns, QUERY_WITHIN).await?;
    Ok(Found { columns })
}

/// Compares the tables of a tier with what this version makes. What it does not know is no fault.
pub(super) async fn differences(reader: &Reader, tier: Tier) -> Result<Vec<Difference>, CliError> {
    let store = reader.store(QUERY_WITHIN)?;
    let found = mprism_clickhouse::differences(&store, tier).await;
    let found = found.map_err(|e| CliError::failed("store", e).context("tables cannot be compared"))?;
    Ok(found
        .into_iter()
        .filter(|difference| difference.kind.is_fault())
        .collect())
}

impl Found {
    /// Returns whether there is any table.
    pub(crate) fn has_tables(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Returns all columns of a table.
    pub(crate) fn columns(&self, table: &str) -> Vec<String> {
        let columns = self.columns.iter().filter(|column| column.table == table);
        columns.map(|column| column.name.clone()).collect()
    }

    /// Returns the columns that rows of a table are stored with, in their order.
    pub(crate) fn stored_columns(&self, table: &str) -> Vec<String> {
        let columns = self.columns.iter();
        let stored = columns.filter(|column| column.table == table && column.is_stored == 1);
        stored.map(|column| column.name.clone()).collect()
    }
}
