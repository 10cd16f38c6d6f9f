//! Everything that wears the label of a home, whichever home that is.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};

use crate::engine::Engine;
use crate::error::ContainerError;
use crate::spec::{HOME_LABEL, OWNER_LABEL};

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// Something that wears the label of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// What it is.
    pub kind: Kind,
    /// The engine's id of it; the name of a volume.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The home that its label names.
    pub owner: String,
    /// Where that home is, as another label says; what was made before there was that label has none.
    pub home: Option<PathBuf>,
    /// The process on the engine's machine, of a container that runs.
    pub pid: Option<u32>,
}

impl Engine {
    /// Returns everything that wears the label of a home: containers, then networks, then volumes, each by name.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn labelled(&self) -> Result<Vec<Labelled>, ContainerError> {
        let with_label = HashMap::from([("label", vec![OWNER_LABEL])]);
        let mut all = Vec::new();
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&with_label)
            .build();
        let asked = self.docker.list_containers(Some(options));
        for found in self.look("list", "containers", asked).await?.unwrap_or_default() {
            let name = found
                .names
                .and_then(|names| names.into_iter().next())
                .unwrap_or_default();
            let id = found.id.unwrap_or_default();
            let inspected = self.docker.inspect_container(&id, None::<InspectContainerOptions>);
            let seen = self.look("look at container", &name, inspected).await?;
            let pid = seen
                .and_then(|seen| seen.state?.pid)
                .and_then(|pid| u32::try_from(pid).ok());
            let name = name.trim_start_matches('/').to_owned();
            all.extend(labelled(
                Kind::Container,
                id,
                name,
                found.labels,
                pid.filter(|pid| *pid > 0),
            ));
        }
        let options = ListNetworksOptionsBuilder::default().filters(&with_label).build();
        let asked = self.docker.list_networks(Some(options));
        for found in self.look("list", "networks", asked).await?.unwrap_or_default() {
            let (id, name) = (found.id.unwrap_or_default(), found.name.unwrap_or_default());
            all.extend(labelled(Kind::Network, id, name, found.labels, None));
        }
        let options = ListVolumesOptionsBuilder::default().filters(&with_label).build();
        let asked = self.docker.list_volumes(Some(options));
        let volumes = self.look("list", "volumes", asked).await?;
        for found in volumes.and_then(|answer| answer.volumes).unwrap_or_default() {
            all.extend(labelled(
                Kind::Volume,
                found.name.clone(),
                found.name,
                Some(found.labels),
                None,
            ));
        }
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(told_by_others(all))
    }
}

fn labelled(
    kind: Kind,
    id: String,
    name: String,
    labels: Option<HashMap<String, String>>,
    pid: Option<u32>,
) -> Option<Labelled> {
    let mut labels = labels?;
    Some(Labelled {
        kind,
        id,
        name,
        owner: labels.remove(OWNER_LABEL)?,
        home: labels.remove(HOME_LABEL).map(PathBuf::from),
        pid,
    })
}

/// What does not say where its home is may be told by something else of the same home.
fn told_by_others(mut all: Vec<Labelled>) -> Vec<Labelled> {
    let homes = all
        .iter()
        .filter_map(|found| Some((found.owner.clone(), found.home.clone()?)));
    let homes: BTreeMap<String, PathBuf> = homes.collect();
    for found in &mut all {
        if found.home.is_none() {
            found.home = homes.get(&found.owner).cloned();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_told_by_whatever_of_it_says_where_it_is() {
        let found = |name: &str, owner: &str, home: Option<&str>| {
            let mut labels = HashMap::from([(OWNER_LABEL.to_owned(), owner.to_owned())]);
            labels.extend(home.map(|home| (HOME_LABEL.to_owned(), home.to_owned())));
            labelled(Kind::Volume, name.into(), name.into(), Some(labels), None).expect("labelled")
        };
        let all = vec![
            found("old", "a", None),
            found("new", "a", Some("/home/a")),
            found("alone", "b", None),
        ];
        let homes: Vec<Option<PathBuf>> = told_by_others(all).into_iter().map(|found| found.home).collect();
        assert_eq!(homes, [Some("/home/a".into()), Some("/home/a".into()), None]);
        assert_eq!(
            labelled(Kind::Volume, "x".into(), "x".into(), Some(HashMap::new()), None),
            None
        );
    }
}
