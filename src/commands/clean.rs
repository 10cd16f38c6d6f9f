//! `mprism clean`: what nobody misses goes; data only with consent; what is not provably ours never.

use std::path::PathBuf;

use mprism_settings::Settings;
use serde::Serialize;

use crate::cli::CleanArgs;
use crate::commands::deployment::{paths, selected};
use crate::commands::lifecycle::{LifecycleReport, Teller, everything, stop_services};
use crate::commands::{Context, ask};
use crate::control::{
    self, CleanStep, Consent, ControlError, Deployment, Leftover, Outcome, Plan, Service, Start, Step, Stop, UnitStatus,
};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Page, Report, bytes};

/// `mprism clean`.
pub(crate) fn run(args: &CleanArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let deployment = everything(context, &settings)?;
    let services = selected(&args.services, &deployment.services());
    if args.ports {
        return clean_ports(args, deployment, services, &settings, context);
    }
    if !settings.home.root().is_dir() {
        return context.printer.report(&CleanReport::default());
    }
    let running = running(&settings, &deployment, &services, context)?;
    if !running.is_empty() && !args.force {
        return Err(still_running(&running));
    }
    let mut report = CleanReport {
        dry_run: context.globals.dry_run,
        stop: running,
        ..CleanReport::default()
    };
    report.plan = plan(args, &settings, &deployment, &services, &report.stop);
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
) -> Vec<CleanStep> {
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
    steps
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
    report.plan = plan(args, settings, &deployment, services, &[]);
    for step in &report.plan {
        interrupt.check()?;
        if let Err(error) = control::clean(step, consent.as_ref()) {
            report.left.push(format!("{}: {error}", place(step)));
        }
    }
    held.forget().map_err(|e| CliError::failed("lock", e))?;
    Ok(())
}

/// Asks for the home's name where data is about to go.
fn consent(plan: &[CleanStep], settings: &Settings, context: &Context) -> Result<Option<Consent>, CliError> {
    let data = plan.iter().filter_map(|step| match step {
        CleanStep::RemoveData { bytes, .. } => Some(*bytes),
        _ => None,
    });
    let sizes: Vec<u64> = data.collect();
    if sizes.is_empty() {
        return Ok(None);
    }
    let what = format!(
        "{} of data in {}",
        bytes(sizes.iter().sum()),
        settings.home.root().display()
    );
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

/// What was cleaned.
#[derive(Default, Serialize)]
struct CleanReport {
    dry_run: bool,
    /// Services that ran.
    stop: Vec<Service>,
    stopped: Vec<Outcome>,
    plan: Vec<CleanStep>,
    /// What could not be done, and why.
    left: Vec<String>,
}

impl Report for CleanReport {
    fn exit(&self) -> Exit {
        if self.left.is_empty() {
            Exit::Success
        } else {
            Exit::Failed
        }
    }

    fn failure(&self) -> Option<Failure> {
        (!self.left.is_empty()).then(|| Failure {
            code: "not_cleaned",
            message: format!("{} things could not be cleaned", self.left.len()),
            causes: self.left.clone(),
            hints: vec!["see who holds what: `mprism diagnose`".to_owned()],
        })
    }

    fn page(&self) -> Page {
        let would = if self.dry_run { "would " } else { "" };
        let mut page = Page::new();
        if self.dry_run {
            page = self
                .stop
                .iter()
                .fold(page, |page, service| page.line(format!("would stop {service}")));
        }
        for step in &self.plan {
            page = page.line(match step {
                CleanStep::ForgetHolder { path, pid } => {
                    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                    format!("{would}forget the past holder{pid} of lock {}", path.display())
                }
                CleanStep::Remove { path, what } => {
                    let what = match what {
                        Leftover::Socket => "socket",
                        Leftover::PidFile => "pid file",
                        Leftover::TemporaryFile => "temporary file",
                    };
                    format!("{would}remove {what} {}", path.display())
                }
                CleanStep::RemoveData {
                    service,
                    path,
                    bytes: size,
                } => {
                    format!(
                        "{would}remove {} of data of {service}: {}",
                        bytes(*size),
                        path.display()
                    )
                }
            });
        }
        if page.blocks.is_empty() {
            page = page.line("nothing to clean");
        }
        page
    }
}

#[derive(Serialize)]
struct PortsReport {
    dry_run: bool,
    plan: Vec<Step>,
}

impl Report for PortsReport {
    fn page(&self) -> Page {
        let would = if self.dry_run { "would end" } else { "ended" };
        let page = self.plan.iter().fold(Page::new(), |page, step| match step {
            Step::EndLeftover(ending) => page.line(format!("{would} our leftover pid {}", ending.process.pid)),
            Step::EndHolder(ending) => page.line(format!("{would} foreign pid {}", ending.process.pid)),
            // Nobody is ended there.
            _ => page,
        });
        if page.blocks.is_empty() {
            return page.line("every port is free, or held by the service that it belongs to");
        }
        page
    }
}
