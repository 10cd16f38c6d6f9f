//! What is there.

use std::collections::BTreeMap;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;

use crate::engine::Engine;
use crate::error::ContainerError;
use crate::replace::beside;
use crate::spec::{CONFIGURATION_LABEL, Infrastructure, Network, OWNER_LABEL};

/// Everything of what a home wants that is there already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Images that are here, by the names that are wanted; the id of each.
    pub images: BTreeMap<String, String>,
    /// The network, where it is a bridge and is there.
    pub network: Option<Owned>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Owned>,
    /// Containers by name.
    pub containers: BTreeMap<String, FoundContainer>,
    /// Containers that wait beside those, or were left there by who was interrupted, by the names that they have there.
    pub beside: BTreeMap<String, FoundContainer>,
}

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The home that its label names.
    pub owner: Option<String>,
}

/// A container as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundContainer {
    /// The engine's id of it.
    pub id: String,
    /// The home that its label names.
    pub owner: Option<String>,
    /// What it was made of, as its label says.
    pub configuration: Option<String>,
    /// The id of its image.
    pub image_id: String,
    /// The image's name at the time it was made.
    pub image: String,
    /// `created`, `running`, `restarting`, `paused`, `exited`, `dead`.
    pub state: String,
    /// `starting`, `healthy`, `unhealthy`; `None` without a check.
    pub health: Option<String>,
    /// What its last health check wrote.
    pub health_said: Option<String>,
    /// The process on this machine while it runs.
    pub pid: Option<u32>,
    /// How often the engine started it again.
    pub restarts: u64,
    /// When it started last (RFC 3339).
    pub started_at: Option<String>,
    /// How it ended, where it does not run.
    pub exit_code: Option<i64>,
}

impl FoundContainer {
    /// Returns whether its process runs.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

impl Engine {
    /// Looks at everything that a home wants. Changes nothing.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn observe(&self, wanted: &Infrastructure) -> Result<Observed, ContainerError> {
        let mut observed = Observed::default();
        if let Network::Bridge(name) = &wanted.network {
            let found = self
                .look("look at network", name, self.docker.inspect_network(name, None))
                .await?;
            observed.network = found.map(|network| Owned {
                owner: network.labels.and_then(|mut labels| labels.remove(OWNER_LABEL)),
            });
        }
        for container in &wanted.containers {
            let image = &container.image;
            let found = self
                .look("look at image", image, self.docker.inspect_image(image))
                .await?;
            if let Some(id) = found.and_then(|image| image.id) {
                observed.images.insert(image.clone(), id);
            }
            if let Some(volume) = &container.volume
                && let Some(found) = self.volume(&volume.name).await?
            {
                observed.volumes.insert(volume.name.clone(), found);
            }
            if let Some(found) = self.container(&container.name).await? {
                observed.containers.insert(container.name.clone(), found);
            }
            for name in beside(&container.name) {
                if let Some(found) = self.container(&name).await? {
                    observed.beside.insert(name, found);
                }
            }
        }
        Ok(observed)
    }

    /// Looks whose a volume is.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn volume(&self, name: &str) -> Result<Option<Owned>, ContainerError> {
        let asked = self.docker.inspect_volume(name);
        let found = self.look("look at volume", name, asked).await?;
        Ok(found.map(|mut found| Owned {
            owner: found.labels.remove(OWNER_LABEL),
        }))
    }

    /// Looks at one container.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn container(&self, name: &str) -> Result<Option<FoundContainer>, ContainerError> {
        let asked = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        Ok(self.look("look at container", name, asked).await?.map(found))
    }
}

fn found(seen: ContainerInspectResponse) -> FoundContainer {
    let config = seen.config.unwrap_or_default();
    let mut labels = config.labels.unwrap_or_default();
    let state = seen.state.unwrap_or_default();
    let health = state.health.unwrap_or_default();
    let said = health.log.and_then(|mut log| log.pop()).and_then(|last| last.output);
    let is_running = state.running == Some(true);
    FoundContainer {
        id: seen.id.unwrap_or_default(),
        owner: labels.remove(OWNER_LABEL),
        configuration: labels.remove(CONFIGURATION_LABEL),
        image_id: seen.image.unwrap_or_default(),
        image: config.image.unwrap_or_default(),
        state: state.status.map(|status| status.to_string()).unwrap_or_default(),
        health: health
            .status
            .map(|status| status.to_string())
            .filter(|text| !text.is_empty() && text != "none"),
        health_said: said.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        restarts: seen
            .restart_count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0),
        started_at: state.started_at,
        exit_code: state.exit_code.filter(|_| !is_running),
    }
}
