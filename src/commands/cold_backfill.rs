//! `mprism cold backfill`: everything that the hot store has, copied to the cold one and proven, hour by hour, now.

use mprism_clickhouse::{Tier, ensure_schema};
use mprism_model::{DataType, UnixMillis};
use mprism_settings::Settings;
use mprism_storage::cold::{Hours, MendError, Mender};
use serde::Serialize;

use crate::cli::ColdBackfillArgs;
use crate::commands::Context;
use crate::commands::deployment::check_supported;
use crate::commands::lifecycle::with_services;
use crate::commands::repair::{mender, needed, span, turn};
use crate::control::Service;
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone};

/// `mprism cold backfill`.
pub(crate) fn run(args: &ColdBackfillArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    check_supported(&settings)?;
    let window = span(args.from.as_deref(), args.to.as_deref())?;
    let (start, _) = needed(context, &settings, &[Service::Clickhouse])?;
    let work = backfill(&settings, window.unwrap_or((0, i64::MAX)), context);
    let report = context.block_on(with_services(&settings, start, context, work))?;
    context.printer.report(&report)
}

async fn backfill(settings: &Settings, window: (i64, i64), context: &Context) -> Result<BackfillReport, CliError> {
    let mender = mender(settings)?;
    // Rows that come now are the worker's: everything up to here is ours.
    let now = mprism_runtime::clock::now_ms();
    let window = (window.0, window.1.min(now));
    if !context.globals.dry_run {
        make_tables(&mender).await?;
    }
    let mut plan = Vec::new();
    for &data_type in DataType::ALL {
        let hours = mender.hours(data_type, window).await;
        plan.push((data_type, hours.map_err(|e| failed(data_type, e))?));
    }
    let tables = |plan: &[(DataType, Vec<Hours>)]| -> Vec<TableReport> {
        plan.iter()
            .map(|(data_type, hours)| TableReport::planned(*data_type, hours))
            .collect()
    };
    let mut report = BackfillReport {
        dry_run: context.globals.dry_run,
        tables: tables(&plan),
    };
    if context.globals.dry_run {
        return Ok(report);
    }
    context.planned(&report.tables);
    let turn = turn(settings, context).await?;
    let progress = context.printer.progress();
    for ((data_type, hours), told) in plan.into_iter().zip(&mut report.tables) {
        let mut reached = 0;
        for hours in hours {
            match mender.copy(data_type, hours).await {
                Ok(copied) => told.copied += copied,
                // Other hours are copied all the same.
                Err(MendError::Contradiction(why)) => told.left.push(why),
                Err(error) => return Err(failed(data_type, error)),
            }
            reached += hours.rows;
            let from = UnixMillis(hours.from).to_rfc3339();
            progress.done(&format!(
                "{data_type}: {reached} of {} rows proven, back to {from}",
                told.rows
            ));
        }
    }
    drop(turn);
    Ok(report)
}

/// Makes the tables that rows are copied to.
async fn make_tables(mender: &Mender) -> Result<(), CliError> {
    for (tier, tiers) in [(Tier::Hot, &[Tier::Leaving][..]), (Tier::Cold, &[Tier::Cold][..])] {
        ensure_schema(mender.store(tier), tiers)
            .await
            .map_err(|e| CliError::failed("cold_backfill", e).context("cannot make the tables of the cold store"))?;
    }
    Ok(())
}

fn failed(data_type: DataType, error: MendError) -> CliError {
    CliError::failed("cold_backfill", error).context(format!("cannot copy `{}`", data_type.table()))
}

#[derive(Debug, Serialize)]
struct TableReport {
    r#type: String,
    /// First and last moment, where there is a row.
    from: Option<String>,
    to: Option<String>,
    /// Rows of the hot store.
    rows: u64,
    /// Rows that the cold store lacked.
    copied: u64,
    /// What is not proven, and why.
    left: Vec<String>,
}

impl TableReport {
    fn planned(data_type: DataType, hours: &[Hours]) -> Self {
        let text = |ms: i64| UnixMillis(ms).to_rfc3339();
        Self {
            r#type: data_type.to_string(),
            from: hours.iter().map(|hours| hours.from).min().map(text),
            to: hours.iter().map(|hours| hours.to).max().map(text),
            rows: hours.iter().map(|hours| hours.rows).sum(),
            copied: 0,
            left: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize)]
struct BackfillReport {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    tables: Vec<TableReport>,
}

impl Report for BackfillReport {
    fn exit(&self) -> Exit {
        match self.tables.iter().all(|table| table.left.is_empty()) {
            true => Exit::Success,
            false => Exit::Failed,
        }
    }

    fn failure(&self) -> Option<Failure> {
        (self.exit() != Exit::Success).then(|| Failure {
            code: "cold_backfill",
            message: "some rows cannot be proven to be in the cold store".into(),
            causes: self.tables.iter().flat_map(|table| table.left.clone()).collect(),
            hints: vec!["look at both: `mprism integrity`".into()],
        })
    }

    fn page(&self) -> Page {
        let rows = self.tables.iter().map(|table| {
            let outcome = match (self.dry_run, table.left.is_empty()) {
                (true, _) => Cell::plain("planned"),
                (false, true) => Cell::toned("proven", Tone::Good),
                (false, false) => Cell::toned("not proven", Tone::Bad),
            };
            vec![
                Cell::plain(table.r#type.clone()),
                Cell::number(table.rows),
                Cell::number(table.copied),
                Cell::plain(table.from.clone().unwrap_or_default()),
                Cell::plain(table.to.clone().unwrap_or_default()),
                outcome,
            ]
        });
        Page::new().table(vec!["type", "rows", "copied", "from", "to", ""], rows.collect())
    }
}
