//! Deciding what `start` has to do. Pure: what was observed is an argument.

use serde::Serialize;

use super::ports::TakenPort;
use super::service::Service;

/// What was observed before a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Every service of the deployment.
    pub units: Vec<ObservedUnit>,
}

/// What was observed of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedUnit {
    /// The service.
    pub service: Service,
    /// Whether mprism runs it itself.
    pub managed: bool,
    /// Whether a process of ours runs it.
    pub alive: bool,
    /// Addresses of it that cannot be bound, and whether what holds them is ours.
    pub taken: Vec<(TakenPort, bool)>,
}

/// One step of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It runs already.
    Keep {
        /// The service.
        service: Service,
    },
    /// Somebody else runs it.
    External {
        /// The service.
        service: Service,
    },
    /// A process of ours that nothing needs any more holds its port: it is ended first.
    EndLeftover {
        /// The service.
        service: Service,
        /// The process.
        pid: u32,
    },
    /// A foreign process holds its port and is ended, because that was asked for.
    EndHolder {
        /// The service.
        service: Service,
        /// The process.
        pid: u32,
    },
    /// Its process is started.
    Spawn {
        /// The service.
        service: Service,
    },
}

/// What a start does, or why it does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Ports that somebody else holds: then nothing is started.
    pub refused: Vec<(Service, TakenPort)>,
}

/// Decides what to do so that the wanted services run.
pub fn plan_start(wanted: &[Service], observed: &Observed, force: bool) -> Plan {
    let mut plan = Plan::default();
    for unit in observed.units.iter().filter(|unit| wanted.contains(&unit.service)) {
        let service = unit.service;
        if !unit.managed {
            plan.steps.push(Step::External { service });
            continue;
        }
        if unit.alive {
            plan.steps.push(Step::Keep { service });
            continue;
        }
        for (taken, is_ours) in &unit.taken {
            let pid = taken
                .holder
                .as_ref()
                .and_then(|holder| Some(holder.process.as_ref()?.pid));
            match pid {
                Some(pid) if *is_ours => plan.steps.push(Step::EndLeftover { service, pid }),
                Some(pid) if force => plan.steps.push(Step::EndHolder { service, pid }),
                _ => plan.refused.push((service, taken.clone())),
            }
        }
        plan.steps.push(Step::Spawn { service });
    }
    // One process may hold several ports.
    plan.steps.dedup();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ports::PortHolder;
    use mprism_runtime::process::ProcessIdentity;

    fn unit(service: Service, alive: bool) -> ObservedUnit {
        ObservedUnit {
            service,
            managed: true,
            alive,
            taken: Vec::new(),
        }
    }

    fn held(port: u16) -> TakenPort {
        TakenPort {
            address: ([127, 0, 0, 1], port).into(),
            holder: Some(PortHolder {
                process: Some(ProcessIdentity::current()),
                user: "bob".into(),
            }),
            reason: "address in use".into(),
        }
    }

    #[test]
    fn what_runs_is_kept_and_the_rest_is_started_in_order() {
        let observed = Observed {
            units: vec![
                unit(Service::Nats, true),
                unit(Service::Clickhouse, false),
                unit(Service::Hot, false),
            ],
        };
        let plan = plan_start(&[Service::Nats, Service::Hot], &observed, false);
        let expected = [
            Step::Keep { service: Service::Nats },
            Step::Spawn { service: Service::Hot },
        ];
        assert_eq!(plan.steps, expected);
        assert!(plan.refused.is_empty());
    }

    #[test]
    fn a_strangers_port_refuses_ours_is_cleared_and_force_ends_it() {
        let mut nats = unit(Service::Nats, false);
        nats.taken = vec![(held(4222), false)];
        let pid = std::process::id();
        let observed = Observed {
            units: vec![nats.clone()],
        };
        let plan = plan_start(&[Service::Nats], &observed, false);
        assert_eq!(plan.refused, [(Service::Nats, held(4222))]);
        let plan = plan_start(&[Service::Nats], &observed, true);
        assert!(plan.refused.is_empty());
        assert_eq!(
            plan.steps[0],
            Step::EndHolder {
                service: Service::Nats,
                pid
            }
        );
        nats.taken = vec![(held(4222), true), (held(8222), true)];
        let plan = plan_start(&[Service::Nats], &Observed { units: vec![nats] }, false);
        let expected = [
            Step::EndLeftover {
                service: Service::Nats,
                pid,
            },
            Step::Spawn { service: Service::Nats },
        ];
        assert_eq!(plan.steps, expected);
    }

    #[test]
    fn a_running_services_ports_are_its_own() {
        let mut nats = unit(Service::Nats, true);
        nats.taken = vec![(held(4222), false)];
        let plan = plan_start(&[Service::Nats], &Observed { units: vec![nats] }, false);
        assert!(plan.refused.is_empty());
    }
}
