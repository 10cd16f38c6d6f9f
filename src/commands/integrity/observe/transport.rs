//! What the broker has: streams, durables, and what could never be stored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mprism_bus::{Bus, BusLayout, DEAD_LETTER, Plan};
use mprism_settings::{Mode, Settings, SyncInterval, loopback};
use serde_json::Value;

use crate::commands::reach::operator_bus;
use crate::commands::worker::bus_layout;

/// How long the broker may take to answer.
const BUS_WITHIN: Duration = Duration::from_secs(5);

/// A difference that is gone after this long was a worker's, not an operator's.
const DIFFERS_FOR: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What the broker has.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    /// Why the broker could not be asked.
    pub(crate) unreachable: Option<String>,
    /// Where streams and durables differ from the layout, in words.
    pub(crate) differs: Vec<String>,
    /// The fsync policy asked for and found.
    pub(crate) sync: Option<(String, String)>,
    pub(crate) durables: Vec<DurableState>,
    pub(crate) streams: Vec<StreamState>,
    /// Messages that could never be stored, by the subject that they came with.
    pub(crate) dead_letters: BTreeMap<String, u64>,
}

/// One durable and its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DurableState {
    pub(crate) stream: String,
    pub(crate) name: String,
    pub(crate) ack_floor: u64,
    pub(crate) pending: u64,
    pub(crate) last_seq: u64,
    /// Where it began, where that is not where it should have.
    pub(crate) began_at: Option<&'static str>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamState {
    pub(crate) name: String,
    pub(crate) first_seq: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// 0 is no limit.
    pub(crate) bytes_max: u64,
    /// From its oldest message to its newest, in milliseconds.
    pub(crate) spans_ms: i64,
}

/// Looks at the broker.
pub(super) async fn look(settings: &Settings) -> Transport {
    match ask(settings).await {
        Ok(transport) => transport,
        Err(reason) => Transport {
            unreachable: Some(reason),
            ..Transport::default()
        },
    }
}

async fn ask(settings: &Settings) -> Result<Transport, String> {
    let options = operator_bus(settings).map_err(|e| format!("{:#}", e.source))?;
    let bus = Bus::connect(options)
        .await
        .map_err(|e| mprism_runtime::log::chain(&e))?;
    bus.ready(BUS_WITHIN).await.map_err(|e| e.to_string())?;
    let layout = bus_layout(settings);
    let mut transport = Transport {
        differs: differences(&bus, &layout).await?,
        durables: durables(&bus, &layout).await,
        dead_letters: dead_letters(&bus).await?,
        ..Transport::default()
    };
    // Asked after the durables: what was acked and purged in between looks like nothing.
    for spec in &layout.streams {
        if let Ok(stream) = bus.context().get_stream(&spec.name).await {
            let info = stream.cached_info();
            let state = &info.state;
            let spans = (state.last_timestamp - state.first_timestamp).whole_milliseconds();
            transport.streams.push(StreamState {
                name: spec.name.clone(),
                first_seq: state.first_sequence,
                messages: state.messages,
                bytes: state.bytes,
                bytes_max: u64::try_from(info.config.max_bytes).unwrap_or(0),
                spans_ms: i64::try_from(spans).unwrap_or(i64::MAX),
            });
        }
    }
    if settings.nats.mode == Mode::Managed {
        transport.sync = sync_policy(settings).await;
    }
    Ok(transport)
}

async fn durables(bus: &Bus, layout: &BusLayout) -> Vec<DurableState> {
    let mut durables = Vec::new();
    for durable in &layout.durables {
        // One that is missing is a difference, and told as such.
        let Ok(mut stream) = bus.context().get_stream(&durable.stream).await else {
            continue;
        };
        let Ok(info) = stream.consumer_info(&durable.name).await else {
            continue;
        };
        // Asked after the durable: what arrived in between does not look like a durable ahead of its stream.
        let Ok(last_seq) = stream.info().await.map(|info| info.state.last_sequence) else {
            continue;
        };
        let began_at = mprism_bus::skipped_from(durable.deliver_from, &info);
        durables.push(DurableState {
            stream: durable.stream.clone(),
            name: durable.name.clone(),
            ack_floor: info.ack_floor.stream_sequence,
            pending: info.num_pending + info.num_ack_pending as u64,
            last_seq,
            began_at,
        });
    }
    durables
}

/// Counts what could never be stored. The stream is the truth; the table copies it.
async fn dead_letters(bus: &Bus) -> Result<BTreeMap<String, u64>, String> {
    let counted = mprism_bus::count_by_subject(bus, DEAD_LETTER, "dead.>").await;
    let counted = counted.map_err(|e| mprism_runtime::log::chain(&e))?.into_iter();
    let named = counted.map(|(subject, count)| match subject.strip_prefix("dead.") {
        Some(subject) => (subject.to_owned(), count),
        None => (subject, count),
    });
    Ok(named.collect())
}

/// Returns where the broker differs from the layout, and stays so: a hot worker that starts shortens its durable's ack wait
/// for a moment, to have again what its last life left unacked.
async fn differences(bus: &Bus, layout: &BusLayout) -> Result<Vec<String>, String> {
    let began = Instant::now();
    loop {
        let found = mprism_bus::observe(bus, layout).await;
        let found = found.map_err(|e| mprism_runtime::log::chain(&e))?;
        let differs = in_words(&mprism_bus::plan(layout, &found));
        if differs.is_empty() || began.elapsed() >= DIFFERS_FOR {
            return Ok(differs);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn in_words(plan: &Plan) -> Vec<String> {
    use mprism_bus::Change;
    let changes = plan.changes.iter().map(|change| match change {
        Change::CreateStream(config) => format!("stream {} is missing", config.name),
        Change::UpdateStream(config, differs) => format!("stream {}: {} differ", config.name, differs.join(", ")),
        Change::CreateDurable(_, config) => {
            format!(
                "durable {} is missing",
                config.durable_name.as_deref().unwrap_or_default()
            )
        }
        Change::UpdateDurable(_, config, differs) => {
            let name = config.durable_name.as_deref().unwrap_or_default();
            format!("durable {name}: {} differ", differs.join(", "))
        }
    });
    changes.chain(plan.drifts.iter().cloned()).collect()
}

async fn sync_policy(settings: &Settings) -> Option<(String, String)> {
    let monitor = loopback(settings.nats.monitor_port);
    let (_, body) = mprism_runtime::probe::get(monitor, "/varz", BUS_WITHIN).await.ok()?;
    let varz: Value = serde_json::from_str(&body).ok()?;
    let config = varz.get("jetstream")?.get("config")?;
    let found = if config.get("sync_always").and_then(Value::as_bool) == Some(true) {
        "always".to_owned()
    } else {
        format!(
            "{} ms",
            config.get("sync_interval").and_then(Value::as_u64).unwrap_or(0) / 1_000_000
        )
    };
    let wanted = match settings.nats.sync_interval {
        SyncInterval::Always => "always".to_owned(),
        SyncInterval::Every(interval) => format!("{} ms", interval.as_millis()),
    };
    Some((wanted, found))
}
