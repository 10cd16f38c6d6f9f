//! Requests that take time: starting and stopping several services.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::unit::{Phase, Unit};
use crate::control::events::Event;
use crate::control::log_tail::last_lines;
use crate::control::paths::HomePaths;
use crate::control::protocol::{Action, Desired, Message, Outcome, SOMEBODY_ELSES};
use crate::control::rebuilding::bar;
use crate::control::service::Service;

/// Log lines told about a service that did not start.
const LOG_LINES: usize = 8;

/// One request on its way.
pub(super) struct Job {
    kind: Kind,
    began: Instant,
    /// What is not decided yet.
    waiting: Vec<Service>,
    outcomes: Vec<Outcome>,
    order: Vec<Service>,
    replies: mpsc::Sender<Message>,
    is_done: bool,
}

enum Kind {
    Start { deadline: Instant },
    Stop { drain: Option<Duration> },
}

impl Job {
    pub(super) fn start(
        services: Vec<Service>,
        wait: Duration,
        replies: mpsc::Sender<Message>,
        units: &BTreeMap<Service, Unit>,
    ) -> Self {
        let began = Instant::now();
        let mut job = Self::new(Kind::Start { deadline: began + wait }, services, replies);
        job.decide_at_once(units, |unit| match unit.phase {
            _ if !unit.spec.managed => Some((Action::Skipped, Some(SOMEBODY_ELSES.to_owned()))),
            Phase::Running => Some((Action::AlreadyRunning, None)),
            _ => None,
        });
        job
    }

    pub(super) fn stop(
        services: Vec<Service>,
        drain: Option<Duration>,
        replies: mpsc::Sender<Message>,
        units: &BTreeMap<Service, Unit>,
    ) -> Self {
        let mut job = Self::new(Kind::Stop { drain }, services, replies);
        job.decide_at_once(units, |unit| match unit.phase {
            _ if !unit.spec.managed => Some((Action::Skipped, Some(SOMEBODY_ELSES.to_owned()))),
            Phase::Stopped => Some((Action::AlreadyStopped, None)),
            _ => None,
        });
        job
    }

    fn new(kind: Kind, services: Vec<Service>, replies: mpsc::Sender<Message>) -> Self {
        Self {
            kind,
            began: Instant::now(),
            waiting: services.clone(),
            outcomes: Vec::new(),
            order: services,
            replies,
            is_done: false,
        }
    }

    fn decide_at_once(
        &mut self,
        units: &BTreeMap<Service, Unit>,
        decide: impl Fn(&Unit) -> Option<(Action, Option<String>)>,
    ) {
        for service in self.waiting.clone() {
            match units.get(&service) {
                // What this home does not have is stopped.
                None if matches!(self.kind, Kind::Stop { .. }) => self.decided(service, Action::AlreadyStopped, None),
                None => self.decided(service, Action::Skipped, Some("not part of this home".into())),
                Some(unit) => {
                    if let Some((action, detail)) = decide(unit) {
                        self.decided(service, action, detail);
                    }
                }
            }
        }
    }

    /// Returns what is not decided yet.
    pub(super) fn waiting(&self) -> Vec<Service> {
        self.waiting.clone()
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Tells the client something, if it still listens and is not far behind.
    pub(super) fn tell(&self, event: Event) {
        let _client_is_behind = self.replies.try_send(Message::Event(event));
    }

    /// Returns what has to be asked to stop now: one stage at a time, the highest first.
    pub(super) fn to_stop(&self, units: &BTreeMap<Service, Unit>) -> Vec<(Service, Option<Duration>)> {
        let Kind::Stop { drain } = &self.kind else {
            return Vec::new();
        };
        let Some(stage) = self.waiting.iter().map(|service| service.stop_stage()).max() else {
            return Vec::new();
        };
        let in_stage = self.waiting.iter().filter(|service| service.stop_stage() == stage);
        let is_asked = |service: &&Service| {
            let phase = units.get(service).map(|unit| unit.phase);
            !matches!(phase, None | Some(Phase::Stopped | Phase::Stopping))
        };
        in_stage.filter(is_asked).map(|service| (*service, *drain)).collect()
    }

    /// Decides what can be decided, and answers once everything is.
    pub(super) fn advance(&mut self, units: &BTreeMap<Service, Unit>, paths: &HomePaths) {
        for service in self.waiting.clone() {
            let Some(unit) = units.get(&service) else { continue };
            match self.kind {
                Kind::Start { deadline } => self.advance_start(unit, deadline, paths),
                Kind::Stop { .. } if unit.phase == Phase::Stopped => {
                    let ms = self.ms();
                    match unit.obstacle.clone() {
                        None => {
                            self.tell(Event::Stopped { service, ms });
                            self.decided(service, Action::Stopped, None);
                        }
                        Some(obstacle) => self.decided(service, Action::Failed, Some(obstacle)),
                    }
                }
                Kind::Stop { .. } => {}
            }
        }
        if self.waiting.is_empty() && !self.is_done {
            self.is_done = true;
            let position = |outcome: &Outcome| self.order.iter().position(|service| *service == outcome.name);
            self.outcomes.sort_by_key(position);
            let outcomes = std::mem::take(&mut self.outcomes);
            let _client_left = self.replies.try_send(Message::Done { outcomes });
        }
    }

    fn advance_start(&mut self, unit: &Unit, deadline: Instant, paths: &HomePaths) {
        let service = unit.spec.service;
        match unit.phase {
            Phase::Running => self.decided(service, Action::Started, None),
            // Whoever asked for it has left, and somebody else has asked for the opposite.
            _ if unit.desired == Desired::Down => {
                self.decided(service, Action::Failed, Some("stopped before it was ready".into()));
            }
            Phase::Failed => {
                let reason = unit.last_error.clone().unwrap_or_default();
                self.decided(service, Action::Failed, Some(with_log(reason, paths, service)));
            }
            _ if Instant::now() >= deadline => {
                let said = unit.answer.as_ref().map(|answer| answer.detail.clone());
                let reason = said.or_else(|| unit.last_error.clone());
                let reason = bar(paths, service).or(reason);
                let reason = reason.unwrap_or_else(|| "it waits for what it needs".into());
                let waited = self.began.elapsed().as_secs();
                let text = format!("not ready after {waited} s: {reason}");
                self.decided(service, Action::Failed, Some(with_log(text, paths, service)));
            }
            _ => {}
        }
    }

    fn decided(&mut self, name: Service, action: Action, detail: Option<String>) {
        self.waiting.retain(|service| *service != name);
        self.outcomes.push(Outcome {
            name,
            action,
            ms: self.ms(),
            detail,
        });
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn with_log(reason: String, paths: &HomePaths, service: Service) -> String {
    let lines = last_lines(paths, service, LOG_LINES);
    if lines.is_empty() {
        return reason;
    }
    format!("{reason}\nlast lines of its log:\n  {}", lines.join("\n  "))
}
