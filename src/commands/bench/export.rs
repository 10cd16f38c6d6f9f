//! How fast rows leave as a Parquet file, in order of time.

use std::time::Instant;

use mprism_clickhouse::Store;

use super::{Better, Measured};
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::error::CliError;

const SAMPLES: usize = 3;
const BUDGET_ROWS_PER_S: f64 = 500_000.0;

/// Measures `mprism export trade` of what [`super::storage`] fills the hot store with, from a shell's point of view.
pub(super) async fn measure(home: &IsolatedHome, store: &Store, context: &Context) -> Result<Measured, CliError> {
    super::storage::fill(store).await?;
    let folder = tempfile::tempdir().map_err(|e| CliError::failed("bench", e).context("cannot make a folder"))?;
    let file = folder.path().join("trades.parquet").display().to_string();
    let line = [
        "export",
        "trade",
        "--from",
        "2000-01-01T00:00:00Z",
        "--to",
        "2100-01-01T00:00:00Z",
        "--output",
        &file,
        "--force",
    ];
    let mut rates = Vec::new();
    for round in 1..=SAMPLES {
        let began = Instant::now();
        let done = home.mprism(&line).await?;
        let rows = done.document["rows"].as_u64().unwrap_or(0);
        if rows != super::storage::ROWS {
            let text = format!("{rows} rows were exported of {}", super::storage::ROWS);
            return Err(CliError::failed("bench", anyhow::Error::msg(text)));
        }
        let rate = rows as f64 / began.elapsed().as_secs_f64();
        let note = format!("{round}/{SAMPLES}: exported {rate:.0} rows/s");
        context.printer.note(&note);
        rates.push(rate);
    }
    let budget = Some(BUDGET_ROWS_PER_S);
    Ok(Measured::of(
        "export_rows_per_s",
        "rows/s",
        Better::Higher,
        &rates,
        budget,
        None,
    ))
}
