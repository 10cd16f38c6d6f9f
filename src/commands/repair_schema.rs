//! `mprism repair --schema`: tables that are not as this version makes them are rebuilt around their rows.
//!
//! The two workers that write are paused for it, and their locks are held, so that none comes back meanwhile. What another host
//! writes all the same is fenced, and followed. Killed at any point, the workers come back by themselves (see
//! [`Rebuilder`]), `status` tells it, and the same command goes on where it was.

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
use crate::commands::lifecycle::{Teller, everything, make_ready, start_services, with_services};
use crate::commands::repair::{only_one, turn};
use crate::commands::worker::{lock_path, stores_for_long};
use crate::control::{self, Desired, Rebuilder, Rebuilding, Service, Start, Stop, last_deployment};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report};

/// Rebuilds what has to be; with `dry_run` only says what that is.
pub(crate) fn run(context: &Context, dry_run: bool) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    check_supported(&settings)?;
    if dry_run {
        let report = context.block_on(async {
            let mut report = with_engine(&settings, context, plan(&settings)).await?;
            if !report.actions.is_empty() {
                report.pauses = writers(&settings, context).await?;
            }
            Ok(report)
        })?;
        return context.printer.report(&report);
    }
    make_ready(&[Service::Clickhouse], &settings, false, context)?;
    let report = context.block_on(async {
        let _only = only_one(&settings).await?;
        let (made, is_right) = with_engine(&settings, context, add(&settings)).await?;
        if !is_right {
            return rebuild_all(made, &settings, context).await;
        }
        let home = paths(&settings);
        if Rebuilding::of(&home) == Some(Rebuilding::CutShort) {
            // Somebody else has mended what was left.
            Rebuilder::begin(&home).await?.finish()?;
        }
        Ok(made)
    })?;
    context.printer.report(&report)
}

/// Rebuilds the tables of the home's engine if any of them is MarketPrism's, and returns which were rebuilt.
pub(super) async fn migrate_originals(settings: &Settings, context: &Context) -> Result<Vec<String>, CliError> {
    let plans = with_engine(settings, context, plans(settings)).await?;
    if !plans.iter().any(|(_, plan)| plan.is_original()) {
        return Ok(Vec::new());
    }
    let _only = only_one(settings).await?;
    let report = rebuild_all(RepairReport::default(), settings, context).await?;
    if let Some(failure) = report.failure() {
        let mut error = CliError::failed("not_taken_over", anyhow::Error::msg(failure.message));
        error.details = failure.causes;
        error.hints = failure.hints;
        return Err(error);
    }
    Ok(report.actions.into_iter().map(|action| action.table).collect())
}

/// Does work while the engine is up.
pub(super) async fn with_engine<T>(
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

/// Rebuilds tables while nobody of this home writes into them. Whatever comes of it, what ran before comes back.
async fn rebuild_all(
    mut report: RepairReport,
    settings: &Settings,
    context: &Context,
) -> Result<RepairReport, CliError> {
    let rebuilder = Rebuilder::begin(&paths(settings)).await?;
    report.pauses = writers(settings, context).await?;
    pause(&report.pauses, settings, context).await?;
    let paused = report.pauses.clone();
    let done = with_engine(settings, context, mend(report, settings, context)).await;
    if matches!(&done, Ok(report) if report.is_rebuilt()) {
        rebuilder.finish()?;
        start_again(&paused, settings, context).await?;
    } else {
        // That it is not done is told from now on. Who was paused comes back, if there is a supervisor; of tables that are not
        // alike the cold worker may not make enough to be ready.
        drop(rebuilder);
        writers(settings, context).await?;
    }
    done
}

/// Returns who of those that write runs, or should.
async fn writers(settings: &Settings, context: &Context) -> Result<Vec<Service>, CliError> {
    let home = paths(settings);
    if !home.run().is_dir() {
        return Ok(Vec::new());
    }
    let statuses = control::status(&home, &everything(context, settings)?).await?;
    let units = statuses.iter().filter(|unit| unit.name.writes_tables());
    let units = units.filter(|unit| unit.desired == Desired::Up || unit.pid.is_some());
    Ok(units.map(|unit| unit.name).collect())
}

/// Stops them for as long as this home's tables are rebuilt.
async fn pause(services: &[Service], settings: &Settings, context: &Context) -> Result<(), CliError> {
    if services.is_empty() {
        return Ok(());
    }
    let home = paths(settings);
    let stop = Stop {
        deployment: match last_deployment(&home) {
            Some(last) => last,
            None => everything(context, settings)?,
        },
        services: services.to_vec(),
        drain: None,
    };
    control::pause(&home, stop, &mut Teller::new(context)).await?;
    Ok(())
}

/// Waits until they are back: they come by themselves, unless somebody stopped them meanwhile.
async fn start_again(paused: &[Service], settings: &Settings, context: &Context) -> Result<(), CliError> {
    if paused.is_empty() {
        return Ok(());
    }
    let home = paths(settings);
    let statuses = control::status(&home, &everything(context, settings)?).await?;
    let is_wanted = |service: &Service| {
        let mut statuses = statuses.iter();
        statuses.any(|unit| unit.name == *service && unit.desired == Desired::Up)
    };
    let services: Vec<Service> = paused.iter().copied().filter(is_wanted).collect();
    if services.is_empty() {
        return Ok(());
    }
    let deployment = match last_deployment(&home) {
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
    let plans = plans(settings).await?;
    Ok(RepairReport {
        dry_run: true,
        actions: plans.iter().map(|(_, plan)| Action::planned(plan)).collect(),
        ..RepairReport::default()
    })
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

/// Makes what is missing, which disturbs nobody. Returns whether that was all there is to do.
async fn add(settings: &Settings) -> Result<(RepairReport, bool), CliError> {
    let mut report = RepairReport::default();
    report.added = report.ensure(settings, "tables cannot be made").await?;
    Ok((report, plans(settings).await?.is_empty()))
}

async fn mend(mut report: RepairReport, settings: &Settings, context: &Context) -> Result<RepairReport, CliError> {
    let held = |name: WorkerName| {
        LockFile::acquire(&lock_path(settings, name)).map_err(|e| {
            CliError::refused("writer_runs", e)
                .context(format!("`{}` must not run while tables are rebuilt", name.as_str()))
                .hint("stop it first: `mprism stop hot cold`")
        })
    };
    let _locks = [held(WorkerName::Hot)?, held(WorkerName::Cold)?];
    // An operator's own copying, which the workers' locks do not keep away.
    let _turn = turn(settings, context).await?;
    let plans = plans(settings).await?;
    let planned: Vec<Action> = plans.iter().map(|(_, plan)| Action::planned(plan)).collect();
    context.planned(&planned);
    for (store, plan) in plans {
        let action = rebuild_one(&store, &plan, context).await;
        report.actions.push(action);
    }
    // Views over the tables are made anew with them, and what is left is told.
    report.ensure(settings, "views cannot be made").await?;
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
    /// Who is stopped while tables are rebuilt, and started again.
    pauses: Vec<Service>,
    /// What only added.
    added: Vec<String>,
    actions: Vec<Action>,
    /// What is left to the operator, with the statement.
    stays: Vec<String>,
}

impl RepairReport {
    /// Makes what only adds, and notes what is left to the operator. Returns what was made.
    async fn ensure(&mut self, settings: &Settings, failing: &'static str) -> Result<Vec<String>, CliError> {
        let mut added = Vec::new();
        self.stays.clear();
        for (store, tiers) in stores_for_long(settings)? {
            let made = ensure_schema(&store, &tiers).await;
            let made = made.map_err(|e| CliError::failed("schema", e).context(failing))?;
            added.extend([made.created, made.added].concat());
            let stays = made.differs.into_iter();
            let stays = stays.filter(|differs| differs.kind.is_fault() && !differs.kind.needs_rebuild());
            self.stays.extend(stays.map(|differs| differs.to_string()));
        }
        Ok(added)
    }

    /// Returns whether every table that had to be rebuilt was.
    fn is_rebuilt(&self) -> bool {
        self.actions.iter().all(|action| action.reason.is_none())
    }
}

impl Report for RepairReport {
    fn exit(&self) -> Exit {
        if self.stays.is_empty() && self.is_rebuilt() {
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
            let names: Vec<&str> = self.pauses.iter().map(|service| service.name()).collect();
            let named = |page: Page, what: &str| match names.is_empty() {
                true => page,
                false => page.line(format!("would {what} {}", names.join(", "))),
            };
            let page = self.actions.iter().fold(named(page, "stop"), |page, action| {
                let because = action.because.join("; ");
                page.line(format!(
                    "would {} {} ({} rows): {because}",
                    action.kind, action.table, action.rows
                ))
            });
            return named(page, "start again");
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
