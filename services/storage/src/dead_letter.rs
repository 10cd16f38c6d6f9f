//! What can never be stored: kept with its reason in a stream of its own, and in a table for those who look there.

use std::time::Duration;

use bytes::Bytes;
use mprism_bus::{Bus, BusError, publish_confirmed};
use mprism_clickhouse::{Insert, InsertError, Store, StoreError};
use mprism_model::{ProducerId, SEQUENCE_HEADER};
use mprism_runtime::clock;
use serde::Deserialize;

use crate::batch::Delivery;

/// The table that copies the stream.
pub(crate) const TABLE: &str = "marketprism_hot.dead_letters";
const COLUMNS: &str = "timestamp, subject, reason, message_id, payload, producer_epoch, producer_seq";

/// A message on its way out.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    pub(crate) identity: ProducerId,
    pub(crate) reason: String,
    pub(crate) delivery: Delivery,
}

/// Puts a message into the dead-letter stream, the truth about it.
pub(crate) async fn bury(bus: &Bus, letter: &DeadLetter) -> Result<(), BusError> {
    let identity = letter.identity.to_string();
    let message_id = format!("dead:{identity}");
    // A header holds one line of text.
    let reason: String = letter.reason.chars().filter(|c| !c.is_control()).take(500).collect();
    let headers = [
        ("Nats-Msg-Id", message_id.as_str()),
        (SEQUENCE_HEADER, identity.as_str()),
        ("Mprism-Subject", letter.delivery.subject.as_str()),
        ("Mprism-Message-Id", letter.delivery.message_id.as_str()),
        ("Mprism-Reason", reason.as_str()),
    ];
    let subject = format!("dead.{}", letter.delivery.subject);
    let payload = letter.delivery.payload.clone();
    publish_confirmed(bus, &subject, &headers, payload, Duration::from_secs(5)).await?;
    Ok(())
}

#[derive(clickhouse::Row, Deserialize)]
struct Count {
    count: u64,
}

/// Copies a buried message into the table, once.
pub(crate) async fn copy(store: &Store, generation: u64, letter: &DeadLetter) -> Result<(), CopyError> {
    let ProducerId { epoch, seq } = letter.identity;
    let query = format!(
        "SELECT count() AS count FROM {TABLE} WHERE producer_epoch = {} AND producer_seq = {seq}",
        epoch.0
    );
    if store.fetch_one::<Count>(&query).await?.count > 0 {
        return Ok(());
    }
    let mut row = clock::now_ms().to_le_bytes().to_vec();
    let delivery = &letter.delivery;
    for text in [delivery.subject.as_str(), &letter.reason, &delivery.message_id] {
        crate::tables::put_bytes(&mut row, text.as_bytes());
    }
    crate::tables::put_bytes(&mut row, &delivery.payload);
    row.extend(epoch.0.to_le_bytes());
    row.extend(seq.to_le_bytes());
    let insert = Insert {
        table: TABLE,
        columns: COLUMNS,
        generation,
        rows: Bytes::from(row),
        row_count: 1,
    };
    store.insert(insert).await?;
    Ok(())
}

/// Why a dead letter is not in the table; it is in the stream all the same.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("the table cannot be read")]
    Read(#[from] StoreError),
    #[error("the table cannot be written")]
    Write(#[from] InsertError),
}

/// Copies buried messages into the table until the lanes are gone. What cannot be copied now stays in the stream.
pub(crate) async fn copy_all(store: Store, mut letters: tokio::sync::mpsc::Receiver<DeadLetter>) {
    let mut generation = None;
    while let Some(letter) = letters.recv().await {
        // Twice: the first failure may be a fence of an earlier life of the engine.
        for _ in 0..2 {
            let current = match generation {
                Some(current) => current,
                None => match store.fence(TABLE).await {
                    Ok(raised) => raised,
                    Err(error) => {
                        tracing::warn!(error = %mprism_runtime::log::chain(&error), "dead letter not copied to its table");
                        break;
                    }
                },
            };
            generation = Some(current);
            let Err(error) = copy(&store, current, &letter).await else {
                break;
            };
            generation = None;
            tracing::warn!(error = %mprism_runtime::log::chain(&error), "dead letter not copied to its table yet");
        }
    }
}
