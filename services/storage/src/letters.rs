//! Dead letters, to be looked at and tried again: for the operator's repair.
//!
//! The stream is the truth about them: a letter leaves it last, after its row is stored and its copy is gone from the table.

use bytes::Bytes;
use mprism_bus::{Bus, BusError, DEAD_LETTER, next_kept, remove_kept};
use mprism_clickhouse::{Store, StoreError, Tier};
use mprism_model::{Event, ProducerId, SEQUENCE_HEADER};

use crate::dead_letter::TABLE;
use crate::row::Facts;
use crate::settle::{Present, Suspects};
use crate::tables::{self, Place};

/// A message that could not be stored.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its place in the stream.
    pub stream_seq: u64,
    /// The subject it came under.
    pub subject: String,
    /// Its own identity; `None` where the stream does not say one, which is no letter of ours.
    pub identity: Option<ProducerId>,
    /// Why it could not be stored.
    pub reason: String,
    /// What it says.
    pub payload: Bytes,
}

/// Why letters cannot be read or removed.
#[derive(Debug, thiserror::Error)]
pub enum LettersError {
    /// The stream does not answer, or refuses.
    #[error("the stream {DEAD_LETTER} cannot be used")]
    Stream(#[from] BusError),
    /// The store does not answer, or refuses.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

/// Reads all letters, the oldest first.
///
/// # Errors
/// Where the stream is not there or does not answer.
pub async fn all(bus: &Bus) -> Result<Vec<Letter>, LettersError> {
    let mut letters = Vec::new();
    let mut from = 1;
    while let Some(message) = next_kept(bus, DEAD_LETTER, "dead.>", from).await? {
        from = message.sequence + 1;
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
        letters.push(Letter {
            stream_seq: message.sequence,
            subject: header("Mprism-Subject").unwrap_or_else(|| message.subject.trim_start_matches("dead.").to_owned()),
            identity: header(SEQUENCE_HEADER).and_then(|text| text.parse().ok()),
            reason: header("Mprism-Reason").unwrap_or_default(),
            payload: message.payload.clone(),
        });
    }
    Ok(letters)
}

impl Letter {
    /// Reads it with what this version understands.
    ///
    /// # Errors
    /// Why it is still not understood, in words.
    pub fn read(&self) -> Result<Event, String> {
        Event::parse(&self.subject, &self.payload).map_err(|error| mprism_runtime::log::chain(&error))
    }

    /// Removes the letter: first its copies in the table, then itself. Done half, doing it again finishes it.
    ///
    /// # Errors
    /// Where the store or the stream refuses.
    pub async fn remove(&self, bus: &Bus, store: &Store) -> Result<(), LettersError> {
        if let Some(ProducerId { epoch, seq }) = self.identity {
            let statement = format!(
                "ALTER TABLE {TABLE} DELETE WHERE producer_epoch = {} AND producer_seq = {seq} SETTINGS mutations_sync = 1",
                epoch.0
            );
            store.execute(&statement).await?;
        }
        Ok(remove_kept(bus, DEAD_LETTER, self.stream_seq).await?)
    }
}

/// Returns whether an event is stored: under this identity, or as the same said by somebody else.
///
/// # Errors
/// Where a store does not answer.
pub async fn is_stored((hot, cold): (&Store, &Store), event: &Event, identity: ProducerId) -> Result<bool, StoreError> {
    let Facts {
        market,
        natural,
        content,
        ..
    } = Facts::of(event);
    let suspects = Suspects {
        identities: vec![identity],
        naturals: vec![(market.clone(), natural.clone())],
    };
    let mut present = Present::default();
    for (store, tier) in [(hot, Tier::Hot), (hot, Tier::Leaving), (cold, Tier::Cold)] {
        let place = Place { store, tier };
        match tables::read_back(place, event.data_type(), &suspects, &mut present).await {
            Err(error) if tier != Tier::Hot && error.is_missing_table() => {}
            outcome => outcome?,
        }
    }
    let same = present.by_natural.get(&(market, natural));
    Ok(
        present.by_identity.get(&identity) == Some(&content)
            || same.is_some_and(|contents| contents.contains(&content)),
    )
}
