//! `mprism restart --one-by-one`: what runs is replaced by this program while the rest goes on: the supervisor first, then one
//! service after the other, each only once the one before answers. What is stopped stays so.

use mprism_settings::Settings;

use crate::commands::Context;
use crate::commands::deployment::paths;
use crate::commands::lifecycle::{LifecycleReport, start_services, stop_services};
use crate::control::{self, Action, Deployment, Outcome, Plan, Replaced, Service, Start, Step, Stop};
use crate::error::{CliError, Exit};
use crate::report::Report;

/// Returns what would be done.
pub(crate) async fn plan(settings: &Settings, deployment: &Deployment, services: &[Service]) -> Result<Plan, CliError> {
    let running = running(settings, deployment, services).await?;
    let steps = running.into_iter();
    let steps = steps.flat_map(|service| [Step::Stop { service }, Step::Spawn { service }]);
    Ok(Plan {
        steps: steps.collect(),
        refused: Vec::new(),
    })
}

/// Restarts what runs of the services. Ends with the first that does not come back.
pub(crate) async fn run(
    settings: &Settings,
    deployment: &Deployment,
    services: &[Service],
    context: &Context,
) -> Result<LifecycleReport, CliError> {
    let interrupt = context.interrupt()?;
    match control::replace_supervisor(&paths(settings)).await? {
        Replaced::Unneeded => {}
        Replaced::Left { pid } => context
            .printer
            .note(&format!("supervisor: pid {pid} ran a program that was replaced, and has left")),
        Replaced::Foreground { pid } => context.printer.warn(&format!(
            "supervisor: pid {pid} runs in the foreground with a program that was replaced; start it again where it was \
             started: `systemctl restart mprism`, for example"
        )),
    }
    let (mut stopped, mut started): (Vec<Outcome>, Vec<Outcome>) = Default::default();
    // Asking how they are also has the next supervisor adopt them.
    for service in running(settings, deployment, services).await? {
        let stop = Stop {
            deployment: deployment.clone(),
            services: vec![service],
            drain: None,
        };
        let outcomes = interrupt.or(stop_services(settings, stop, context)).await?;
        if is_failed(&outcomes) {
            return Ok(LifecycleReport::new(outcomes, "restart"));
        }
        stopped.extend(outcomes);
        let start = Start {
            deployment: deployment.clone(),
            services: vec![service],
            wait: settings.supervisor.ready_timeout,
            force: false,
        };
        let outcomes = interrupt.or(start_services(settings, start, context)).await?;
        let is_over = is_failed(&outcomes);
        started.extend(outcomes);
        if is_over {
            break;
        }
    }
    Ok(LifecycleReport::new(started, "restart").stopped(stopped))
}

fn is_failed(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| outcome.action == Action::Failed)
}

async fn running(settings: &Settings, deployment: &Deployment, services: &[Service]) -> Result<Vec<Service>, CliError> {
    let statuses = control::status(&paths(settings), deployment).await?;
    let running = statuses
        .into_iter()
        .filter(|unit| unit.pid.is_some())
        .map(|unit| unit.name);
    Ok(running.filter(|service| services.contains(service)).collect())
}

/// `mprism restart --one-by-one`.
pub(crate) fn restart(
    settings: &Settings,
    deployment: &Deployment,
    services: &[Service],
    context: &Context,
) -> Result<Exit, CliError> {
    if context.globals.dry_run {
        let plan = context.block_on_interruptible(plan(settings, deployment, services))?;
        return context.printer.report(&super::planned::Planned::new().plan(plan));
    }
    let report = context.block_on(run(settings, deployment, services, context))?;
    let exit = report.exit();
    context.printer.report(&report)?;
    Ok(exit)
}
