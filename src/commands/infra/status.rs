//! `mprism infra status`.

use mprism_containers::{Engine, Infrastructure};
use serde::Serialize;

use super::{connect, selected};
use crate::cli::InfraStatusArgs;
use crate::commands::Context;
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone};

pub(super) fn run(args: &InfraStatusArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let services = selected(&args.services, &settings)?;
    let report = context.block_on_interruptible(async {
        let engine = connect(context).await?;
        let wanted = super::looked_for(&settings, &services)?;
        let services = look(&engine, &wanted.infrastructure).await?;
        Ok(StatusReport { services })
    })?;
    context.printer.report(&report)
}

/// A container as operators want to know it.
#[derive(Serialize)]
pub(super) struct ContainerStatus {
    name: String,
    container: String,
    /// As the engine says; `missing` where there is none.
    state: String,
    /// What its own health check says.
    health: Option<String>,
    /// Whether it is this home's; `null` where there is none.
    ours: Option<bool>,
    /// Whether it was made of the settings as they are now.
    current: Option<bool>,
    image: String,
    pid: Option<u32>,
    restarts: u64,
    started_at: Option<String>,
    exit_code: Option<i64>,
    /// Ports on the loopback of this machine.
    ports: Vec<u16>,
    volume: Option<String>,
}

/// Looks at every container that is wanted.
pub(super) async fn look(engine: &Engine, wanted: &Infrastructure) -> Result<Vec<ContainerStatus>, CliError> {
    let mut statuses = Vec::new();
    for container in &wanted.containers {
        let found = engine.container(&container.name).await?;
        let is_there = found.is_some();
        let found = found.unwrap_or_default();
        let is_current = found.configuration.as_deref() == Some(&container.configuration());
        statuses.push(ContainerStatus {
            name: container.service.clone(),
            container: container.name.clone(),
            state: if is_there {
                found.state.clone()
            } else {
                "missing".to_owned()
            },
            health: found.health.clone(),
            ours: is_there.then(|| found.owner.as_deref() == Some(&wanted.owner)),
            current: is_there.then_some(is_current),
            image: if is_there {
                found.image.clone()
            } else {
                container.image.clone()
            },
            pid: found.pid,
            restarts: found.restarts,
            started_at: found.started_at.clone().filter(|_| found.is_running()),
            exit_code: found.exit_code.filter(|_| is_there),
            ports: container.ports.clone(),
            volume: container.volume.as_ref().map(|volume| volume.name.clone()),
        });
    }
    Ok(statuses)
}

/// Adds a table of containers.
pub(super) fn table(page: Page, containers: &[ContainerStatus]) -> Page {
    let rows = containers.iter().map(|found| {
        let health = found.health.as_deref().unwrap_or("");
        let (state, tone) = match (found.ours, found.state.as_str(), health) {
            (Some(false), ..) => ("foreign".to_owned(), Tone::Bad),
            (_, "running", "unhealthy") => ("unhealthy".to_owned(), Tone::Bad),
            (_, "running", "starting") => ("starting".to_owned(), Tone::Warn),
            (_, "running", _) => ("running".to_owned(), Tone::Good),
            (_, state, _) => (state.to_owned(), Tone::Plain),
        };
        let outdated = if found.current == Some(false) && found.ours == Some(true) {
            "settings have changed: `mprism infra up`"
        } else {
            ""
        };
        let ports: Vec<String> = found.ports.iter().map(u16::to_string).collect();
        vec![
            Cell::plain(&found.name),
            Cell::plain(&found.container),
            Cell::toned(state, tone),
            Cell::number(found.restarts),
            Cell::plain(ports.join(", ")),
            Cell::toned(&found.image, Tone::Dim),
            Cell::toned(outdated, Tone::Warn),
        ]
    });
    let header = vec!["service", "container", "state", "restarts", "ports", "image", ""];
    page.table(header, rows.collect())
}

#[derive(Serialize)]
struct StatusReport {
    services: Vec<ContainerStatus>,
}

impl Report for StatusReport {
    fn exit(&self) -> Exit {
        let is_bad = |found: &ContainerStatus| {
            found.ours != Some(true) || found.state != "running" || found.health.as_deref() == Some("unhealthy")
        };
        if self.services.iter().any(is_bad) {
            Exit::Failed
        } else {
            Exit::Success
        }
    }

    fn failure(&self) -> Option<Failure> {
        let bad = self.services.iter().filter(|found| {
            found.ours != Some(true) || found.state != "running" || found.health.as_deref() == Some("unhealthy")
        });
        let causes: Vec<String> = bad
            .map(|found| match found.ours {
                Some(false) => format!("container {} is not this home's", found.container),
                _ => format!(
                    "container {} is {}",
                    found.container,
                    found.health.as_deref().unwrap_or(&found.state)
                ),
            })
            .collect();
        (!causes.is_empty()).then(|| Failure {
            code: "not_running",
            message: format!(
                "{} of {} containers do not run as they should",
                causes.len(),
                self.services.len()
            ),
            causes,
            hints: vec!["make them: `mprism infra up`".to_owned()],
        })
    }

    fn page(&self) -> Page {
        table(Page::new(), &self.services)
    }
}
