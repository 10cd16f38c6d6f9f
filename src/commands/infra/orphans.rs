//! What a home left in the engine: containers, networks and volumes that wear its label, of a home that is gone, or of a service of
//! this one that does not run in a container any more.

use std::path::Path;
use std::time::Duration;

use mprism_containers::{ContainerError, Engine, Kind, Labelled};
use mprism_settings::Settings;
use serde::Serialize;

use super::{in_containers, owner, try_connect};
use crate::commands::Context;
use crate::control::{Consent, ControlGroup, Service};
use crate::error::CliError;

/// How long a container that nobody needs may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// One thing to be rid of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step")]
pub(crate) enum Orphan {
    /// A container; its volume stays.
    #[serde(rename = "remove-container")]
    Container {
        /// Its name.
        container: String,
        /// The engine's id of it: a name may be another's by the time it is removed.
        id: String,
        /// Why nobody needs it.
        why: String,
    },
    /// A network.
    #[serde(rename = "remove-network")]
    Network {
        /// Its name.
        network: String,
        /// The engine's id of it.
        id: String,
        /// Why nobody needs it.
        why: String,
    },
    /// A volume, with its data.
    #[serde(rename = "remove-volume")]
    Volume {
        /// Its name.
        volume: String,
        /// Why nobody needs it.
        why: String,
    },
}

/// Looks for what nobody needs, for who cleans these services; of other homes only where all of them are cleaned. An engine that is
/// absent has nothing; one that cannot be asked is told, and is no reason to clean nothing else.
pub(crate) fn look(
    services: &[Service],
    is_whole: bool,
    settings: &Settings,
    context: &Context,
) -> Result<Vec<Orphan>, CliError> {
    let (found, sees_others) = context.block_on_interruptible(async {
        let looked = async {
            let engine = try_connect(context).await?;
            Ok((engine.labelled().await?, engine.is_here().await))
        };
        match looked.await {
            Ok(looked) => Ok(looked),
            Err(ContainerError::Absent { .. }) => Ok((Vec::new(), false)),
            Err(error) => {
                let text = format!("containers were not looked for: {}", mprism_runtime::log::chain(&error));
                // Whoever never had any need not hear of an engine that is not for him.
                match settings.home.infra().is_dir() {
                    true => context.printer.warn(&text),
                    false => context.printer.detail(&text),
                }
                Ok((Vec::new(), false))
            }
        }
    })?;
    let home = Home {
        owner: owner(&settings.home),
        is_there: settings.home.root().is_dir(),
        left: services
            .iter()
            .filter(|service| in_containers(&[**service], settings).is_empty())
            .copied()
            .collect(),
        has_containers: !in_containers(&[Service::Nats, Service::Clickhouse], settings).is_empty(),
        is_whole,
        sees_others,
    };
    let step = |found: Labelled| home.why(&found, is_gone, is_here).map(|why| step(found, why));
    Ok(found.into_iter().filter_map(step).collect())
}

/// Does one step.
pub(crate) async fn take_away(engine: &Engine, orphan: &Orphan, consent: Option<&Consent>) -> Result<(), CliError> {
    match orphan {
        Orphan::Container { id, .. } => engine.stop_and_remove(id, STOP_WITHIN).await?,
        Orphan::Network { id, .. } => engine.remove_network(id).await?,
        Orphan::Volume { volume, .. } => match consent {
            Some(_agreed) => engine.remove_volume(volume).await?,
            None => {
                return Err(CliError::refused(
                    "needs_consent",
                    anyhow::anyhow!("nobody agreed to it"),
                ));
            }
        },
    }
    Ok(())
}

/// A home as far as it decides what is needed of it.
struct Home {
    owner: String,
    is_there: bool,
    /// Services that are cleaned and do not run in containers.
    left: Vec<Service>,
    has_containers: bool,
    is_whole: bool,
    /// Whether another home that is not there is gone, and not only out of sight.
    sees_others: bool,
}

impl Home {
    /// Decides why nobody needs something; `None` where somebody may.
    fn why(
        &self,
        found: &Labelled,
        is_gone: impl Fn(&Path) -> bool,
        is_here: impl Fn(&Labelled) -> bool,
    ) -> Option<String> {
        if found.owner != self.owner {
            // Where its home is has to be known, and that the engine's machine is this one: what is not seen from here is not gone.
            // Its data never goes: a home on a disk that is not mounted looks like one that is gone.
            let may_go = self.is_whole && self.sees_others && found.kind != Kind::Volume;
            let home = found.home.as_deref().filter(|home| may_go && is_gone(home))?;
            return is_here(found).then(|| format!("its home {} is gone", home.display()));
        }
        if !self.is_there {
            return Some("its home is gone".to_owned());
        }
        match (found.kind, service_of(&found.name)) {
            (Kind::Network, _) => {
                (self.is_whole && !self.has_containers).then(|| "nothing of this home runs in a container".to_owned())
            }
            (_, Some(service)) if self.left.contains(&service) => {
                Some(format!("`{service}` does not run in a container any more"))
            }
            _ => None,
        }
    }
}

fn step(found: Labelled, why: String) -> Orphan {
    let (id, name) = (found.id, found.name);
    match found.kind {
        Kind::Container => Orphan::Container {
            container: name,
            id,
            why,
        },
        Kind::Network => Orphan::Network { network: name, id, why },
        Kind::Volume => Orphan::Volume { volume: name, why },
    }
}

/// Returns whether a home is not there; one that may not be looked for is.
fn is_gone(home: &Path) -> bool {
    matches!(home.try_exists(), Ok(false))
}

/// Returns whether what runs runs where we see it. From within a container of our own, whose files are others, no home is there.
fn is_here(found: &Labelled) -> bool {
    found.pid.is_none_or(|pid| ControlGroup::of(&found.id, pid).is_some())
}

/// Returns the service whose container or volume has a name, whatever its home's ports are moved by.
fn service_of(name: &str) -> Option<Service> {
    let name = name
        .strip_suffix("-before")
        .or(name.strip_suffix("-next"))
        .unwrap_or(name);
    let moved = name
        .rsplit_once('-')
        .filter(|(_, offset)| offset.bytes().all(|byte| byte.is_ascii_digit()));
    match moved.map_or(name, |(name, _)| name) {
        "marketprism-nats" | "marketprism-nats-data" => Some(Service::Nats),
        "marketprism-clickhouse-hot" | "marketprism-clickhouse-hot-data" => Some(Service::Clickhouse),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: Kind, name: &str, owner: &str, home: Option<&str>) -> Labelled {
        Labelled {
            kind,
            id: "0".into(),
            name: name.into(),
            owner: owner.into(),
            home: home.map(Into::into),
            pid: None,
        }
    }

    fn home() -> Home {
        Home {
            owner: "me".into(),
            is_there: true,
            left: vec![Service::Nats],
            has_containers: true,
            is_whole: true,
            sees_others: true,
        }
    }

    fn why(home: &Home, found: &Labelled) -> Option<String> {
        home.why(found, |home| home == Path::new("/gone"), |found| found.pid.is_none())
    }

    #[test]
    fn of_other_homes_only_what_is_known_to_be_gone_goes() {
        let theirs = |home| found(Kind::Container, "marketprism-nats", "other", home);
        assert!(why(&home(), &theirs(Some("/gone"))).is_some_and(|why| why.contains("/gone")));
        assert_eq!(why(&home(), &theirs(Some("/there"))), None);
        assert_eq!(why(&home(), &theirs(None)), None);
        let elsewhere = Labelled {
            pid: Some(1),
            ..theirs(Some("/gone"))
        };
        assert_eq!(why(&home(), &elsewhere), None, "it runs where we do not see it");
        let data = found(Kind::Volume, "marketprism-nats-data", "other", Some("/gone"));
        assert_eq!(why(&home(), &data), None, "data is never another's to remove");
        let few = Home {
            is_whole: false,
            ..home()
        };
        assert_eq!(why(&few, &theirs(Some("/gone"))), None, "one service was named");
        let blind = Home {
            sees_others: false,
            ..home()
        };
        // What is stopped has no process that would tell where it ran.
        for kind in [Kind::Container, Kind::Network] {
            let stopped = found(kind, "marketprism-nats", "other", Some("/gone"));
            assert_eq!(why(&blind, &stopped), None, "its home may be on the engine's machine");
        }
    }

    #[test]
    fn of_this_home_what_does_not_run_in_containers_any_more_goes() {
        let ours = |kind, name| found(kind, name, "me", Some("/there"));
        for name in [
            "marketprism-nats",
            "marketprism-nats-100",
            "marketprism-nats-100-before",
        ] {
            assert!(why(&home(), &ours(Kind::Container, name)).is_some(), "{name}");
        }
        assert!(why(&home(), &ours(Kind::Volume, "marketprism-nats-data-100")).is_some());
        for (kind, name) in [
            (Kind::Container, "marketprism-clickhouse-hot"),
            (Kind::Volume, "marketprism-clickhouse-hot-data"),
            // Compose made it.
            (Kind::Container, "marketprism-data-collector"),
            (Kind::Network, "marketprism"),
        ] {
            assert_eq!(why(&home(), &ours(kind, name)), None, "{name}");
        }
        let none = Home {
            has_containers: false,
            ..home()
        };
        assert!(why(&none, &ours(Kind::Network, "marketprism")).is_some());
        let gone = Home {
            is_there: false,
            ..home()
        };
        assert!(why(&gone, &ours(Kind::Container, "marketprism-data-collector")).is_some());
    }
}
