//! Durables: where a reader of the bus stands.

use std::time::Duration;

use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::context::GetStreamErrorKind;

use mprism_runtime::backoff::Backoff;
use mprism_runtime::log::chain;

use crate::reconcile::consumer_config;
use crate::{Bus, BusError, DeliverFrom, DurableSpec};

/// A durable that is ready to be pulled from.
#[derive(Debug)]
pub struct Durable {
    /// The consumer.
    pub consumer: Consumer<pull::Config>,
    /// Set where the durable stood ahead of its stream and was made anew: the server lost data. (the position it claimed,
    /// the stream's last sequence)
    pub was_ahead: Option<(u64, u64)>,
}

/// Opens a durable, creating it where it is missing, always from the first message then: a replay is harmless, a skip is not.
///
/// A durable that stands ahead of its stream (a server that lost its last messages can leave one behind) would skip new
/// messages for ever; it is the one case in which a durable is replaced.
///
/// # Errors
/// [`BusError::Api`] where the stream is missing or the server refuses.
pub async fn open_durable(bus: &Bus, spec: &DurableSpec) -> Result<Durable, BusError> {
    let failed = |action, error: Box<dyn std::error::Error + Send + Sync>| BusError::api(action, &spec.name, error);
    let stream = bus
        .context()
        .get_stream(&spec.stream)
        .await
        .map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(_) => BusError::api("find stream", &spec.stream, error),
            _ => BusError::api("ask for stream", &spec.stream, error),
        })?;
    let config = consumer_config(&DurableSpec {
        deliver_from: DeliverFrom::All,
        ..spec.clone()
    });
    // Creating is idempotent: an existing durable keeps its position, and its settings if they are the same. Where they
    // differ, reconciling is the broker's work; reading goes on with what is there.
    let opened = match stream.get_consumer::<pull::Config>(&spec.name).await {
        Ok(consumer) => consumer,
        Err(_) => stream
            .create_consumer(config.clone())
            .await
            .map_err(|e| failed("create durable", e.into()))?,
    };
    let floor = opened
        .cached_info()
        .ack_floor
        .stream_sequence
        .max(opened.cached_info().delivered.stream_sequence);
    let last = stream.cached_info().state.last_sequence;
    if floor <= last {
        return Ok(Durable {
            consumer: opened,
            was_ahead: None,
        });
    }
    // Asked again: messages may have arrived and been delivered between the two looks.
    let now = stream
        .get_info()
        .await
        .map_err(|e| BusError::api("ask for stream", &spec.stream, e))?;
    if floor <= now.state.last_sequence {
        return Ok(Durable {
            consumer: opened,
            was_ahead: None,
        });
    }
    let deleted = stream.delete_consumer(&spec.name).await;
    deleted.map_err(|e| failed("replace durable", e.into()))?;
    let created = stream.create_consumer(config).await;
    Ok(Durable {
        consumer: created.map_err(|e| failed("create durable", e.into()))?,
        was_ahead: Some((floor, now.state.last_sequence)),
    })
}

/// For how long unacked messages of an earlier life are waited for, instead of the durable's own ack wait.
const RECLAIM_AFTER: Duration = Duration::from_secs(1);

/// Has messages that an earlier life left unacked delivered again within seconds instead of after the full ack wait.
///
/// The server redelivers by the durable's ack wait, and takes a new one at once; so it is short for a moment. Safe for the
/// durable's only reader: what it holds itself may come twice, and is recognised.
///
/// Ends when the ack wait is the durable's own again, however long the server cannot be told: one that stays short has what is
/// only slowly stored delivered again and again.
///
/// # Errors
/// Where the server refuses the short one; nothing is changed then.
pub async fn reclaim_unacked(bus: &Bus, spec: &DurableSpec) -> Result<(), BusError> {
    let set = async |ack_wait: Duration| {
        let config = consumer_config(&DurableSpec {
            ack_wait,
            ..spec.clone()
        });
        let found = bus
            .context()
            .get_consumer_from_stream::<pull::Config, _, _>(&spec.name, &spec.stream)
            .await;
        let found = found.map_err(|e| BusError::api("find durable", &spec.name, e))?;
        let config = pull::Config {
            deliver_policy: found.cached_info().config.deliver_policy,
            metadata: found.cached_info().config.metadata.clone(),
            ..config
        };
        let updated = bus.context().update_consumer_on_stream(config, &spec.stream).await;
        updated
            .map(|_| ())
            .map_err(|e| BusError::api("update durable", &spec.name, e))
    };
    set(RECLAIM_AFTER).await?;
    tokio::time::sleep(RECLAIM_AFTER * 2).await;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut logged = false;
    while let Err(error) = set(spec.ack_wait).await {
        if !logged {
            logged = true;
            let error = chain(&error);
            tracing::warn!(
                durable = spec.name,
                error,
                "the ack wait is not the durable's own again yet"
            );
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
    Ok(())
}
