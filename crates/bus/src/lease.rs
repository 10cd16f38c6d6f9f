//! One holder of a name among all hosts: a message that is renewed.
//!
//! Each name is a subject of a stream that keeps the last message of each. Whoever writes it says which message it has seen last
//! (`Nats-Expected-Last-Subject-Sequence`), so of two that want it one is refused. No clocks are compared:
//!
//! 1. The holder writes its message anew at a third of the time to live. From the moment *before* it sent the last one that was
//!    taken, it holds the lease for the time to live, by its own clock that never steps.
//! 2. Another one that sees the same message unchanged for the whole time to live, by its own clock and from *after* it first
//!    saw it, may take it. By then the holder has stopped.
//! 3. A holder that ends says so in its message: then nobody has to wait.
//!
//! A process that was stopped and wakes up may act before it looks at its clock. The store's fence is the second belt: whoever
//! takes the lease raises it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::reconcile::find_stream;
use crate::{Bus, BusError};

/// The stream of leases.
pub const LEASES: &str = "MPRISM_LEASES";
/// How long a lease lasts without being renewed.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// Makes the stream of leases where it is missing.
///
/// # Errors
/// Where the server does not answer or refuses.
pub async fn ensure_leases(bus: &Bus, replicas: usize) -> Result<(), BusError> {
    if find_stream(bus, LEASES).await?.is_some() {
        return Ok(());
    }
    let config = Config {
        name: LEASES.into(),
        subjects: vec!["lease.>".into()],
        max_messages_per_subject: 1,
        max_messages: -1,
        max_consumers: -1,
        max_bytes: 1 << 20,
        max_message_size: -1,
        discard: DiscardPolicy::Old,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_direct: true,
        ..Config::default()
    };
    let made = bus.context().get_or_create_stream(config).await;
    made.map(|_| ()).map_err(|e| BusError::api("create stream", LEASES, e))
}

/// What a lease is about, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseOptions {
    /// The name: one token of a subject, for example `trades`.
    pub name: String,
    /// Who asks: the same for every life of what can never run twice, so that a new life need not wait for an old one.
    pub owner: String,
    /// Who that is, for people: host and process.
    pub holder: String,
    /// How long it lasts without being renewed.
    pub ttl: Duration,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    /// Empty where it was given up.
    owner: String,
    holder: String,
    /// For those who watch: a holder that has another one is told by its sequence.
    ttl_ms: u64,
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who it is, for people.
    pub holder: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.holder)
    }
}

/// A lease that is held for as long as this lives, and as long as it can be renewed.
#[derive(Debug)]
pub struct Lease {
    until: watch::Receiver<Option<Instant>>,
    sequence: watch::Receiver<u64>,
    bus: Arc<Bus>,
    options: LeaseOptions,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Waits until the lease is ours. `waiting` is told who has it, once for each that has.
    ///
    /// Cancel safe: what was taken then is given up by its time.
    ///
    /// # Errors
    /// Where the server does not answer or refuses; asking again is harmless.
    pub async fn acquire(
        bus: &Arc<Bus>,
        options: &LeaseOptions,
        mut waiting: impl FnMut(&Holder),
    ) -> Result<Self, BusError> {
        let mut seen: Option<(u64, Instant)> = None;
        let mut told: Option<Holder> = None;
        loop {
            let found = last(bus, options).await?;
            let now = Instant::now();
            let free = match &found {
                None => Some(0),
                Some((sequence, said)) if said.owner.is_empty() || said.owner == options.owner => Some(*sequence),
                Some((sequence, said)) => {
                    let since = match seen {
                        Some((known, since)) if known == *sequence => since,
                        _ => now,
                    };
                    seen = Some((*sequence, since));
                    let ttl = options.ttl.max(Duration::from_millis(said.ttl_ms));
                    let holder = Holder {
                        holder: said.holder.clone(),
                    };
                    if told.as_ref() != Some(&holder) {
                        waiting(&holder);
                        told = Some(holder);
                    }
                    (since.elapsed() > ttl).then_some(*sequence)
                }
            };
            if let Some(expected) = free {
                let sent = Instant::now();
                if let Some(sequence) = write(bus, options, expected, &options.owner).await? {
                    return Ok(Self::held(bus, options, sequence, sent));
                }
                // Somebody was faster: look who.
            }
            tokio::time::sleep(options.ttl / 20).await;
        }
    }

    fn held(bus: &Arc<Bus>, options: &LeaseOptions, sequence: u64, sent: Instant) -> Self {
        let (until_sender, until) = watch::channel(Some(sent + options.ttl));
        let (sequence_sender, sequence) = watch::channel(sequence);
        let renewing = tokio::spawn(renew(Arc::clone(bus), options.clone(), until_sender, sequence_sender));
        Self {
            until,
            sequence,
            bus: Arc::clone(bus),
            options: options.clone(),
            renewing,
        }
    }

    /// Returns whether it is ours at this moment.
    pub fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until it is lost: it could not be renewed in time, or somebody else has it. Cancel safe.
    pub async fn lost(&self) {
        let mut renewed = self.until.clone();
        loop {
            let until = *renewed.borrow_and_update();
            let Some(until) = until.filter(|until| Instant::now() < *until) else {
                return;
            };
            tokio::select! {
                changed = renewed.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
    }

    /// Gives it up, so that the next one need not wait. Failing to costs only that.
    pub async fn release(self) {
        self.renewing.abort();
        let sequence = *self.sequence.borrow();
        if self.is_held() {
            let _costs_only_time = write(&self.bus, &self.options, sequence, "").await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Renews until another one has it, or nobody listens any more.
async fn renew(
    bus: Arc<Bus>,
    options: LeaseOptions,
    until: watch::Sender<Option<Instant>>,
    sequence: watch::Sender<u64>,
) {
    loop {
        tokio::time::sleep(options.ttl / 3).await;
        let (sent, expected) = (Instant::now(), *sequence.borrow());
        match write(&bus, &options, expected, &options.owner).await {
            Ok(Some(taken)) => {
                sequence.send_replace(taken);
                until.send_replace(Some(sent + options.ttl));
            }
            // Another message is there. Ours, where the answer was lost, or the server forgot the newest.
            Ok(None) => match last(&bus, &options).await {
                Ok(Some((found, said))) if said.owner == options.owner => {
                    sequence.send_replace(found);
                }
                Ok(None) => {
                    sequence.send_replace(0);
                }
                Ok(Some((_, said))) => {
                    tracing::warn!(lease = options.name, holder = said.holder, "the lease was taken");
                    until.send_replace(None);
                    return;
                }
                Err(_asked_again) => {}
            },
            // It ends by itself if that goes on.
            Err(_tried_again) => {}
        }
    }
}

fn subject(options: &LeaseOptions) -> String {
    format!("lease.{}", options.name)
}

async fn last(bus: &Bus, options: &LeaseOptions) -> Result<Option<(u64, Said)>, BusError> {
    let subject = subject(options);
    let stream = bus.context().get_stream_no_info(LEASES).await;
    let stream = stream.map_err(|e| BusError::api("find stream", LEASES, e))?;
    match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => {
            // What nobody of us wrote is held by nobody that renews it.
            let said = serde_json::from_slice(&message.payload).unwrap_or(Said {
                owner: "unknown".into(),
                holder: "unknown".into(),
                ttl_ms: 0,
            });
            Ok(Some((message.sequence, said)))
        }
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(BusError::api("read message of", &subject, error)),
    }
}

/// Writes the message if the last one is `expected`. Returns its sequence, or nothing where another one is there.
async fn write(bus: &Bus, options: &LeaseOptions, expected: u64, owner: &str) -> Result<Option<u64>, BusError> {
    let subject = subject(options);
    let said = Said {
        owner: owner.to_owned(),
        holder: options.holder.clone(),
        ttl_ms: u64::try_from(options.ttl.as_millis()).unwrap_or(u64::MAX),
    };
    let payload = serde_json::to_vec(&said).map_err(|e| BusError::api("write", &subject, e))?;
    let mut headers = HeaderMap::new();
    headers.insert(EXPECTED, expected.to_string());
    let sent = bus
        .context()
        .publish_with_headers(subject.clone(), headers, payload.into());
    let sent = sent.await.map_err(|e| BusError::api("publish", &subject, e))?;
    match sent.await {
        Ok(ack) => Ok(Some(ack.sequence)),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
        Err(error) => Err(BusError::api("publish", &subject, error)),
    }
}
