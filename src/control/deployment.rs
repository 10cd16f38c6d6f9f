//! What a home runs, as plain data: the supervisor needs nothing else, so it never reads settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::RestartPolicy;
use super::probe::ProbeSpec;
use super::service::Service;

/// Everything that can run in a home, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The mprism binary.
    pub program: PathBuf,
    /// Global flags that every worker gets (`--home`, `--config`, `--port-offset`).
    pub global_flags: Vec<String>,
    /// When and how often something is started again.
    pub restart: RestartPolicy,
    /// Between probes of a service that is ready.
    pub probe_interval: Duration,
    /// The services, in start order.
    pub units: Vec<UnitSpec>,
}

/// One service of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSpec {
    /// Which service.
    pub service: Service,
    /// Whether mprism runs it itself; what others run is only asked how it is.
    pub managed: bool,
    /// The container that it runs in, where it does: the engine publishes its ports then, so that their holder is none of our
    /// processes.
    #[serde(default)]
    pub container: Option<String>,
    /// Flags of its worker beside the global ones.
    pub flags: Vec<String>,
    /// The lock that its worker holds for life.
    pub lock: PathBuf,
    /// Where it listens here; the first is its address.
    pub listens: Vec<SocketAddr>,
    /// Its address on another host, as `host:port`.
    #[serde(default)]
    pub elsewhere: Option<String>,
    /// How it is asked whether it can serve.
    pub probe: ProbeSpec,
    /// Its version, where it is known without asking.
    pub version: Option<String>,
    /// How long it may drain before it is killed.
    pub drain_within: Duration,
}

impl Deployment {
    /// Returns the spec of a service, if this deployment has it.
    pub fn unit(&self, service: Service) -> Option<&UnitSpec> {
        self.units.iter().find(|unit| unit.service == service)
    }

    /// Returns this deployment, the options of a former start, as the program of now runs it.
    pub fn renewed(self, now: &Self) -> Self {
        let renew = |mut unit: UnitSpec| {
            if let Some(now) = now.unit(unit.service) {
                unit.version.clone_from(&now.version);
            }
            unit
        };
        Self {
            program: now.program.clone(),
            units: self.units.into_iter().map(renew).collect(),
            ..self
        }
    }

    /// Returns this deployment for a start of some services: the others keep the options of the last start, `before`. Where
    /// the collector is not among them, the simulator that it may hear stays, too.
    pub fn starting(mut self, services: &[Service], before: Self) -> Self {
        let mut kept = before.units;
        if services.contains(&Service::Collector) {
            kept.retain(|unit| self.unit(unit.service).is_some());
        }
        kept.retain(|unit| !services.contains(&unit.service));
        self.units
            .retain(|unit| kept.iter().all(|kept| kept.service != unit.service));
        self.units.append(&mut kept);
        self.units.sort_by_key(|unit| unit.service);
        self
    }

    /// Returns all services, in start order.
    pub fn services(&self) -> Vec<Service> {
        self.units.iter().map(|unit| unit.service).collect()
    }
}

impl UnitSpec {
    /// Returns where the service is reached, as `host:port`.
    pub fn address(&self) -> String {
        let here = || self.listens.first().map(SocketAddr::to_string);
        self.elsewhere.clone().or_else(here).unwrap_or_default()
    }
}
