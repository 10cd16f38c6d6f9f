//! `mprism clean`: what nobody misses goes; data only with consent; what is not provably ours never.

mod report;

use std::path::PathBuf;

use mprism_settings::Settings;

use crate::cli::CleanArgs;
use crate::commands::deployment::{paths, selected};
use crate::commands::infra::{self, Orphan};
use crate::commands::lifecycle::{LifecycleReport, Teller, everything, stop_services};
use crate::commands::{Context, ask};
use crate::control::{self, CleanStep, Consent, ControlError, Deployment, Plan, Service, Start, Stop, UnitStatus};
use crate::error::{CliError, Exit};
use crate::report::{Report, bytes};
use report::{CleanReport, Cleaning, PortsReport};

/// `mprism clean`.
pub(crate) fn run(args: &CleanArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let deployment = everything(context, &settings)?;
    let services = selected(&args.services, &deployment.services());
    if args.ports {
        return clean_ports(args, deployment, services, &settings, context);
    }
    let is_whole = services.len() == deployment.services().len();
    if !settings.home.root().is_dir() {
        // What it left in the engine outlives it.
        let mut report = CleanReport::of(infra::orphans(&services, is_whole, &settings, context)?, args, context);
        context.planned(&report.plan);
        if !report.dry_run {
            let consent = consent(&report.plan, &settings, context)?;
            context.block_on_interruptible(take_away(&mut report, consent.as_ref(), context))?;
        }
        return context.printer.report(&report);
    }
    let running = running(&settings, &deployment, &services, context)?;
    if !running.is_empty() && !args.force {
        return Err(still_running(&running));
    }
    let mut report = CleanReport::of(infra::orphans(&services, is_whole, &settings, context)?, args, context);
    report.stop = running;
    let orphans = std::mem::take(&mut report.plan);
    report.plan = plan(args, &settings, &deployment, &services, &report.stop);
    report.plan.extend(orphans);
    context.planned(&report.plan);
    if context.globals.dry_run {
        return context.printer.report(&report);
    }
    let consent = consent(&report.plan, &settings, context)?;
    context.block_on(clean(
        &mut report,
        deployment,
        &services,
        &settings,
        consent,
        args,
        context,
    ))?;
    context.printer.report(&report)
}

fn plan(
    args: &CleanArgs,
    settings: &Settings,
    deployment: &Deployment,
    services: &[Service],
    stopping: &[Service],
) -> Vec<Cleaning> {
    let home = &settings.home;
    let folders: Vec<PathBuf> = vec![
        home.root().to_path_buf(),
        home.config(),
        home.run(),
        home.secrets(),
        home.root().join("data"),
        home.root().join("bin"),
        home.root().join("lib"),
    ];
    let mut steps = control::plan_clean(&paths(settings), deployment, services, stopping, &folders);
    if args.data {
        let data = [
            (Service::Nats, settings.nats.data_folder.clone()),
            (Service::Clickhouse, home.clickhouse_data()),
            (Service::Collector, home.spool()),
            (Service::Sim, home.sim_places()),
        ];
        steps.extend(control::plan_data(home.root(), &data, services));
    }
    steps.into_iter().map(Cleaning::Home).collect()
}

/// Takes away what nobody needs in the engine.
async fn take_away(report: &mut CleanReport, consent: Option<&Consent>, context: &Context) -> Result<(), CliError> {
    let orphans = report.plan.iter().filter_map(|step| match step {
        Cleaning::Engine(orphan) => Some(orphan),
        Cleaning::Home(_) => None,
    });
    let orphans: Vec<&Orphan> = orphans.collect();
    if orphans.is_empty() {
        return Ok(());
    }
    let engine = infra::connect(context).await?;
    for orphan in orphans {
        if let Err(error) = infra::take_away(&engine, orphan, consent).await {
            report.left.push(format!("{:#}", error.source));
        }
    }
    Ok(())
}

/// Stops what runs, then does the plan as it is by then; nobody else changes the home meanwhile.
async fn clean(
    report: &mut CleanReport,
    deployment: Deployment,
    services: &[Service],
    settings: &Settings,
    consent: Option<Consent>,
    args: &CleanArgs,
    context: &Context,
) -> Result<(), CliError> {
    let interrupt = context.interrupt()?;
    if !report.stop.is_empty() {
        let stop = Stop {
            deployment: deployment.clone(),
            services: report.stop.clone(),
            drain: None,
        };
        let outcomes = interrupt.or(stop_services(settings, stop, context)).await?;
        if let Some(failure) = LifecycleReport::new(outcomes.clone(), "stop").failure() {
            return Err(CliError::failed("service_failed", anyhow::Error::msg(failure.message)));
        }
        report.stopped = outcomes;
    }
    let held = control::hold(&paths(settings), &mut Teller::new(context)).await?;
    // A supervisor that leaves takes its socket with it.
    let planned = std::mem::take(&mut report.plan).into_iter();
    let orphans = planned.filter(|step| matches!(step, Cleaning::Engine(_)));
    report.plan = plan(args, settings, &deployment, services, &[]);
    for step in &report.plan {
        interrupt.check()?;
        if let Cleaning::Home(step) = step
            && let Err(error) = control::clean(step, consent.as_ref())
        {
            report.left.push(format!("{}: {error}", place(step)));
        }
    }
    report.plan.extend(orphans);
    interrupt.or(take_away(report, consent.as_ref(), context)).await?;
    held.forget().map_err(|e| CliError::failed("lock", e))?;
    Ok(())
}

/// Asks for the home's name where data is about to go.
fn consent(plan: &[Cleaning], settings: &Settings, context: &Context) -> Result<Option<Consent>, CliError> {
    let (mut sizes, mut volumes) = (Vec::new(), Vec::new());
    for step in plan {
        match step {
            Cleaning::Home(CleanStep::RemoveData { bytes, .. }) => sizes.push(*bytes),
            Cleaning::Engine(Orphan::Volume { volume, .. }) => volumes.push(volume.as_str()),
            _ => {}
        }
    }
    let root = settings.home.root().display();
    let in_home = (!sizes.is_empty()).then(|| format!("{} of data in {root}", bytes(sizes.iter().sum())));
    let in_volumes = (!volumes.is_empty()).then(|| format!("the data in {}", volumes.join(", ")));
    let what: Vec<String> = in_home.into_iter().chain(in_volumes).collect();
    if what.is_empty() {
        return Ok(None);
    }
    let what = what.join(" and ");
    ask::consent(&what, "mprism clean --data", settings, context).map(Some)
}

/// Returns which of the services run.
fn running(
    settings: &Settings,
    deployment: &Deployment,
    services: &[Service],
    context: &Context,
) -> Result<Vec<Service>, CliError> {
    let statuses =
        context.block_on_interruptible(async { Ok(control::status(&paths(settings), deployment).await?) })?;
    let is_running = |unit: &&UnitStatus| services.contains(&unit.name) && unit.pid.is_some();
    Ok(statuses.iter().filter(is_running).map(|unit| unit.name).collect())
}

fn still_running(running: &[Service]) -> CliError {
    let names: Vec<&str> = running.iter().map(|service| service.name()).collect();
    let names = names.join(", ");
    CliError::refused("still_running", anyhow::anyhow!("{names} still run"))
        .context("nothing was cleaned")
        .hint("stop them: `mprism stop`")
        .hint("or let this command stop them: `mprism clean --force`")
}

/// Ends our own leftovers on the ports, and foreign holders with `--force`: the plan of a start without the start.
fn clean_ports(
    args: &CleanArgs,
    deployment: Deployment,
    services: Vec<Service>,
    settings: &Settings,
    context: &Context,
) -> Result<Exit, CliError> {
    let start = Start {
        deployment,
        services,
        wait: settings.supervisor.ready_timeout,
        force: args.force,
    };
    let home = paths(settings);
    let mut teller = Teller::new(context);
    let plan: Plan = context.block_on_interruptible(async {
        let plan = match context.globals.dry_run {
            true => control::plan_ports_of(&home, &start).await?,
            false => control::clear_ports(&home, &start, &mut teller).await?,
        };
        Ok(plan)
    })?;
    if !plan.refused.is_empty() {
        return Err(ControlError::Ports { ports: plan.refused }.into());
    }
    context.printer.report(&PortsReport {
        dry_run: context.globals.dry_run,
        plan: plan.steps,
    })
}

fn place(step: &CleanStep) -> String {
    let (CleanStep::ForgetHolder { path, .. } | CleanStep::Remove { path, .. } | CleanStep::RemoveData { path, .. }) =
        step;
    path.display().to_string()
}
