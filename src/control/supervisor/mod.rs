//! The supervisor: one loop over exits, probes, timers and requests. It alone starts and stops the services of a home.
//!
//! It holds nothing that a crash could lose: services outlive it, hold their own locks, and are adopted by the next one.

mod jobs;
mod lives;
mod serve;
mod settle;
mod spawn;
mod tasks;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mprism_runtime::lock::{self, LockState};
use mprism_runtime::process::ProcessIdentity;
use tokio::sync::mpsc;

use super::cgroup::ControlGroup;
use super::deployment::Deployment;
use super::events::Event;
use super::paths::HomePaths;
use super::processes;
use super::protocol::{Desired, Message, Request, UnitStatus};
use super::rebuilding::bar;
use super::service::Service;
use super::state::{State, UnitRecord};
use jobs::Job;
use tasks::Input;
use unit::{Phase, Unit};

pub use serve::{Listening, SupervisorError, run};
pub(super) use spawn::{allowed_environment, open_output};
pub(super) use tasks::socket_place;

struct Supervisor {
    paths: HomePaths,
    inputs: mpsc::Sender<Input>,
    deployment: Option<Deployment>,
    units: BTreeMap<Service, Unit>,
    jobs: Vec<Job>,
    saved: Option<State>,
    /// Whether somebody waits for the end of what keeps a service from starting.
    is_waiting: bool,
    /// Set once a request was done: an idle supervisor ends.
    has_worked: bool,
    /// Who watches from within our process.
    watcher: Option<mpsc::Sender<Event>>,
}

impl Supervisor {
    fn new(paths: HomePaths, inputs: mpsc::Sender<Input>) -> Self {
        Self {
            paths,
            inputs,
            deployment: None,
            units: BTreeMap::new(),
            jobs: Vec::new(),
            saved: None,
            is_waiting: false,
            has_worked: false,
            watcher: None,
        }
    }

    /// Takes over what an earlier supervisor left running, and starts again what should run and does not.
    async fn adopt(&mut self) {
        let state = match State::load(&self.paths.state()) {
            Ok(Some(state)) => state,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the registry cannot be read");
                return;
            }
        };
        for spec in &state.deployment.units {
            let mut unit = Unit::new(spec.clone());
            if state.desired.contains(&spec.service) {
                unit.desired = Desired::Up;
            }
            if let Some(record) = state.units.get(&spec.service) {
                unit.history.restarts = record.restarts;
                unit.last_error.clone_from(&record.last_error);
            }
            self.units.insert(spec.service, unit);
        }
        let deployment = state.deployment;
        self.deployment = Some(deployment.clone());
        for spec in &deployment.units {
            let recorded = state.units.get(&spec.service).and_then(|record| record.process.clone());
            match recorded.filter(|process| is_ours(process, &spec.lock)) {
                Some(process) => {
                    tracing::info!(service = %spec.service, pid = process.pid, "adopted");
                    self.live_on(spec.service, process, None);
                }
                // What must not start now starts as everything that is wanted and stopped.
                None if bar(&self.paths, spec.service).is_some() => {}
                None if state.desired.contains(&spec.service) && spec.managed => {
                    if let Some(unit) = self.units.get_mut(&spec.service) {
                        unit.phase = Phase::Backoff;
                        let life = unit.next_life();
                        tasks::settle(self.inputs.clone(), unit.spec.clone(), life, None, false);
                    }
                }
                None => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        let idle = |unit: &Unit| unit.desired == Desired::Down && unit.live.is_none();
        self.has_worked && self.jobs.is_empty() && self.units.values().all(idle)
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Request(request, replies) => self.requested(request, replies).await,
            Input::Probed(service, life, answer) => self.probed(service, life, answer),
            Input::Exited(service, life, how) => self.exited(service, life, &how),
            Input::Settled(service, life, obstacle) => self.settled(service, life, obstacle),
            Input::Again(service, life) => self.again(service, life),
            Input::DrainOver(service, life) => self.drain_over(service, life),
            Input::Unbarred => self.is_waiting = false,
            Input::Look => {}
        }
        self.advance_jobs();
        self.save();
    }

    async fn requested(&mut self, request: Request, replies: mpsc::Sender<Message>) {
        match request {
            Request::Status => {
                let message = Message::Status {
                    pid: std::process::id(),
                    deployment: self.deployment.clone().map(Box::new),
                    units: self.statuses(),
                };
                let _client_left = replies.send(message).await;
            }
            Request::Start {
                deployment,
                services,
                wait_ms,
            } => {
                self.has_worked = true;
                let deployment = match self.deployment.take() {
                    Some(before) => deployment.starting(&services, before),
                    None => deployment,
                };
                self.set_deployment(deployment);
                let job = Job::start(services, Duration::from_millis(wait_ms), replies, &self.units);
                for service in job.waiting() {
                    if let Some(unit) = self.units.get_mut(&service) {
                        unit.desired = Desired::Up;
                        if matches!(unit.phase, Phase::Failed | Phase::Stopped) {
                            // What was given up is tried again: whoever asks may have mended it.
                            unit.phase = Phase::Stopped;
                            unit.history = Default::default();
                            unit.last_error = None;
                        }
                    }
                }
                tasks::look_at(self.inputs.clone(), Duration::from_millis(wait_ms));
                self.jobs.push(job);
            }
            Request::Stop {
                services,
                drain_ms,
                for_now,
            } => {
                self.has_worked = true;
                for service in &services {
                    if let Some(unit) = self.units.get_mut(service).filter(|_| !for_now) {
                        unit.desired = Desired::Down;
                    }
                }
                self.jobs.push(Job::stop(
                    services,
                    drain_ms.map(Duration::from_millis),
                    replies,
                    &self.units,
                ));
            }
        }
    }

    fn set_deployment(&mut self, deployment: Deployment) {
        for spec in &deployment.units {
            match self.units.get_mut(&spec.service) {
                // What runs goes on as it was started; the next start uses the new options.
                Some(unit) => unit.spec = spec.clone(),
                None => {
                    self.units.insert(spec.service, Unit::new(spec.clone()));
                }
            }
        }
        self.deployment = Some(deployment);
    }

    /// Moves every job on as far as it goes now.
    fn advance_jobs(&mut self) {
        self.start_what_can();
        let mut jobs = std::mem::take(&mut self.jobs);
        for job in &mut jobs {
            // One stage that is over lets the next begin at once.
            loop {
                job.advance(&self.units, &self.paths);
                let next = job.to_stop(&self.units);
                if next.is_empty() {
                    break;
                }
                for (service, drain) in next {
                    self.stop(service, drain);
                    job.tell(Event::Stopping { service });
                }
            }
        }
        jobs.retain(|job| !job.is_done());
        self.jobs.extend(jobs);
        // Stopping one may have ended what another waits for.
        self.start_what_can();
    }

    /// Starts every service that should be up, has no process, has what it needs, and is kept from it by nobody.
    fn start_what_can(&mut self) {
        let wanted: Vec<Service> = self
            .units
            .values()
            .filter(|unit| unit.spec.managed && unit.desired == Desired::Up && unit.phase == Phase::Stopped)
            .map(|unit| unit.spec.service)
            .collect();
        for service in wanted {
            if bar(&self.paths, service).is_some() {
                if !std::mem::replace(&mut self.is_waiting, true) {
                    tasks::until_unbarred(self.inputs.clone(), self.paths.clone(), service);
                }
                continue;
            }
            let is_needed = |need: &&Service| self.units.get(need).is_some_and(|unit| unit.desired == Desired::Up);
            let mut needs = service.needs().iter().filter(is_needed);
            if needs.all(|need| self.units.get(need).is_some_and(Unit::is_ready)) {
                self.spawn(service);
            }
        }
    }

    fn statuses(&mut self) -> Vec<UnitStatus> {
        let groups: BTreeSet<u32> = self
            .units
            .values()
            .filter_map(|unit| Some(unit.live.as_ref()?.group))
            .collect();
        let usage = processes::group_usage(&groups);
        let paths = &self.paths;
        let of = |unit: &mut Unit| {
            let group = unit.live.as_ref().map(|live| live.group);
            let used = match (&unit.spec.container, group) {
                // The process that we started only keeps the container.
                (Some(_), Some(_)) => {
                    ControlGroup::noted(&paths.container(unit.spec.service)).and_then(|container| container.usage())
                }
                (_, group) => group.and_then(|group| usage.get(&group).copied()),
            };
            let mut status = unit.status(used);
            if unit.phase == Phase::Stopped && unit.desired == Desired::Up {
                status.last_error = bar(paths, unit.spec.service).or(status.last_error);
            }
            status
        };
        self.units.values_mut().map(of).collect()
    }

    fn tell(&mut self, event: &Event) {
        for job in &mut self.jobs {
            job.tell(event.clone());
        }
        if let Some(watcher) = &self.watcher {
            let _watcher_is_behind = watcher.try_send(event.clone());
        }
    }

    /// Writes down what another supervisor would need, if it changed.
    fn save(&mut self) {
        let Some(deployment) = &self.deployment else { return };
        let mut state = State::new(deployment.clone());
        for (service, unit) in &self.units {
            if unit.desired == Desired::Up {
                state.desired.insert(*service);
            }
            let record = UnitRecord {
                process: unit.identity().cloned(),
                restarts: unit.history.restarts,
                last_error: unit.last_error.clone(),
            };
            state.units.insert(*service, record);
        }
        if self.saved.as_ref() == Some(&state) {
            return;
        }
        match state.save(&self.paths.state()) {
            Ok(()) => self.saved = Some(state),
            Err(error) => tracing::error!(%error, "the registry cannot be written"),
        }
    }
}

/// A recorded process is ours if that very life still runs and the service's lock is held.
fn is_ours(process: &ProcessIdentity, lock: &std::path::Path) -> bool {
    process.is_alive() && matches!(lock::probe(lock), Ok(LockState::Held(_)))
}
