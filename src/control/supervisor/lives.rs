//! What happens to one service: its lives begin, are asked, end, and begin again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use tokio_util::sync::CancellationToken;

use super::unit::{Live, Phase};
use super::{Supervisor, spawn, tasks};
use crate::control::events::Event;
use crate::control::log_tail::last_lines;
use crate::control::policy::Restart;
use crate::control::probe::Answer;
use crate::control::protocol::Desired;
use crate::control::rebuilding::bar;
use crate::control::service::Service;

/// Log lines told about a service that ended.
const LOG_LINES: usize = 5;

impl Supervisor {
    pub(super) fn spawn(&mut self, service: Service) {
        let (Some(deployment), Some(unit)) = (self.deployment.clone(), self.units.get(&service)) else {
            return;
        };
        match spawn::spawn(&deployment, &unit.spec, &self.paths) {
            Ok(child) => {
                let pid = child.id().unwrap_or_default();
                let identity = ProcessIdentity::of(pid);
                self.tell(&Event::Starting { service, pid });
                match identity {
                    Some(identity) => self.live_on(service, identity, Some(child)),
                    None => {
                        // It ended before it could be looked at.
                        let Some(unit) = self.units.get_mut(&service) else {
                            return;
                        };
                        unit.phase = Phase::Starting;
                        let life = unit.next_life();
                        tasks::watch_child(self.inputs.clone(), service, life, child);
                    }
                }
            }
            Err(error) => {
                let text = format!("cannot start {}: {error}", deployment.program.display());
                if let Some(unit) = self.units.get_mut(&service) {
                    unit.last_error = Some(text);
                    unit.phase = Phase::Failed;
                }
            }
        }
    }

    /// Begins a life of a service with a process that runs.
    pub(super) fn live_on(
        &mut self,
        service: Service,
        identity: ProcessIdentity,
        child: Option<tokio::process::Child>,
    ) {
        let every = self
            .deployment
            .as_ref()
            .map_or(Duration::from_secs(1), |deployment| deployment.probe_interval);
        let Some(unit) = self.units.get_mut(&service) else {
            return;
        };
        let life = unit.next_life();
        let over = CancellationToken::new();
        let handle = match PidFd::open(&identity) {
            Ok(handle) => handle.map(Arc::new),
            Err(error) => {
                tracing::error!(%service, %error, "no handle to the process");
                None
            }
        };
        unit.phase = Phase::Starting;
        unit.answer = None;
        unit.live = Some(Live {
            group: identity.pid,
            identity: Some(identity),
            handle: handle.clone(),
            since: Instant::now(),
            ready_since: None,
            over: over.clone(),
        });
        match (child, handle) {
            (Some(child), _) => tasks::watch_child(self.inputs.clone(), service, life, child),
            (None, Some(handle)) => tasks::watch_process(self.inputs.clone(), service, life, handle),
            (None, None) => tasks::exited(self.inputs.clone(), service, life),
        }
        tasks::probe(self.inputs.clone(), service, life, unit.spec.probe.clone(), every, over);
    }

    pub(super) fn probed(&mut self, service: Service, life: u64, answer: Answer) {
        let Some(unit) = self.units.get_mut(&service).filter(|unit| unit.life == life) else {
            return;
        };
        let is_ready = answer.ready;
        unit.answer = Some(answer);
        let Some(live) = &mut unit.live else { return };
        if is_ready && live.ready_since.is_none() {
            live.ready_since = Some(Instant::now());
            let ms = u64::try_from(live.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            if unit.phase == Phase::Starting {
                unit.phase = Phase::Running;
            }
            tracing::info!(%service, ms, "ready");
            self.tell(&Event::Ready { service, ms });
        }
    }

    pub(super) fn exited(&mut self, service: Service, life: u64, how: &str) {
        let Some(policy) = self.deployment.as_ref().map(|deployment| deployment.restart.clone()) else {
            return;
        };
        let Some(unit) = self.units.get_mut(&service).filter(|unit| unit.life == life) else {
            return;
        };
        let group = unit.live.as_ref().map(|live| live.group);
        let ready_for = unit.ready_for();
        let was_stopping = unit.phase == Phase::Stopping;
        let life = unit.next_life();
        if was_stopping || unit.desired == Desired::Down {
            unit.phase = Phase::Stopping;
            tasks::settle(self.inputs.clone(), unit.spec.clone(), life, group, true);
            return;
        }
        unit.last_error = Some(how.to_owned());
        let restart = unit.history.ended(ready_for, &policy);
        let restart_ms = match restart {
            Restart::After(wait) => {
                unit.phase = Phase::Backoff;
                unit.restart_at = Some(Instant::now() + wait);
                Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
            }
            Restart::GiveUp => {
                unit.phase = Phase::Failed;
                None
            }
        };
        tasks::settle(self.inputs.clone(), unit.spec.clone(), life, group, false);
        let log = last_lines(&self.paths, service, LOG_LINES);
        tracing::warn!(%service, how, restart_ms, "ended");
        self.tell(&Event::Ended {
            service,
            how: how.to_owned(),
            log,
            restart_ms,
        });
    }

    /// The last of a process is gone: leftovers ended, lock free.
    pub(super) fn settled(&mut self, service: Service, life: u64, obstacle: Option<String>) {
        let Some(unit) = self.units.get_mut(&service).filter(|unit| unit.life == life) else {
            return;
        };
        if let Some(obstacle) = &obstacle {
            tracing::error!(%service, obstacle, "something of the service is left");
            unit.last_error = Some(obstacle.clone());
        }
        match unit.phase {
            Phase::Stopping => {
                unit.phase = Phase::Stopped;
                unit.obstacle = obstacle;
            }
            Phase::Backoff => {
                let wait = unit
                    .restart_at
                    .map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
                tasks::again(self.inputs.clone(), service, life, wait);
            }
            Phase::Stopped | Phase::Starting | Phase::Running | Phase::Failed => {}
        }
    }

    pub(super) fn again(&mut self, service: Service, life: u64) {
        let is_due = self
            .units
            .get(&service)
            .is_some_and(|unit| unit.life == life && unit.phase == Phase::Backoff && unit.desired == Desired::Up);
        if is_due && bar(&self.paths, service).is_some() {
            if let Some(unit) = self.units.get_mut(&service) {
                unit.phase = Phase::Stopped;
            }
            return;
        }
        // A restart waits for nothing: what it needs it finds, or waits for itself.
        if is_due {
            self.spawn(service);
        }
    }

    pub(super) fn stop(&mut self, service: Service, drain: Option<Duration>) {
        let Some(unit) = self.units.get_mut(&service) else {
            return;
        };
        match unit.phase {
            Phase::Stopped | Phase::Stopping => return,
            Phase::Backoff | Phase::Failed => {
                unit.next_life();
                unit.phase = Phase::Stopped;
                return;
            }
            Phase::Starting | Phase::Running => {}
        }
        unit.phase = Phase::Stopping;
        unit.obstacle = None;
        let Some(live) = &unit.live else { return };
        if let Some(handle) = &live.handle
            && let Err(error) = handle.signal(Signal::TERM)
        {
            tracing::error!(%service, %error, "cannot be asked to stop");
        }
        tasks::drain_over(
            self.inputs.clone(),
            service,
            unit.life,
            drain.unwrap_or(unit.spec.drain_within),
        );
    }

    pub(super) fn drain_over(&mut self, service: Service, life: u64) {
        let Some(unit) = self
            .units
            .get(&service)
            .filter(|unit| unit.life == life && unit.phase == Phase::Stopping)
        else {
            return;
        };
        let Some(live) = &unit.live else { return };
        let ms = u64::try_from(live.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(handle) = &live.handle
            && let Err(error) = handle.signal(Signal::KILL)
        {
            tracing::error!(%service, %error, "cannot be killed");
        }
        tracing::warn!(%service, "did not stop in time and is killed");
        self.tell(&Event::Killed { service, ms });
    }
}
