//! Messages that a stream keeps for no durable: read and removed one by one.

use async_nats::jetstream::stream::LastRawMessageErrorKind;

use crate::{Bus, BusError, KeptMessage};

/// Returns the first message of a stream that has a sequence of at least `from` and a subject that `filter` matches; `None` where
/// there is none.
///
/// # Errors
/// Where the server does not answer, or has no such stream.
pub async fn next_kept(bus: &Bus, stream: &str, filter: &str, from: u64) -> Result<Option<KeptMessage>, BusError> {
    let found = bus.context().get_stream_no_info(stream).await;
    let found = found.map_err(|e| BusError::api("ask for stream", stream, e))?;
    match found.get_first_raw_message_by_subject(filter, from).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(BusError::api("read stream", stream, error)),
    }
}

/// Removes one message from a stream.
///
/// # Errors
/// Where the server does not answer, or has no such message.
pub async fn remove_kept(bus: &Bus, stream: &str, sequence: u64) -> Result<(), BusError> {
    let found = bus.context().get_stream_no_info(stream).await;
    let found = found.map_err(|e| BusError::api("ask for stream", stream, e))?;
    let removed = found.delete_message(sequence).await;
    removed
        .map(|_| ())
        .map_err(|e| BusError::api("remove a message of", stream, e))
}
