//! Doing what a plan says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt;

use crate::engine::Engine;
use crate::error::ContainerError;
use crate::plan::Step;
use crate::spec::{Container, Infrastructure};

/// A pull that says nothing for so long is given up.
const PULL_STALLS_AFTER: Duration = Duration::from_secs(60);
/// Between looks at a container that has to become healthy.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Lines that are told of a container that does not.
const LOG_LINES: usize = 5;
/// How long a container may take to stop of which nothing is known.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// A container that ended so often while it was waited for does not come up.
const RESTARTS_MAX: u64 = 3;

/// How far a pull has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulling {
    /// The image.
    pub image: String,
    /// Bytes that are here, of the layers that are known so far.
    pub done: u64,
    /// Bytes of these layers.
    pub total: u64,
}

impl Engine {
    /// Does one step; `progress` hears of a pull.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn execute(
        &self,
        wanted: &Infrastructure,
        step: &Step,
        progress: &dyn Fn(Pulling),
    ) -> Result<(), ContainerError> {
        match step {
            Step::Keep { .. } => Ok(()),
            Step::Pull { image } => self.pull(image, progress).await,
            Step::MakeNetwork { network } => {
                let request = NetworkCreateRequest {
                    name: network.clone(),
                    driver: Some("bridge".to_owned()),
                    labels: Some(wanted.labels().into_iter().collect()),
                    ..NetworkCreateRequest::default()
                };
                self.change("make network", network, self.docker.create_network(request))
                    .await?;
                Ok(())
            }
            Step::MakeVolume { volume } => {
                let request = VolumeCreateRequest {
                    name: Some(volume.clone()),
                    labels: Some(wanted.labels().into_iter().collect()),
                    ..VolumeCreateRequest::default()
                };
                self.change("make volume", volume, self.docker.create_volume(request))
                    .await?;
                Ok(())
            }
            Step::Stop { container } => {
                let within = wanted.container(container).map(|container| container.stop_within);
                self.stop(container, within.unwrap_or(STOP_WITHIN)).await
            }
            Step::Remove { container, .. } => self.remove(wanted, container).await,
            Step::Make { container } => match wanted.container(container) {
                Some(spec) => self.make(&spec.name, spec, wanted).await,
                None => Ok(()),
            },
            Step::Replace { container, .. } => match wanted.container(container) {
                Some(spec) => self.replace(spec, wanted).await,
                None => Ok(()),
            },
            Step::PutBack { container } => self.put_back(container).await,
            Step::Start { container } => self.start(container).await,
            Step::RemoveVolume { volume } => self.remove_volume(volume).await,
            Step::RemoveNetwork { network } => self.remove_network(network).await,
        }
    }

    /// Removes a volume with its data.
    ///
    /// # Errors
    /// Where a container uses it, or the engine does not answer in time.
    pub async fn remove_volume(&self, volume: &str) -> Result<(), ContainerError> {
        let asked = self.docker.remove_volume(volume, None::<RemoveVolumeOptions>);
        self.change("remove volume", volume, asked).await
    }

    /// Removes a network, unless somebody else's container is on it.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn remove_network(&self, network: &str) -> Result<(), ContainerError> {
        match self
            .change("remove network", network, self.docker.remove_network(network))
            .await
        {
            Err(ContainerError::Refused { reason, .. }) if reason.contains("active endpoints") => Ok(()),
            done => done,
        }
    }

    /// Starts a container; one that runs is no error.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn start(&self, container: &str) -> Result<(), ContainerError> {
        let asked = self.docker.start_container(container, None::<StartContainerOptions>);
        self.change("start container", container, asked).await
    }

    /// Stops a container: its own signal, `within`, then the kernel's. One that does not run is no error.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn stop(&self, container: &str, within: Duration) -> Result<(), ContainerError> {
        let seconds = i32::try_from(within.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        self.change(
            "stop container",
            container,
            self.docker.stop_container(container, Some(options)),
        )
        .await
    }

    async fn remove(&self, wanted: &Infrastructure, container: &str) -> Result<(), ContainerError> {
        let within = wanted.container(container).map(|spec| spec.stop_within);
        self.stop_and_remove(container, within.unwrap_or(STOP_WITHIN)).await
    }

    /// Stops a container in its own time and removes it. Its volumes stay.
    ///
    /// # Errors
    /// Where the engine refuses, or does not answer in time.
    pub async fn stop_and_remove(&self, container: &str, within: Duration) -> Result<(), ContainerError> {
        self.stop(container, within).await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let asked = self.docker.remove_container(container, Some(options));
        self.change("remove container", container, asked).await
    }

    /// Makes a container under a name, which is another than its own until it has taken a place.
    pub(crate) async fn make(
        &self,
        name: &str,
        spec: &Container,
        wanted: &Infrastructure,
    ) -> Result<(), ContainerError> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let asked = self.docker.create_container(Some(options), spec.body(wanted));
        self.change("make container", name, asked).await?;
        self.hand_over(name, spec).await
    }

    /// Gives the volume's folder to the container's user.
    async fn hand_over(&self, name: &str, spec: &Container) -> Result<(), ContainerError> {
        let (Some(volume), Some((user, group))) = (&spec.volume, spec.ids()) else {
            return Ok(());
        };
        let Some(folder) = &volume.folder else { return Ok(()) };
        let options = UploadToContainerOptionsBuilder::default().path(&volume.target).build();
        let archive = bollard::body_full(owned_folder(folder, user, group).into());
        let asked = self.docker.upload_to_container(name, Some(options), archive);
        self.change("give its user the volume of container", name, asked).await
    }

    async fn pull(&self, image: &str, progress: &dyn Fn(Pulling)) -> Result<(), ContainerError> {
        let failed = |reason: String| ContainerError::Pull {
            image: image.to_owned(),
            reason,
        };
        // Without a tag the engine would pull all of them.
        let has_tag = image.contains('@') || image.rsplit('/').next().is_some_and(|name| name.contains(':'));
        let options = CreateImageOptionsBuilder::default().from_image(image);
        let options = if has_tag { options } else { options.tag("latest") };
        let mut stream = Box::pin(self.docker.create_image(Some(options.build()), None, None));
        let mut layers: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        loop {
            let next = tokio::time::timeout(PULL_STALLS_AFTER, stream.next()).await;
            let Some(said) = next.map_err(|_| failed(format!("no progress for {PULL_STALLS_AFTER:?}")))? else {
                return Ok(());
            };
            let said = said.map_err(|error| failed(reason(error)))?;
            let known = said
                .progress_detail
                .and_then(|detail| Some((detail.current?, detail.total?)));
            if let (Some(layer), Some((done, total))) = (said.id, known) {
                let positive = |number: i64| u64::try_from(number).unwrap_or(0);
                layers.insert(layer, (positive(done), positive(total)));
                progress(Pulling {
                    image: image.to_owned(),
                    done: layers.values().map(|(done, _)| done).sum(),
                    total: layers.values().map(|(_, total)| total).sum(),
                });
            }
        }
    }

    /// Waits until a container's own health check is content.
    ///
    /// # Errors
    /// Where it does not within the time, or ends; with what it wrote last.
    pub async fn await_healthy(&self, container: &str, within: Duration) -> Result<(), ContainerError> {
        let deadline = Instant::now() + within;
        let mut restarts_before = None;
        loop {
            let found = self.container(container).await?;
            let is_healthy = |health: &Option<String>| health.as_deref().is_none_or(|health| health == "healthy");
            let how = match &found {
                None => "it is not there".to_owned(),
                Some(found) if found.is_running() && is_healthy(&found.health) => return Ok(()),
                Some(found) => {
                    let health = found.health.as_deref().filter(|_| found.is_running());
                    let said = found
                        .health_said
                        .as_deref()
                        .map(|said| format!(": {said}"))
                        .unwrap_or_default();
                    let code = found
                        .exit_code
                        .map(|code| format!(", exit code {code}"))
                        .unwrap_or_default();
                    format!("it is {}{code}{said}", health.unwrap_or(&found.state))
                }
            };
            let is_over = found.is_none_or(|found| {
                let before = *restarts_before.get_or_insert(found.restarts);
                matches!(found.state.as_str(), "exited" | "dead") || found.restarts >= before + RESTARTS_MAX
            });
            if is_over || Instant::now() >= deadline {
                return Err(ContainerError::Unhealthy {
                    container: container.to_owned(),
                    reason: how,
                    log: self.last_lines(container, LOG_LINES).await,
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn reason(error: bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message,
        bollard::errors::Error::DockerStreamError { error } => error,
        other => other.to_string(),
    }
}

/// Returns an archive of nothing but a folder with an owner: unpacked over one of that name it changes whose that is.
fn owned_folder(name: &str, user: u64, group: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o750);
    header.set_uid(user);
    header.set_gid(group);
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    let written = archive
        .append_data(&mut header, format!("{name}/"), std::io::empty())
        .and_then(|()| archive.into_inner());
    written.unwrap_or_else(|e| unreachable!("memory takes everything: {e}"))
}
