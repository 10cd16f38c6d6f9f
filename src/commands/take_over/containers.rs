//! A MarketPrism in containers: which are its own, and which of our ports they hold.
//!
//! A container is its own by name and image together, as its compose files make them, and wears no label of a home. A name alone
//! proves nothing.

use std::net::SocketAddr;
use std::time::Duration;

use mprism_containers::{ContainerError, Engine, Other};
use serde::Serialize;

use crate::commands::{Context, infra};
use crate::control::{ControlError, ControlGroup, MarketPrism, Part, PortHolder, TakenPort};
use crate::error::CliError;

/// How long whoever is refused waits to hear by whom.
const EXPLAIN_WITHIN: Duration = Duration::from_secs(5);
/// How long an engine may take of which something is told only by the way.
const TELL_WITHIN: Duration = Duration::from_millis(250);
/// ClickHouse's own server.
const CLICKHOUSE: &[&str] = &["clickhouse/clickhouse-server"];
/// Its storage services; later revisions have one image for both.
const STORAGE: &[&str] = &[
    "marketprism/hot-storage-service",
    "marketprism/hot-storage",
    "marketprism/cold-storage-service",
    "marketprism/cold-storage",
];
/// What its compose files make: the name, the images of which it may be one, and what runs in it.
const MADE: [(&str, &[&str], Part); 8] = [
    (
        "marketprism-data-collector",
        &["marketprism/data-collector"],
        Part::Collector,
    ),
    ("marketprism-cold-storage-service", STORAGE, Part::Cold),
    ("mp-cold-storage", STORAGE, Part::Cold),
    ("marketprism-hot-storage-service", STORAGE, Part::Hot),
    ("marketprism-clickhouse-hot", CLICKHOUSE, Part::Store),
    ("mp-clickhouse-cold", CLICKHOUSE, Part::Store),
    ("marketprism-nats", &["nats"], Part::Broker),
    ("marketprism-nats-tiered", &["nats"], Part::Broker),
];

/// A container of a MarketPrism.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ItsContainer {
    /// What runs in it.
    pub(crate) part: Part,
    /// Its name.
    pub(crate) container: String,
    /// Its image.
    pub(crate) image: String,
    /// What it is called from then on, where this home needs its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) renamed: Option<String>,
    /// Everything that is known of it.
    #[serde(skip)]
    pub(super) other: Other,
}

impl ItsContainer {
    fn of(other: Other) -> Option<Self> {
        let (_, images, part) = MADE.iter().find(|(name, ..)| *name == other.name)?;
        let is_its = other.owner.is_none() && images.contains(&repository(&other.image));
        is_its.then(|| Self {
            part: *part,
            container: other.name.clone(),
            image: other.image.clone(),
            renamed: None,
            other,
        })
    }

    /// Returns whether it runs, or would again.
    pub(crate) fn is_up(&self) -> bool {
        self.other.is_up
    }

    /// Returns whether a process is one of its own.
    pub(crate) fn has(&self, pid: u32) -> bool {
        ControlGroup::of(&self.other.id, pid).is_some()
    }

    /// Returns whether it is what holds a port: the engine publishes it for it, or a process of it listens there itself.
    pub(super) fn holds(&self, taken: &TakenPort) -> bool {
        let holder = taken.holder.as_ref();
        let process = holder.and_then(|holder| holder.process.as_ref());
        let wanted = taken.address;
        let covers = |there: &SocketAddr| {
            there.port() == wanted.port() && (there.ip().is_unspecified() || there.ip() == wanted.ip())
        };
        self.is_up() && (self.other.published.iter().any(covers) || process.is_some_and(|holder| self.has(holder.pid)))
    }
}

/// Returns an image's name without the registry of all, tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let end = name.rfind('/').map_or(0, |slash| slash + 1);
    let name = name[end..].find(':').map_or(name, |tag| &name[..end + tag]);
    let name = name.strip_prefix("index.").unwrap_or(name);
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// Returns a MarketPrism's containers, running or not, in the order in which they end. An engine that is absent has none.
///
/// # Errors
/// Where the engine is there and does not answer, or not to us.
pub(crate) async fn in_containers(context: &Context) -> Result<Vec<ItsContainer>, ContainerError> {
    match infra::try_connect(context).await {
        Err(ContainerError::Absent { .. }) => Ok(Vec::new()),
        connected => its(&connected?).await,
    }
}

/// Returns a MarketPrism's containers of an engine, as [`in_containers`].
///
/// # Errors
/// Where the engine does not answer.
pub(crate) async fn its(engine: &Engine) -> Result<Vec<ItsContainer>, ContainerError> {
    let found = engine.others(&MADE.map(|(name, ..)| name)).await?;
    let mut found: Vec<ItsContainer> = found.into_iter().filter_map(ItsContainer::of).collect();
    found.sort_by(|a, b| (a.part, &a.container).cmp(&(b.part, &b.container)));
    Ok(found)
}

/// As [`in_containers`], for who only tells of those that run: an engine that does not answer `within` tells nothing.
async fn running(context: &Context, within: Duration) -> Vec<ItsContainer> {
    let mut found = match tokio::time::timeout(within, in_containers(context)).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    found.retain(ItsContainer::is_up);
    found
}

/// Says of who holds ports which of MarketPrism's containers it is: the engine's own process, which publishes them, says nothing.
pub(crate) fn mark<'a>(taken: impl Iterator<Item = &'a mut TakenPort>, found: &[ItsContainer]) {
    for taken in taken {
        if let Some(its) = found.iter().find(|its| its.holds(taken)) {
            let holder = taken.holder.get_or_insert_with(|| PortHolder {
                user: "root".to_owned(),
                ..PortHolder::default()
            });
            holder.marketprism = Some(its.part);
            holder.container = Some(its.container.clone());
            // The engine starts what it publishes for again: that is not to be ended.
            holder.unit = None;
        }
    }
}

/// Tells an error of the control plane; ports that a MarketPrism's containers hold are told as such, with what takes it over.
pub(crate) async fn explain(mut error: ControlError, context: &Context) -> CliError {
    if let ControlError::Ports { ports } = &mut error {
        mark(
            ports.iter_mut().map(|(_, taken)| taken),
            &running(context, EXPLAIN_WITHIN).await,
        );
    }
    error.into()
}

/// A MarketPrism that runs, as far as it is told beside something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// What it does, and where: `pid` or `container`.
    parts: Vec<ToldPart>,
    /// What to type about it.
    fix: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ToldPart {
    part: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
}

impl Told {
    /// Tells of processes and of what an engine runs; `None` where nothing of it runs.
    pub(crate) async fn of(processes: &[MarketPrism], context: &Context) -> Option<Self> {
        let containers = running(context, TELL_WITHIN).await;
        let processes = processes.iter();
        let processes = processes.filter(|found| !containers.iter().any(|its| its.has(found.process.pid)));
        let processes = processes.map(|found| ToldPart {
            part: found.part,
            pid: Some(found.process.pid),
            container: None,
        });
        let mut parts: Vec<ToldPart> = processes.collect();
        parts.extend(containers.iter().map(|its| ToldPart {
            part: its.part,
            pid: None,
            container: Some(its.container.clone()),
        }));
        parts.sort_by_key(|told| told.part);
        (!parts.is_empty()).then_some(Self {
            parts,
            fix: crate::control::TAKE_OVER,
        })
    }

    pub(crate) fn line(&self) -> String {
        let words = self.parts.iter().map(|told| match (&told.container, told.pid) {
            (Some(name), _) => format!("{} (container {name})", told.part.text()),
            (None, Some(pid)) => format!("{} (pid {pid})", told.part.text()),
            (None, None) => told.part.text().to_owned(),
        });
        let words: Vec<String> = words.collect();
        format!(
            "a MarketPrism runs: its {}; take it over: `{}`",
            words.join(", "),
            self.fix
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, image: &str, owner: Option<&str>) -> Option<Part> {
        let other = Other {
            name: name.to_owned(),
            image: image.to_owned(),
            owner: owner.map(str::to_owned),
            ..Other::default()
        };
        ItsContainer::of(other).map(|its| its.part)
    }

    #[test]
    fn name_and_image_together_make_it_a_container_of_its() {
        for (name, image, part) in [
            ("marketprism-nats", "nats:2.10-alpine", Part::Broker),
            ("marketprism-nats", "docker.io/library/nats@sha256:0123", Part::Broker),
            (
                "marketprism-clickhouse-hot",
                "clickhouse/clickhouse-server:23.8-alpine",
                Part::Store,
            ),
            (
                "marketprism-hot-storage-service",
                "marketprism/hot-storage-service:latest",
                Part::Hot,
            ),
            ("mp-cold-storage", "marketprism/hot-storage:v1.1.0", Part::Cold),
            (
                "marketprism-data-collector",
                "marketprism/data-collector:simplified",
                Part::Collector,
            ),
        ] {
            assert_eq!(found(name, image, None), Some(part), "{name} {image}");
            assert_eq!(found(name, image, Some("a home")), None, "a home's {name}");
            assert_eq!(found(&format!("{name}-100"), image, None), None, "another name");
        }
        for image in [
            "redis:7",
            "nats-streaming:0.25",
            "registry.local:5000/nats:2",
            "somebody/nats:2.10-alpine",
            "",
        ] {
            assert_eq!(found("marketprism-nats", image, None), None, "a name alone: {image}");
        }
    }
}
