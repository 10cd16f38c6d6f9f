//! Parts of the stores' tables that a server could not read when it started.

use mprism_clickhouse::{BrokenPart, Tier};

use super::stores::QUERY_WITHIN;
use crate::commands::store::Reader;
use crate::error::CliError;

/// Asks a server.
pub(super) async fn broken(reader: &Reader, tier: Tier) -> Result<Vec<(Tier, BrokenPart)>, CliError> {
    let store = reader.store(QUERY_WITHIN)?;
    let parts = mprism_clickhouse::broken_parts(&store, tier).await;
    let parts = parts.map_err(|e| CliError::failed("store", e).context("broken parts cannot be looked for"))?;
    Ok(parts.into_iter().map(|part| (tier, part)).collect())
}
