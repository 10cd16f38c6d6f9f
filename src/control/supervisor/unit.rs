//! One service as the supervisor sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mprism_runtime::process::{PidFd, ProcessIdentity};
use tokio_util::sync::CancellationToken;

use crate::control::deployment::UnitSpec;
use crate::control::policy::RestartHistory;
use crate::control::probe::Answer;
use crate::control::processes::GroupUsage;
use crate::control::protocol::{Desired, UnitState, UnitStatus};

/// Ticks of `/proc` CPU times in a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No process, none wanted.
    Stopped,
    /// A process that has not answered yet.
    Starting,
    /// A process that has answered.
    Running,
    /// No process; one will be started.
    Backoff,
    /// Asked to stop.
    Stopping,
    /// No process; given up.
    Failed,
}

/// The process of a service.
#[derive(Debug)]
pub(super) struct Live {
    /// Who it is; `None` if it had ended before it could be looked at.
    pub(super) identity: Option<ProcessIdentity>,
    /// For signals.
    pub(super) handle: Option<Arc<PidFd>>,
    /// Its process group.
    pub(super) group: u32,
    /// When we started or adopted it.
    pub(super) since: Instant,
    /// When it first answered its probe.
    pub(super) ready_since: Option<Instant>,
    /// Stops its probe and its watch.
    pub(super) over: CancellationToken,
}

/// A service and everything known about it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) spec: UnitSpec,
    pub(super) desired: Desired,
    pub(super) phase: Phase,
    /// Counts processes and timers: what belongs to an earlier life is ignored.
    pub(super) life: u64,
    pub(super) live: Option<Live>,
    pub(super) history: RestartHistory,
    pub(super) answer: Option<Answer>,
    pub(super) last_error: Option<String>,
    /// When it is started again.
    pub(super) restart_at: Option<Instant>,
    /// What was left after it was stopped.
    pub(super) obstacle: Option<String>,
    meter: CpuMeter,
}

impl Unit {
    pub(super) fn new(spec: UnitSpec) -> Self {
        Self {
            spec,
            desired: Desired::Down,
            phase: Phase::Stopped,
            life: 0,
            live: None,
            history: RestartHistory::default(),
            answer: None,
            last_error: None,
            restart_at: None,
            obstacle: None,
            meter: CpuMeter::default(),
        }
    }

    /// Returns the identity of the process that runs now.
    pub(super) fn identity(&self) -> Option<&ProcessIdentity> {
        self.live.as_ref()?.identity.as_ref()
    }

    /// Returns how long the current process has been ready.
    pub(super) fn ready_for(&self) -> Option<Duration> {
        Some(self.live.as_ref()?.ready_since?.elapsed())
    }

    /// Returns whether a dependent may start now.
    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Running || !self.spec.managed
    }

    /// Begins the next life and returns its number; probe and watch of the last one end.
    pub(super) fn next_life(&mut self) -> u64 {
        if let Some(live) = self.live.take() {
            live.over.cancel();
        }
        // What the last life answered says nothing about the next.
        self.answer = None;
        self.life += 1;
        self.life
    }

    /// Returns the service as `status` prints it.
    pub(super) fn status(&mut self, usage: Option<GroupUsage>) -> UnitStatus {
        let state = match self.phase {
            _ if !self.spec.managed => UnitState::External,
            Phase::Stopped => UnitState::Stopped,
            Phase::Starting => UnitState::Starting,
            // It is up until it has ended.
            Phase::Running | Phase::Stopping => UnitState::Running,
            Phase::Backoff => UnitState::Backoff,
            Phase::Failed => UnitState::Failed,
        };
        let asked = !matches!(self.phase, Phase::Stopped) || !self.spec.managed;
        let healthy = self.answer.as_ref().filter(|_| asked).map(|answer| answer.ready);
        let complaint = self
            .answer
            .as_ref()
            .filter(|answer| asked && !answer.ready)
            .map(|answer| answer.detail.clone());
        UnitStatus {
            name: self.spec.service,
            desired: self.desired,
            state,
            healthy,
            pid: self.identity().map(|identity| identity.pid),
            uptime_s: self.identity().map(|identity| round(identity.uptime_s())),
            restarts: self.history.restarts,
            cpu_percent: usage.and_then(|usage| self.meter.percent(self.life, usage)).map(round),
            rss_bytes: usage.map(|usage| usage.rss_bytes),
            address: self.spec.address(),
            version: self.spec.version.clone(),
            last_error: complaint.or_else(|| self.last_error.clone()),
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Turns CPU times into a rate.
#[derive(Debug, Default)]
struct CpuMeter {
    last: Option<(u64, Instant, u64)>,
    percent: Option<f64>,
}

impl CpuMeter {
    /// Two looks closer than this tell nothing: the clock ticks every 10 ms.
    const LOOK_EVERY: Duration = Duration::from_millis(500);

    fn percent(&mut self, life: u64, usage: GroupUsage) -> Option<f64> {
        let now = Instant::now();
        match self.last {
            Some((of, at, _)) if of == life && now - at < Self::LOOK_EVERY => {}
            Some((of, at, ticks)) if of == life => {
                let seconds = (now - at).as_secs_f64();
                // A child that ended takes its times with it.
                let spent = usage.cpu_ticks.saturating_sub(ticks) as f64 / TICKS_PER_SECOND;
                self.percent = Some(spent / seconds * 100.0);
                self.last = Some((life, now, usage.cpu_ticks));
            }
            _ => {
                self.percent = None;
                self.last = Some((life, now, usage.cpu_ticks));
            }
        }
        self.percent
    }
}
