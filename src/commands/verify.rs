//! `mprism verify`: what the cold store has of the hot one, table by table. Changes nothing.

use std::time::Duration;

use mprism_settings::Settings;
use serde::Serialize;

use crate::cli::{IntegrityScope, VerifyArgs};
use crate::commands::Context;
use crate::commands::integrity::observe::observe;
use crate::commands::integrity::{Ask, Compared, compared, window};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, duration_text};

/// `mprism verify`.
pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, CliError> {
    let window = window(None, args.from.as_deref(), args.to.as_deref())?;
    let settings = context.settings()?;
    let report = context.block_on_interruptible(examine(&settings, window))?;
    context.printer.report(&report)
}

async fn examine(settings: &Settings, window: Option<(i64, i64)>) -> Result<VerifyReport, CliError> {
    let scope = Some(IntegrityScope::Cold);
    let observed = observe(settings, &Ask { scope, window }).await?;
    if let Some(reason) = observed.cold_unreachable {
        let error =
            CliError::failed("cold_unreachable", anyhow::Error::msg(reason)).context("the cold store cannot be asked");
        return Err(error.hint("look at cold.clickhouse in the settings: `mprism config show cold`"));
    }
    let tables = observed.tables.iter().filter_map(|table| {
        let replication = table.replication.as_ref()?;
        let found = compared(replication, window.is_none());
        Some(TableState::new(table.data_type.as_str(), &found, observed.now))
    });
    let tables: Vec<TableState> = tables.collect();
    Ok(VerifyReport {
        verdict: match tables.iter().all(|table| table.is_right()) {
            true => "equal",
            false => "different",
        },
        tables,
    })
}

/// How one table compares, window by window of each market: hours that are over, and minutes of the one that is not.
#[derive(Debug, Serialize)]
struct TableState {
    r#type: &'static str,
    windows: u64,
    equal: u64,
    /// Not copied yet.
    pending: u64,
    different: u64,
    pending_rows: u64,
    missing_in_hot: u64,
    missing_in_cold: u64,
    differ: u64,
    /// Rows that left the hot store and are not in the cold one.
    lost: u64,
    lag_s: f64,
}

impl TableState {
    fn new(name: &'static str, found: &Compared, now: i64) -> Self {
        Self {
            r#type: name,
            windows: found.windows,
            equal: found.equal,
            pending: found.pending,
            different: found.different,
            pending_rows: found.pending_rows,
            missing_in_hot: found.missing_in_hot,
            missing_in_cold: found.missing_in_cold,
            differ: found.differ,
            lost: found.lost,
            lag_s: found.lag_ms(now) as f64 / 1_000.0,
        }
    }

    fn is_right(&self) -> bool {
        self.different == 0 && self.lost == 0
    }
}

#[derive(Debug, Serialize)]
struct VerifyReport {
    verdict: &'static str,
    tables: Vec<TableState>,
}

impl Report for VerifyReport {
    fn exit(&self) -> Exit {
        match self.tables.iter().all(TableState::is_right) {
            true => Exit::Success,
            false => Exit::Failed,
        }
    }

    fn failure(&self) -> Option<Failure> {
        let wrong: Vec<&TableState> = self.tables.iter().filter(|table| !table.is_right()).collect();
        if wrong.is_empty() {
            return None;
        }
        let told = |table: &&TableState| {
            format!(
                "{}: {} rows missing in the cold store, {} in the hot one, {} of other content, {} that left are lost",
                table.r#type, table.missing_in_cold, table.missing_in_hot, table.differ, table.lost
            )
        };
        Some(Failure {
            code: "stores_differ",
            message: format!("{} of {} tables differ", wrong.len(), self.tables.len()),
            causes: wrong.iter().map(told).collect(),
            hints: vec!["see which markets: `mprism integrity`".into()],
        })
    }

    fn page(&self) -> Page {
        let tone = match self.verdict {
            "equal" => Tone::Good,
            _ => Tone::Bad,
        };
        let rows = self.tables.iter().map(|table| {
            let wrong = match table.is_right() {
                true => Cell::number(table.different),
                false => Cell {
                    right: true,
                    ..Cell::toned(table.different.to_string(), Tone::Bad)
                },
            };
            vec![
                Cell::plain(table.r#type),
                Cell::number(table.windows),
                Cell::number(table.equal),
                wrong,
                Cell::number(table.pending),
                Cell::number(table.pending_rows),
                Cell::number(duration_text(Duration::from_secs_f64(table.lag_s))),
            ]
        });
        Page::new()
            .pieces(vec![Cell::plain("hot and cold: "), Cell::toned(self.verdict, tone)])
            .table(
                vec!["type", "windows", "equal", "different", "not copied", "rows", "lag"],
                rows.collect(),
            )
    }
}
