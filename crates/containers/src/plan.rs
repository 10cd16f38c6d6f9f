//! What has to be done. Pure: what was observed is an argument.

use serde::Serialize;

use crate::observe::{FoundContainer, Observed};
use crate::replace::beside;
use crate::spec::{Container, Infrastructure, Network};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It runs as it is wanted.
    Keep {
        /// The container.
        container: String,
    },
    /// The image is not here.
    Pull {
        /// The image.
        image: String,
    },
    /// The network is not there.
    MakeNetwork {
        /// Its name.
        network: String,
    },
    /// The volume is not there.
    MakeVolume {
        /// Its name.
        volume: String,
    },
    /// It stops, in its own time.
    Stop {
        /// The container.
        container: String,
    },
    /// It is stopped and removed; its volume stays.
    Remove {
        /// The container.
        container: String,
        /// Why.
        why: String,
    },
    /// It is made.
    Make {
        /// The container.
        container: String,
    },
    /// It is made anew with the same volume; the one of before is put back where the new one does not become healthy.
    Replace {
        /// The container.
        container: String,
        /// Why.
        why: String,
    },
    /// Making it anew was interrupted: the one of before gets its name again.
    PutBack {
        /// The container.
        container: String,
    },
    /// It is started.
    Start {
        /// The container.
        container: String,
    },
    /// The data is removed.
    RemoveVolume {
        /// The volume.
        volume: String,
    },
    /// The network is removed.
    RemoveNetwork {
        /// Its name.
        network: String,
    },
}

/// Something of a name of ours that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// `container` or `volume`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The home that its label names, if it has one.
    pub owner: Option<String>,
}

/// What is done, or why nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// What is somebody else's: met on the way up nothing is done, on the way down it is left alone.
    pub foreign: Vec<Foreign>,
}

/// Decides what to do so that everything wanted runs. Somebody else's container is in the way, unless `force` removes it;
/// somebody else's volume is, unless `force` uses it.
pub fn plan_up(wanted: &Infrastructure, observed: &Observed, force: bool) -> Plan {
    let mut plan = Plan::default();
    // Whoever cannot have the images makes nothing.
    let mut pulls = Vec::new();
    if let (Network::Bridge(name), None) = (&wanted.network, &observed.network) {
        plan.steps.push(Step::MakeNetwork { network: name.clone() });
    }
    for container in &wanted.containers {
        let name = container.name.clone();
        let found = interrupted(container, wanted, observed, &mut plan.steps);
        let is_ours = found.is_none_or(|found| found.owner.as_deref() == Some(&wanted.owner));
        if let (Some(found), false, false) = (found, is_ours, force) {
            plan.foreign.push(Foreign {
                kind: "container",
                name,
                owner: found.owner.clone(),
            });
            continue;
        }
        let image = observed.images.get(&container.image);
        let pull = Step::Pull {
            image: container.image.clone(),
        };
        if image.is_none() && !pulls.contains(&pull) {
            pulls.push(pull);
        }
        if let Some(volume) = &container.volume {
            match observed.volumes.get(&volume.name) {
                None => plan.steps.push(Step::MakeVolume {
                    volume: volume.name.clone(),
                }),
                Some(found) if found.owner.as_deref() != Some(&wanted.owner) && !force && !volume.is_named => {
                    plan.foreign.push(Foreign {
                        kind: "volume",
                        name: volume.name.clone(),
                        owner: found.owner.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        let why = found.and_then(|found| {
            if !is_ours {
                Some("it is not this home's, and that was asked for".to_owned())
            } else if found.configuration.as_deref() != Some(&container.configuration()) {
                Some("its configuration has changed".to_owned())
            } else if image.is_some_and(|image| *image != found.image_id) {
                Some("its image has changed".to_owned())
            } else {
                None
            }
        });
        match (found, why) {
            (Some(found), None) if found.is_running() => plan.steps.push(Step::Keep { container: name }),
            (Some(_), None) => plan.steps.push(Step::Start { container: name }),
            (None, _) => plan.steps.extend([
                Step::Make {
                    container: name.clone(),
                },
                Step::Start { container: name },
            ]),
            (Some(_), Some(why)) if is_ours => plan.steps.push(Step::Replace { container: name, why }),
            (Some(_), Some(why)) => plan.steps.extend([
                Step::Remove {
                    container: name.clone(),
                    why,
                },
                Step::Make {
                    container: name.clone(),
                },
                Step::Start { container: name },
            ]),
        }
    }
    plan.steps.splice(0..0, pulls);
    if !plan.foreign.is_empty() {
        plan.steps.clear();
    }
    plan
}

/// Decides what becomes of containers that making one anew left beside it, and returns the one that is there then.
fn interrupted<'a>(
    container: &Container,
    wanted: &Infrastructure,
    observed: &'a Observed,
    steps: &mut Vec<Step>,
) -> Option<&'a FoundContainer> {
    let name = &container.name;
    let found = observed.containers.get(name);
    let ours = |name: &String| {
        let left = observed.beside.get(name);
        left.filter(|left| left.owner.as_deref() == Some(&wanted.owner))
    };
    let [before, next] = beside(name);
    let is_strangers = found.is_some_and(|found| found.owner.as_deref() != Some(&wanted.owner));
    if let Some(left) = ours(&before).filter(|_| !is_strangers) {
        let works = |found: &FoundContainer| {
            let is_healthy = found.health.as_deref().is_none_or(|health| health == "healthy");
            found.is_running() && is_healthy && found.configuration.as_deref() == Some(&container.configuration())
        };
        if found.is_some_and(works) {
            let why = "what took its place works".to_owned();
            steps.push(Step::Remove { container: before, why });
        } else {
            steps.push(Step::PutBack {
                container: name.clone(),
            });
            return Some(left);
        }
    }
    if ours(&next).is_some() {
        let why = "it never took its place".to_owned();
        steps.push(Step::Remove { container: next, why });
    }
    found
}

/// Decides what to stop. Nothing is removed.
pub fn plan_stop(wanted: &Infrastructure, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    for container in wanted.containers.iter().rev() {
        if let Some(found) = observed.containers.get(&container.name)
            && found.owner.as_deref() == Some(&wanted.owner)
            && (found.is_running() || found.state == "restarting")
        {
            plan.steps.push(Step::Stop {
                container: container.name.clone(),
            });
        }
    }
    plan
}

/// Decides what to remove: containers and the network of this home, its volumes where that is asked for. What is somebody
/// else's is told.
pub fn plan_down(wanted: &Infrastructure, observed: &Observed, volumes: bool) -> Plan {
    let mut plan = Plan::default();
    let is_ours = |owner: &Option<String>| owner.as_deref() == Some(&wanted.owner);
    for container in wanted.containers.iter().rev() {
        for name in beside(&container.name) {
            if observed.beside.get(&name).is_some_and(|left| is_ours(&left.owner)) {
                let why = "it was asked for".to_owned();
                plan.steps.push(Step::Remove { container: name, why });
            }
        }
        let Some(found) = observed.containers.get(&container.name) else {
            continue;
        };
        if is_ours(&found.owner) {
            let why = "it was asked for".to_owned();
            plan.steps.push(Step::Remove {
                container: container.name.clone(),
                why,
            });
        } else {
            plan.foreign.push(Foreign {
                kind: "container",
                name: container.name.clone(),
                owner: found.owner.clone(),
            });
        }
    }
    for volume in wanted
        .containers
        .iter()
        .rev()
        .filter_map(|container| container.volume.as_ref())
        .filter(|_| volumes)
    {
        let Some(found) = observed.volumes.get(&volume.name) else {
            continue;
        };
        if is_ours(&found.owner) {
            plan.steps.push(Step::RemoveVolume {
                volume: volume.name.clone(),
            });
        } else {
            plan.foreign.push(Foreign {
                kind: "volume",
                name: volume.name.clone(),
                owner: found.owner.clone(),
            });
        }
    }
    if let (Network::Bridge(name), Some(found)) = (&wanted.network, &observed.network)
        && is_ours(&found.owner)
    {
        plan.steps.push(Step::RemoveNetwork { network: name.clone() });
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Owned;
    use crate::spec::tests::{container, infrastructure as wanted};

    fn owned(owner: &str) -> Owned {
        Owned {
            owner: Some(owner.to_owned()),
        }
    }

    fn there(owner: Option<&str>, state: &str) -> Observed {
        let found = FoundContainer {
            owner: owner.map(str::to_owned),
            configuration: Some(container().configuration()),
            image_id: "sha256:1".into(),
            state: state.into(),
            ..FoundContainer::default()
        };
        Observed {
            images: [("nats:1".to_owned(), "sha256:1".to_owned())].into(),
            network: Some(owned("me")),
            volumes: [("marketprism-nats-data".to_owned(), owned("me"))].into(),
            containers: [("marketprism-nats".to_owned(), found)].into(),
            beside: [].into(),
        }
    }

    fn words(plan: &Plan) -> Vec<String> {
        let word = |step: &Step| {
            serde_json::to_value(step).expect("JSON")["step"]
                .as_str()
                .expect("text")
                .to_owned()
        };
        plan.steps.iter().map(word).collect()
    }

    #[test]
    fn what_is_missing_is_made_in_order_and_what_runs_is_kept() {
        let plan = plan_up(&wanted(), &Observed::default(), false);
        assert_eq!(words(&plan), ["pull", "make-network", "make-volume", "make", "start"]);
        assert_eq!(
            words(&plan_up(&wanted(), &there(Some("me"), "running"), false)),
            ["keep"]
        );
        assert_eq!(
            words(&plan_up(&wanted(), &there(Some("me"), "exited"), false)),
            ["start"]
        );
    }

    #[test]
    fn another_configuration_or_image_is_another_container_with_the_same_volume() {
        let mut other = wanted();
        other.containers[0].memory_bytes_max += 1;
        let plan = plan_up(&other, &there(Some("me"), "running"), false);
        assert_eq!(words(&plan), ["replace"]);
        let mut upgraded = there(Some("me"), "running");
        upgraded.images.insert("nats:1".into(), "sha256:2".into());
        let plan = plan_up(&wanted(), &upgraded, false);
        assert!(
            matches!(&plan.steps[0], Step::Replace { why, .. } if why.contains("image")),
            "{plan:?}"
        );
        let image_gone = Observed {
            images: [].into(),
            ..there(Some("me"), "running")
        };
        assert_eq!(words(&plan_up(&wanted(), &image_gone, false)), ["pull", "keep"]);
    }

    #[test]
    fn what_an_interrupted_replacement_left_is_put_right_first() {
        let left = |owner: &str| FoundContainer {
            configuration: Some("of before".into()),
            ..there(Some(owner), "exited").containers["marketprism-nats"].clone()
        };
        let mut observed = there(Some("me"), "running");
        observed.beside.insert("marketprism-nats-before".into(), left("me"));
        assert_eq!(
            words(&plan_up(&wanted(), &observed, false)),
            ["remove", "keep"],
            "the new one works"
        );
        let ill = observed.containers.get_mut("marketprism-nats").expect("there");
        ill.health = Some("starting".into());
        assert_eq!(words(&plan_up(&wanted(), &observed, false)), ["put-back", "replace"]);
        observed.containers.clear();
        assert_eq!(words(&plan_up(&wanted(), &observed, false)), ["put-back", "replace"]);
        assert_eq!(
            words(&plan_down(&wanted(), &observed, false)),
            ["remove", "remove-network"]
        );
        let mut theirs = there(Some("another home"), "running");
        theirs.beside = observed.beside;
        let plan = plan_up(&wanted(), &theirs, false);
        assert_eq!(
            (plan.steps.len(), plan.foreign.len()),
            (0, 1),
            "never in a stranger's place"
        );
        let mut never = there(Some("me"), "running");
        never.beside.insert("marketprism-nats-next".into(), left("me"));
        assert_eq!(words(&plan_up(&wanted(), &never, false)), ["remove", "keep"]);
        never
            .beside
            .insert("marketprism-nats-next".into(), left("another home"));
        assert_eq!(words(&plan_up(&wanted(), &never, false)), ["keep"]);
    }

    #[test]
    fn a_strangers_container_or_volume_is_never_touched_unless_that_is_asked_for() {
        for owner in [None, Some("another home")] {
            let observed = there(owner, "running");
            let plan = plan_up(&wanted(), &observed, false);
            assert_eq!((plan.steps.len(), plan.foreign.len()), (0, 1), "{plan:?}");
            assert_eq!(words(&plan_up(&wanted(), &observed, true)), ["remove", "make", "start"]);
            let down = plan_down(&wanted(), &observed, true);
            assert_eq!(words(&down), ["remove-volume", "remove-network"]);
            assert_eq!(down.foreign[0].name, "marketprism-nats");
            assert_eq!(plan_stop(&wanted(), &observed), Plan::default());
        }
        let mut theirs = there(Some("me"), "exited");
        theirs
            .volumes
            .insert("marketprism-nats-data".into(), Owned { owner: None });
        theirs.network = Some(Owned { owner: None });
        let plan = plan_up(&wanted(), &theirs, false);
        assert_eq!((plan.steps.len(), plan.foreign[0].kind), (0, "volume"));
        assert_eq!(words(&plan_up(&wanted(), &theirs, true)), ["start"]);
        let mut named = wanted();
        named.containers[0].volume.as_mut().expect("one").is_named = true;
        assert_eq!(
            words(&plan_up(&named, &theirs, false)),
            ["replace"],
            "used, because that was said"
        );
        assert_eq!(words(&plan_down(&named, &theirs, true)), ["remove"], "and not removed");
        let down = plan_down(&wanted(), &theirs, true);
        assert_eq!(
            words(&down),
            ["remove"],
            "neither volume nor network of somebody else's"
        );
        assert_eq!(down.foreign.len(), 1);
    }

    #[test]
    fn going_down_keeps_data_unless_asked_and_goes_backwards() {
        let mut two = wanted();
        two.containers.push(Container {
            name: "second".into(),
            volume: None,
            ..container()
        });
        let mut observed = there(Some("me"), "running");
        let second = observed.containers["marketprism-nats"].clone();
        observed.containers.insert("second".into(), second);
        let plan = plan_down(&two, &observed, false);
        assert_eq!(words(&plan), ["remove", "remove", "remove-network"]);
        assert!(matches!(&plan.steps[0], Step::Remove { container, .. } if container == "second"));
        assert_eq!(words(&plan_down(&two, &observed, true)).len(), 4);
        assert_eq!(words(&plan_stop(&two, &observed)), ["stop", "stop"]);
    }
}
