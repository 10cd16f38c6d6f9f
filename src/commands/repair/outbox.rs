//! Sending what was missing the way everything goes: over the bus, to the hot worker, which stores each row once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mprism_bus::{Bus, BusError, BusOptions, publish_confirmed};
use mprism_model::{Epoch, Event, Gap, ProducerId, SEQUENCE_HEADER};
use mprism_runtime::clock;
use tokio::task::JoinSet;

/// How long the broker may take to take a message, and to be there at all.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Messages on their way at once.
const IN_FLIGHT_MAX: usize = 64;
/// How long the hot worker may take to store what the broker has.
const STORED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A producer of its own: a life like a collector's.
pub(super) struct Outbox {
    bus: Arc<Bus>,
    epoch: Epoch,
    last: u64,
}

impl Outbox {
    /// Connects to the broker.
    pub(super) async fn open(options: BusOptions) -> Result<Self, BusError> {
        let bus = Bus::connect(options).await?;
        bus.ready(TAKEN_WITHIN).await?;
        let unix_ms = u64::try_from(clock::now_ms()).unwrap_or(0);
        Ok(Self {
            bus: Arc::new(bus),
            epoch: Epoch::new(unix_ms, rand::random()),
            last: 0,
        })
    }

    pub(super) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Sends events and returns once the broker has them.
    ///
    /// The broker would take a message that it has seen in the last two minutes for the same one, and these were: so their ids
    /// name this life, too. What is stored already is recognised where it always is, by the hot worker.
    pub(super) async fn send(&mut self, events: &[Event]) -> Result<(), BusError> {
        let mut sending = JoinSet::new();
        for event in events {
            self.last += 1;
            let identity = ProducerId {
                epoch: self.epoch,
                seq: self.last,
            };
            let message_id = format!("{}@{}", event.message_id(), self.epoch.0);
            let (bus, subject, payload) = (Arc::clone(&self.bus), event.subject().to_string(), event.to_json());
            sending.spawn(async move { send(&bus, &subject, &message_id, identity, payload.into()).await });
            if sending.len() >= IN_FLIGHT_MAX {
                sent(sending.join_next().await)?;
            }
        }
        while let Some(ended) = sending.join_next().await {
            sent(Some(ended))?;
        }
        Ok(())
    }

    /// Sends a message again under the identity that it had.
    pub(super) async fn send_again(&self, subject: &str, identity: ProducerId, payload: Bytes) -> Result<(), BusError> {
        let message_id = format!("dead:{identity}@{}", self.epoch.0);
        send(&self.bus, subject, &message_id, identity, payload).await
    }
}

/// Returns a gap as an event.
pub(super) fn events(gaps: &[Gap]) -> Vec<Event> {
    gaps.iter().cloned().map(Event::Gap).collect()
}

async fn send(
    bus: &Bus,
    subject: &str,
    message_id: &str,
    identity: ProducerId,
    payload: Bytes,
) -> Result<(), BusError> {
    let identity = identity.to_string();
    let headers = [("Nats-Msg-Id", message_id), (SEQUENCE_HEADER, identity.as_str())];
    publish_confirmed(bus, subject, &headers, payload, TAKEN_WITHIN).await?;
    Ok(())
}

fn sent(ended: Option<Result<Result<(), BusError>, tokio::task::JoinError>>) -> Result<(), BusError> {
    // A task that panicked has not sent anything that we know of.
    ended.map_or(Ok(()), |ended| ended.unwrap_or(Err(BusError::Closed)))
}

/// Waits until the hot worker has stored what was sent; false where it does not.
pub(super) async fn is_stored<E>(mut look: impl AsyncFnMut() -> Result<bool, E>) -> Result<bool, E> {
    let began = Instant::now();
    loop {
        if look().await? {
            return Ok(true);
        }
        if began.elapsed() > STORED_WITHIN {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
