//! Ears on both ways of each subject.

use std::collections::BTreeSet;
use std::time::Duration;

use mprism_bus::{Bus, BusError, Following, Heard, Listening, MIRROR_PREFIX, stream_of};
use mprism_model::{ProducerId, Subject};
use mprism_runtime::clock;
use mprism_settings::Settings;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::window::Comparison;
use crate::commands::reach;
use crate::error::CliError;

/// How long the broker may take to answer.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// How long the first message of a subject may take.
const HEARD_WITHIN: Duration = Duration::from_secs(30);
/// Between looks for what came by one way only.
const GIVE_UP_EVERY: Duration = Duration::from_secs(1);
/// Messages that came and are not counted yet.
const WAITING_MAX: usize = 16_384;

/// By which way a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Jetstream,
    Core,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Jetstream => "JetStream",
            Self::Core => "core NATS",
        }
    }
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Came {
    /// Which of the subjects.
    pub(super) subject: usize,
    pub(super) way: Way,
    pub(super) identity: Option<ProducerId>,
    /// When the venue's frame left the socket; nothing where that is not known.
    pub(super) ts_recv_ns: Option<i64>,
    pub(super) at_ns: i64,
}

/// What listens.
pub(super) struct Ears {
    /// What is listened to, as it is told where nothing comes.
    names: Vec<(Way, String)>,
    came: mpsc::Receiver<Came>,
    tasks: JoinSet<BusError>,
    /// A connection for each way: a large message of one must not wait before the other's.
    _connections: [Bus; 2],
}

#[derive(Deserialize)]
struct Stamped {
    ts_recv_ns: Option<i64>,
}

impl Ears {
    /// Connects, and listens to every subject by both ways.
    pub(super) async fn open(settings: &Settings, subjects: &[Subject]) -> Result<Self, CliError> {
        let connections = [connect(settings).await?, connect(settings).await?];
        let (sender, came) = mpsc::channel(WAITING_MAX);
        let (mut names, mut tasks) = (Vec::new(), JoinSet::new());
        let failed = |e: BusError| CliError::failed("bench", e).context("cannot listen");
        for (index, subject) in subjects.iter().enumerate() {
            let name = subject.to_string();
            let copied = settings.collector.mirror.enabled && settings.collector.mirror.subjects.contains(&name);
            let core = match copied {
                true => format!("{MIRROR_PREFIX}{name}"),
                false => name.clone(),
            };
            let stream = stream_of(subject.data_type.as_str());
            let mut following = Following::new(&connections[0], stream, &name).await.map_err(failed)?;
            let mut listening = Listening::new(&connections[1], &core).await.map_err(failed)?;
            names.extend([(Way::Jetstream, name), (Way::Core, core)]);
            let to = sender.clone();
            tasks.spawn(async move {
                loop {
                    match following.next().await {
                        Ok(heard) if send(&to, index, Way::Jetstream, &heard).await => {}
                        Ok(_) => return BusError::Closed,
                        Err(error) => return error,
                    }
                }
            });
            let to = sender.clone();
            tasks.spawn(async move {
                loop {
                    match listening.next().await {
                        Ok(heard) if send(&to, index, Way::Core, &heard).await => {}
                        Ok(_) => return BusError::Closed,
                        Err(error) => return error,
                    }
                }
            });
        }
        Ok(Self {
            names,
            came,
            tasks,
            _connections: connections,
        })
    }

    /// Waits until something came by every way.
    pub(super) async fn until_all_hear(&mut self) -> Result<(), CliError> {
        let deadline = tokio::time::Instant::now() + HEARD_WITHIN;
        let mut heard = BTreeSet::new();
        while heard.len() < self.names.len() {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => return Err(deaf(ended)),
                Some(came) = self.came.recv() => {
                    // Both ways of a subject stand one behind the other.
                    heard.insert(came.subject * 2 + usize::from(came.way == Way::Core));
                }
                () = tokio::time::sleep_until(deadline) => {
                    let silent = self.names.iter().enumerate().filter(|(index, _)| !heard.contains(index));
                    let silent: Vec<String> = silent.map(|(_, (way, name))| format!("{name} by {}", way.name())).collect();
                    let text = format!("nothing came within {HEARD_WITHIN:?}: {}", silent.join(", "));
                    return Err(CliError::failed("silent", anyhow::Error::msg(text))
                        .hint("what flows: `mprism health`")
                        .hint("the collector copies to core NATS what it was started with: `mprism restart collector`"));
                }
            };
        }
        Ok(())
    }

    /// Takes what comes until then.
    pub(super) async fn hear(
        &mut self,
        until: tokio::time::Instant,
        comparison: &mut Comparison,
    ) -> Result<(), CliError> {
        let mut looks = tokio::time::interval(GIVE_UP_EVERY);
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return Ok(()),
                _ = looks.tick() => comparison.give_up(clock::now_ns()),
                Some(ended) = self.tasks.join_next() => return Err(deaf(ended)),
                Some(came) = self.came.recv() => comparison.note(&came),
            }
        }
    }
}

/// Says why one of them hears nothing any more: none ends by itself.
fn deaf(ended: Result<BusError, tokio::task::JoinError>) -> CliError {
    let why = ended.map_or_else(anyhow::Error::new, anyhow::Error::new);
    CliError::failed("bench", why).context("nothing can be heard any more")
}

async fn connect(settings: &Settings) -> Result<Bus, CliError> {
    let failed = |e: BusError| CliError::failed("bench", e).context("the broker cannot be listened to");
    let bus = Bus::connect(reach::operator_bus(settings)?).await.map_err(failed)?;
    bus.ready(CONNECTED_WITHIN).await.map_err(failed)?;
    Ok(bus)
}

/// Notes when it came, before anything else is done with it; returns whether anybody still counts.
async fn send(to: &mpsc::Sender<Came>, subject: usize, way: Way, heard: &Heard) -> bool {
    let at_ns = clock::now_ns();
    // What says no time is counted by its identity alone.
    let stamped = serde_json::from_slice::<Stamped>(&heard.payload).ok();
    let came = Came {
        subject,
        way,
        identity: heard.identity,
        ts_recv_ns: stamped.and_then(|stamped| stamped.ts_recv_ns),
        at_ns,
    };
    to.send(came).await.is_ok()
}
