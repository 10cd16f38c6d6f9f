//! `mprism init`: a home from nothing; run again, it repairs what is broken.

use std::time::Duration;

use mprism_bus::{Bus, BusError};
use mprism_clickhouse::{Difference, Store, StoreError};
use mprism_deps::Dependency;
use mprism_settings::{Backend, ClickhouseServer, Mode, NatsLogin, Settings};
use serde::Serialize;

use crate::cli::{InitArgs, SimArgs};
use crate::commands::Context;
use crate::commands::deployment::{
    check_listeners, check_supported, dependencies_of, deployment, deployment_with, runs_here, selected,
};
use crate::commands::lifecycle::{with_services, with_services_beside};
use crate::commands::prepare::{self, Step};
use crate::commands::store::Reader;
use crate::commands::{reach, trouble};
use crate::control::{Service, Start};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Page, Report};

/// How long somebody else's broker may take to answer.
const BROKER_WITHIN: Duration = Duration::from_secs(10);
/// What is fenced to see whether a fence can be raised in a store: no table of this name is ever made.
const FENCE_TRIED: &str = "marketprism_hot.fence_tried";
/// How long tables and streams may take once their servers answer.
const MADE_WITHIN: Duration = Duration::from_secs(30);

/// `mprism init`.
pub(crate) fn run(args: &InitArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    check_supported(&settings)?;
    let deployment = deployment(context, &settings, &SimArgs::default())?;
    let services = selected(&args.services, &deployment.services());
    let options = super::fetch_options(context, args.provider, args.offline)?;
    let needed = dependencies_of(&services, &settings);
    check_listeners(&settings, &services)?;
    let certificate = prepare::wanted_certificate(&settings);
    if context.globals.dry_run {
        let plan = prepare::plan(&settings.home, &needed, certificate.as_ref(), &options.cache);
        prepare::check_providers(&plan, &options)?;
        let tables = planned_tables(&plan, &services, &settings, context)?;
        return context.printer.report(&PlannedInit {
            dry_run: true,
            plan,
            tables,
        });
    }
    let progress = context.printer.progress();
    let steps = context.interrupt()?.during(|| {
        prepare::prepare(&settings.home, &needed, certificate.as_ref(), &options, &|now| {
            super::show_progress(&progress, now)
        })
    })?;
    let is_server = |service: &Service| matches!(service, Service::Nats | Service::Clickhouse);
    let servers: Vec<Service> = services.into_iter().filter(is_server).collect();
    // Of containers that run by themselves, and go on to: those that are made now stop with whoever keeps them for a moment.
    let alone = context.block_on_interruptible(super::infra::alone(&servers, &settings, context))?;
    super::infra::ready(&servers, &settings, args.force, context)?;
    let start = Start {
        deployment: deployment_with(context, &settings, &servers)?,
        services: servers.clone(),
        wait: settings.supervisor.ready_timeout,
        force: args.force,
    };
    // Started for it where they do not run.
    let make = make(&settings, &servers, &alone, context);
    let made = with_services_beside(&alone, &settings, start, context, make);
    let made = context.block_on(made);
    let made = made.map_err(|error| prepare::room::blame(settings.home.root(), error))?;
    super::logrotate::install(context);
    context.printer.report(&InitReport { steps, ..made })
}

/// Returns which tables would be made, and what would be added to others. A home that has data is asked, by its engine.
fn planned_tables(
    steps: &[Step],
    services: &[Service],
    settings: &Settings,
    context: &Context,
) -> Result<Vec<String>, CliError> {
    if !services.contains(&Service::Clickhouse) || !stores_here(settings) {
        return Ok(Vec::new());
    }
    let tiers = super::worker::tiers_here(settings);
    let is_ours = settings.clickhouse.mode == Mode::Managed;
    let in_container = !super::infra::in_containers(&[Service::Clickhouse], settings).is_empty();
    if is_ours && !in_container && !settings.home.clickhouse_data().join("store").is_dir() {
        return Ok(mprism_clickhouse::plan_empty(tiers).created);
    }
    let writer = settings.home.secret("clickhouse-writer");
    let keeps_from_asking = |step: &Step| match step {
        Step::Dependency { name, .. } => *name == Dependency::Libchdb,
        Step::Secret { path } => *path == writer,
        Step::Folder { .. } | Step::Certificate { .. } | Step::Config { .. } | Step::Logrotate { .. } => false,
    };
    // Its data is in a volume, and is asked for where its server runs.
    let is_mute = in_container && !context.block_on_interruptible(container_runs(settings, context))?;
    if is_mute || is_ours && steps.iter().any(keeps_from_asking) {
        context
            .printer
            .warn("the engine cannot be asked for its tables before this is done: those that are missing are made too");
        return Ok(Vec::new());
    }
    let servers = vec![Service::Clickhouse];
    let start = Start {
        deployment: deployment_with(context, settings, &servers)?,
        services: servers,
        wait: settings.supervisor.ready_timeout,
        force: false,
    };
    let look = async {
        let store = super::worker::store(settings)?;
        let planned = mprism_clickhouse::plan_schema(&store, tiers).await;
        let planned = planned.map_err(|e| CliError::failed("schema", e).context("tables cannot be looked at"))?;
        Ok([planned.created, planned.added].concat())
    };
    context.block_on(with_services(settings, start, context, look))
}

/// Returns whether the container of the store runs, whoever keeps it.
async fn container_runs(settings: &Settings, context: &Context) -> Result<bool, CliError> {
    match super::infra::runs(Service::Clickhouse, settings, context).await {
        Err(error) if error.code == "docker_absent" => Ok(false),
        runs => runs,
    }
}

/// Makes tables and streams.
async fn make(
    settings: &Settings,
    servers: &[Service],
    alone: &[Service],
    context: &Context,
) -> Result<InitReport, CliError> {
    let mut report = InitReport::default();
    if servers.contains(&Service::Clickhouse) && !stores_here(settings) {
        // Whoever stores there makes the tables; here they are only read.
        Reader::new(settings)?
            .rows::<serde_json::Value>("SELECT 1 AS one", BROKER_WITHIN)
            .await?;
    } else if servers.contains(&Service::Clickhouse) {
        let store = super::worker::store(settings)?;
        check_fences(settings, &store).await?;
        let schema = mprism_clickhouse::ensure_schema(&store, super::worker::tiers_here(settings)).await;
        let schema = schema.map_err(|e| CliError::failed("schema", e).context("tables cannot be made"))?;
        report.tables = [schema.created, schema.added].concat();
        for difference in schema.differs {
            if difference.kind.is_fault() {
                report.differs.push(difference);
            } else {
                context.printer.warn(&difference.message);
            }
        }
    }
    if servers.contains(&Service::Nats) {
        match settings.nats.mode {
            Mode::Managed if alone.contains(&Service::Nats) => {
                // Whoever keeps the server makes them, and nobody does.
                let options = super::worker::broker(settings, None)?;
                let arranged = mprism_broker::arrange(&options).await;
                arranged.map_err(|e| {
                    CliError::failed("no_streams", e)
                        .context("streams cannot be made")
                        .hint("see what the server wrote: `mprism infra logs nats`")
                })?;
            }
            Mode::Managed => wait_for_streams(settings).await?,
            Mode::External => report.drifts = make_streams(settings).await?,
        }
        report.streams_ready = true;
    }
    Ok(report)
}

/// Returns whether anything of this home stores, and so makes the tables.
fn stores_here(settings: &Settings) -> bool {
    [Service::Clickhouse, Service::Hot, Service::Cold]
        .iter()
        .any(|service| runs_here(settings, *service))
}

/// Returns whether the store is ClickHouse's own server, or may be: then what its user may do decides whether we can store there.
fn is_any_server(settings: &Settings) -> bool {
    let infra = &settings.infra;
    let is_official = infra.clickhouse_server == ClickhouseServer::Clickhouse;
    settings.clickhouse.mode == Mode::External || infra.clickhouse_backend == Backend::Docker && is_official
}

/// Refuses a store where its user may not do what keeps a row from being stored twice.
async fn check_fences(settings: &Settings, store: &Store) -> Result<(), CliError> {
    if !is_any_server(settings) {
        return Ok(());
    }
    let refused = |e: StoreError| {
        let advice = trouble::advice(&mprism_runtime::log::chain(&e), Service::Clickhouse);
        let hint = match &e {
            StoreError::NotGranted { user, grant, .. } => {
                format!(
                    "there, as a user who may: `GRANT {grant} TO {user}`; docs/deployment.md has all that a writer needs"
                )
            }
            _ => advice.unwrap_or("look at the settings under `clickhouse`".into()),
        };
        CliError::failed("no_store", e)
            .context(format!("cannot store in clickhouse at {}", settings.clickhouse.url))
            .hint(hint)
    };
    let generation = store.fence(FENCE_TRIED).await.map_err(refused)?;
    store.release(FENCE_TRIED, generation).await;
    Ok(())
}

/// Makes the streams of a broker that somebody else runs. Returns what differs and only its owner can change.
async fn make_streams(settings: &Settings) -> Result<Vec<String>, CliError> {
    let failed = |e: BusError| {
        let advice = trouble::advice(&mprism_runtime::log::chain(&e), Service::Nats);
        CliError::failed("no_streams", e)
            .context(format!("cannot make streams on {}", settings.nats.url))
            .hint(advice.unwrap_or("look at nats.url in the settings, and at what its user may do".into()))
    };
    if matches!(settings.nats.login, NatsLogin::Members(_)) {
        // The home that runs it makes them; what is known here may be less than it takes.
        let options = reach::broker(settings).options("mprism-init");
        let options = options.map_err(|e| {
            CliError::failed("no_credential", e)
                .hint("copy it from the home that runs the broker; there, `mprism env` says where it is")
        })?;
        mprism_bus::try_out(options, BROKER_WITHIN).await.map_err(failed)?;
        return Ok(Vec::new());
    }
    let options = reach::operator_bus(settings)?;
    // What keeps it from taking us is told as it is; after that it is only waited for.
    mprism_bus::try_out(options.clone(), BROKER_WITHIN)
        .await
        .map_err(failed)?;
    let bus = Bus::connect(options).await.map_err(failed)?;
    bus.ready(BROKER_WITHIN).await.map_err(failed)?;
    let layout = super::worker::bus_layout(settings);
    let report = mprism_bus::reconcile(&bus, &layout).await.map_err(failed)?;
    Ok(report.drifts)
}

/// The broker makes its streams as it starts; this waits until they are as wanted.
async fn wait_for_streams(settings: &Settings) -> Result<(), CliError> {
    let deadline = std::time::Instant::now() + MADE_WITHIN;
    loop {
        let layout = super::worker::bus_layout(settings);
        let found = super::health::streams(settings).await.unwrap_or_default();
        let is_there = |name: &str| found.iter().any(|stream| stream.name == name);
        let consumers: u64 = found.iter().map(|stream| stream.consumers).sum();
        if layout.streams.iter().all(|stream| is_there(&stream.name)) && consumers >= layout.durables.len() as u64 {
            return Ok(());
        }
        if std::time::Instant::now() >= deadline {
            return Err(CliError::failed(
                "no_streams",
                anyhow::anyhow!("the broker has no streams after {MADE_WITHIN:?}"),
            )
            .hint("see what it wrote: `mprism logs nats`"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What would be made.
#[derive(Serialize)]
struct PlannedInit {
    dry_run: bool,
    plan: Vec<Step>,
    tables: Vec<String>,
}

impl Report for PlannedInit {
    fn page(&self) -> Page {
        let steps = self.plan.iter().map(|step| format!("would {step}"));
        let tables = self.tables.iter().map(|table| format!("would make table {table}"));
        let page = steps.chain(tables).fold(Page::new(), Page::line);
        match page.blocks.is_empty() {
            true => page.line("nothing to do"),
            false => page,
        }
    }
}

/// What was made.
#[derive(Default, Serialize)]
struct InitReport {
    steps: Vec<Step>,
    tables: Vec<String>,
    streams_ready: bool,
    /// What is not changed by itself, because stored rows would be touched.
    differs: Vec<Difference>,
    /// What somebody else's broker has otherwise, and lets nobody edit.
    drifts: Vec<String>,
}

impl Report for InitReport {
    fn exit(&self) -> Exit {
        if self.differs.is_empty() && self.drifts.is_empty() {
            Exit::Success
        } else {
            Exit::Failed
        }
    }

    fn failure(&self) -> Option<Failure> {
        let mut hints: Vec<String> = self
            .differs
            .iter()
            .filter_map(|difference| difference.statement.clone())
            .map(|statement| format!("mend it: `{statement}`"))
            .collect();
        hints.dedup();
        if !self.drifts.is_empty() {
            hints.push("its owner makes the stream anew, once every durable has read all of it".to_owned());
        }
        let causes = self.differs.iter().map(|difference| difference.message.clone());
        let causes: Vec<String> = causes.chain(self.drifts.iter().cloned()).collect();
        let failure = Failure {
            code: if self.differs.is_empty() {
                "streams_differ"
            } else {
                "schema_differs"
            },
            message: format!(
                "{} things are not as this version makes them, and are left as they are",
                causes.len()
            ),
            causes,
            hints,
        };
        (self.exit() != Exit::Success).then_some(failure)
    }

    fn page(&self) -> Page {
        let page = self
            .steps
            .iter()
            .fold(Page::new(), |page, step| page.line(step.to_string()));
        let page = self
            .tables
            .iter()
            .fold(page, |page, table| page.line(format!("make table {table}")));
        if self.exit() != Exit::Success {
            return page;
        }
        page.line(if self.steps.is_empty() && self.tables.is_empty() {
            "everything was in place"
        } else {
            "the home is ready: `mprism start`"
        })
    }
}
