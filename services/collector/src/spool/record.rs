//! One event as it stands in a segment.
//!
//! `[length u32][crc32c u32][epoch u64][seq u64][subject length u16][subject][id length u16][id][payload]`, little-endian;
//! length counts what follows the checksum, which covers the same bytes.

use bytes::Bytes;
use mprism_bus::SubjectText;
use mprism_model::{Epoch, ProducerId};

/// Bytes before what length and checksum cover.
pub(crate) const HEAD_BYTES: usize = 8;
/// Longest record: more is damage.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;

/// One event as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: ProducerId,
    pub(crate) subject: SubjectText,
    pub(crate) message_id: Box<str>,
    pub(crate) payload: Bytes,
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole record and its length in the segment.
    Record(Record, usize),
    /// The bytes end before the record does: the segment's end, or one that was torn.
    Incomplete,
    /// Bytes that are no record; the length they claim, if it can be believed.
    Damaged(Option<usize>),
}

impl Record {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEAD_BYTES]);
        out.extend(self.id.epoch.0.to_le_bytes());
        out.extend(self.id.seq.to_le_bytes());
        for text in [self.subject.as_str(), &self.message_id] {
            let length = u16::try_from(text.len()).expect("subjects and message ids are short");
            out.extend(length.to_le_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(&self.payload[..]);
        let body = &out[start + HEAD_BYTES..];
        let length = u32::try_from(body.len()).expect("frames are far below 4 GiB");
        let checksum = crc32c::crc32c(body);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads what stands at the beginning of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Found {
        let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
            return Found::Incomplete;
        };
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if !(20..=RECORD_BYTES_MAX).contains(&length) {
            return Found::Damaged(None);
        }
        let Some(body) = bytes.get(HEAD_BYTES..HEAD_BYTES + length) else {
            return Found::Incomplete;
        };
        let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if crc32c::crc32c(body) != checksum {
            return Found::Damaged(Some(HEAD_BYTES + length));
        }
        match Self::parse(body) {
            Some(record) => Found::Record(record, HEAD_BYTES + length),
            None => Found::Damaged(Some(HEAD_BYTES + length)),
        }
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (epoch, rest) = body.split_first_chunk::<8>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (subject, rest) = text(rest)?;
        let (message_id, payload) = text(rest)?;
        Some(Self {
            id: ProducerId {
                epoch: Epoch(u64::from_le_bytes(*epoch)),
                seq: u64::from_le_bytes(*seq),
            },
            subject: subject.into(),
            message_id: message_id.into(),
            payload: Bytes::copy_from_slice(payload),
        })
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(epoch: u64, seq: u64) -> Record {
        Record {
            id: ProducerId {
                epoch: Epoch(epoch),
                seq,
            },
            subject: "trade.binance_spot.spot.BTC-USDT".into(),
            message_id: format!("trade:{seq}").into(),
            payload: Bytes::from(format!("{{\"n\":{seq}}}")),
        }
    }

    #[test]
    fn a_record_reads_back_and_any_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        record(7, 9).encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Found::Record(record(7, 9), bytes.len()));
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), Found::Incomplete);
        assert_eq!(Record::decode(&[]), Found::Incomplete);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(Record::decode(&damaged), Found::Record(..)), "bit {bit}");
        }
    }
}
