//! Asking the store for an export: which tables it has, how many rows they have when, and rows as they come.

use std::time::Duration;

use mprism_clickhouse::Tier;
use serde::Deserialize;

use super::select::Wanted;
use super::windows::{Span, WIDTHS, Window, joined};
use crate::cli::ExportFormat;
use crate::commands::query::refused;
use crate::commands::store::Reader;
use crate::error::CliError;

/// How long counting may take.
const COUNT_WITHIN: Duration = Duration::from_secs(300);
/// Rows and bytes, as the store has them in memory, of one window: what an export takes of memory is a few of these.
const WINDOW_ROWS: u64 = 262_144;
const WINDOW_BYTES: u64 = 64 << 20;

/// The store that rows come from.
pub(super) struct Source {
    reader: Reader,
    wanted: Wanted,
    tiers: Vec<Tier>,
}

#[derive(Deserialize)]
struct Found {
    database: String,
}

#[derive(Deserialize)]
struct Slice {
    start: i64,
    rows: u64,
}

/// What there is, whenever.
#[derive(Debug, Deserialize)]
pub(super) struct Extent {
    pub(super) rows: u64,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Source {
    /// Looks which of the stores' tables are there.
    pub(super) async fn open(reader: Reader, wanted: Wanted) -> Result<Self, CliError> {
        let query = format!(
            "SELECT database FROM system.tables WHERE startsWith(database, 'marketprism_') AND name = '{}'",
            wanted.data_type.table()
        );
        let found: Vec<Found> = reader.rows(&query, COUNT_WITHIN).await?;
        let is_there = |tier: &Tier| found.iter().any(|row| row.database == tier.database());
        let tiers = [Tier::Hot, Tier::Leaving, Tier::Cold].into_iter().filter(is_there);
        let tiers: Vec<Tier> = tiers.collect();
        if tiers.is_empty() {
            let error = anyhow::anyhow!(
                "no table `{}` in clickhouse at {}",
                wanted.data_type.table(),
                reader.url()
            );
            return Err(CliError::failed("no_tables", error).hint("make the tables: `mprism init`"));
        }
        Ok(Self { reader, wanted, tiers })
    }

    /// Cuts what is wanted into windows, the oldest first.
    pub(super) async fn windows(&self) -> Result<Vec<Window>, CliError> {
        let rows_max = (WINDOW_BYTES / self.wanted.row_bytes()).min(WINDOW_ROWS);
        let whole = Window {
            span: self.wanted.span,
            rows: u64::MAX,
        };
        let mut windows = vec![whole];
        for width in WIDTHS {
            let mut finer = Vec::new();
            for window in windows {
                // Only the first cut is of something that may hold nothing; later ones are of what has too much.
                if window.rows <= rows_max {
                    finer.push(window);
                } else {
                    let counts = self.counts(window.span, width).await?;
                    finer.extend(joined(window.span, width, &counts, rows_max));
                }
            }
            windows = finer;
        }
        Ok(windows)
    }

    async fn counts(&self, span: Span, width: i64) -> Result<Vec<(i64, u64)>, CliError> {
        let query = self.wanted.counts(&self.tiers, span, width);
        let slices: Vec<Slice> = self.reader.rows(&query, COUNT_WITHIN).await?;
        Ok(slices.into_iter().map(|slice| (slice.start, slice.rows)).collect())
    }

    /// Returns what there is of the wanted type, exchanges and symbols at other times.
    pub(super) async fn extent(&self) -> Result<Extent, CliError> {
        self.reader.row(&self.wanted.extent(&self.tiers), COUNT_WITHIN).await
    }

    /// Asks for the rows of a window. `with_head` is for the first one.
    pub(super) fn ask(
        &self,
        window: &Window,
        format: ExportFormat,
        with_head: bool,
    ) -> impl Future<Output = Result<reqwest::Response, CliError>> + Send + 'static {
        let name = match (format, with_head) {
            (ExportFormat::Parquet, _) => "Parquet",
            (ExportFormat::Csv, true) => "CSVWithNames",
            (ExportFormat::Csv, false) => "CSV",
            (ExportFormat::Jsonl, _) => "JSONEachRow",
        };
        let request = self
            .reader
            .post()
            .query(&[
                ("default_format", name),
                ("readonly", "1"),
                ("date_time_output_format", "iso"),
                // A number would come out of most readers as the nearest double.
                ("output_format_json_quote_decimals", "1"),
                ("output_format_json_quote_64bit_integers", "0"),
                ("output_format_parquet_compression_method", "zstd"),
                // Neither survives being moved within a file.
                ("output_format_parquet_write_bloom_filter", "0"),
                ("output_format_parquet_write_page_index", "0"),
            ])
            .body(self.wanted.rows(&self.tiers, window.span, format));
        let url = self.reader.url().to_owned();
        async move {
            let answer = request.send().await.map_err(|e| {
                CliError::failed("clickhouse_unreachable", e.without_url())
                    .context(format!("no answer from clickhouse at {url}"))
                    .hint("see what runs: `mprism status`")
            })?;
            if answer.status().is_success() {
                Ok(answer)
            } else {
                Err(refused(answer).await)
            }
        }
    }
}
