//! The services of a home, what they need and in which order they stop.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A service that mprism can run. The order of the variants is the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The exchange simulator.
    Sim,
    /// nats-server with JetStream.
    Nats,
    /// ClickHouse: the embedded engine.
    Clickhouse,
    /// The hot storage worker.
    Hot,
    /// The market-data collector.
    Collector,
    /// The cold storage worker.
    Cold,
}

/// A name that is neither a service nor a group.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{name}` is not a service (services: {}; groups: broker, storage, all)", names())]
pub struct UnknownService {
    /// What was asked for.
    pub name: String,
}

impl Service {
    /// Every service, in start order.
    pub const ALL: [Self; 6] = [
        Self::Sim,
        Self::Nats,
        Self::Clickhouse,
        Self::Hot,
        Self::Collector,
        Self::Cold,
    ];

    /// Returns the service's name as it stands in commands, files and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Nats => "nats",
            Self::Clickhouse => "clickhouse",
            Self::Hot => "hot",
            Self::Collector => "collector",
            Self::Cold => "cold",
        }
    }

    /// Returns what `start` waits for before it starts this service. A restart waits for nothing.
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::Sim | Self::Nats | Self::Clickhouse => &[],
            Self::Hot => &[Self::Nats, Self::Clickhouse],
            Self::Collector => &[Self::Sim, Self::Nats, Self::Hot],
            Self::Cold => &[Self::Clickhouse, Self::Hot],
        }
    }

    /// Returns the stage in which this service stops: higher stages stop first, one stage at a time.
    pub fn stop_stage(self) -> u8 {
        match self {
            Self::Sim => 0,
            Self::Nats | Self::Clickhouse => 1,
            Self::Hot => 2,
            Self::Collector => 3,
            Self::Cold => 4,
        }
    }

    /// Returns whether the service writes into the tables of market data.
    pub fn writes_tables(self) -> bool {
        match self {
            Self::Hot | Self::Cold => true,
            Self::Sim | Self::Nats | Self::Clickhouse | Self::Collector => false,
        }
    }

    /// Returns how long the service may drain before it is killed.
    pub fn drain_within(self) -> Duration {
        Duration::from_secs(match self {
            Self::Sim => 5,
            Self::Clickhouse => 15,
            Self::Nats | Self::Hot | Self::Collector | Self::Cold => 10,
        })
    }

    /// Returns the services that a name or a group stands for.
    ///
    /// # Errors
    /// Where the name is neither.
    pub fn named(name: &str) -> Result<Vec<Self>, UnknownService> {
        match name {
            "all" => Ok(Self::ALL.to_vec()),
            "broker" => Ok(vec![Self::Nats]),
            "storage" => Ok(vec![Self::Clickhouse, Self::Hot, Self::Cold]),
            _ => name.parse().map(|service| vec![service]),
        }
    }

    /// Returns the services that several names stand for, each once and in start order; no name at all is `everything`.
    ///
    /// # Errors
    /// Where a name is neither a service nor a group.
    pub fn selected(names: &[String], everything: &[Self]) -> Result<Vec<Self>, UnknownService> {
        if names.is_empty() {
            return Ok(everything.to_vec());
        }
        let mut wanted = BTreeSet::new();
        for name in names {
            let named = Self::named(name)?;
            // A group means those of its members that this deployment has; a name means itself.
            let group = named.len() > 1;
            wanted.extend(named.into_iter().filter(|s| !group || everything.contains(s)));
        }
        Ok(wanted.into_iter().collect())
    }
}

fn names() -> String {
    Service::ALL.map(Service::name).join(", ")
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Self, UnknownService> {
        let found = Self::ALL.into_iter().find(|service| service.name() == name);
        found.ok_or_else(|| UnknownService { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_for_their_members_in_start_order() {
        let strings = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let without_sim = &Service::ALL[1..];
        assert_eq!(Service::selected(&[], without_sim), Ok(without_sim.to_vec()));
        assert_eq!(
            Service::selected(&strings(&["all"]), without_sim),
            Ok(without_sim.to_vec())
        );
        assert_eq!(
            Service::selected(&strings(&["hot", "broker", "hot"]), without_sim),
            Ok(vec![Service::Nats, Service::Hot])
        );
        assert_eq!(
            Service::selected(&strings(&["sim"]), without_sim),
            Ok(vec![Service::Sim])
        );
        let error = Service::selected(&strings(&["hto"]), without_sim).expect_err("a typing error");
        assert!(error.to_string().contains("`hto` is not a service"), "{error}");
    }

    #[test]
    fn what_a_service_needs_starts_before_it_and_stops_after_it() {
        for service in Service::ALL {
            for need in service.needs() {
                assert!(*need < service);
                assert!(need.stop_stage() < service.stop_stage());
            }
        }
    }
}
