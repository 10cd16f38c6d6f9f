//! Making room in a stream: per durable, below its own floor only.
//!
//! Streams know no age and refuse what is new when full, so the server itself never drops anything. What leaves is asked
//! for here, with the durable's own filter and a sequence that its ack floor bounds: a purge above it cannot be written down.

use std::time::Duration;

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};

use crate::{Bus, BusError, DurableSpec};

/// About how many bytes one purge looks through.
const STEP_BYTES: u64 = 32 << 20;

/// When messages leave a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgePolicy {
    /// What every durable has acked leaves after this long; `None` looks at no message's age.
    pub age_max: Option<Duration>,
    /// Above this share of its bytes, in percent, a stream gives up its oldest acked messages…
    pub fill_percent_max: u8,
    /// …down to this share.
    pub fill_percent_target: u8,
}

/// Where a durable stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurablePosition {
    /// Everything of its filter up to here (inclusive) is acked.
    pub ack_floor: u64,
    /// The first sequence of its filter that is not too old to stay.
    pub first_young: u64,
}

/// How full a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its messages' bytes.
    pub bytes: u64,
    /// Its limit in bytes.
    pub bytes_max: u64,
    /// Its first sequence.
    pub first_seq: u64,
    /// Its last sequence.
    pub last_seq: u64,
}

/// Decides below which sequence (exclusive) a durable's messages leave. Reads nothing and changes nothing.
pub fn plan_purge(fill: &Fill, position: &DurablePosition, policy: &PurgePolicy) -> Option<u64> {
    let by_fill = below_for_fill(fill, policy).unwrap_or(0);
    let below = position
        .first_young
        .max(by_fill)
        .min(position.ack_floor.saturating_add(1));
    (below > fill.first_seq).then_some(below)
}

/// Returns the sequence below which messages would have to leave to reach the target, by the stream's mean message size.
fn below_for_fill(fill: &Fill, policy: &PurgePolicy) -> Option<u64> {
    let percent = |share: u8| fill.bytes_max / 100 * u64::from(share);
    if fill.bytes <= percent(policy.fill_percent_max) {
        return None;
    }
    let span = u128::from(fill.last_seq.saturating_sub(fill.first_seq) + 1);
    let excess = u128::from(fill.bytes - percent(policy.fill_percent_target).min(fill.bytes));
    let sequences = span * excess / u128::from(fill.bytes.max(1));
    Some(fill.first_seq + u64::try_from(sequences).unwrap_or(u64::MAX))
}

/// Purges what the policy allows of one durable's messages; returns how many left.
///
/// # Errors
/// Where the server does not answer.
pub async fn purge(bus: &Bus, durable: &DurableSpec, policy: &PurgePolicy, now_ms: i64) -> Result<u64, BusError> {
    let stream = bus.context().get_stream(&durable.stream).await;
    let stream = stream.map_err(|e| BusError::api("ask for stream", &durable.stream, e))?;
    let info = stream.consumer_info(&durable.name).await;
    let info = info.map_err(|e| BusError::api("ask for durable", &durable.name, e))?;
    let state = &stream.cached_info().state;
    let fill = Fill {
        bytes: state.bytes,
        bytes_max: u64::try_from(stream.cached_info().config.max_bytes).unwrap_or(u64::MAX),
        first_seq: state.first_sequence,
        last_seq: state.last_sequence,
    };
    if state.messages == 0 {
        return Ok(0);
    }
    let oldest_ms = state.first_timestamp.unix_timestamp_nanos() / 1_000_000;
    let young_ms = policy
        .age_max
        .map(|age| now_ms - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let first_young = match young_ms {
        // Asking for messages makes the server load what it stored, so nothing is asked while the oldest is young.
        Some(young_ms) if oldest_ms < i128::from(young_ms) => {
            let found = first_young(&stream, &durable.filter, &fill, young_ms).await?;
            found.unwrap_or(fill.last_seq.saturating_add(1))
        }
        _ => fill.first_seq,
    };
    let position = DurablePosition {
        ack_floor: info.ack_floor.stream_sequence,
        first_young,
    };
    let Some(below) = plan_purge(&fill, &position, policy) else {
        return Ok(0);
    };
    let mut purged = 0;
    for below in steps(&fill, below) {
        let step = stream.purge().filter(&durable.filter).sequence(below).await;
        purged += step.map_err(|e| BusError::api("purge", &durable.filter, e))?.purged;
    }
    Ok(purged)
}

/// Returns the sequences to purge below one after another. The server loads all that it looks through for one purge: a fifth of a
/// full stream at once took 2 GB of its memory.
fn steps(fill: &Fill, below: u64) -> impl Iterator<Item = u64> {
    let span = fill.last_seq.saturating_sub(fill.first_seq) + 1;
    let mean_bytes = (fill.bytes / span).max(1);
    let step = (STEP_BYTES / mean_bytes).max(1);
    let first = fill.first_seq;
    let whole = (below - first) / step;
    (1..=whole)
        .map(move |n| first + n * step)
        .filter(move |seq| *seq < below)
        .chain(std::iter::once(below))
}

/// Finds the first message of a filter that was stored at or after `from_ms`, by halving: times grow with sequences.
async fn first_young(stream: &Stream, filter: &str, fill: &Fill, from_ms: i64) -> Result<Option<u64>, BusError> {
    let (mut low, mut high) = (fill.first_seq, fill.last_seq.saturating_add(1));
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match next_by_subject(stream, filter, middle).await? {
            Some((seq, time_ms)) if time_ms >= from_ms => {
                found = Some(seq);
                high = middle;
            }
            Some((seq, _)) => low = seq + 1,
            None => high = middle,
        }
    }
    Ok(found)
}

/// Returns sequence and time (milliseconds since the Unix epoch) of the first message of a filter at or after `seq`.
async fn next_by_subject(stream: &Stream, filter: &str, seq: u64) -> Result<Option<(u64, i64)>, BusError> {
    let asked = stream
        .raw_message_builder()
        .sequence(seq)
        .next_by_subject(filter)
        .send();
    match asked.await {
        Ok(message) => {
            let ms = message.time.unix_timestamp_nanos() / 1_000_000;
            Ok(Some((message.sequence, i64::try_from(ms).unwrap_or(i64::MAX))))
        }
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(BusError::api("read message of", filter, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PurgePolicy = PurgePolicy {
        age_max: Some(Duration::from_secs(48 * 3600)),
        fill_percent_max: 70,
        fill_percent_target: 50,
    };
    const HALF: Fill = Fill {
        bytes: 500,
        bytes_max: 1_000,
        first_seq: 1,
        last_seq: 100,
    };

    fn at(ack_floor: u64, first_young: u64) -> DurablePosition {
        DurablePosition { ack_floor, first_young }
    }

    #[test]
    fn old_messages_leave_but_never_above_the_floor() {
        assert_eq!(plan_purge(&HALF, &at(100, 1), &POLICY), None, "all young");
        assert_eq!(plan_purge(&HALF, &at(100, 40), &POLICY), Some(40));
        assert_eq!(plan_purge(&HALF, &at(100, 101), &POLICY), Some(101), "all old");
        assert_eq!(plan_purge(&HALF, &at(30, 101), &POLICY), Some(31));
        assert_eq!(plan_purge(&HALF, &at(0, 101), &POLICY), None, "nothing acked");
    }

    #[test]
    fn a_full_stream_gives_up_its_oldest_acked_messages() {
        let full = Fill { bytes: 800, ..HALF };
        assert_eq!(plan_purge(&full, &at(100, 1), &POLICY), Some(38), "3 of 8 parts");
        assert_eq!(plan_purge(&full, &at(10, 1), &POLICY), Some(11));
        let at_limit = Fill { bytes: 700, ..HALF };
        assert_eq!(plan_purge(&at_limit, &at(100, 1), &POLICY), None);
    }

    #[test]
    fn a_large_purge_is_made_of_small_ones() {
        let large = Fill {
            bytes: 100 << 20,
            ..HALF
        };
        assert_eq!(steps(&large, 97).collect::<Vec<_>>(), [33, 65, 97]);
        assert_eq!(steps(&large, 98).collect::<Vec<_>>(), [33, 65, 97, 98]);
        assert_eq!(steps(&HALF, 38).collect::<Vec<_>>(), [38]);
    }
}
