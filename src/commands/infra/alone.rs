//! Containers that run with nobody to keep them: `infra up` made them, or whoever kept them is gone. What needs their servers for a
//! moment uses them as they are, and leaves them running.

use std::time::Duration;

use mprism_containers::{ContainerError, FoundContainer};
use mprism_runtime::lock::{self, LockState};
use mprism_settings::Settings;

use super::{container_name, in_containers, owner, try_connect};
use crate::cli::SimArgs;
use crate::commands::Context;
use crate::commands::deployment::{deployment, paths};
use crate::control::Service;
use crate::error::CliError;

/// Returns those of the services whose containers run and are kept by nobody. Of an engine that is away there are none.
pub(crate) async fn alone(
    services: &[Service],
    settings: &Settings,
    context: &Context,
) -> Result<Vec<Service>, CliError> {
    let mut services = in_containers(services, settings);
    if services.is_empty() || !paths(settings).run().is_dir() {
        return Ok(Vec::new());
    }
    let deployment = deployment(context, settings, &SimArgs::default())?;
    services.retain(|service| {
        let unit = deployment.unit(*service);
        unit.is_some_and(|unit| !matches!(lock::probe(&unit.lock), Ok(LockState::Held(_))))
    });
    if services.is_empty() {
        return Ok(services);
    }
    let engine = match try_connect(context).await {
        Err(ContainerError::Absent { .. }) => return Ok(Vec::new()),
        connected => connected?,
    };
    let owner = owner(&settings.home);
    let runs = |found: FoundContainer| {
        found.owner.as_deref() == Some(&owner) && (found.is_running() || found.state == "restarting")
    };
    let mut alone = Vec::new();
    for service in services {
        if engine
            .container(&container_name(settings, service))
            .await?
            .is_some_and(runs)
        {
            alone.push(service);
        }
    }
    Ok(alone)
}

/// Waits until the containers of services are healthy.
///
/// # Errors
/// Where one is not in time.
pub(crate) async fn await_healthy(
    services: &[Service],
    within: Duration,
    settings: &Settings,
    context: &Context,
) -> Result<(), CliError> {
    if services.is_empty() {
        return Ok(());
    }
    let engine = super::connect(context).await?;
    for service in services {
        engine
            .await_healthy(&container_name(settings, *service), within)
            .await?;
    }
    Ok(())
}
