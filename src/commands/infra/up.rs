//! `mprism infra up`.

use std::time::Duration;

use mprism_containers::Step;
use serde::Serialize;

use super::make::{Shown, ensure, plan};
use super::status::{ContainerStatus, look, table};
use super::wanted::HEALTHY_WITHIN;
use super::{connect, selected, services_of};
use crate::cli::InfraUpArgs;
use crate::commands::Context;
use crate::commands::deployment::dependencies_of;
use crate::commands::lifecycle::home_steps;
use crate::commands::prepare;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

pub(super) fn run(args: &InfraUpArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let services = selected(&args.services, &settings)?;
    let dry_run = context.globals.dry_run;
    let home = if dry_run {
        home_steps(&services, &settings, context)?
    } else {
        let options = crate::commands::fetch_options(context, mprism_deps::Provider::Auto, false)?;
        let needed = dependencies_of(&services, &settings);
        let certificate = prepare::wanted_certificate(&settings);
        let progress = context.printer.progress();
        context.interrupt()?.during(|| {
            prepare::prepare(&settings.home, &needed, certificate.as_ref(), &options, &|now| {
                crate::commands::show_progress(&progress, now)
            })
        })?
    };
    let report = context.block_on_interruptible(async {
        let engine = connect(context).await?;
        if dry_run {
            // What the home still lacks is made before its containers.
            let wanted = super::looked_for(&settings, &services)?;
            let plan = plan(&engine, &wanted, args.force).await?;
            let services = look(&engine, &wanted.infrastructure).await?;
            return Ok(UpReport {
                dry_run,
                home,
                plan: plan.steps,
                services,
            });
        }
        let mut wanted = super::wanted(&settings, &services)?;
        let within = args.wait.map_or(HEALTHY_WITHIN, Duration::from_secs);
        wanted.infrastructure.healthy_within = within;
        let shown = Shown::new(&context.printer);
        let steps = ensure(&engine, &wanted, args.force, &|now| shown.pulling(&now)).await?;
        context.planned(&steps);
        for (service, container) in services_of(&wanted.infrastructure) {
            engine.await_healthy(container, within).await?;
            context
                .printer
                .note(&format!("{service}: container {container} is healthy"));
        }
        let services = look(&engine, &wanted.infrastructure).await?;
        Ok(UpReport {
            dry_run,
            home,
            plan: steps,
            services,
        })
    })?;
    context.printer.report(&report)
}

/// What was, or would be, done.
#[derive(Serialize)]
struct UpReport {
    dry_run: bool,
    /// What the home lacks, before anything is made of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    home: Vec<prepare::Step>,
    plan: Vec<Step>,
    services: Vec<ContainerStatus>,
}

impl Report for UpReport {
    fn page(&self) -> Page {
        let would = if self.dry_run { "would " } else { "" };
        let home = self.home.iter().map(|step| format!("{would}{step}"));
        let page = steps(home.fold(Page::new(), Page::line), &self.plan, self.dry_run);
        if self.dry_run {
            page
        } else {
            table(page, &self.services)
        }
    }
}

/// Says what is, or would be, done.
pub(super) fn steps(page: Page, steps: &[Step], dry_run: bool) -> Page {
    let would = if dry_run { "would " } else { "" };
    steps.iter().fold(page, |page, step| {
        page.line(match step {
            Step::Keep { container } => format!("container {container} runs as it should"),
            Step::Pull { image } => format!("{would}pull {image}"),
            Step::MakeNetwork { network } => format!("{would}make network {network}"),
            Step::MakeVolume { volume } => format!("{would}make volume {volume}"),
            Step::Stop { container } => format!("{would}stop container {container}"),
            Step::Remove { container, why } => format!("{would}remove container {container}: {why}"),
            Step::Make { container } => format!("{would}make container {container}"),
            Step::Replace { container, why } => format!("{would}make container {container} anew: {why}"),
            Step::PutBack { container } => {
                format!("{would}put back container {container}: making it anew was interrupted")
            }
            Step::Start { container } => format!("{would}start container {container}"),
            Step::RemoveVolume { volume } => format!("{would}remove volume {volume} with its data"),
            Step::RemoveNetwork { network } => format!("{would}remove network {network}"),
        })
    })
}
