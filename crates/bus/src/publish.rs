//! Publishing with acks, without a round trip or a future for each message.
//!
//! Every message carries a token in its reply subject; one subscription receives the server's answers. Which messages wait
//! for an answer, and when they are sent again, is the caller's to know.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_nats::{Client, HeaderMap, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use mprism_model::{ProducerId, SEQUENCE_HEADER};
use serde::Deserialize;

use crate::{Bus, BusError, MIRROR_PREFIX};

/// The header by which the server recognises a repeated message.
const MESSAGE_ID_HEADER: &str = "Nats-Msg-Id";

/// Sends messages.
#[derive(Clone, Debug)]
pub struct Publisher {
    client: Client,
    replies: String,
}

/// Receives what the server says about messages.
#[derive(Debug)]
pub struct Answers {
    subscription: Subscriber,
}

/// What the server says about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The token the message was sent with.
    pub token: u64,
    /// Whether it is stored.
    pub outcome: Result<Stored, Trouble>,
}

/// A message is in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence in the stream; of a duplicate, that of the first.
    pub stream_seq: u64,
    /// Whether the server had it already.
    pub duplicate: bool,
}

/// Why a message is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The stream is full, or the server's disk is: what is there stays, nothing new is taken.
    Full,
    /// No stream collects the subject, or JetStream is not up yet.
    NoStream,
    /// The server did not answer in time.
    NoAnswer,
    /// Anything else the server says.
    Refused {
        /// The server's error code.
        code: u64,
        /// The server's text.
        description: String,
    },
}

impl Trouble {
    /// Returns whether the same message can be stored later without anything being changed by hand.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full | Self::NoStream | Self::NoAnswer => true,
            // 10054 and 10097: payload or headers are larger than the stream takes.
            Self::Refused { code, .. } => !matches!(code, 10_054 | 10_097),
        }
    }

    /// Returns a short stable name, for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full => "stream_full",
            Self::NoStream => "no_stream",
            Self::NoAnswer => "no_answer",
            Self::Refused { .. } => "refused",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the stream is full"),
            Self::NoStream => f.write_str("no stream collects it"),
            Self::NoAnswer => f.write_str("the server did not answer"),
            Self::Refused { code, description } => write!(f, "{description} (error {code})"),
        }
    }
}

impl Publisher {
    /// Prepares publishing on a connection.
    ///
    /// # Errors
    /// [`BusError::Closed`] where the connection was closed for good.
    pub async fn new(bus: &Bus) -> Result<(Self, Answers), BusError> {
        let client = bus.client().clone();
        let replies = client.new_inbox();
        let subscribed = client.subscribe(format!("{replies}.*")).await;
        let subscription = subscribed.map_err(|_| BusError::Closed)?;
        Ok((Self { client, replies }, Answers { subscription }))
    }

    /// Hands a message to the connection; the answer comes through [`Answers`] and carries `token`.
    ///
    /// While no server is connected the message may never be sent and no answer come: the caller sends it again.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] where no server would take it, [`BusError::Closed`] where the connection is gone for good.
    pub async fn publish(
        &self,
        token: u64,
        subject: &Subject,
        message_id: &str,
        identity: ProducerId,
        payload: Bytes,
    ) -> Result<(), BusError> {
        let bytes = payload.len();
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID_HEADER, message_id);
        headers.insert(SEQUENCE_HEADER, identity.to_string());
        let reply = format!("{}.{token}", self.replies);
        let sent = self
            .client
            .publish_with_reply_and_headers(subject.clone(), reply, headers, payload)
            .await;
        sent.map_err(|error| match error.kind() {
            async_nats::client::PublishErrorKind::MaxPayloadExceeded => BusError::TooLarge {
                subject: subject.to_string(),
                bytes,
                bytes_max: self.client.server_info().max_payload,
            },
            _ => BusError::Closed,
        })
    }
}

/// Copies messages to core NATS, on the same subject with [`MIRROR_PREFIX`] before it: nothing keeps them and nobody answers.
#[derive(Clone, Debug)]
pub struct Mirror {
    client: Client,
    /// The subjects of copies, by those of what is copied.
    subjects: HashMap<String, Subject>,
}

impl Mirror {
    /// Copies what is published on these subjects.
    pub fn new(bus: &Bus, subjects: &[String]) -> Self {
        let copied = |subject: &String| {
            let copy = format!("{MIRROR_PREFIX}{subject}");
            (subject.clone(), copy.into())
        };
        Self {
            client: bus.client().clone(),
            subjects: subjects.iter().map(copied).collect(),
        }
    }

    /// Hands a copy to the connection, where the subject is copied; returns whether it did. A copy that core NATS does not take
    /// is gone: the message itself waits in its stream.
    pub async fn copy(&self, subject: &Subject, identity: ProducerId, payload: &Bytes) -> bool {
        let Some(copy) = self.subjects.get(subject.as_str()) else {
            return false;
        };
        let mut headers = HeaderMap::new();
        headers.insert(SEQUENCE_HEADER, identity.to_string());
        let sent = self.client.publish_with_headers(copy.clone(), headers, payload.clone());
        sent.await.is_ok()
    }
}

impl Answers {
    /// Waits for the next answer; `None` where the connection was closed for good. Cancel safe.
    pub async fn next(&mut self) -> Option<Answer> {
        loop {
            let message = self.subscription.next().await?;
            let token = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
            // Nobody else publishes here; what is not an answer to a token of ours cannot be matched to anything.
            let Some(token) = token else { continue };
            let outcome = match message.status {
                Some(StatusCode::NO_RESPONDERS) => Err(Trouble::NoStream),
                _ => outcome(&message.payload),
            };
            return Some(Answer { token, outcome });
        }
    }
}

/// Publishes one message and waits until the server has stored it.
///
/// # Errors
/// [`BusError::NotStored`] where it did not within the time given, or refused.
pub async fn publish_confirmed(
    bus: &Bus,
    subject: &str,
    headers: &[(&str, &str)],
    payload: Bytes,
    within: Duration,
) -> Result<Stored, BusError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let not_stored = |trouble| BusError::NotStored {
        subject: subject.to_owned(),
        trouble,
    };
    let request = async_nats::Request::new()
        .payload(payload)
        .headers(map)
        .timeout(Some(within));
    let answered = bus.client().send_request(subject.to_owned(), request).await;
    let message = answered.map_err(|error| match error.kind() {
        async_nats::RequestErrorKind::NoResponders => not_stored(Trouble::NoStream),
        _ => not_stored(Trouble::NoAnswer),
    })?;
    outcome(&message.payload).map_err(not_stored)
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

fn outcome(payload: &[u8]) -> Result<Stored, Trouble> {
    let refused = |description: &str| Trouble::Refused {
        code: 0,
        description: description.to_owned(),
    };
    let reply: Reply = serde_json::from_slice(payload).map_err(|_| refused("the answer is not a JetStream answer"))?;
    match reply.error {
        None if reply.seq > 0 => Ok(Stored {
            stream_seq: reply.seq,
            duplicate: reply.duplicate,
        }),
        None => Err(refused("the answer names no sequence")),
        // 10077: the stream could not store it (its limits, or the disk); 10047 and 10023: the server's own limits.
        Some(error) if matches!(error.err_code, 10_077 | 10_047 | 10_023) => Err(Trouble::Full),
        // 10076 and 10039: JetStream is not (yet) enabled.
        Some(error) if matches!(error.err_code, 10_076 | 10_039) => Err(Trouble::NoStream),
        Some(error) => Err(Trouble::Refused {
            code: error.err_code,
            description: error.description,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let stored = |stream_seq, duplicate| Ok(Stored { stream_seq, duplicate });
        assert_eq!(outcome(br#"{"stream":"MARKET_DATA","seq":7}"#), stored(7, false));
        assert_eq!(
            outcome(br#"{"stream":"MARKET_DATA","seq":7,"duplicate":true}"#),
            stored(7, true)
        );
        let full = br#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"MARKET_DATA","seq":0}"#;
        assert_eq!(outcome(full), Err(Trouble::Full));
        let large = br#"{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}"#;
        assert!(!outcome(large).expect_err("refused").is_retryable());
        assert!(outcome(b"+OK").is_err() && outcome(b"{}").is_err());
    }
}
