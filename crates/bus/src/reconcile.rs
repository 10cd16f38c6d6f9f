//! Making a server agree with the layout, without ever deleting anything.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use serde::Serialize;

use crate::lease::ensure_leases;
use crate::moving::resuming;
use crate::window::WINDOW_MIN;
use crate::{Bus, BusError, BusLayout, DeliverFrom, DurableSpec, StreamSpec};

/// What a server has.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Streams by name, and how many messages each ever took.
    pub streams: BTreeMap<String, (Config, u64)>,
    /// Durables by (stream, name).
    pub durables: BTreeMap<(String, String), pull::Config>,
}

/// One step towards the layout.
#[derive(Clone, Debug)]
pub enum Change {
    /// A stream that is missing.
    CreateStream(Box<Config>),
    /// A stream with other settings; what differs.
    UpdateStream(Box<Config>, Vec<&'static str>),
    /// A durable that is missing.
    CreateDurable(String, Box<pull::Config>),
    /// A durable with other settings; what differs.
    UpdateDurable(String, Box<pull::Config>, Vec<&'static str>),
}

/// What is to be done, and what cannot be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In order.
    pub changes: Vec<Change>,
    /// Differences that the server does not let anyone edit, in words.
    pub drifts: Vec<String>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Streams and durables created.
    pub created: Vec<String>,
    /// Streams and durables changed, with what differed.
    pub updated: Vec<String>,
    /// Differences that stay: the server does not let anyone edit them.
    pub drifts: Vec<String>,
}

/// Looks at everything the layout names.
///
/// # Errors
/// Where the server does not answer.
pub async fn observe(bus: &Bus, layout: &BusLayout) -> Result<Observed, BusError> {
    let mut observed = Observed::default();
    for spec in &layout.streams {
        let Some(stream) = find_stream(bus, &spec.name).await? else {
            continue;
        };
        for durable in layout.durables.iter().filter(|d| d.stream == spec.name) {
            match stream.consumer_info(&durable.name).await {
                Ok(info) => {
                    let config = pull_config(&info.config);
                    observed
                        .durables
                        .insert((spec.name.clone(), durable.name.clone()), config);
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(BusError::api("ask for durable", &durable.name, error)),
            }
        }
        let info = stream.cached_info();
        observed
            .streams
            .insert(spec.name.clone(), (info.config.clone(), info.state.last_sequence));
    }
    Ok(observed)
}

fn is_missing(error: &ConsumerInfoError) -> bool {
    match error.kind() {
        ConsumerInfoErrorKind::NotFound => true,
        ConsumerInfoErrorKind::JetStream(error) => error.error_code() == ErrorCode::CONSUMER_NOT_FOUND,
        _ => false,
    }
}

pub(crate) async fn find_stream(bus: &Bus, name: &str) -> Result<Option<Stream>, BusError> {
    match bus.context().get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(BusError::api("ask for stream", name, error)),
        },
    }
}

/// Decides what to do. Reads nothing and changes nothing.
pub fn plan(layout: &BusLayout, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    for spec in &layout.streams {
        let wanted = stream_config(spec);
        match observed.streams.get(&spec.name) {
            None => plan.changes.push(Change::CreateStream(Box::new(wanted))),
            Some((found, _)) => plan_stream(spec, &wanted, found, &mut plan),
        }
    }
    for spec in &layout.durables {
        let taken = observed.streams.get(&spec.stream).map_or(0, |(_, last)| *last);
        match observed.durables.get(&(spec.stream.clone(), spec.name.clone())) {
            None => {
                // On a stream that has taken messages, anything but `all` could skip some.
                let from = if taken == 0 {
                    spec.deliver_from
                } else {
                    DeliverFrom::All
                };
                let config = consumer_config(&DurableSpec {
                    deliver_from: from,
                    ..spec.clone()
                });
                plan.changes
                    .push(Change::CreateDurable(spec.stream.clone(), Box::new(config)));
            }
            Some(found) => plan_durable(spec, found, &mut plan),
        }
    }
    plan
}

fn plan_stream(spec: &StreamSpec, wanted: &Config, found: &Config, plan: &mut Plan) {
    let differs = [
        ("subjects", sorted(&wanted.subjects) != sorted(&found.subjects)),
        ("max_bytes", wanted.max_bytes != found.max_bytes),
        ("max_msgs", found.max_messages != -1),
        ("max_age", found.max_age != Duration::ZERO),
        ("max_msgs_per_subject", found.max_messages_per_subject != -1),
        ("discard", found.discard != DiscardPolicy::New),
        (
            "duplicate_window",
            !is_kept(found.duplicate_window, wanted.duplicate_window),
        ),
        ("num_replicas", wanted.num_replicas != found.num_replicas),
        // Interest can become limits, a queue of work cannot.
        ("retention", found.retention == RetentionPolicy::Interest),
    ];
    let differs: Vec<&'static str> = differs.iter().filter(|(_, d)| *d).map(|(name, _)| *name).collect();
    for name in fixed(spec, found) {
        let (have, want) = match name {
            "storage" => (format!("{:?}", found.storage), format!("{:?}", wanted.storage)),
            "retention" => (format!("{:?}", found.retention), format!("{:?}", wanted.retention)),
            _ => (found.max_consumers.to_string(), wanted.max_consumers.to_string()),
        };
        plan.drifts.push(format!(
            "stream {}: {name} is {}, not {}, and cannot be edited",
            spec.name,
            have.to_lowercase(),
            want.to_lowercase()
        ));
    }
    if !differs.is_empty() {
        let config = Config {
            storage: found.storage,
            retention: match found.retention {
                RetentionPolicy::WorkQueue => RetentionPolicy::WorkQueue,
                RetentionPolicy::Interest | RetentionPolicy::Limits => RetentionPolicy::Limits,
            },
            max_consumers: found.max_consumers,
            duplicate_window: if is_kept(found.duplicate_window, wanted.duplicate_window) {
                found.duplicate_window
            } else {
                wanted.duplicate_window
            },
            ..wanted.clone()
        };
        plan.changes.push(Change::UpdateStream(Box::new(config), differs));
    }
}

/// Says whether a window is one that whoever looks after the stream may have set.
fn is_kept(found: Duration, wanted: Duration) -> bool {
    (WINDOW_MIN.min(wanted)..=wanted).contains(&found)
}

/// Returns what the server lets nobody edit, and is not as wanted.
pub(crate) fn fixed(spec: &StreamSpec, found: &Config) -> Vec<&'static str> {
    let wanted = stream_config(spec);
    let fixed = [
        ("storage", found.storage != wanted.storage),
        ("retention", found.retention == RetentionPolicy::WorkQueue),
        ("max_consumers", wanted.max_consumers != found.max_consumers),
    ];
    fixed
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| *name)
        .collect()
}

fn plan_durable(spec: &DurableSpec, found: &pull::Config, plan: &mut Plan) {
    let wanted = consumer_config(spec);
    let differs = [
        ("ack_wait", wanted.ack_wait != found.ack_wait),
        ("max_ack_pending", wanted.max_ack_pending != found.max_ack_pending),
        ("max_deliver", wanted.max_deliver != found.max_deliver),
        ("filter_subject", wanted.filter_subject != found.filter_subject),
    ];
    let differs: Vec<&'static str> = differs.iter().filter(|(_, d)| *d).map(|(name, _)| *name).collect();
    if found.ack_policy != AckPolicy::Explicit {
        plan.drifts.push(format!(
            "durable {}: ack_policy is not explicit and cannot be edited",
            spec.name
        ));
    }
    if !differs.is_empty() {
        let config = pull::Config {
            // Where an existing durable began is history.
            deliver_policy: found.deliver_policy,
            ack_policy: found.ack_policy,
            metadata: found.metadata.clone(),
            ..wanted
        };
        plan.changes
            .push(Change::UpdateDurable(spec.stream.clone(), Box::new(config), differs));
    }
}

fn sorted(subjects: &[String]) -> Vec<&str> {
    let mut subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    subjects.sort_unstable();
    subjects
}

/// Replaces durables that nobody can pull from: MarketPrism's are pushed, and a server makes no pulled one of them. They go on
/// behind what was acked.
async fn adopt(bus: &Bus, layout: &BusLayout) -> Result<Vec<String>, BusError> {
    let mut adopted = Vec::new();
    for durable in &layout.durables {
        let Some(stream) = find_stream(bus, &durable.stream).await? else {
            continue;
        };
        let info = match stream.consumer_info(&durable.name).await {
            Ok(info) => info,
            Err(error) if is_missing(&error) => continue,
            Err(error) => return Err(BusError::api("ask for durable", &durable.name, error)),
        };
        let is_pushed = info.config.deliver_subject.is_some();
        if !is_pushed && info.config.ack_policy == AckPolicy::Explicit {
            continue;
        }
        let deleted = stream.delete_consumer(&durable.name).await;
        deleted.map_err(|e| BusError::api("replace durable", &durable.name, e))?;
        let config = resuming(durable, Some(info.ack_floor.stream_sequence));
        let created = stream.create_consumer(config).await;
        created.map_err(|e| BusError::api("create durable", &durable.name, e))?;
        let how = if is_pushed { "pushed" } else { "acked otherwise" };
        adopted.push(format!("{}: was {how}", durable.name));
    }
    Ok(adopted)
}

/// Makes the server agree with the layout. Idempotent; safe beside another one doing the same.
///
/// # Errors
/// Where the server does not answer or refuses a change; what was done before stays.
pub async fn reconcile(bus: &Bus, layout: &BusLayout) -> Result<Report, BusError> {
    let mut report = Report::default();
    // Streams first: one that keeps by interest would drop what a replaced durable has not read.
    let is_of_stream = |change: &Change| matches!(change, Change::CreateStream(_) | Change::UpdateStream(..));
    let streams = plan(layout, &observe(bus, layout).await?).changes.into_iter();
    apply(bus, streams.filter(is_of_stream), &mut report).await?;
    let replicas = layout.streams.iter().map(|stream| stream.replicas).max();
    ensure_leases(bus, replicas.unwrap_or(1)).await?;
    report.updated.extend(adopt(bus, layout).await?);
    let plan = plan(layout, &observe(bus, layout).await?);
    report.drifts = plan.drifts;
    let durables = plan.changes.into_iter();
    apply(bus, durables.filter(|change| !is_of_stream(change)), &mut report).await?;
    Ok(report)
}

async fn apply(bus: &Bus, changes: impl Iterator<Item = Change>, report: &mut Report) -> Result<(), BusError> {
    for change in changes {
        match change {
            Change::CreateStream(config) => {
                let name = config.name.clone();
                let created = bus.context().create_stream(*config).await;
                created.map_err(|e| BusError::api("create stream", &name, e))?;
                report.created.push(name);
            }
            Change::UpdateStream(config, differs) => {
                let updated = bus.context().update_stream(&*config).await;
                updated.map_err(|e| BusError::api("update stream", &config.name, e))?;
                report.updated.push(format!("{}: {}", config.name, differs.join(", ")));
            }
            Change::CreateDurable(stream, config) => {
                let name = config.durable_name.clone().unwrap_or_default();
                let created = bus.context().create_consumer_on_stream(*config, &stream).await;
                created.map_err(|e| BusError::api("create durable", &name, e))?;
                report.created.push(name);
            }
            Change::UpdateDurable(stream, config, differs) => {
                let name = config.durable_name.clone().unwrap_or_default();
                let updated = bus.context().update_consumer_on_stream(*config, &stream).await;
                updated.map_err(|e| BusError::api("update durable", &name, e))?;
                report.updated.push(format!("{name}: {}", differs.join(", ")));
            }
        }
    }
    Ok(())
}

pub(crate) fn stream_config(spec: &StreamSpec) -> Config {
    Config {
        name: spec.name.clone(),
        subjects: spec.subjects.clone(),
        max_bytes: i64::try_from(spec.bytes_max).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_age: Duration::ZERO,
        max_consumers: spec.consumers_max.map_or(-1, |n| i32::try_from(n).unwrap_or(i32::MAX)),
        max_message_size: -1,
        duplicate_window: spec.duplicate_window,
        discard: DiscardPolicy::New,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: spec.replicas,
        allow_direct: true,
        ..Config::default()
    }
}

pub(crate) fn consumer_config(spec: &DurableSpec) -> pull::Config {
    pull::Config {
        durable_name: Some(spec.name.clone()),
        filter_subject: spec.filter.clone(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        max_deliver: -1,
        max_ack_pending: i64::from(spec.ack_pending_max),
        deliver_policy: match spec.deliver_from {
            DeliverFrom::All => DeliverPolicy::All,
            DeliverFrom::Last => DeliverPolicy::Last,
            DeliverFrom::New => DeliverPolicy::New,
        },
        ..pull::Config::default()
    }
}

/// Keeps of a durable's settings what the layout speaks of.
fn pull_config(config: &async_nats::jetstream::consumer::Config) -> pull::Config {
    pull::Config {
        durable_name: config.durable_name.clone(),
        filter_subject: config.filter_subject.clone(),
        ack_policy: config.ack_policy,
        ack_wait: config.ack_wait,
        max_deliver: config.max_deliver,
        max_ack_pending: config.max_ack_pending,
        deliver_policy: config.deliver_policy,
        metadata: config.metadata.clone(),
        ..pull::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LayoutOptions, layout};

    fn wanted() -> BusLayout {
        layout(&LayoutOptions::standard(&["trade", "gap"], 100))
    }

    /// A server that has exactly the layout.
    fn agreeing(layout: &BusLayout) -> Observed {
        Observed {
            streams: layout
                .streams
                .iter()
                .map(|s| (s.name.clone(), (stream_config(s), 0)))
                .collect(),
            durables: layout
                .durables
                .iter()
                .map(|d| ((d.stream.clone(), d.name.clone()), consumer_config(d)))
                .collect(),
        }
    }

    #[test]
    fn an_empty_server_gets_everything_and_an_agreeing_one_nothing() {
        let layout = wanted();
        assert_eq!(plan(&layout, &Observed::default()).changes.len(), 5);
        let nothing = plan(&layout, &agreeing(&layout));
        assert!(nothing.changes.is_empty() && nothing.drifts.is_empty(), "{nothing:?}");
    }

    #[test]
    fn differences_are_edited_in_place_and_what_cannot_be_is_reported() {
        let layout = wanted();
        let mut observed = agreeing(&layout);
        let (stream, _) = observed.streams.get_mut("MARKET_DATA").expect("there");
        stream.discard = DiscardPolicy::Old;
        stream.max_age = Duration::from_secs(172_800);
        stream.max_consumers = 5;
        let plan = plan(&layout, &observed);
        let [Change::UpdateStream(config, differs)] = plan.changes.as_slice() else {
            panic!("one update: {plan:?}");
        };
        assert_eq!(differs, &["max_age", "discard"]);
        assert_eq!(config.max_consumers, 5, "what cannot be edited is left as it is");
        assert_eq!(plan.drifts.len(), 1);
    }

    #[test]
    fn a_window_that_was_shortened_is_left_as_it_is() {
        let layout = wanted();
        let mut observed = agreeing(&layout);
        let mut planned = |seconds, bytes| {
            let (stream, _) = observed.streams.get_mut("MARKET_DATA").expect("there");
            stream.duplicate_window = Duration::from_secs(seconds);
            stream.max_bytes = bytes;
            let changes = plan(&layout, &observed).changes;
            changes.first().map(|change| match change {
                Change::UpdateStream(config, differs) => (config.duplicate_window.as_secs(), differs.clone()),
                other => panic!("an update: {other:?}"),
            })
        };
        assert_eq!(planned(30, 2 << 30), None);
        assert_eq!(planned(300, 2 << 30), Some((120, vec!["duplicate_window"])));
        assert_eq!(planned(10, 2 << 30), Some((120, vec!["duplicate_window"])));
        assert_eq!(
            planned(30, 1 << 30),
            Some((30, vec!["max_bytes"])),
            "another change does not touch it"
        );
    }

    #[test]
    fn a_durable_made_on_a_used_stream_begins_at_the_first_message() {
        let mut layout = wanted();
        layout.durables[0].deliver_from = DeliverFrom::Last;
        let mut observed = agreeing(&layout);
        observed.durables.clear();
        let policies = |plan: Plan| -> Vec<DeliverPolicy> {
            let durables = plan.changes.iter().filter_map(|change| match change {
                Change::CreateDurable(_, config) => Some(config.deliver_policy),
                _ => None,
            });
            durables.collect()
        };
        assert_eq!(
            policies(plan(&layout, &observed)),
            [DeliverPolicy::Last, DeliverPolicy::All]
        );
        observed.streams.get_mut("MARKET_DATA").expect("there").1 = 9;
        assert_eq!(
            policies(plan(&layout, &observed)),
            [DeliverPolicy::All, DeliverPolicy::All]
        );
    }
}
