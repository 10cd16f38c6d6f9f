//! Work that needs services for a moment: what does not run is started for it, and stopped again.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::connection::work;
use super::{Start, clear, ensure_folders, observe_plan, operation_lock, status};
use crate::control::error::ControlError;
use crate::control::events::Observer;
use crate::control::paths::HomePaths;
use crate::control::plan::Step;
use crate::control::protocol::{Action, Desired, Request};
use crate::control::service::Service;

/// Does `task` while services are up. Those that did not run are stopped after it, whatever came of it, and nobody else
/// changes the home meanwhile. Returns `None` where `cancelled` came first: the task is dropped, and what was started is
/// stopped too.
///
/// # Errors
/// Where somebody else has a port (nothing is started then), no supervisor can be had, or a service does not come up.
pub async fn during<T>(
    paths: &HomePaths,
    start: Start,
    cancelled: &CancellationToken,
    observer: &mut dyn Observer,
    task: impl Future<Output = T>,
) -> Result<Option<T>, ControlError> {
    ensure_folders(paths)?;
    let mut operation = tokio::select! {
        biased;
        () = cancelled.cancelled() => return Ok(None),
        lock = operation_lock(paths, observer) => Some(lock?),
    };
    let plan = observe_plan(paths, &start).await?;
    if !plan.refused.is_empty() {
        return Err(ControlError::Ports { ports: plan.refused });
    }
    observer.planned(&plan);
    // What should be up and is down for a moment stays up once it is back.
    let statuses = status(paths, &start.deployment).await?;
    let is_wanted = |service: &Service| {
        let found = statuses.iter().find(|status| status.name == *service);
        found.is_some_and(|status| status.desired == Desired::Up)
    };
    let spawned = |step: &Step| match step {
        Step::Spawn { service } => Some(*service),
        _ => None,
    };
    let ours = plan.steps.iter().filter_map(spawned);
    let ours: Vec<Service> = ours.filter(|service| !is_wanted(service)).collect();
    let done = tokio::select! {
        biased;
        () = cancelled.cancelled() => Ok(None),
        done = async {
            clear(&plan, &start.deployment, observer).await?;
            up(paths, &start, observer).await?;
            if ours.is_empty() {
                // Nothing has to be undone: others need not wait for the task.
                operation = None;
            }
            Ok(Some(task.await))
        } => done,
    };
    if !ours.is_empty() {
        let request = Request::Stop {
            services: ours,
            drain_ms: None,
            for_now: false,
        };
        let stopped = work(paths, &start.deployment, &request, observer).await;
        // What went wrong first is told first.
        return done.and_then(|done| stopped.map(|_outcomes| done));
    }
    done
}

/// Starts services; one that does not come up is an error here.
async fn up(paths: &HomePaths, start: &Start, observer: &mut dyn Observer) -> Result<(), ControlError> {
    let request = Request::Start {
        deployment: start.deployment.clone(),
        services: start.services.clone(),
        wait_ms: u64::try_from(start.wait.as_millis()).unwrap_or(u64::MAX),
    };
    let outcomes = work(paths, &start.deployment, &request, observer).await?;
    match outcomes.into_iter().find(|outcome| outcome.action == Action::Failed) {
        Some(failed) => Err(ControlError::NotStarted {
            service: failed.name,
            reason: failed.detail.unwrap_or_default(),
        }),
        None => Ok(()),
    }
}
