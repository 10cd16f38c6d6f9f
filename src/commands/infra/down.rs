//! `mprism infra down`: containers go, data stays unless it is asked for.

use mprism_containers::{ContainerError, Foreign, Step, plan_down, plan_stop};
use mprism_settings::Settings;
use serde::Serialize;

use super::{connect, in_containers, selected, up};
use crate::cli::InfraDownArgs;
use crate::commands::lifecycle::{everything, stop_services};
use crate::commands::{Context, ask};
use crate::control::{Consent, Service, Stop};
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

pub(super) fn run(args: &InfraDownArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let services = selected(&args.services, &settings)?;
    let dry_run = context.globals.dry_run;
    let looked = context.block_on_interruptible(async {
        let engine = connect(context).await?;
        let wanted = super::looked_for(&settings, &services)?;
        let observed = engine.observe(&wanted.infrastructure).await?;
        Ok((wanted, observed))
    });
    let (wanted, observed) = looked?;
    let mut plan = plan_down(&wanted.infrastructure, &observed, args.volumes);
    if services.len() < in_containers(&[Service::Nats, Service::Clickhouse], &settings).len() {
        // The others are on it.
        plan.steps.retain(|step| !matches!(step, Step::RemoveNetwork { .. }));
    }
    let report = DownReport {
        dry_run,
        plan: plan.steps,
        foreign: plan.foreign,
    };
    if dry_run {
        return context.printer.report(&report);
    }
    let consent = consent(&report.plan, &settings, context)?;
    context.planned(&report.plan);
    context.block_on_interruptible(async {
        // Whoever keeps a container would make it again.
        let stop = Stop {
            deployment: everything(context, &settings)?,
            services,
            drain: None,
        };
        stop_services(&settings, stop, context).await?;
        let engine = connect(context).await?;
        for step in &report.plan {
            // Data goes with consent only.
            if matches!(step, Step::RemoveVolume { .. }) && consent.is_none() {
                continue;
            }
            engine.execute(&wanted.infrastructure, step, &|_| {}).await?;
        }
        Ok(())
    })?;
    for foreign in &report.foreign {
        context.printer.warn(&format!(
            "{} {} is not this home's and stays",
            foreign.kind, foreign.name
        ));
    }
    context.printer.report(&report)
}

/// Asks before data goes.
fn consent(plan: &[Step], settings: &Settings, context: &Context) -> Result<Option<Consent>, CliError> {
    let volumes = plan.iter().filter_map(|step| match step {
        Step::RemoveVolume { volume } => Some(volume.as_str()),
        _ => None,
    });
    let volumes: Vec<&str> = volumes.collect();
    if volumes.is_empty() {
        return Ok(None);
    }
    let what = format!("the data in {}", volumes.join(", "));
    ask::consent(&what, "mprism infra down --volumes", settings, context).map(Some)
}

/// Stops containers of services that are down, and that nobody of the home keeps: `infra up` made them. Returns whose were
/// stopped. An engine that is away runs nothing.
pub(crate) async fn stop_remaining(
    services: &[Service],
    settings: &Settings,
    context: &Context,
) -> Result<Vec<Service>, CliError> {
    let services = in_containers(services, settings);
    // A home that was never made has made no containers.
    if services.is_empty() || !settings.home.infra().is_dir() {
        return Ok(Vec::new());
    }
    let engine = match super::try_connect(context).await {
        Err(ContainerError::Absent { .. }) => return Ok(Vec::new()),
        connected => connected?,
    };
    let wanted = super::looked_for(settings, &services)?;
    let observed = engine.observe(&wanted.infrastructure).await?;
    let plan = plan_stop(&wanted.infrastructure, &observed);
    let mut stopped = Vec::new();
    for step in &plan.steps {
        engine.execute(&wanted.infrastructure, step, &|_| {}).await?;
        if let Step::Stop { container } = step {
            let service = wanted
                .infrastructure
                .container(container)
                .map(|spec| spec.service.parse::<Service>());
            stopped.extend(service.and_then(Result::ok));
        }
    }
    Ok(stopped)
}

/// What was, or would be, done.
#[derive(Serialize)]
struct DownReport {
    dry_run: bool,
    plan: Vec<Step>,
    foreign: Vec<Foreign>,
}

impl Report for DownReport {
    fn page(&self) -> Page {
        if self.plan.is_empty() {
            return Page::new().line("there is nothing to remove");
        }
        up::steps(Page::new(), &self.plan, self.dry_run)
    }
}
