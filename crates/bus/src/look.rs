//! Looks at a server that change nothing and read no message.

use std::collections::BTreeMap;

use async_nats::jetstream::consumer::{DeliverPolicy, Info};
use async_nats::jetstream::stream::Stream;
use futures_util::TryStreamExt;

use crate::moving::RESUMED_KEY;
use crate::{Bus, BusError, DeliverFrom};

/// Counts the messages of each subject of a stream that a filter matches; nothing where the stream is not there.
///
/// # Errors
/// Where the server does not answer.
pub async fn count_by_subject(bus: &Bus, stream: &str, filter: &str) -> Result<BTreeMap<String, u64>, BusError> {
    let Ok(found) = bus.context().get_stream(stream).await else {
        return Ok(BTreeMap::new());
    };
    let failed = |error: async_nats::jetstream::stream::InfoError| BusError::api("count messages of", stream, error);
    let asked: Stream = found;
    let subjects = asked.info_with_subjects(filter).await.map_err(failed)?;
    let counted = subjects.map_ok(|(subject, count)| (subject, count as u64));
    counted.try_collect().await.map_err(failed)
}

/// Returns where a durable began, in words, where that skipped messages that it should have begun with. One that goes on behind what
/// an earlier one had acked skipped nothing.
pub fn skipped_from(wanted: DeliverFrom, found: &Info) -> Option<&'static str> {
    if found.config.metadata.contains_key(RESUMED_KEY) {
        return None;
    }
    match (wanted, found.config.deliver_policy) {
        (DeliverFrom::All, DeliverPolicy::Last) => Some("the last message"),
        (DeliverFrom::All, DeliverPolicy::LastPerSubject) => Some("the last message of each subject"),
        (DeliverFrom::All, DeliverPolicy::New) => Some("the next message"),
        (DeliverFrom::All, DeliverPolicy::ByStartSequence { .. } | DeliverPolicy::ByStartTime { .. }) => {
            Some("a message in the middle")
        }
        _ => None,
    }
}
