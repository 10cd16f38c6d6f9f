//! Streams whose settings the server lets nobody edit: all their messages move into a right one of the same name.
//!
//! 1. The stream takes nothing more: its subjects are parked. Publishers meet no stream, and wait.
//! 2. A mirror beside it takes every message, under the same sequences.
//! 3. What both have is compared. The mirror becomes a stream, and how far each durable is, is written down with it.
//! 4. The stream is deleted, and made again as it should be, as a mirror of the one beside.
//! 5. What both have is compared; then the mirror becomes the stream, with its subjects.
//! 6. Durables go on where they were, and the one beside is deleted.
//!
//! Killed at any point it goes on: where it was is read from which of the two exist, and how. No message is ever in one place
//! only before it is proven to be in the next. Servers before 2.12 refuse to make a stream of a mirror: there, and where a server
//! is somebody else's, what differs is only told.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, Info, RetentionPolicy, Source, StorageType, Stream};
use tokio::time::Instant;

use crate::reconcile::{consumer_config, find_stream, fixed, stream_config};
use crate::{Bus, BusError, BusLayout, DurableSpec, StreamSpec};

/// The mirror may stand still for so long.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);
/// Between looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const FLOOR_KEY: &str = "mprism-floor-";

/// A stream that was moved.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// The stream.
    pub stream: String,
    /// What could not be edited.
    pub differed: Vec<&'static str>,
    /// Its messages, all of which were moved.
    pub messages: u64,
}

/// Returns the name of the stream beside one that is moving.
fn beside(name: &str) -> String {
    format!("{name}_MOVING")
}

/// Moves every stream of the layout that has to be, and finishes what an earlier life began. For servers of our own only.
///
/// # Errors
/// Where the server refuses or does not answer, or both places do not have the same in the end: nothing is deleted then.
pub async fn move_streams(bus: &Bus, layout: &BusLayout) -> Result<Vec<Moved>, BusError> {
    let mut all = Vec::new();
    for spec in &layout.streams {
        let durables: Vec<&DurableSpec> = layout.durables.iter().filter(|d| d.stream == spec.name).collect();
        all.extend(move_stream(bus, spec, &durables).await?);
    }
    Ok(all)
}

async fn move_stream(bus: &Bus, spec: &StreamSpec, durables: &[&DurableSpec]) -> Result<Option<Moved>, BusError> {
    let name = &spec.name;
    let found = find_stream(bus, name).await?;
    let left = find_stream(bus, &beside(name)).await?;
    let config = found.as_ref().map(|stream| stream.cached_info().config.clone());
    let differed = config.as_ref().map_or_else(Vec::new, |config| fixed(spec, config));
    if left.is_none() && differed.is_empty() {
        return Ok(None);
    }
    let wanted = stream_config(spec);
    if let (Some(stream), false) = (&found, differed.is_empty()) {
        tracing::warn!(
            stream = name,
            ?differed,
            "the stream cannot be edited; its messages move into a right one"
        );
        park(bus, stream).await?;
        let mirror = match left {
            Some(mirror) => mirror,
            None => create(bus, mirror_of(name, &beside(name))).await?,
        };
        same(stream, &mirror).await?;
        let floors = floors(stream, durables).await?;
        // A stream of its own, before the other is its mirror: two that mirror each other are refused.
        let config = Config {
            metadata: floors,
            mirror: None,
            subjects: vec![format!("mprism.parked.{}", beside(name))],
            ..mirror.cached_info().config.clone()
        };
        update(bus, &config).await?;
        let deleted = bus.context().delete_stream(name).await;
        deleted.map_err(|e| BusError::api("delete stream", name, e))?;
    }
    let mirror = find_stream(bus, &beside(name)).await?;
    let Some(mirror) = mirror else { return Ok(None) };
    let stream = match find_stream(bus, name).await? {
        Some(stream) => stream,
        None => {
            // A mirror has no subjects, and knows no message ids.
            let config = Config {
                subjects: Vec::new(),
                duplicate_window: Duration::ZERO,
                mirror: Some(source(&beside(name))),
                ..wanted.clone()
            };
            create(bus, config).await?
        }
    };
    same(&mirror, &stream).await?;
    let messages = mirror.cached_info().state.messages;
    if stream.cached_info().config.mirror.is_some() {
        update(bus, &wanted).await?;
    }
    let stream = find_stream(bus, name).await?;
    let stream = stream.ok_or_else(|| BusError::api("find stream", name, "it is gone"))?;
    go_on(&stream, &mirror, durables).await?;
    let deleted = bus.context().delete_stream(beside(name)).await;
    deleted.map_err(|e| BusError::api("delete stream", &beside(name), e))?;
    tracing::info!(stream = name, messages, "all messages of the stream were moved");
    Ok(Some(Moved {
        stream: name.clone(),
        differed,
        messages,
    }))
}

fn source(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        ..Source::default()
    }
}

fn mirror_of(name: &str, beside: &str) -> Config {
    Config {
        name: beside.to_owned(),
        mirror: Some(source(name)),
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: -1,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: 1,
        allow_direct: true,
        ..Config::default()
    }
}

/// Lets a stream take nothing more, and give nothing up by itself.
async fn park(bus: &Bus, stream: &Stream) -> Result<(), BusError> {
    let found = &stream.cached_info().config;
    let config = Config {
        subjects: vec![format!("mprism.parked.{}", found.name)],
        max_age: Duration::ZERO,
        max_messages: -1,
        max_messages_per_subject: -1,
        // What the server may edit it edits: only a queue of work stays one.
        retention: match found.retention {
            RetentionPolicy::WorkQueue => RetentionPolicy::WorkQueue,
            RetentionPolicy::Interest | RetentionPolicy::Limits => RetentionPolicy::Limits,
        },
        ..found.clone()
    };
    update(bus, &config).await
}

async fn create(bus: &Bus, config: Config) -> Result<Stream, BusError> {
    let name = config.name.clone();
    let created = bus.context().create_stream(config).await;
    created.map_err(|e| BusError::api("create stream", &name, e))
}

async fn update(bus: &Bus, config: &Config) -> Result<(), BusError> {
    let updated = bus.context().update_stream(config).await;
    updated
        .map(|_| ())
        .map_err(|e| BusError::api("update stream", &config.name, e))
}

async fn info(stream: &Stream) -> Result<Info, BusError> {
    let name = &stream.cached_info().config.name;
    stream
        .get_info()
        .await
        .map_err(|e| BusError::api("ask for stream", name, e))
}

/// Waits until a mirror has everything that its origin has.
async fn same(origin: &Stream, mirror: &Stream) -> Result<(), BusError> {
    let mut moved = (Instant::now(), 0);
    loop {
        let (from, to) = (info(origin).await?, info(mirror).await?);
        let has_all = to.state.messages >= from.state.messages
            && (from.state.messages == 0 || to.state.last_sequence >= from.state.last_sequence);
        // What has become a stream already takes new messages, too.
        let is_alike = match (&to.config.mirror, from.config.retention) {
            (Some(_), RetentionPolicy::Limits) => {
                let of = |info: &Info| (info.state.messages, info.state.first_sequence);
                of(&to) == of(&from)
            }
            _ => true,
        };
        if has_all && is_alike {
            return Ok(());
        }
        if to.state.messages != moved.1 {
            moved = (Instant::now(), to.state.messages);
        }
        if moved.0.elapsed() > STANDSTILL_MAX {
            return Err(BusError::Moving {
                stream: from.config.name,
                messages: from.state.messages,
                moved: to.state.messages,
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns how far each durable is.
async fn floors(stream: &Stream, durables: &[&DurableSpec]) -> Result<HashMap<String, String>, BusError> {
    let mut floors = HashMap::new();
    for durable in durables {
        // A durable that is not there begins at the first message.
        if let Ok(info) = stream.consumer_info(&durable.name).await {
            let floor = info.ack_floor.stream_sequence;
            floors.insert(format!("{FLOOR_KEY}{}", durable.name), floor.to_string());
        }
    }
    Ok(floors)
}

/// Makes the durables where they were.
async fn go_on(stream: &Stream, mirror: &Stream, durables: &[&DurableSpec]) -> Result<(), BusError> {
    let floors = info(mirror).await?.config.metadata;
    let last = info(stream).await?.state.last_sequence;
    for durable in durables {
        if stream.consumer_info(&durable.name).await.is_ok() {
            continue;
        }
        let floor = floors.get(&format!("{FLOOR_KEY}{}", durable.name));
        let floor = floor.and_then(|text| text.parse::<u64>().ok());
        let config = resuming(durable, floor.map(|floor| floor.min(last)));
        let created = stream.create_consumer(config).await;
        created.map_err(|e| BusError::api("create durable", &durable.name, e))?;
    }
    Ok(())
}

/// Says of a durable that it begins behind what was acked: it skipped nothing.
pub(crate) const RESUMED_KEY: &str = "mprism-resumed-behind";

/// Returns a durable that goes on behind `floor`; from the first message on where there is none.
pub(crate) fn resuming(durable: &DurableSpec, floor: Option<u64>) -> pull::Config {
    let deliver_policy = match floor {
        None | Some(0) => DeliverPolicy::All,
        Some(floor) => DeliverPolicy::ByStartSequence {
            start_sequence: floor + 1,
        },
    };
    let metadata = floor.map(|floor| (RESUMED_KEY.to_owned(), floor.to_string()));
    pull::Config {
        deliver_policy,
        metadata: metadata.into_iter().collect(),
        ..consumer_config(durable)
    }
}
