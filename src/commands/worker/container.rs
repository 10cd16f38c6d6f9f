//! Keeping a server in its container: the worker of a service that runs there. It makes and starts the container, says that
//! it is gone once it is, and stops it at the end.

use std::path::Path;
use std::time::{Duration, Instant};

use mprism_containers::{ContainerError, Engine, FoundContainer, Infrastructure};
use mprism_runtime::log::Causes;
use mprism_settings::Settings;
use tokio_util::sync::CancellationToken;

use super::options;
use crate::commands::deployment::paths;
use crate::commands::{Context, infra};
use crate::control::{ControlGroup, Service};
use crate::error::CliError;

/// Between looks at the container.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So long may it not run before it is started again: the engine does that by itself where a process ended.
const AWAY_MAX: Duration = Duration::from_secs(15);
/// Between tries to reach an engine that is away.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Keeps the container of a service until `shutdown` is cancelled, then stops it.
pub(super) async fn keep(
    service: Service,
    settings: &Settings,
    context: &Context,
    shutdown: CancellationToken,
) -> Result<(), CliError> {
    let Some(engine) = reach(context, &shutdown).await? else {
        return Ok(());
    };
    let wanted = infra::wanted(settings, &[service])?;
    let steps = infra::keep(&engine, &wanted, &|now| {
        tracing::debug!(image = now.image, done = now.done, total = now.total, "pulling");
    })
    .await?;
    let Some(container) = wanted.infrastructure.containers.first() else {
        return Ok(());
    };
    tracing::info!(container = container.name, ?steps, "container runs");
    let over = shutdown.child_token();
    let noted = paths(settings).container(service);
    let watch = async {
        let watched = watch(&engine, &wanted.infrastructure, &container.name, &noted, &over).await;
        over.cancel();
        watched
    };
    let tend = async {
        let tended = match service {
            Service::Nats => tend(settings, &over).await,
            _ => {
                over.cancelled().await;
                Ok(())
            }
        };
        over.cancel();
        tended
    };
    let (watched, tended) = tokio::join!(watch, tend);
    if shutdown.is_cancelled() {
        engine.stop(&container.name, container.stop_within).await?;
    }
    // A container that is gone is the reason why its server does not answer.
    watched.and(tended)
}

/// Connects to the engine; one that is away is waited for, because the container is too. `None` once `shutdown` is cancelled.
async fn reach(context: &Context, shutdown: &CancellationToken) -> Result<Option<Engine>, CliError> {
    let mut is_told = false;
    loop {
        match infra::try_connect(context).await {
            Ok(engine) => return Ok(Some(engine)),
            Err(error) if error.is_away() => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(error = mprism_runtime::log::chain(&error), "the Docker Engine is away");
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(TRY_EVERY) => {}
        }
    }
}

/// Looks after the streams of a broker.
async fn tend(settings: &Settings, over: &CancellationToken) -> Result<(), CliError> {
    let options = options::broker(settings, None)?;
    mprism_broker::tend(&options, over)
        .await
        .map_err(|e| CliError::failed("worker_failed", e))
}

/// Watches the container. Ends well once `over` is cancelled.
///
/// # Errors
/// Where it has been away for longer than the engine needs to start it again, or is another one: whoever starts this worker
/// again has it made anew.
async fn watch(
    engine: &Engine,
    wanted: &Infrastructure,
    name: &str,
    noted: &Path,
    over: &CancellationToken,
) -> Result<(), CliError> {
    let troubles = Causes::new();
    let mut restarts = None;
    let mut life = None;
    let mut away_since: Option<Instant> = None;
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = over.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
        wait = LOOK_EVERY;
        let found = match engine.container(name).await {
            Ok(found) => found,
            // The container goes on without its engine, or comes back with it.
            Err(error) if error.is_away() => {
                if troubles.first("engine") {
                    tracing::warn!(
                        error = mprism_runtime::log::chain(&error),
                        "the Docker Engine cannot be asked"
                    );
                }
                away_since = None;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if found
            .as_ref()
            .is_some_and(|found| found.owner.as_deref() != Some(&wanted.owner))
        {
            return Err(gone(name, "is another one now"));
        }
        if let Some(found) = &found
            && restarts
                .replace(found.restarts)
                .is_some_and(|before| before < found.restarts)
        {
            tracing::warn!(
                container = name,
                restarts = found.restarts,
                "the container was started again"
            );
        }
        if let Some(found) = &found
            && life.replace((found.id.clone(), found.pid)) != Some((found.id.clone(), found.pid))
        {
            note(found, noted, &troubles);
        }
        if found.as_ref().is_some_and(FoundContainer::is_running) {
            away_since = None;
        } else if away_since.get_or_insert_with(Instant::now).elapsed() > AWAY_MAX {
            let state = found.map_or_else(|| "is gone".to_owned(), |found| format!("is {}", found.state));
            return Err(gone(name, &state));
        }
    }
}

/// Writes down where the kernel counts what the container uses. That cannot be had of an engine on another machine; then nothing is
/// told of it.
fn note(found: &FoundContainer, noted: &Path, troubles: &Causes) {
    let group = found.pid.and_then(|pid| ControlGroup::of(&found.id, pid));
    let written = group.map_or(Ok(()), |group| group.note(noted));
    if let Err(error) = written
        && troubles.first("control group")
    {
        tracing::warn!(%error, file = %noted.display(), "what the container uses is not told");
    }
}

fn gone(name: &str, how: &str) -> CliError {
    let error = ContainerError::Unhealthy {
        container: name.to_owned(),
        reason: how.to_owned(),
        log: Vec::new(),
    };
    error.into()
}
