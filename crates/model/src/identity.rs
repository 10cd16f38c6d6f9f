//! Identities: who produced an event, and what an event says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The header that carries a message's [`ProducerId`].
pub const SEQUENCE_HEADER: &str = "Mprism-Seq";

/// One life of a producing process: `unix_ms << 22 | 22 random bits`, never a counter, so that a cloned home or a restored
/// spool cannot use an identity twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Makes an epoch of a wall-clock time and random bits (only the low 22 are used).
    pub fn new(unix_ms: u64, random: u32) -> Self {
        Self(unix_ms << 22 | u64::from(random & 0x3F_FFFF))
    }

    /// Returns the wall-clock time the epoch began, in milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> u64 {
        self.0 >> 22
    }
}

/// The identity of one stored row: what makes an insert idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerId {
    /// The producer's life.
    pub epoch: Epoch,
    /// The position within that life, contiguous from 1.
    pub seq: u64,
}

/// A `Mprism-Seq` header that does not read `<epoch>-<seq>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not <epoch>-<seq>")]
pub struct ProducerIdError(String);

impl ProducerId {
    /// Makes the identity of a message that carries none: epoch 0 and a hash of its message id, else of subject and payload.
    pub fn of_foreign(message_id: Option<&str>, subject: &str, payload: &[u8]) -> Self {
        let seq = match message_id {
            Some(id) => xxhash_rust::xxh3::xxh3_64(id.as_bytes()),
            None => {
                let mut hasher = xxhash_rust::xxh3::Xxh3::new();
                hasher.update(subject.as_bytes());
                hasher.update(&[0]);
                hasher.update(payload);
                hasher.digest()
            }
        };
        Self { epoch: Epoch(0), seq }
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.0, self.seq)
    }
}

impl FromStr for ProducerId {
    type Err = ProducerIdError;

    fn from_str(text: &str) -> Result<Self, ProducerIdError> {
        text.split_once('-')
            .and_then(|(epoch, seq)| {
                Some(Self {
                    epoch: Epoch(epoch.parse().ok()?),
                    seq: seq.parse().ok()?,
                })
            })
            .ok_or_else(|| ProducerIdError(text.chars().take(64).collect()))
    }
}

/// A `Nats-Msg-Id`: the natural identity of an event and a hash of what it says, never of a local clock, so that the
/// websocket, REST and a second collector agree on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub String);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_keeps_its_time_and_22_random_bits() {
        let epoch = Epoch::new(1_795_176_000_123, u32::MAX);
        assert_eq!(epoch.unix_ms(), 1_795_176_000_123);
        assert_eq!(epoch.0 & 0x3F_FFFF, 0x3F_FFFF);
    }

    #[test]
    fn a_header_reads_back_as_itself() {
        let id = ProducerId {
            epoch: Epoch(7),
            seq: 9,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        for junk in ["", "7", "7-", "-9", "7-9-1", "a-b"] {
            assert!(junk.parse::<ProducerId>().is_err(), "{junk}");
        }
    }

    #[test]
    fn messages_of_other_publishers_get_a_stable_identity() {
        let by_id = ProducerId::of_foreign(Some("x"), "a", b"1");
        assert_eq!(by_id, ProducerId::of_foreign(Some("x"), "b", b"2"));
        assert_ne!(
            ProducerId::of_foreign(None, "a", b"1"),
            ProducerId::of_foreign(None, "a", b"2")
        );
        assert_eq!(by_id.epoch, Epoch(0));
    }
}
