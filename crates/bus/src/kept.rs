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

/// Returns the message of a stream with this sequence; `None` where the stream does not have it any more.
///
/// # Errors
/// Where the server does not answer, or has no such stream.
pub async fn kept_at(bus: &Bus, stream: &str, sequence: u64) -> Result<Option<KeptMessage>, BusError> {
    let found = bus.context().get_stream_no_info(stream).await;
    let found = found.map_err(|e| BusError::api("ask for stream", stream, e))?;
    match found.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(BusError::api("read stream", stream, error)),
    }
}

/// Returns the place in its stream of the message that an ack subject is about; `None` where the subject does not read as one.
///
/// `$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<stream sequence>.…`, or as servers without domains have it, without
/// the first two: <https://docs.nats.io/reference/reference-protocols/nats_api_reference#acknowledging-messages>, ADR-15.
pub fn acked_sequence(reply: &str) -> Option<u64> {
    const OLD_TOKENS: usize = 7;
    let said = reply.strip_prefix("$JS.ACK.")?;
    let before = if said.split('.').count() == OLD_TOKENS { 3 } else { 5 };
    said.split('.').nth(before)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_subject_tells_where_its_message_stands() {
        for (reply, sequence) in [
            ("$JS.ACK.MARKET_DATA.trades.1.4711.12.1760054400000000000.3", Some(4711)),
            (
                "$JS.ACK._.Xy12.MARKET_DATA.trades.1.4711.12.1760054400000000000.3",
                Some(4711),
            ),
            (
                "$JS.ACK.hub.Xy12.MARKET_DATA.trades.1.4711.12.1760054400000000000.3.random",
                Some(4711),
            ),
            ("$JS.ACK.MARKET_DATA", None),
            ("_INBOX.abc", None),
        ] {
            assert_eq!(acked_sequence(reply), sequence, "{reply}");
        }
    }
}
