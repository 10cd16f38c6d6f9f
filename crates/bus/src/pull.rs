//! Pulling from a durable: never more messages on their way than were asked for, which is once at a time; after a connection was made
//! anew at most once more.
//!
//! The client's own stream of messages asks again by the clock: for a reader that is slow it gathers what it cannot hold, drops the
//! rest, and takes the missing heartbeats of a reader that did not read for a lost server. What is dropped or left behind then
//! comes back only after the durable's ack wait. Here the next request is made only where nothing of the last one is to come.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::sync::watch;

use crate::{Bus, BusError, Connection, DurableSpec};

/// After this time a request ends with what it has.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that a request waits, while nothing comes.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Without a word for this long the request is lost.
const SILENCE_MAX: Duration = Duration::from_secs(11);

/// A reader of a durable.
#[derive(Debug)]
pub struct Pull {
    client: Client,
    durable: String,
    subject: Subject,
    inbox: String,
    /// The reply subject of the last request: what the server says of an earlier one is of no interest any more.
    reply: Subject,
    asked: u64,
    messages: Subscriber,
    connection: watch::Receiver<Connection>,
    /// Connections when the last request was made.
    connects: u64,
    /// Messages that may still come of what was asked for.
    to_come: usize,
}

#[derive(Serialize)]
struct Request {
    batch: usize,
    max_bytes: usize,
    expires: u128,
    idle_heartbeat: u128,
}

impl Pull {
    /// Begins to read; nothing comes before it is asked for.
    ///
    /// # Errors
    /// [`BusError::Closed`] where the connection was closed for good.
    pub async fn new(bus: &Bus, durable: &DurableSpec) -> Result<Self, BusError> {
        let client = bus.client().clone();
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(format!("{inbox}.*")).await;
        let connection = bus.connection();
        let connects = connection.borrow().connects;
        Ok(Self {
            client,
            durable: durable.name.clone(),
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", durable.stream, durable.name).into(),
            reply: inbox.clone().into(),
            inbox,
            asked: 0,
            messages: subscribed.map_err(|_| BusError::Closed)?,
            connection,
            connects,
            to_come: 0,
        })
    }

    /// Asks for so many messages of together so many bytes, unless some of an earlier request are to come.
    ///
    /// # Errors
    /// [`BusError::Closed`] where the connection was closed for good.
    pub async fn ask(&mut self, messages_max: usize, bytes_max: usize) -> Result<(), BusError> {
        if self.to_come > 0 {
            return Ok(());
        }
        let request = Request {
            batch: messages_max,
            max_bytes: bytes_max,
            expires: EXPIRES.as_nanos(),
            idle_heartbeat: HEARTBEAT.as_nanos(),
        };
        let text = serde_json::to_vec(&request).expect("numbers always serialise");
        self.asked += 1;
        self.reply = format!("{}.{}", self.inbox, self.asked).into();
        let (subject, reply) = (self.subject.clone(), self.reply.clone());
        let sent = self.client.publish_with_reply(subject, reply, text.into()).await;
        sent.map_err(|_| BusError::Closed)?;
        self.to_come = messages_max;
        Ok(())
    }

    /// Waits for the next message; `None` where no more comes of what was asked for. Cancel safe.
    ///
    /// # Errors
    /// [`BusError::Pull`] where the durable has to be opened again, [`BusError::Closed`] where the connection is gone for good.
    pub async fn next(&mut self) -> Result<Option<Message>, BusError> {
        while self.to_come > 0 {
            let message = tokio::select! {
                biased;
                // What waits here was said while nobody listened, which is not silence.
                message = self.messages.next() => message.ok_or(BusError::Closed)?,
                connection = self.connection.wait_for(|now| now.connects != self.connects) => {
                    // Requests end with their connection, and with their server.
                    self.connects = connection.map_err(|_| BusError::Closed)?.connects;
                    self.to_come = 0;
                    break;
                }
                () = tokio::time::sleep(SILENCE_MAX) => {
                    tracing::warn!(durable = self.durable, "nothing is heard of a pull request, it is made again");
                    self.to_come = 0;
                    break;
                }
            };
            if let Some(message) = self.sort(message)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Returns the next message if it is here already; `None` where [`Pull::next`] has to wait, or to say that no more comes.
    ///
    /// # Errors
    /// As [`Pull::next`].
    pub fn ready(&mut self) -> Result<Option<Message>, BusError> {
        while self.to_come > 0 {
            let Some(waiting) = self.messages.next().now_or_never() else {
                break;
            };
            if let Some(message) = self.sort(waiting.ok_or(BusError::Closed)?)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Tells a message from what the server says of the request.
    fn sort(&mut self, message: Message) -> Result<Option<Message>, BusError> {
        match message.status {
            None | Some(StatusCode::OK) => {
                self.to_come -= 1;
                return Ok(Some(message));
            }
            Some(StatusCode::IDLE_HEARTBEAT) => {}
            // A request that got all it asked for is told so afterwards.
            Some(_) if message.subject != self.reply => {}
            Some(status) => {
                self.to_come = 0;
                let said = message.description.as_deref().unwrap_or_default();
                if !ends_well(status, said) {
                    return Err(BusError::Pull {
                        durable: self.durable.clone(),
                        status: status.as_u16(),
                        said: said.to_owned(),
                    });
                }
            }
        }
        Ok(None)
    }
}

/// Whether the next request may be made at once: this one has expired, is as large as was wished, or its server goes away.
fn ends_well(status: StatusCode, said: &str) -> bool {
    const CONFLICT: u16 = 409;
    match status {
        StatusCode::TIMEOUT | StatusCode::NOT_FOUND => true,
        _ if status.as_u16() == CONFLICT => {
            let said = said.to_ascii_lowercase();
            [
                "message size exceeds",
                "batch completed",
                "server shutdown",
                "leadership change",
            ]
            .iter()
            .any(|known| said.starts_with(known))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_ends_is_told_from_a_durable_that_is_gone() {
        let conflict = StatusCode::try_from(409_u16).expect("a status");
        for (status, said, is_well) in [
            (StatusCode::TIMEOUT, "Request Timeout", true),
            (conflict, "Message Size Exceeds MaxBytes", true),
            (conflict, "Server Shutdown", true),
            (conflict, "Consumer Deleted", false),
            (conflict, "Exceeded MaxRequestBatch of 10", false),
            (StatusCode::NO_RESPONDERS, "", false),
        ] {
            assert_eq!(ends_well(status, said), is_well, "{said}");
        }
    }
}
