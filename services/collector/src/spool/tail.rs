//! The newest records in memory, so that publishing does not read back what was just written. What is acknowledged is not among
//! them: the rare time that it is published again, it is read from its segment.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use mprism_model::{Epoch, ProducerId};
use tokio::sync::Notify;

use super::Record;

/// Most bytes kept; older records are read from their segment.
const BYTES_MAX: usize = 32 << 20;

/// The newest records of the current epoch.
#[derive(Debug)]
pub(crate) struct Tail {
    epoch: Epoch,
    ring: Mutex<Ring>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Record>,
    bytes: usize,
    last_seq: u64,
}

/// What the tail says about a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InTail {
    /// It is here.
    Here(Record),
    /// It is older than what is kept.
    Older,
    /// Nothing was written there yet.
    NotYet,
}

impl Tail {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            ring: Mutex::default(),
            grown: Notify::new(),
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Adds records that are in the segment now.
    pub(super) fn extend(&self, records: impl IntoIterator<Item = Record>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            ring.bytes += record.payload.len() + 128;
            ring.last_seq = record.id.seq;
            ring.records.push_back(record);
        }
        while ring.bytes > BYTES_MAX
            && let Some(oldest) = ring.records.pop_front()
        {
            ring.bytes -= oldest.payload.len() + 128;
        }
        drop(ring);
        self.grown.notify_one();
    }

    /// Lets go of what comes before a position.
    pub(crate) fn forget_before(&self, position: ProducerId) {
        if position.epoch != self.epoch {
            return;
        }
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = ring.records.pop_front_if(|oldest| oldest.id.seq < position.seq) {
            ring.bytes -= oldest.payload.len() + 128;
        }
    }

    pub(crate) fn get(&self, seq: u64) -> InTail {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if seq > ring.last_seq {
            return InTail::NotYet;
        }
        let found = ring.records.front().and_then(|front| {
            let index = seq.checked_sub(front.id.seq)?;
            ring.records.get(usize::try_from(index).ok()?)
        });
        found.map_or(InTail::Older, |record| InTail::Here(record.clone()))
    }

    /// Returns the identity that the next record will have.
    pub(crate) fn end(&self) -> ProducerId {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ProducerId {
            epoch: self.epoch,
            seq: ring.last_seq + 1,
        }
    }

    /// Waits until records were added. Cancel safe; one waiter at a time.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }
}
