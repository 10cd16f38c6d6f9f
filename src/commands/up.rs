//! `mprism up`: from whatever there is to verified data, in one command.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mprism_model::DataType;
use mprism_settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::{StopArgs, UpArgs};
use crate::commands::Context;
use crate::commands::deployment::{check_listeners, check_supported, dependencies_of, deployment};
use crate::commands::health::{self, HealthReport};
use crate::commands::integrity::{self, IntegrityReport};
use crate::commands::lifecycle::{LifecycleReport, everything, plan_with, start_services, stop_services, taken_over};
use crate::commands::prepare;
use crate::commands::store::Reader;
use crate::commands::take_over::{TakeOver, TakenOver};
use crate::control::{Outcome, Start, Step, Stop};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report};

/// How long the first rows may take once everything is ready.
const ROWS_WITHIN: Duration = Duration::from_secs(30);
const QUERY_WITHIN: Duration = Duration::from_secs(30);

/// `mprism up`.
pub(crate) fn run(args: &UpArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings_with(super::sim_overrides(&args.sim))?;
    check_supported(&settings)?;
    let deployment = deployment(context, &settings, &args.sim)?;
    let services = deployment.services();
    let start = Start {
        deployment,
        services: services.clone(),
        wait: settings.supervisor.ready_timeout,
        force: args.force,
    };
    let take_over = args
        .take_over
        .then(|| TakeOver::look(&settings, &start, context))
        .transpose()?;
    let options = super::fetch_options(context, args.provider, args.offline)?;
    let needed = dependencies_of(&services, &settings);
    check_listeners(&settings, &services)?;
    let certificate = prepare::wanted_certificate(&settings);
    if context.globals.dry_run {
        let plan = prepare::plan(&settings.home, &needed, certificate.as_ref(), &options.cache);
        prepare::check_providers(&plan, &options)?;
        let mut planned = plan_with(&settings, &start, take_over, plan, context)?;
        if args.run_for.is_some() {
            planned = planned.processes(services.into_iter().map(|service| Step::Stop { service }));
        }
        return context.printer.report(&planned);
    }
    super::sim::warn_of_mixture(&settings.home, args.sim.sim, &context.printer);
    let progress = context.printer.progress();
    let steps = context.interrupt()?.during(|| {
        prepare::prepare(&settings.home, &needed, certificate.as_ref(), &options, &|now| {
            super::show_progress(&progress, now)
        })
    })?;
    let mut settings = settings;
    let mut taken = None;
    if let Some(take_over) = take_over {
        let renewed = || context.settings_with(super::sim_overrides(&args.sim));
        (_, taken) = taken_over(take_over, &start, &settings, renewed, context)?;
        settings = renewed()?;
    }
    super::infra::ready(&services, &settings, args.force, context)?;
    let (report, exit) = context.block_on(up(&settings, start, args.run_for, context))?;
    let report = UpReport {
        steps,
        taken_over: taken,
        ..report
    };
    let reported = context.printer.report(&report)?;
    Ok(if exit == Exit::Success { reported } else { exit })
}

/// Goes through all phases. Who said for how long wants nothing left behind: then a signal in any of them stops everything.
async fn up(
    settings: &Settings,
    start: Start,
    run_for: Option<Duration>,
    context: &Context,
) -> Result<(UpReport, Exit), CliError> {
    let interrupt = context.interrupt()?;
    let mut done = run_until_verified(settings, start, run_for, context).await;
    let is_failed = matches!(&done, Ok((_, Exit::Failed)) | Err(_));
    if run_for.is_some() && (!is_failed || interrupt.exit().is_some()) {
        let deployment = everything(context, settings)?;
        let services = deployment.services();
        let stop = Stop {
            deployment,
            services,
            drain: None,
        };
        let stopped = stop_services(settings, stop, context).await?;
        if let Ok((report, _)) = &mut done {
            report.stopped = stopped;
        }
    }
    done
}

async fn run_until_verified(
    settings: &Settings,
    start: Start,
    run_for: Option<Duration>,
    context: &Context,
) -> Result<(UpReport, Exit), CliError> {
    let interrupt = context.interrupt()?;
    let outcomes = interrupt.or(start_services(settings, start, context)).await?;
    if let Some(failure) = LifecycleReport::new(outcomes.clone(), "start").failure() {
        return Ok((UpReport::failed(outcomes, failure), Exit::Failed));
    }
    interrupt.or(wait_for_rows(settings)).await?;
    let verify = async {
        Ok(UpReport {
            services: outcomes,
            health: Some(health::examine(settings, &[], context).await?),
            integrity: Some(integrity::examine(settings, None).await?),
            rows: rows(settings).await?,
            latency_ms: latency(settings).await,
            ..UpReport::default()
        })
    };
    let Some(run_for) = run_for else {
        return Ok((interrupt.or(verify).await?, Exit::Success));
    };
    context.printer.note(&format!(
        "everything is healthy; running for {}",
        crate::report::duration_text(run_for)
    ));
    tokio::select! {
        biased;
        // What ran until then is worth a report; a second signal gives that up too.
        () = interrupt.token().cancelled() => Ok((verify.await?, interrupt.exit().unwrap_or(Exit::Interrupted))),
        () = tokio::time::sleep(run_for) => Ok((interrupt.or(verify).await?, Exit::Success)),
    }
}

/// Waits until every type can be read. No rows are no error: a market may be quiet.
async fn wait_for_rows(settings: &Settings) -> Result<(), CliError> {
    let deadline = Instant::now() + ROWS_WITHIN;
    while Instant::now() < deadline {
        if rows(settings).await?.values().all(|rows| *rows > 0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Count {
    r#type: String,
    rows: u64,
}

/// Returns the rows of each type that is collected.
pub(crate) async fn rows(settings: &Settings) -> Result<BTreeMap<&'static str, u64>, CliError> {
    let reader = Reader::new(settings)?;
    let collected = collected(settings);
    let count = |data_type: &DataType| {
        let table = data_type.table();
        format!("SELECT '{data_type}' AS type, count() AS rows FROM marketprism_hot.{table}")
    };
    let counts: Vec<String> = collected.iter().map(count).collect();
    let counts: Vec<Count> = reader.rows(&counts.join(" UNION ALL "), QUERY_WITHIN).await?;
    let of = |data_type: &DataType| {
        let found = counts.iter().find(|count| count.r#type == data_type.as_str());
        (data_type.as_str(), found.map_or(0, |count| count.rows))
    };
    Ok(collected.iter().map(of).collect())
}

/// Returns the types that are collected.
pub(crate) fn collected(settings: &Settings) -> Vec<DataType> {
    let is_named = |data_type: &&DataType| {
        let mut enabled = settings.collector.enabled();
        enabled.any(|(_, exchange)| exchange.data_types.iter().any(|name| name == data_type.as_str()))
    };
    DataType::ALL.iter().filter(is_named).copied().collect()
}

/// Returns the time from the venue's socket to readable, as the hot worker measured it.
async fn latency(settings: &Settings) -> Latency {
    let stats = health::hot_stats(settings).await.unwrap_or_default();
    let of = |name: &str| {
        stats
            .get("latency_ms")
            .and_then(|latency| latency.get(name))
            .and_then(Value::as_f64)
    };
    Latency {
        p50: of("p50"),
        p90: of("p90"),
        p99: of("p99"),
    }
}

#[derive(Default, Serialize)]
struct Latency {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

/// What `up` did and found.
#[derive(Default, Serialize)]
struct UpReport {
    services: Vec<Outcome>,
    /// What was made before they could start.
    steps: Vec<prepare::Step>,
    /// What was stopped at the end, where it was to run for a time.
    stopped: Vec<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_over: Option<TakenOver>,
    health: Option<HealthReport>,
    integrity: Option<IntegrityReport>,
    rows: BTreeMap<&'static str, u64>,
    latency_ms: Latency,
    #[serde(skip)]
    failure: Option<Failure>,
}

impl UpReport {
    fn failed(services: Vec<Outcome>, failure: Failure) -> Self {
        Self {
            services,
            failure: Some(failure),
            ..Self::default()
        }
    }
}

impl Report for UpReport {
    fn exit(&self) -> Exit {
        let parts = [
            self.failure.as_ref().map(|_| Exit::Failed),
            self.health.as_ref().map(Report::exit),
            self.integrity.as_ref().map(Report::exit),
        ];
        parts
            .into_iter()
            .flatten()
            .find(|exit| *exit != Exit::Success)
            .unwrap_or(Exit::Success)
    }

    fn failure(&self) -> Option<Failure> {
        let of_health = || self.health.as_ref().and_then(Report::failure);
        let of_integrity = || self.integrity.as_ref().and_then(Report::failure);
        self.failure.clone().or_else(of_health).or_else(of_integrity)
    }

    fn page(&self) -> Page {
        let mut page = LifecycleReport::new(self.services.clone(), "start").page();
        for part in [
            self.health.as_ref().map(Report::page),
            self.integrity.as_ref().map(Report::page),
        ] {
            page.blocks.extend(part.into_iter().flat_map(|part| part.blocks));
        }
        let rows = self
            .rows
            .iter()
            .map(|(name, rows)| vec![Cell::plain(*name), Cell::number(rows)]);
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.0} ms"));
        let latency = &self.latency_ms;
        page.table(vec!["type", "rows"], rows.collect()).line(format!(
            "socket to readable: p50 {}, p90 {}, p99 {}",
            ms(latency.p50),
            ms(latency.p90),
            ms(latency.p99)
        ))
    }
}

/// `mprism down`: everything, the simulator too.
pub(crate) fn down(context: &Context) -> Result<Exit, CliError> {
    let args = StopArgs {
        services: Vec::new(),
        timeout: None,
    };
    super::lifecycle::stop(&args, context)
}
