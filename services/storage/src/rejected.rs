//! What becomes of a row that the store rejects: its message is kept as it came, and a batch has only the row.

use std::time::Duration;

use bytes::Bytes;
use mprism_bus::{BusError, KeptMessage, SubjectText, acked_sequence, kept_at};
use mprism_model::{Event, Subject};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::log::chain;
use tokio_util::sync::CancellationToken;

use crate::batch::{Backing, Delivery};
use crate::lane::{Lane, Stopped};
use crate::row::{Facts, Row};

/// How often a stream that can be reached may fail to give a message.
const TRIES: u32 = 3;

impl Lane {
    /// Returns a row's message as it came: it is not acked, so its stream has it.
    ///
    /// A stream that lost it, or does not let us read it, leaves what we have: the row's bytes, as they would have been inserted.
    pub(crate) async fn as_it_came(
        &mut self,
        row: &Row,
        backing: &Backing,
        shutdown: &CancellationToken,
    ) -> Result<Delivery, Stopped> {
        let reply = backing.reply(row);
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut tries = 0;
        while tries < TRIES {
            match self.fetch(row, backing, reply.as_ref()).await {
                Ok(Some(delivery)) => return Ok(delivery),
                Ok(None) => break,
                Err(error) => {
                    self.stats.error_now();
                    let error = chain(&error);
                    tracing::warn!(
                        table = self.table,
                        error,
                        "a rejected message cannot be fetched again yet"
                    );
                    // A server that is away will come back.
                    tries += u32::from(self.bus.connection().borrow().is_connected);
                    self.pause(&mut backoff, Duration::ZERO, shutdown).await?;
                }
            }
        }
        let market = backing.market(row);
        let subject = Subject {
            data_type: self.data_type,
            exchange: market.exchange,
            market_type: market.market_type,
            symbol: market.symbol.clone(),
        };
        let subject = subject.to_string();
        tracing::error!(
            table = self.table,
            subject,
            "a rejected message is not in its stream any more; its row is kept instead, in the RowBinary format"
        );
        Ok(Delivery {
            subject: subject.into(),
            message_id: String::new(),
            payload: Bytes::copy_from_slice(backing.bytes(row)),
            reply,
        })
    }

    async fn fetch(
        &self,
        row: &Row,
        backing: &Backing,
        reply: Option<&SubjectText>,
    ) -> Result<Option<Delivery>, BusError> {
        let Some(sequence) = reply.and_then(|reply| acked_sequence(reply.as_str())) else {
            return Ok(None);
        };
        let kept = kept_at(&self.bus, &self.durable.stream, sequence).await?;
        Ok(kept.filter(|kept| says(kept, row, backing)).map(|kept| Delivery {
            message_id: kept
                .headers
                .get("Nats-Msg-Id")
                .map(|id| id.as_str().to_owned())
                .unwrap_or_default(),
            subject: kept.subject,
            payload: kept.payload,
            reply: reply.cloned(),
        }))
    }
}

/// Whether a message is the one that became this row: a server that lost messages gives their places to others.
fn says(kept: &KeptMessage, row: &Row, backing: &Backing) -> bool {
    let event = Event::parse(kept.subject.as_str(), &kept.payload);
    event.is_ok_and(|event| {
        let facts = Facts::of(&event);
        let is_about_same = facts.market == *backing.market(row) && facts.day == row.day;
        is_about_same && facts.natural == row.natural && facts.content == row.content
    })
}
