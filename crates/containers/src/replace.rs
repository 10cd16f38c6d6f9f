//! A new container in the place of another, which stays beside it until the new one is healthy, and is put back where that does not
//! happen. Both use the same volume, one after the other.
//!
//! Whoever is interrupted in the middle leaves containers under the names of [`beside`]; the next plan goes on from there.

use bollard::query_parameters::RemoveContainerOptionsBuilder;

use crate::engine::Engine;
use crate::error::ContainerError;
use crate::spec::{Container, Infrastructure};

/// The names under which a container waits beside `name`: the one of before, and the next one.
pub(crate) fn beside(name: &str) -> [String; 2] {
    [format!("{name}-before"), format!("{name}-next")]
}

impl Engine {
    /// Puts a new container in the place of one of ours.
    ///
    /// # Errors
    /// Where the new one cannot be made, and then nothing has stopped; or where it does not become healthy, and then the one of
    /// before is back under its name and not started yet: what both read may have to be put back first.
    pub(crate) async fn replace(&self, spec: &Container, wanted: &Infrastructure) -> Result<(), ContainerError> {
        let [before, next] = beside(&spec.name);
        // What an interrupted try left.
        self.discard(&next).await?;
        if let Err(error) = self.make(&next, spec, wanted).await {
            self.discard(&next).await?;
            return Err(error);
        }
        let Err(error) = self.take_place(spec, &before, &next, wanted).await else {
            return self.discard(&before).await;
        };
        let source = Box::new(error);
        let container = spec.name.clone();
        match self.put_back(&spec.name).await {
            Ok(()) => Err(ContainerError::NotReplaced { container, source }),
            Err(reason) => Err(ContainerError::NotPutBack {
                container,
                before,
                reason: reason.to_string(),
                source,
            }),
        }
    }

    async fn take_place(
        &self,
        spec: &Container,
        before: &str,
        next: &str,
        wanted: &Infrastructure,
    ) -> Result<(), ContainerError> {
        self.stop(&spec.name, spec.stop_within).await?;
        self.rename(&spec.name, before).await?;
        self.rename(next, &spec.name).await?;
        self.start(&spec.name).await?;
        self.await_healthy(&spec.name, wanted.healthy_within).await
    }

    /// Takes away what was to take a container's place, and gives the one of before its name again; it is not started. Where it still
    /// has its name nothing but the next one goes.
    pub(crate) async fn put_back(&self, name: &str) -> Result<(), ContainerError> {
        let [before, next] = beside(name);
        if self.container(&before).await?.is_some() {
            self.discard(name).await?;
            self.rename(&before, name).await?;
        }
        self.discard(&next).await
    }

    /// Removes a container that nobody needs; its volumes stay. One that is not there is no error.
    async fn discard(&self, name: &str) -> Result<(), ContainerError> {
        if self.container(name).await?.is_none() {
            return Ok(());
        }
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let asked = self.docker.remove_container(name, Some(options));
        self.change("remove container", name, asked).await
    }
}
