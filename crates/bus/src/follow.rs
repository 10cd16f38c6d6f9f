//! Messages as they come: from a stream that keeps them, or from core NATS, which tells whoever listens. To compare the two.

use std::fmt;

use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use mprism_model::{ProducerId, SEQUENCE_HEADER};

use crate::{Bus, BusError};

/// A message that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whose it is; nothing where it does not say.
    pub identity: Option<ProducerId>,
    /// What it says.
    pub payload: Bytes,
}

impl From<&Message> for Heard {
    fn from(message: &Message) -> Self {
        let header = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(SEQUENCE_HEADER));
        Self {
            identity: header.and_then(|value| value.as_str().parse().ok()),
            payload: message.payload.clone(),
        }
    }
}

/// Messages of a subject as its stream gives them, from now on, each once and in order. The server forgets the consumer when nobody
/// listens any more.
pub struct Following {
    name: String,
    messages: Ordered,
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Following({})", self.name)
    }
}

impl Following {
    /// Begins to follow.
    ///
    /// # Errors
    /// [`BusError::Api`] where there is no such stream, or the server refuses.
    pub async fn new(bus: &Bus, stream: &str, subject: &str) -> Result<Self, BusError> {
        let found = bus.context().get_stream(stream).await;
        let found = found.map_err(|error| BusError::api("find stream", stream, error))?;
        let config = OrderedConfig {
            deliver_subject: bus.client().new_inbox(),
            filter_subject: subject.to_owned(),
            deliver_policy: DeliverPolicy::New,
            replay_policy: ReplayPolicy::Instant,
            ..OrderedConfig::default()
        };
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| BusError::api("follow", subject, error);
        let consumer = found.create_consumer(config).await.map_err(|e| refused(e.into()))?;
        Ok(Self {
            name: subject.to_owned(),
            messages: consumer.messages().await.map_err(|e| refused(e.into()))?,
        })
    }

    /// Waits for the next message. Cancel safe.
    ///
    /// # Errors
    /// [`BusError::Api`] where the stream cannot be followed any more, [`BusError::Closed`] where the connection is gone for good.
    pub async fn next(&mut self) -> Result<Heard, BusError> {
        let message = self.messages.next().await.ok_or(BusError::Closed)?;
        let message = message.map_err(|error| BusError::api("follow", &self.name, error))?;
        Ok(Heard::from(&message.message))
    }
}

/// Messages of a subject as core NATS tells them.
#[derive(Debug)]
pub struct Listening {
    messages: Subscriber,
}

impl Listening {
    /// Begins to listen; the server may take the subscription after a message that somebody else publishes now.
    ///
    /// # Errors
    /// [`BusError::Closed`] where the connection is gone for good.
    pub async fn new(bus: &Bus, subject: &str) -> Result<Self, BusError> {
        let client = bus.client();
        let messages = client.subscribe(subject.to_owned()).await;
        let messages = messages.map_err(|_| BusError::Closed)?;
        client.flush().await.map_err(|_| BusError::Closed)?;
        Ok(Self { messages })
    }

    /// Waits for the next message. Cancel safe.
    ///
    /// # Errors
    /// [`BusError::Closed`] where the connection is gone for good.
    pub async fn next(&mut self) -> Result<Heard, BusError> {
        let message = self.messages.next().await.ok_or(BusError::Closed)?;
        Ok(Heard::from(&message))
    }
}
