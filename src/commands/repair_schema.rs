//! `mprism repair --schema`: tables that are not as this version makes them are rebuilt around their rows.
//!
//! The two workers that write are stopped for it, and their locks are held, so that none comes back meanwhile. What another host
//! writes all the same is fenced, and followed. Killed at any point, the same command goes on where it was.

use mprism_clickhouse::{Rebuild, RebuildStep, Store, ensure_schema, plan_rebuilds, rebuild};
use mprism_model::UnixMillis;
use mprism_runtime::clock;
use mprism_runtime::lock::LockFile;
use mprism_runtime::log::chain;
use mprism_settings::Settings;
use serde::Serialize;

use crate::cli::{SimArgs, WorkerName};
use crate::commands::Context;
use crate::commands::deployment::{check_supported, deployment_with, paths};
use crate::commands::lifecycle::{everything, make_ready, start_services, stop_services, with_services};
use crate::commands::worker::{lock_path, stores_for_long};
use crate::control::{self, Desired, Service, Start, Stop, last_deployment};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report};

/// Who writes into the tables.
const WRITERS: [Service; 2] = [Service::Hot, Service::Cold];

/// Rebuilds what has to be; with `dry_run` only says what that is.
pub(crate) fn run(context: &Context, dry_run: bool) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    check_supported(&settings)?;
    if dry_run {
        let report = context.block_on(with_engine(&settings, context, plan(&settings)))?;
        return context.printer.report(&report);
    }
    make_ready(&[Service::Clickhouse], &settings, false, context)?;
    let report = context.block_on(async {
        let stopped = stop_writers(&settings, context).await?;
        let done = with_engine(&settings, context, mend(&settings, context)).await;
        // Whatever came of it: what ran before runs again.
        let started = start_again(&settings, context, stopped).await;
        let report = done?;
        started?;
        Ok(report)
    })?;
    context.printer.report(&report)
}

/// Rebuilds the tables of the home's engine if any of them is MarketPrism's, and returns which were rebuilt.
pub(super) async fn migrate_originals(settings: &Settings, context: &Context) -> Result<Vec<String>, CliError> {
    let work = async {
        let plans = plans(settings).await?;
        if !plans.iter().any(|(_, plan)| plan.is_original()) {
            return Ok(RepairReport::default());
        }
        mend(settings, context).await
    };
    let stopped = stop_writers(settings, context).await?;
    let report = with_engine(settings, context, work).await;
    start_again(settings, context, stopped).await?;
    let report = report?;
    if let Some(failure) = report.failure() {
        let mut error = CliError::failed("not_taken_over", anyhow::Error::msg(failure.message));
        error.details = failure.causes;
        error.hints = failure.hints;
        return Err(error);
    }
    Ok(report.actions.into_iter().map(|action| action.table).collect())
}

/// Does work while the engine is up.
async fn with_engine<T>(
    settings: &Settings,
    context: &Context,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let services = vec![Service::Clickhouse];
    let start = Start {
        deployment: deployment_with(context, settings, &services)?,
        services,
        wait: settings.supervisor.ready_timeout,
        force: false,
    };
    with_services(settings, start, context, work).await
}

/// Stops who writes, and returns who should have been running.
async fn stop_writers(settings: &Settings, context: &Context) -> Result<Vec<Service>, CliError> {
    let deployment = everything(context, settings)?;
    let paths = paths(settings);
    if !paths.run().is_dir() {
        return Ok(Vec::new());
    }
    let statuses = control::status(&paths, &deployment).await?;
    let is_wanted = |service: &Service| {
        let mut statuses = statuses.iter();
        statuses.any(|status| status.name == *service && (status.desired == Desired::Up || status.pid.is_some()))
    };
    let services: Vec<Service> = WRITERS.into_iter().filter(is_wanted).collect();
    if !services.is_empty() {
        let stop = Stop {
            deployment: last_deployment(&paths).unwrap_or(deployment),
            services: services.clone(),
            drain: None,
        };
        stop_services(settings, stop, context).await?;
    }
    Ok(services)
}

async fn start_again(settings: &Settings, context: &Context, services: Vec<Service>) -> Result<(), CliError> {
    if services.is_empty() {
        return Ok(());
    }
    let deployment = match last_deployment(&paths(settings)) {
        Some(last) => last,
        None => super::deployment::deployment(context, settings, &SimArgs::default())?,
    };
    let start = Start {
        deployment,
        services,
        wait: settings.supervisor.ready_timeout,
        force: false,
    };
    start_services(settings, start, context).await.map(|_| ())
}

async fn plan(settings: &Settings) -> Result<RepairReport, CliError> {
    let mut report = RepairReport {
        dry_run: true,
        ..RepairReport::default()
    };
    for (_, plan) in plans(settings).await? {
        report.actions.push(Action::planned(&plan));
    }
    Ok(report)
}

async fn plans(settings: &Settings) -> Result<Vec<(Store, Rebuild)>, CliError> {
    let mut all = Vec::new();
    for (store, tiers) in stores_for_long(settings)? {
        for tier in tiers {
            let plans = plan_rebuilds(&store, tier).await;
            let plans = plans.map_err(|e| CliError::failed("schema", e).context("tables cannot be looked at"))?;
            all.extend(plans.into_iter().map(|plan| (store.clone(), plan)));
        }
    }
    Ok(all)
}

async fn mend(settings: &Settings, context: &Context) -> Result<RepairReport, CliError> {
    let held = |name: WorkerName| {
        LockFile::acquire(&lock_path(settings, name)).map_err(|e| {
            CliError::refused("writer_runs", e)
                .context(format!("`{}` must not run while tables are rebuilt", name.as_str()))
                .hint("stop it first: `mprism stop hot cold`")
        })
    };
    let _locks = [held(WorkerName::Hot)?, held(WorkerName::Cold)?];
    let mut report = RepairReport::default();
    for (store, tiers) in stores_for_long(settings)? {
        let made = ensure_schema(&store, &tiers).await;
        let made = made.map_err(|e| CliError::failed("schema", e).context("tables cannot be made"))?;
        report.added.extend([made.created, made.added].concat());
    }
    let plans = plans(settings).await?;
    let planned: Vec<Action> = plans.iter().map(|(_, plan)| Action::planned(plan)).collect();
    context.planned(&planned);
    for (store, plan) in plans {
        let action = rebuild_one(&store, &plan, context).await;
        report.actions.push(action);
    }
    // Views over the tables are made anew with them, and what is left is told.
    for (store, tiers) in stores_for_long(settings)? {
        let made = ensure_schema(&store, &tiers).await;
        let made = made.map_err(|e| CliError::failed("schema", e).context("views cannot be made"))?;
        let stays = made.differs.into_iter();
        let stays = stays.filter(|differs| differs.kind.is_fault() && !differs.kind.needs_rebuild());
        report.stays.extend(stays.map(|differs| differs.to_string()));
    }
    Ok(report)
}

async fn rebuild_one(store: &Store, plan: &Rebuild, context: &Context) -> Action {
    let name = plan.name();
    let progress = context.printer.progress();
    progress.rows(&format!("rebuild {name}"), plan.rows);
    // When, in the name of what is kept: digits and letters only.
    let stamp: String = UnixMillis(clock::now_ms()).to_rfc3339();
    let stamp: String = stamp.chars().filter(char::is_ascii_alphanumeric).collect();
    let done = rebuild(store, plan, &stamp, async |step| match step {
        RebuildStep::Copied { rows, .. } => progress.reached(rows),
        RebuildStep::Compared => context.printer.detail(&format!("{name}: both say the same")),
        RebuildStep::Swapped => context.printer.detail(&format!("{name}: swapped")),
        RebuildStep::Made | RebuildStep::Followed | RebuildStep::SetAside => {}
    })
    .await;
    let mut action = Action::planned(plan);
    match done {
        Ok(rebuilt) => {
            progress.done(&format!(
                "{name}: {} rows, the old table is {}",
                rebuilt.rows_after, rebuilt.aside
            ));
            action.outcome = "rebuilt";
            action.rows = rebuilt.rows_after;
            action.rows_before = rebuilt.rows_before;
            action.repeats = rebuilt.repeats;
            action.aside = Some(rebuilt.aside);
        }
        Err(error) => {
            progress.done(&format!("{name}: not rebuilt"));
            action.outcome = "failed";
            action.reason = Some(chain(&error));
        }
    }
    action
}

/// What is done about one table.
#[derive(Serialize)]
struct Action {
    kind: &'static str,
    table: String,
    /// Why, in words.
    because: Vec<String>,
    /// Rows of the right table; of the old one before it is rebuilt.
    rows: u64,
    rows_before: u64,
    /// Rows of the old table that say what another one says already.
    repeats: u64,
    outcome: &'static str,
    /// Where the old table is.
    aside: Option<String>,
    reason: Option<String>,
}

impl Action {
    fn planned(plan: &Rebuild) -> Self {
        let because = plan.differences.iter().map(|difference| difference.message.clone());
        let begun = plan
            .is_begun
            .then(|| "a rebuild was begun and is not finished".to_owned());
        Self {
            kind: if plan.is_original() { "migrate" } else { "rebuild" },
            table: plan.name(),
            because: because.chain(begun).collect(),
            rows: plan.rows,
            rows_before: plan.rows,
            repeats: 0,
            outcome: "planned",
            aside: None,
            reason: None,
        }
    }
}

/// What was done, or would be.
#[derive(Default, Serialize)]
struct RepairReport {
    dry_run: bool,
    /// What only added.
    added: Vec<String>,
    actions: Vec<Action>,
    /// What is left to the operator, with the statement.
    stays: Vec<String>,
}

impl Report for RepairReport {
    fn exit(&self) -> Exit {
        if self.stays.is_empty() && self.actions.iter().all(|action| action.reason.is_none()) {
            Exit::Success
        } else {
            Exit::Failed
        }
    }

    fn failure(&self) -> Option<Failure> {
        let failed = self.actions.iter().filter_map(|action| {
            let reason = action.reason.as_ref()?;
            Some(format!("{}: {reason}", action.table))
        });
        let causes: Vec<String> = failed.chain(self.stays.iter().cloned()).collect();
        let failure = Failure {
            code: "repair_incomplete",
            message: "not every table is as this version makes it".to_owned(),
            causes,
            hints: vec!["nothing was lost; run it again once the cause is gone: `mprism repair --schema`".to_owned()],
        };
        (self.exit() != Exit::Success).then_some(failure)
    }

    fn page(&self) -> Page {
        let page = self
            .added
            .iter()
            .fold(Page::new(), |page, name| page.line(format!("make {name}")));
        if self.actions.is_empty() {
            return page.line("every table is as this version makes it");
        }
        if self.dry_run {
            return self.actions.iter().fold(page, |page, action| {
                let because = action.because.join("; ");
                page.line(format!(
                    "would {} {} ({} rows): {because}",
                    action.kind, action.table, action.rows
                ))
            });
        }
        let row = |action: &Action| {
            vec![
                Cell::plain(&action.table),
                Cell::plain(action.outcome),
                Cell::number(action.rows_before),
                Cell::number(action.rows),
                Cell::number(action.repeats),
                Cell::plain(action.aside.as_deref().unwrap_or("–")),
            ]
        };
        page.table(
            vec!["table", "outcome", "rows before", "rows", "repeats", "old table"],
            self.actions.iter().map(row).collect(),
        )
    }
}
