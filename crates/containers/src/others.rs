//! Containers that somebody else made, as they are: nothing of them is changed but whether they run, whether they come back, and what
//! they are called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerInspectResponse, ContainerUpdateBody, MountPoint, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{InspectContainerOptions, RenameContainerOptionsBuilder, StopContainerOptions};

use crate::engine::Engine;
use crate::error::ContainerError;
use crate::spec::OWNER_LABEL;

/// A container that somebody made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// The engine's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The home that its label names, if it has one.
    pub owner: Option<String>,
    /// Its image, by the name that whoever made it used.
    pub image: String,
    /// The words of its process, the program first.
    pub command: Vec<String>,
    /// Its user as it was made; empty is the image's, which is root where the image says nothing.
    pub user: String,
    /// Whether a process of it runs, or the engine is about to start one.
    pub is_up: bool,
    /// Whether the engine starts it by itself.
    pub comes_back: bool,
    /// Addresses of the machine that the engine publishes for it.
    pub published: Vec<SocketAddr>,
    /// The process on the engine's machine while it runs.
    pub pid: Option<u32>,
    /// Where what it writes outlives it.
    pub mounts: Vec<Mounted>,
}

/// A volume, or a folder of the engine's machine, as a container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// The volume's name; a folder has none.
    pub volume: Option<String>,
    /// Where it is on the engine's machine.
    pub source: PathBuf,
    /// Where the container sees it.
    pub target: PathBuf,
}

impl Other {
    /// Returns what keeps a path of the container, and the path within that; `None` for what ends with the container.
    pub fn kept<'a>(&'a self, path: &'a Path) -> Option<(&'a Mounted, &'a Path)> {
        let mounts = self.mounts.iter();
        let around = mounts.filter_map(|mount| Some((mount, path.strip_prefix(&mount.target).ok()?)));
        around.max_by_key(|(mount, _)| mount.target.components().count())
    }
}

impl Engine {
    /// Looks at the containers of these names, whoever made them. What is not there is left out.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn others(&self, names: &[&str]) -> Result<Vec<Other>, ContainerError> {
        let mut found = Vec::new();
        for name in names {
            let asked = self.docker.inspect_container(name, None::<InspectContainerOptions>);
            let seen = self.look("look at container", name, asked).await?;
            // The engine takes the beginning of an id for a name, too.
            found.extend(seen.map(other).filter(|other| other.name == *name));
        }
        Ok(found)
    }

    /// Keeps the engine from starting a container by itself, now and when the engine starts anew.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn never_restart(&self, container: &str) -> Result<(), ContainerError> {
        let never = ContainerUpdateBody {
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..ContainerUpdateBody::default()
        };
        let asked = self.docker.update_container(container, never);
        self.change("change the restart policy of container", container, asked)
            .await
    }

    /// Stops a container in the time that it was given when it was made. One that does not run is no error.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn stop_in_its_time(&self, container: &str) -> Result<(), ContainerError> {
        let asked = self.docker.stop_container(container, None::<StopContainerOptions>);
        self.change("stop container", container, asked).await
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// Where the engine refuses: another container has it.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), ContainerError> {
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        let asked = self.docker.rename_container(from, options);
        self.change("rename container", from, asked).await
    }
}

fn other(seen: ContainerInspectResponse) -> Other {
    let config = seen.config.unwrap_or_default();
    let state = seen.state.unwrap_or_default();
    let host = seen.host_config.unwrap_or_default();
    let policy = host.restart_policy.and_then(|policy| policy.name);
    let bindings = host.port_bindings.unwrap_or_default().into_values().flatten().flatten();
    let published = bindings.filter_map(|binding| {
        // None named is all of them.
        let address = binding.host_ip.filter(|address| !address.is_empty());
        let address = address.map_or(Ok(IpAddr::from(Ipv4Addr::UNSPECIFIED)), |address| address.parse());
        Some(SocketAddr::new(address.ok()?, binding.host_port?.parse().ok()?))
    });
    let mut labels = config.labels.unwrap_or_default();
    Other {
        id: seen.id.unwrap_or_default(),
        name: seen.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        owner: labels.remove(OWNER_LABEL),
        image: config.image.unwrap_or_default(),
        command: seen.path.into_iter().chain(seen.args.unwrap_or_default()).collect(),
        user: config.user.unwrap_or_default(),
        is_up: state.running == Some(true) || state.restarting == Some(true),
        comes_back: policy
            .is_some_and(|policy| !matches!(policy, RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY)),
        published: published.collect(),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        mounts: seen.mounts.into_iter().flatten().filter_map(mounted).collect(),
    }
}

fn mounted(mount: MountPoint) -> Option<Mounted> {
    Some(Mounted {
        volume: mount.name.filter(|name| !name.is_empty()),
        source: mount.source?.into(),
        target: mount.destination?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_by_the_mount_that_is_nearest() {
        let mounted = |volume: &str, target: &str| Mounted {
            volume: Some(volume.to_owned()),
            source: format!("/volumes/{volume}").into(),
            target: target.into(),
        };
        let other = Other {
            mounts: vec![mounted("outer", "/data"), mounted("inner", "/data/jetstream")],
            ..Other::default()
        };
        let kept = |path: &str| {
            let (mount, within) = other.kept(Path::new(path))?;
            Some((mount.volume.clone()?, within.to_path_buf()))
        };
        assert_eq!(kept("/data/jetstream"), Some(("inner".into(), PathBuf::new())));
        assert_eq!(kept("/data/other/place"), Some(("outer".into(), "other/place".into())));
        assert_eq!(kept("/database"), None, "a name is no folder");
    }
}
