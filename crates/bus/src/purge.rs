//! Making room in a stream: oldest first, and never what a durable has yet to ack.
//!
//! Streams know no age and refuse what is new when full, so the server itself never drops anything. What leaves is asked
//! for here, by a sequence that no durable's first unacked message lies below: a purge above one cannot be written down.
//!
//! All subjects leave together, since a purge of one subject makes nats-server load every block of the stream (5 GB of a stream of
//! 5 GB, for each such purge), while a purge without one drops whole blocks unread. Only where a durable that stands still keeps a
//! nearly full stream from giving up anything, the others' messages leave subject by subject.

use std::time::Duration;

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};

use crate::{Bus, BusError, DurableSpec};

/// What leaves at once: nobody publishes while a server purges, a quarter of a second for half a gigabyte.
const STEP_BYTES: u64 = 32 << 20;
/// Between two steps, for who waited.
const BETWEEN_STEPS: Duration = Duration::from_millis(100);

/// When messages leave a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgePolicy {
    /// What every durable has acked leaves after this long; `None` looks at no message's age.
    pub age_max: Option<Duration>,
    /// Above this share of its bytes, in percent, a stream gives up its oldest acked messages…
    pub fill_percent_max: u8,
    /// …down to this share.
    pub fill_percent_target: u8,
    /// Above this share acked messages leave although older ones of another durable have to stay.
    pub fill_percent_urgent: u8,
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

/// What leaves a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgePlan {
    /// Nothing.
    Nothing,
    /// All messages below this sequence.
    All(u64),
    /// Of each of these durables, by their place, the messages below a sequence.
    Each(Vec<(usize, u64)>),
}

/// Decides what leaves, where the messages of each durable are acked below (exclusive) the sequences in `acked_below`, and those
/// below `first_young` are too old to stay. Reads nothing and changes nothing.
pub fn plan_purge(fill: &Fill, acked_below: &[u64], first_young: u64, policy: &PurgePolicy) -> PurgePlan {
    let by_fill = below_for_fill(fill, policy).unwrap_or(0);
    let wanted = first_young.max(by_fill);
    let Some(acked_by_all) = acked_below.iter().copied().min() else {
        return PurgePlan::Nothing;
    };
    let all = wanted.min(acked_by_all);
    if all > fill.first_seq {
        return PurgePlan::All(all);
    }
    if fill.bytes <= percent(fill, policy.fill_percent_urgent) {
        return PurgePlan::Nothing;
    }
    let each = acked_below.iter().map(|acked| by_fill.min(*acked)).enumerate();
    let each: Vec<(usize, u64)> = each.filter(|(_, below)| *below > fill.first_seq).collect();
    if each.is_empty() {
        PurgePlan::Nothing
    } else {
        PurgePlan::Each(each)
    }
}

fn percent(fill: &Fill, share: u8) -> u64 {
    fill.bytes_max / 100 * u64::from(share)
}

/// Returns the sequences to purge below, one after the other, so that each takes about [`STEP_BYTES`]; the last is `below`.
fn steps(fill: &Fill, below: u64) -> impl Iterator<Item = u64> {
    let span = u128::from(fill.last_seq.saturating_sub(fill.first_seq)) + 1;
    let step = span * u128::from(STEP_BYTES) / u128::from(fill.bytes.max(1));
    let step = u64::try_from(step).unwrap_or(u64::MAX).max(1);
    let between = (fill.first_seq.saturating_add(step)..below).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    between.chain([below])
}

/// Returns the sequence below which messages would have to leave to reach the target, by the stream's mean message size.
fn below_for_fill(fill: &Fill, policy: &PurgePolicy) -> Option<u64> {
    if fill.bytes <= percent(fill, policy.fill_percent_max) {
        return None;
    }
    let span = u128::from(fill.last_seq.saturating_sub(fill.first_seq) + 1);
    let excess = u128::from(fill.bytes - percent(fill, policy.fill_percent_target).min(fill.bytes));
    let sequences = span * excess / u128::from(fill.bytes.max(1));
    Some(fill.first_seq + u64::try_from(sequences).unwrap_or(u64::MAX))
}

/// Purges what the policy allows of a stream that these durables read; returns how many messages left.
///
/// # Errors
/// Where the server does not answer.
pub async fn purge(
    bus: &Bus,
    stream: &str,
    durables: &[&DurableSpec],
    policy: &PurgePolicy,
    now_ms: i64,
) -> Result<u64, BusError> {
    let found = bus.context().get_stream(stream).await;
    let found = found.map_err(|e| BusError::api("ask for stream", stream, e))?;
    let state = &found.cached_info().state;
    let fill = Fill {
        bytes: state.bytes,
        bytes_max: u64::try_from(found.cached_info().config.max_bytes).unwrap_or(u64::MAX),
        first_seq: state.first_sequence,
        last_seq: state.last_sequence,
    };
    let oldest_ms = state.first_timestamp.unix_timestamp_nanos() / 1_000_000;
    let young_ms = policy
        .age_max
        .map(|age| now_ms - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    // Asking for messages makes the server load what it stored, so nothing is asked while there is nothing to do.
    let is_old = young_ms.is_some_and(|young_ms| oldest_ms < i128::from(young_ms));
    let is_full = below_for_fill(&fill, policy).is_some();
    if state.messages == 0 || !(is_old || is_full) {
        return Ok(0);
    }
    let first_young = match young_ms {
        Some(young_ms) if is_old => first_young(&found, &fill, young_ms).await?,
        _ => fill.first_seq,
    };
    let mut acked_below = Vec::with_capacity(durables.len());
    for durable in durables {
        acked_below.push(first_unacked(&found, durable, &fill).await?);
    }
    let purged = |answer: Result<async_nats::jetstream::stream::PurgeResponse, _>, of: &str| match answer {
        Ok(answer) => Ok(answer.purged),
        Err(error) => Err(BusError::api("purge", of, error)),
    };
    match plan_purge(&fill, &acked_below, first_young, policy) {
        PurgePlan::Nothing => Ok(0),
        PurgePlan::All(below) => {
            let mut sum = 0;
            for (n, at) in steps(&fill, below).enumerate() {
                if n > 0 {
                    tokio::time::sleep(BETWEEN_STEPS).await;
                }
                sum += purged(found.purge().sequence(at).await, stream)?;
            }
            Ok(sum)
        }
        PurgePlan::Each(each) => {
            let mut sum = 0;
            for (n, below) in each {
                let filter = &durables[n].filter;
                sum += purged(found.purge().filter(filter).sequence(below).await, filter)?;
            }
            Ok(sum)
        }
    }
}

/// Returns the sequence of a durable's first message that is not acked, at most one more than the stream's last.
///
/// Its ack floor alone does not say that: of a durable that has had no message for long, it stays where it was.
async fn first_unacked(stream: &Stream, durable: &DurableSpec, fill: &Fill) -> Result<u64, BusError> {
    let info = stream.consumer_info(&durable.name).await;
    let info = info.map_err(|e| BusError::api("ask for durable", &durable.name, e))?;
    let floor = info.ack_floor.stream_sequence.saturating_add(1).max(fill.first_seq);
    let next = next_message(stream, Some(&durable.filter), floor).await?;
    // What was stored after the look at the stream is no concern of this purge.
    let beyond = fill.last_seq.saturating_add(1);
    Ok(next.map_or(beyond, |(seq, _)| seq).min(beyond))
}

/// Finds the first message that was stored at or after `from_ms`, by halving: times grow with sequences.
async fn first_young(stream: &Stream, fill: &Fill, from_ms: i64) -> Result<u64, BusError> {
    let (mut low, mut high) = (fill.first_seq, fill.last_seq.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match next_message(stream, None, middle).await? {
            Some((seq, time_ms)) if time_ms < from_ms => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Returns sequence and time (milliseconds since the Unix epoch) of the first message, of a filter or of all, at or after `seq`.
async fn next_message(stream: &Stream, filter: Option<&str>, seq: u64) -> Result<Option<(u64, i64)>, BusError> {
    let of = filter.unwrap_or(">");
    let asked = stream.raw_message_builder().sequence(seq).next_by_subject(of).send();
    match asked.await {
        Ok(message) => {
            let ms = message.time.unix_timestamp_nanos() / 1_000_000;
            Ok(Some((message.sequence, i64::try_from(ms).unwrap_or(i64::MAX))))
        }
        Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
        Err(error) => Err(BusError::api("read message of", of, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PurgePolicy = PurgePolicy {
        age_max: Some(Duration::from_secs(48 * 3600)),
        fill_percent_max: 70,
        fill_percent_target: 50,
        fill_percent_urgent: 85,
    };
    const HALF: Fill = Fill {
        bytes: 500,
        bytes_max: 1_000,
        first_seq: 1,
        last_seq: 100,
    };

    fn planned(fill: &Fill, acked_below: &[u64], first_young: u64) -> PurgePlan {
        plan_purge(fill, acked_below, first_young, &POLICY)
    }

    #[test]
    fn old_messages_leave_but_never_what_is_not_acked() {
        assert_eq!(planned(&HALF, &[101, 101], 1), PurgePlan::Nothing, "all young");
        assert_eq!(planned(&HALF, &[101, 101], 40), PurgePlan::All(40));
        assert_eq!(planned(&HALF, &[101, 101], 101), PurgePlan::All(101), "all old");
        assert_eq!(planned(&HALF, &[101, 31], 101), PurgePlan::All(31));
        assert_eq!(planned(&HALF, &[1, 101], 101), PurgePlan::Nothing, "nothing acked");
        assert_eq!(planned(&HALF, &[], 101), PurgePlan::Nothing, "nobody reads it");
    }

    #[test]
    fn a_full_stream_gives_up_its_oldest_acked_messages() {
        let full = Fill { bytes: 800, ..HALF };
        assert_eq!(planned(&full, &[101], 1), PurgePlan::All(38), "3 of 8 parts");
        assert_eq!(planned(&full, &[101, 11], 1), PurgePlan::All(11));
        let at_limit = Fill { bytes: 700, ..HALF };
        assert_eq!(planned(&at_limit, &[101], 1), PurgePlan::Nothing);
    }

    #[test]
    fn what_leaves_does_so_in_steps() {
        let taken = |bytes, below| steps(&Fill { bytes, ..HALF }, below).collect::<Vec<_>>();
        assert_eq!(taken(500, 51), [51], "little enough for one");
        assert_eq!(taken(10 * STEP_BYTES / 4, 101), [41, 81, 101]);
        assert_eq!(taken(10 * STEP_BYTES / 4, 81), [41, 81], "none is done twice");
        assert_eq!(taken(10 * STEP_BYTES / 4, 1), [1], "nor none");
        assert_eq!(taken(1_000 * STEP_BYTES, 3), [2, 3], "a step is a message at least");
    }

    #[test]
    fn who_stands_still_does_not_fill_the_stream_for_the_others() {
        let full = Fill { bytes: 800, ..HALF };
        assert_eq!(planned(&full, &[101, 1], 1), PurgePlan::Nothing, "there is room yet");
        let urgent = Fill { bytes: 900, ..HALF };
        assert_eq!(
            planned(&urgent, &[101, 1, 20], 1),
            PurgePlan::Each(vec![(0, 45), (2, 20)]),
            "4 of 9 parts of who is ahead"
        );
        assert_eq!(planned(&urgent, &[1, 1], 1), PurgePlan::Nothing);
    }
}
