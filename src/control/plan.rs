//! Deciding what `start` has to do. Pure: what was observed is an argument.

use serde::Serialize;

use super::marketprism::MarketPrism;
use super::port_plan::{Ending, plan_ports};
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
    /// Whether nothing of it runs, and nothing is about to.
    pub is_idle: bool,
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
    EndLeftover(Ending),
    /// A foreign process holds its port and is ended, because that was asked for.
    EndHolder(Ending),
    /// A process of a MarketPrism is ended, because that was asked for.
    TakeOver(MarketPrism),
    /// Its process is started.
    Spawn {
        /// The service.
        service: Service,
    },
    /// Its process is stopped.
    Stop {
        /// The service.
        service: Service,
    },
    /// It is stopped already.
    Leave {
        /// The service.
        service: Service,
    },
    /// This home does not have it.
    Absent {
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

impl Plan {
    fn clear(&mut self, unit: &ObservedUnit, force: bool) {
        let ports = plan_ports(unit.service, &unit.taken, force);
        self.steps.extend(ports.leftovers.into_iter().map(Step::EndLeftover));
        self.steps.extend(ports.foreign.into_iter().map(Step::EndHolder));
        self.refused.extend(ports.refused);
    }
}

/// Decides what to do so that nobody else holds the ports of the wanted services, as a start would; nothing is started.
pub fn plan_clear(wanted: &[Service], observed: &Observed, force: bool) -> Plan {
    let mut plan = Plan::default();
    for unit in observed.units.iter().filter(|unit| wanted.contains(&unit.service)) {
        // A running service's ports are its own, and those of somebody else's server are not ours.
        if unit.managed && !unit.alive {
            plan.clear(unit, force);
        }
    }
    plan
}

/// Decides what to do so that the wanted services run.
pub fn plan_start(wanted: &[Service], observed: &Observed, force: bool) -> Plan {
    let mut plan = Plan::default();
    for &service in wanted {
        let Some(unit) = observed.unit(service) else {
            plan.steps.push(Step::Absent { service });
            continue;
        };
        if !unit.managed {
            plan.steps.push(Step::External { service });
            continue;
        }
        if unit.alive {
            plan.steps.push(Step::Keep { service });
            continue;
        }
        plan.clear(unit, force);
        plan.steps.push(Step::Spawn { service });
    }
    plan
}

/// Decides what to do so that the wanted services do not run; in the order of the request, as outcomes are told.
pub fn plan_stop(wanted: &[Service], observed: &Observed) -> Plan {
    let step = |service: &Service| {
        let service = *service;
        match observed.unit(service) {
            Some(unit) if !unit.managed => Step::External { service },
            Some(unit) if !unit.is_idle => Step::Stop { service },
            _ => Step::Leave { service },
        }
    };
    Plan {
        steps: wanted.iter().map(step).collect(),
        refused: Vec::new(),
    }
}

/// Decides what to do so that the wanted services run anew: all of them are stopped before the first is started.
pub fn plan_restart(wanted: &[Service], observed: &Observed, force: bool) -> Plan {
    let mut plan = plan_stop(wanted, observed);
    let mut stopped = observed.clone();
    for unit in &mut stopped.units {
        unit.alive &= !wanted.contains(&unit.service);
    }
    let start = plan_start(wanted, &stopped, force);
    plan.steps.extend(start.steps);
    plan.refused = start.refused;
    plan
}

impl Observed {
    fn unit(&self, service: Service) -> Option<&ObservedUnit> {
        self.units.iter().find(|unit| unit.service == service)
    }

    /// Takes away ports whose holders have been ended, or are about to be.
    pub fn without(&mut self, is_freed: impl Fn(&TakenPort) -> bool) {
        for unit in &mut self.units {
            unit.taken.retain(|(taken, _)| !is_freed(taken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::marketprism::Part;
    use crate::control::ports::PortHolder;
    use mprism_runtime::process::ProcessIdentity;

    fn unit(service: Service, alive: bool) -> ObservedUnit {
        ObservedUnit {
            service,
            managed: true,
            alive,
            is_idle: !alive,
            taken: Vec::new(),
        }
    }

    fn held(port: u16) -> TakenPort {
        TakenPort {
            address: ([127, 0, 0, 1], port).into(),
            holder: Some(PortHolder {
                process: Some(ProcessIdentity::current()),
                user: "bob".into(),
                ..PortHolder::default()
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
        let observed = Observed {
            units: vec![nats.clone()],
        };
        let plan = plan_start(&[Service::Nats], &observed, false);
        assert_eq!(plan.refused, [(Service::Nats, held(4222))]);
        let plan = plan_start(&[Service::Nats], &observed, true);
        assert!(plan.refused.is_empty());
        assert!(
            matches!(&plan.steps[0], Step::EndHolder(ending) if ending.ports == [4222]),
            "{plan:?}"
        );
        nats.taken = vec![(held(4222), true), (held(8222), true)];
        let observed = Observed { units: vec![nats] };
        let plan = plan_start(&[Service::Nats], &observed, false);
        assert!(
            matches!(&plan.steps[0], Step::EndLeftover(ending) if ending.ports == [4222, 8222]),
            "{plan:?}"
        );
        assert_eq!(plan.steps[1..], [Step::Spawn { service: Service::Nats }]);
        // Cleaning meets the same holders in the same way, and starts nothing.
        assert_eq!(plan_clear(&[Service::Nats], &observed, false).steps, plan.steps[..1]);
    }

    #[test]
    fn what_is_stopped_is_left_and_a_restart_stops_before_it_starts() {
        let mut external = unit(Service::Clickhouse, false);
        external.managed = false;
        let observed = Observed {
            units: vec![unit(Service::Nats, true), external, unit(Service::Hot, false)],
        };
        let all = [Service::Nats, Service::Clickhouse, Service::Hot, Service::Cold];
        let stop = [
            Step::Stop { service: Service::Nats },
            Step::External {
                service: Service::Clickhouse,
            },
            Step::Leave { service: Service::Hot },
            Step::Leave { service: Service::Cold },
        ];
        assert_eq!(plan_stop(&all, &observed).steps, stop);
        let plan = plan_restart(&all, &observed, false);
        assert_eq!(plan.steps[..4], stop);
        let start = [
            Step::Spawn { service: Service::Nats },
            Step::External {
                service: Service::Clickhouse,
            },
            Step::Spawn { service: Service::Hot },
            Step::Absent { service: Service::Cold },
        ];
        assert_eq!(plan.steps[4..], start);
    }

    #[test]
    fn who_is_taken_over_holds_no_port_any_more() {
        let mut nats = unit(Service::Nats, false);
        nats.taken = vec![(held(4222), false)];
        let mut observed = Observed { units: vec![nats] };
        let found = MarketPrism {
            part: Part::Broker,
            process: ProcessIdentity::current(),
            proof: "nats-server.log".into(),
            store: None,
        };
        observed.without(|taken| found.holds(taken));
        let plan = plan_start(&[Service::Nats], &observed, false);
        assert_eq!(plan.steps, [Step::Spawn { service: Service::Nats }]);
        assert!(plan.refused.is_empty());
    }

    #[test]
    fn a_running_services_ports_are_its_own() {
        let mut nats = unit(Service::Nats, true);
        nats.taken = vec![(held(4222), false)];
        let plan = plan_start(&[Service::Nats], &Observed { units: vec![nats] }, false);
        assert!(plan.refused.is_empty());
    }
}
