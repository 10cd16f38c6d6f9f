//! Who holds the ports of services that do not run, and ending them as the plan says.

use std::time::Duration;

use mprism_runtime::lock::{self, LockState};

use super::{Start, ensure_folders, operation_lock, status};
use crate::control::deployment::{Deployment, UnitSpec};
use crate::control::ending::end;
use crate::control::error::{ControlError, held};
use crate::control::events::{Event, Observer};
use crate::control::marketprism::{self, MarketPrism};
use crate::control::paths::HomePaths;
use crate::control::plan::{Observed, ObservedUnit, Plan, Step, plan_clear};
use crate::control::port_plan::Ending;
use crate::control::protocol::UnitState;
use crate::control::state::State;
use crate::control::{ports, processes};

/// How long something that is ended may take before it is killed.
const END_WITHIN: Duration = Duration::from_secs(3);
/// Looks at every service and at who holds its ports.
pub(super) async fn observe(paths: &HomePaths, deployment: &Deployment) -> Result<Observed, ControlError> {
    let statuses = status(paths, deployment).await?;
    let state = State::load(&paths.state()).ok().flatten();
    let observe = |unit: &UnitSpec| {
        let found = statuses.iter().find(|status| status.name == unit.service);
        let alive = found.is_some_and(|status| status.pid.is_some());
        // Who has a container's ports is known by whoever makes the container.
        let taken = if alive || !unit.managed || unit.container.is_some() {
            Vec::new()
        } else {
            ports::taken(&unit.listens)
        };
        let taken = taken.into_iter().map(|taken| {
            let is_ours = is_leftover(&taken, unit, state.as_ref());
            (taken, is_ours)
        });
        ObservedUnit {
            service: unit.service,
            managed: unit.managed,
            alive,
            is_idle: found.is_none_or(|status| status.state == UnitState::Stopped),
            taken: taken.collect(),
        }
    };
    let mut units: Vec<ObservedUnit> = deployment.units.iter().map(observe).collect();
    if units.iter().any(|unit| !unit.taken.is_empty()) {
        // Whoever holds a lock that we share with it is no leftover of ours.
        let found = marketprism::marketprism(deployment);
        for (taken, is_ours) in units.iter_mut().flat_map(|unit| &mut unit.taken) {
            marketprism::mark(taken.holder.iter_mut(), &found);
            *is_ours &= taken.holder.as_ref().is_none_or(|holder| holder.marketprism.is_none());
        }
    }
    Ok(Observed { units })
}

/// Whether a holder of our port is a leftover of ours: the very life that our registry or our lock names, or one that holds
/// our lock open, which only our workers and their children do. A name or a pid alone proves nothing.
pub(in crate::control) fn is_leftover(taken: &ports::TakenPort, unit: &UnitSpec, state: Option<&State>) -> bool {
    let Some(process) = taken.holder.as_ref().and_then(|holder| holder.process.as_ref()) else {
        return false;
    };
    let recorded = state.and_then(|state| state.units.get(&unit.service)?.process.clone());
    let named = match lock::probe(&unit.lock) {
        Ok(LockState::Held(holder) | LockState::Stale(holder)) => holder,
        _ => None,
    };
    recorded.as_ref() == Some(process)
        || named.as_ref() == Some(process)
        || processes::file_holders(&unit.lock).contains(process)
}

/// Observes who holds the ports of services that do not run. Changes nothing.
///
/// # Errors
/// Where the home cannot be read.
pub async fn plan_ports_of(paths: &HomePaths, start: &Start) -> Result<Plan, ControlError> {
    let observed = observe(paths, &start.deployment).await?;
    Ok(plan_clear(&start.services, &observed, start.force))
}

/// Ends whoever holds the ports of services that do not run: ours without asking, foreign ones where that is asked for. With
/// anything refused nothing is done. Returns the plan.
///
/// # Errors
/// Where the home cannot be used, or a port is still held afterwards.
pub async fn clear_ports(paths: &HomePaths, start: &Start, observer: &mut dyn Observer) -> Result<Plan, ControlError> {
    ensure_folders(paths)?;
    let _operation = operation_lock(paths, observer).await?;
    let plan = plan_ports_of(paths, start).await?;
    if plan.refused.is_empty() {
        observer.planned(&plan);
        clear(&plan, &start.deployment, observer).await?;
    }
    Ok(plan)
}

/// Ends whoever a plan says holds our ports, and looks whether the ports are free then.
///
/// # Errors
/// Where a port is still held.
pub(super) async fn clear(
    plan: &Plan,
    deployment: &Deployment,
    observer: &mut dyn Observer,
) -> Result<(), ControlError> {
    let mut cleared = Vec::new();
    for step in &plan.steps {
        let (ending, is_ours) = match step {
            Step::EndLeftover(ending) => (ending, true),
            Step::EndHolder(ending) => (ending, false),
            // Nobody holds a port there.
            _ => continue,
        };
        end_holder(ending, is_ours, observer).await;
        cleared.push(ending.service);
    }
    let units = deployment.units.iter().filter(|unit| cleared.contains(&unit.service));
    let still = units.flat_map(|unit| {
        ports::taken(&unit.listens)
            .into_iter()
            .map(|taken| (unit.service, taken))
    });
    let still: Vec<_> = still.collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(ControlError::Ports { ports: still })
    }
}

/// Ends what runs of a MarketPrism, one after the other in the given order, as its own scripts would: TERM, a wait, KILL.
///
/// # Errors
/// Where the home cannot be used, or a process does not end; those after it are left as they are then.
pub async fn end_marketprism(
    paths: &HomePaths,
    found: &[MarketPrism],
    observer: &mut dyn Observer,
) -> Result<(), ControlError> {
    ensure_folders(paths)?;
    let _operation = operation_lock(paths, observer).await?;
    for found in found {
        let (part, pid, exe) = (found.part, found.process.pid, found.process.exe.clone());
        let description = format!("MarketPrism's {}: pid {pid} {}", part.text(), exe.display());
        observer.event(&Event::HolderFound { description });
        end(&found.process, part.grace())
            .await
            .map_err(|source| ControlError::NotEnded { part, pid, source })?;
        observer.event(&Event::TakenOver { part, pid });
    }
    Ok(())
}

async fn end_holder(ending: &Ending, is_ours: bool, observer: &mut dyn Observer) {
    let (service, pid, exe) = (ending.service, ending.process.pid, ending.process.exe.clone());
    if !is_ours {
        let texts = ending.ports.iter().map(|port| {
            let taken = ports::TakenPort {
                address: ([127, 0, 0, 1], *port).into(),
                holder: Some(ending.holder.clone()),
                reason: String::new(),
            };
            held(service, &taken)
        });
        let description = texts.collect::<Vec<_>>().join("; ");
        observer.event(&Event::HolderFound { description });
    }
    match end(&ending.process, END_WITHIN).await {
        Ok(()) if is_ours => observer.event(&Event::LeftoverEnded { service, pid, exe }),
        Ok(()) => observer.event(&Event::HolderEnded {
            ports: ending.ports.clone(),
            pid,
            exe,
        }),
        // The port that it still holds is told right after.
        Err(error) => tracing::warn!(pid, %error, "the holder of a port does not end"),
    }
}
