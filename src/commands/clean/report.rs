//! What `clean` did, or would do.

use serde::Serialize;

use crate::cli::CleanArgs;
use crate::commands::Context;
use crate::commands::infra::Orphan;
use crate::control::{CleanStep, Leftover, Outcome, Service, Step};
use crate::error::{Exit, Failure};
use crate::report::{Page, Report, bytes};

/// One thing to be rid of, in the home or in the engine of its containers.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Cleaning {
    Home(CleanStep),
    Engine(Orphan),
}

/// What was cleaned.
#[derive(Default, Serialize)]
pub(super) struct CleanReport {
    pub(super) dry_run: bool,
    /// Services that ran.
    pub(super) stop: Vec<Service>,
    pub(super) stopped: Vec<Outcome>,
    pub(super) plan: Vec<Cleaning>,
    /// Volumes that nobody needs, and that stay because their data was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<String>,
    /// What could not be done, and why.
    pub(super) left: Vec<String>,
}

impl CleanReport {
    /// Begins with what nobody needs in the engine. Data goes only where it is asked for.
    pub(super) fn of(orphans: Vec<Orphan>, args: &CleanArgs, context: &Context) -> Self {
        let is_kept = |orphan: &Orphan| matches!(orphan, Orphan::Volume { .. }) && !args.data;
        let (kept, orphans): (Vec<Orphan>, Vec<Orphan>) = orphans.into_iter().partition(is_kept);
        let name = |orphan| match orphan {
            Orphan::Volume { volume, .. } => Some(volume),
            _ => None,
        };
        Self {
            dry_run: context.globals.dry_run,
            plan: orphans.into_iter().map(Cleaning::Engine).collect(),
            volumes: kept.into_iter().filter_map(name).collect(),
            ..Self::default()
        }
    }
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
            let step = match step {
                Cleaning::Home(step) => step,
                Cleaning::Engine(orphan) => {
                    page = page.line(match orphan {
                        Orphan::Container { container, why, .. } => {
                            format!("{would}remove container {container}: {why}")
                        }
                        Orphan::Network { network, why, .. } => format!("{would}remove network {network}: {why}"),
                        Orphan::Volume { volume, why } => {
                            format!("{would}remove volume {volume} with its data: {why}")
                        }
                    });
                    continue;
                }
            };
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
        for volume in &self.volumes {
            page = page.line(format!(
                "volume {volume} stays, which nobody needs: `mprism clean --data` removes it"
            ));
        }
        if page.blocks.is_empty() {
            page = page.line("nothing to clean");
        }
        page
    }
}

#[derive(Serialize)]
pub(super) struct PortsReport {
    pub(super) dry_run: bool,
    pub(super) plan: Vec<Step>,
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
