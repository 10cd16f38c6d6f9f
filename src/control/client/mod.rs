//! What commands do: ask the supervisor, and start one where it is needed.

mod connection;
mod during;
mod holders;
mod replace;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use mprism_runtime::lock::{self, LockError, LockFile, LockState};
use mprism_runtime::process::ProcessIdentity;

pub(super) use connection::ask_running;
use connection::{ask_status, work};
pub use during::during;
pub(super) use holders::is_leftover;
use holders::{clear, observe};
pub use holders::{clear_ports, end_marketprism, plan_ports_of};
pub use replace::{Replaced, replace_supervisor};

use super::deployment::{Deployment, UnitSpec};
use super::error::ControlError;
use super::events::{Event, Observer};
use super::marketprism;
use super::paths::HomePaths;
use super::plan::{Plan, plan_restart, plan_start, plan_stop};
use super::ports::TakenPort;
use super::probe::ask;
use super::processes;
use super::protocol::{Action, Desired, Message, Outcome, Request, SOMEBODY_ELSES, UnitState, UnitStatus};
use super::service::Service;
use super::state::State;

/// How long another command may change the home while we wait.
const OPERATION_WITHIN: Duration = Duration::from_secs(180);
/// How many supervisors may die over one request.
const WORK_TRIES: u32 = 5;
/// How long a supervisor that has nothing left to do may take to leave.
const LEAVING_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at something that changes elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a status asks services itself when there is no supervisor.
const PROBE_WITHIN: Duration = Duration::from_millis(60);

/// What `start` wants.
#[derive(Clone, Debug)]
pub struct Start {
    /// The options from now on.
    pub deployment: Deployment,
    /// What to start, in start order.
    pub services: Vec<Service>,
    /// How long everything may take to be ready.
    pub wait: Duration,
    /// End foreign holders of our ports.
    pub force: bool,
}

/// What `stop` wants.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The options of the home, for a home whose supervisor is gone.
    pub deployment: Deployment,
    /// What to stop.
    pub services: Vec<Service>,
    /// How long each may drain, instead of its own time.
    pub drain: Option<Duration>,
}

/// Observes what a start would meet. Changes nothing.
///
/// # Errors
/// Where the home cannot be read.
pub async fn observe_plan(paths: &HomePaths, start: &Start) -> Result<Plan, ControlError> {
    observe_plan_after(paths, start, |_| false).await
}

/// Observes what a start would meet once some holders of ports were taken over. Changes nothing.
///
/// # Errors
/// Where the home cannot be read.
pub async fn observe_plan_after(
    paths: &HomePaths,
    start: &Start,
    is_freed: impl Fn(&TakenPort) -> bool,
) -> Result<Plan, ControlError> {
    let mut observed = observe(paths, &start.deployment).await?;
    observed.without(is_freed);
    Ok(plan_start(&start.services, &observed, start.force))
}

/// Observes what a stop would meet. Changes nothing.
///
/// # Errors
/// Where the home cannot be read.
pub async fn observe_stop(paths: &HomePaths, stop: &Stop) -> Result<Plan, ControlError> {
    let observed = observe(paths, &stop.deployment).await?;
    Ok(plan_stop(&stop.services, &observed))
}

/// Observes what a stop and a start of the same services would meet. Changes nothing.
///
/// # Errors
/// Where the home cannot be read.
pub async fn observe_restart(paths: &HomePaths, start: &Start) -> Result<Plan, ControlError> {
    let observed = observe(paths, &start.deployment).await?;
    Ok(plan_restart(&start.services, &observed, start.force))
}

/// Starts services, each as soon as what it needs is ready. What runs already is success.
///
/// # Errors
/// Where somebody else has a port (nothing is started then), or no supervisor can be had. A service that does not come up is
/// an outcome and not an error.
pub async fn start(paths: &HomePaths, start: Start, observer: &mut dyn Observer) -> Result<Vec<Outcome>, ControlError> {
    ensure_folders(paths)?;
    let _operation = operation_lock(paths, observer).await?;
    let plan = observe_plan(paths, &start).await?;
    if !plan.refused.is_empty() {
        return Err(ControlError::Ports { ports: plan.refused });
    }
    observer.planned(&plan);
    clear(&plan, &start.deployment, observer).await?;
    let request = Request::Start {
        deployment: start.deployment.clone(),
        services: start.services,
        wait_ms: u64::try_from(start.wait.as_millis()).unwrap_or(u64::MAX),
    };
    work(paths, &start.deployment, &request, observer).await
}

/// A home that nobody else changes for as long as this value lives.
pub struct Held {
    lock: LockFile,
}

impl Held {
    /// Lets go and leaves no name behind.
    ///
    /// # Errors
    /// Where the lock's file cannot be written.
    pub fn forget(self) -> Result<(), ControlError> {
        forget(self.lock)
    }
}

/// Lets go of a lock and leaves no name in it.
pub(super) fn forget(lock: LockFile) -> Result<(), ControlError> {
    let path = lock.path().to_path_buf();
    drop(lock);
    match lock::forget(&path) {
        // Who took it meanwhile writes its own name.
        Ok(()) | Err(LockError::Held { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until no other command changes the home, and keeps them waiting.
///
/// # Errors
/// Where the home cannot be used, or somebody changes it for too long.
pub async fn hold(paths: &HomePaths, observer: &mut dyn Observer) -> Result<Held, ControlError> {
    ensure_folders(paths)?;
    let lock = operation_lock(paths, observer).await?;
    Ok(Held { lock })
}

/// Stops services in stages, and returns once their processes are gone and their ports free.
///
/// # Errors
/// Where no supervisor can be had. A service that does not stop is an outcome and not an error.
pub async fn stop(paths: &HomePaths, stop: Stop, observer: &mut dyn Observer) -> Result<Vec<Outcome>, ControlError> {
    stop_for(paths, stop, false, observer).await
}

/// As [`stop`], and what should be up still should: it comes back by itself once nothing keeps it from starting any more. That
/// has to be there before (see [`Rebuilder`](super::Rebuilder)).
///
/// # Errors
/// As [`stop`].
pub async fn pause(paths: &HomePaths, stop: Stop, observer: &mut dyn Observer) -> Result<Vec<Outcome>, ControlError> {
    stop_for(paths, stop, true, observer).await
}

async fn stop_for(
    paths: &HomePaths,
    stop: Stop,
    for_now: bool,
    observer: &mut dyn Observer,
) -> Result<Vec<Outcome>, ControlError> {
    if !paths.run().is_dir() {
        // A home that was never made runs nothing.
        return Ok(nothing_runs(&stop));
    }
    let _operation = operation_lock(paths, observer).await?;
    let has_supervisor = is_held(&paths.supervisor_lock());
    if !has_supervisor && !for_now {
        // What should be up stays down from now on, and a new supervisor must not start what is about to be stopped.
        forget_desired(paths, &stop.services);
    }
    if !has_supervisor && living(paths, &stop.deployment).is_empty() {
        return Ok(nothing_runs(&stop));
    }
    let request = Request::Stop {
        services: stop.services,
        drain_ms: stop
            .drain
            .map(|drain| u64::try_from(drain.as_millis()).unwrap_or(u64::MAX)),
        for_now,
    };
    work(paths, &stop.deployment, &request, observer).await
}

/// Answers as a supervisor of a home in which nothing runs would.
fn nothing_runs(stop: &Stop) -> Vec<Outcome> {
    let outcome = |name: &Service| {
        let is_external = stop.deployment.unit(*name).is_some_and(|unit| !unit.managed);
        Outcome {
            name: *name,
            action: if is_external {
                Action::Skipped
            } else {
                Action::AlreadyStopped
            },
            ms: 0,
            detail: is_external.then(|| SOMEBODY_ELSES.to_owned()),
        }
    };
    stop.services.iter().map(outcome).collect()
}

/// Returns how every service of the home is. Where services that should be up have lost their supervisor, starts one.
///
/// # Errors
/// Where the home cannot be read.
pub async fn status(paths: &HomePaths, deployment: &Deployment) -> Result<Vec<UnitStatus>, ControlError> {
    let is_missed = || {
        let state = State::load(&paths.state()).ok().flatten();
        state.is_some_and(|state| !state.desired.is_empty())
    };
    let mut tries = 1;
    let message = loop {
        let has_supervisor = is_held(&paths.supervisor_lock());
        if !has_supervisor && !is_missed() {
            return Ok(look(paths, deployment).await);
        }
        match ask_status(paths, deployment).await {
            Ok(message) => break message,
            // It left just now, or died: the next look shows which.
            Err(ControlError::Connection(_)) if tries < WORK_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    };
    match message {
        Message::Status { units, .. } => Ok(merged(units, look(paths, deployment).await)),
        Message::Refused { reason } => Err(ControlError::Refused { reason }),
        Message::Event(_) | Message::Done { .. } => Err(ControlError::Refused {
            reason: "it answered something else".into(),
        }),
    }
}

/// Adds the services that the supervisor does not know yet, and those that it does not watch because they run elsewhere.
pub(super) fn merged(mut units: Vec<UnitStatus>, looked: Vec<UnitStatus>) -> Vec<UnitStatus> {
    let is_elsewhere = |unit: &UnitStatus| {
        let found = looked.iter().find(|found| found.name == unit.name);
        found.is_some_and(|found| found.state == UnitState::External)
    };
    units.retain(|unit| !is_elsewhere(unit) || unit.pid.is_some());
    let known: BTreeSet<Service> = units.iter().map(|unit| unit.name).collect();
    units.extend(looked.into_iter().filter(|unit| !known.contains(&unit.name)));
    units.sort_by_key(|unit| unit.name);
    units
}

/// Looks at every service without a supervisor: locks, processes, one probe.
pub(super) async fn look(paths: &HomePaths, deployment: &Deployment) -> Vec<UnitStatus> {
    let living = living(paths, deployment);
    let mut statuses = Vec::new();
    for unit in &deployment.units {
        let process = living
            .iter()
            .find(|(service, _)| *service == unit.service)
            .map(|(_, process)| process);
        let answer = match (process, unit.managed) {
            (None, true) => None,
            _ => Some(ask(&unit.probe, PROBE_WITHIN).await),
        };
        let state = match (process, &answer) {
            _ if !unit.managed => UnitState::External,
            (None, _) => UnitState::Stopped,
            (Some(_), Some(answer)) if answer.ready => UnitState::Running,
            (Some(_), _) => UnitState::Starting,
        };
        statuses.push(UnitStatus {
            name: unit.service,
            desired: Desired::Down,
            state,
            healthy: answer.as_ref().map(|answer| answer.ready),
            pid: process.map(|process| process.pid),
            uptime_s: process.map(ProcessIdentity::uptime_s),
            restarts: 0,
            cpu_percent: None,
            rss_bytes: None,
            address: unit.address(),
            version: unit.version.clone(),
            last_error: answer.filter(|answer| !answer.ready).map(|answer| answer.detail),
        });
    }
    statuses
}

/// Returns the workers whose locks are held, with the process that says to hold them.
fn living(_paths: &HomePaths, deployment: &Deployment) -> Vec<(Service, ProcessIdentity)> {
    let holder = |unit: &UnitSpec| match lock::probe(&unit.lock) {
        Ok(LockState::Held(holder)) => {
            let holder = holder.or_else(|| holder_of(&unit.lock));
            holder.map(|process| (unit.service, process))
        }
        _ => None,
    };
    deployment.units.iter().filter_map(holder).collect()
}

/// Returns who holds a lock of ours open. A MarketPrism that shares the file with us is not ours.
fn holder_of(lock: &Path) -> Option<ProcessIdentity> {
    let mut holders = processes::file_holders(lock).into_iter();
    holders.find(|process| !marketprism::holds(process, lock))
}

fn is_held(lock: &Path) -> bool {
    matches!(lock::probe(lock), Ok(LockState::Held(_)))
}

fn forget_desired(paths: &HomePaths, services: &[Service]) {
    if let Ok(Some(mut state)) = State::load(&paths.state()) {
        state.desired.retain(|service| !services.contains(service));
        if let Err(error) = state.save(&paths.state()) {
            tracing::warn!(%error, "the registry cannot be written");
        }
    }
}

fn ensure_folders(paths: &HomePaths) -> Result<(), ControlError> {
    paths.ensure().map_err(|source| ControlError::Home {
        action: "use",
        path: paths.home().to_path_buf(),
        source,
    })
}

/// Waits until no other command changes this home.
async fn operation_lock(paths: &HomePaths, observer: &mut dyn Observer) -> Result<LockFile, ControlError> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match LockFile::acquire(&paths.operation_lock()) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { holder, .. }) => {
                let pid = holder.map(|holder| holder.pid);
                if !std::mem::replace(&mut told, true) {
                    observer.event(&Event::WaitingForOperation { pid });
                }
                if began.elapsed() >= OPERATION_WITHIN {
                    return Err(ControlError::Busy {
                        waited: OPERATION_WITHIN,
                        pid,
                    });
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns whether a supervisor of the home runs and has something to supervise; one that is about to leave is waited for.
pub async fn is_supervised(paths: &HomePaths) -> bool {
    let began = Instant::now();
    while is_held(&paths.supervisor_lock()) {
        let is_busy = |unit: &UnitStatus| unit.desired == Desired::Up || unit.pid.is_some();
        let is_needed = match ask_running(paths).await {
            Some(Message::Status { units, .. }) => units.iter().any(is_busy),
            // It has taken its socket away, or does not answer yet.
            _ => false,
        };
        if is_needed || began.elapsed() >= LEAVING_WITHIN {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    false
}

/// Returns whether the supervisor of the home answers.
pub async fn is_answering(paths: &HomePaths) -> bool {
    ask_running(paths).await.is_some()
}

/// Returns whether another command changes the home right now.
pub fn is_changing(paths: &HomePaths) -> bool {
    is_held(&paths.operation_lock())
}

/// Returns the options of the last start, if there was one.
pub fn last_deployment(paths: &HomePaths) -> Option<Deployment> {
    State::load(&paths.state()).ok().flatten().map(|state| state.deployment)
}
