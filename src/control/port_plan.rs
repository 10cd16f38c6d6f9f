//! Deciding what happens to whoever holds a port of ours. Pure, and the only place that decides it: `init`, `start`, `restart`
//! and `clean` ask here.

use mprism_runtime::process::ProcessIdentity;
use serde::Serialize;

use super::ports::{PortHolder, TakenPort};
use super::service::Service;

/// A process that is ended because it holds ports of ours. It is named by its whole identity: a pid alone may be somebody
/// else's by the time it is signalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// The service whose ports it holds.
    pub service: Service,
    /// The ports.
    pub ports: Vec<u16>,
    /// The process.
    pub process: ProcessIdentity,
    /// What else is known of it.
    pub holder: PortHolder,
}

/// What happens to the holders of a service's ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortPlan {
    /// Leftovers of ours: ended without asking.
    pub leftovers: Vec<Ending>,
    /// Foreign: ended after they were shown, because that was asked for.
    pub foreign: Vec<Ending>,
    /// Foreign, or not to be seen: left alone.
    pub refused: Vec<(Service, TakenPort)>,
}

/// Decides about the taken ports of one service; the flag beside each says whether its holder is provably ours.
pub fn plan_ports(service: Service, taken: &[(TakenPort, bool)], force: bool) -> PortPlan {
    let mut plan = PortPlan::default();
    for (taken, is_ours) in taken {
        let known = taken
            .holder
            .as_ref()
            .and_then(|holder| Some((holder, holder.process.as_ref()?)));
        let list = match known {
            Some(_) if *is_ours => &mut plan.leftovers,
            Some(_) if force => &mut plan.foreign,
            _ => {
                plan.refused.push((service, taken.clone()));
                continue;
            }
        };
        let Some((holder, process)) = known else { continue };
        let port = taken.address.port();
        match list.iter_mut().find(|ending| ending.process == *process) {
            // One process may hold several ports.
            Some(ending) => ending.ports.push(port),
            None => list.push(Ending {
                service,
                ports: vec![port],
                process: process.clone(),
                holder: holder.clone(),
            }),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(port: u16, start_ticks: u64) -> TakenPort {
        TakenPort {
            address: ([127, 0, 0, 1], port).into(),
            holder: Some(PortHolder {
                process: Some(ProcessIdentity {
                    start_ticks,
                    ..ProcessIdentity::current()
                }),
                user: "bob".into(),
                ..PortHolder::default()
            }),
            reason: "address in use".into(),
        }
    }

    #[test]
    fn ours_is_ended_foreign_is_refused_and_forced_only_by_force() {
        let taken = [(held(4222, 1), true), (held(8222, 1), true)];
        let plan = plan_ports(Service::Nats, &taken, false);
        assert_eq!(plan.leftovers.len(), 1, "one process, two ports");
        assert_eq!(plan.leftovers[0].ports, [4222, 8222]);
        let foreign = [(held(4222, 1), false)];
        let plan = plan_ports(Service::Nats, &foreign, false);
        assert_eq!(
            (plan.leftovers.len(), plan.foreign.len(), plan.refused.len()),
            (0, 0, 1)
        );
        let plan = plan_ports(Service::Nats, &foreign, true);
        assert_eq!((plan.foreign.len(), plan.refused.len()), (1, 0));
        // Another life of the same pid is another process.
        let plan = plan_ports(Service::Nats, &[(held(1, 1), true), (held(2, 2), true)], false);
        assert_eq!(plan.leftovers.len(), 2);
    }

    #[test]
    fn who_cannot_be_seen_is_never_ended() {
        let unseen = TakenPort {
            holder: None,
            ..held(4222, 1)
        };
        let plan = plan_ports(Service::Nats, &[(unseen, true)], true);
        assert_eq!((plan.foreign.len(), plan.refused.len()), (0, 1));
    }
}
