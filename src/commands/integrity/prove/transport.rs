//! Proof 6: streams and durables are as configured, nothing waits for too long, and nothing was discarded before it was read.

use std::time::Duration;

use super::super::observe::{Observed, StreamState, Transport};
use super::super::report::{Check, Level};
use super::counted;
use crate::report::{bytes, duration_text};

/// Messages that may wait in a durable before that is worth a look.
const BACKLOG_MAX: u64 = 100_000;
/// A stream that is fuller is worth a look; mprism's own are purged before. Percent.
const FILL_PERCENT_MAX: f64 = 85.0;

/// Proves it; nothing where the broker was not asked.
pub(super) fn prove(observed: &Observed, checks: &mut Vec<Check>) {
    let Some(transport) = &observed.transport else {
        return;
    };
    if let Some(reason) = &transport.unreachable {
        let message = format!("the broker cannot be asked: {reason}");
        checks.push(Check::new("transport", Level::Error, "unreachable", message));
        return;
    }
    let before = checks.len();
    settings(transport, checks);
    durables(transport, checks);
    for stream in &transport.streams {
        discarded(transport, stream, checks);
        fill(stream, checks);
    }
    dead_letters(transport, checks);
    if checks.len() == before {
        let waiting: u64 = transport.durables.iter().map(|durable| durable.pending).sum();
        let message = format!("streams, durables and fsync policy as configured; {waiting} messages on their way");
        checks.push(Check::ok("transport", message));
    }
    let fuller = transport
        .streams
        .iter()
        .filter_map(|stream| Some((stream, percent(stream)?)));
    if let Some((stream, percent)) = fuller.max_by(|a, b| a.1.total_cmp(&b.1)) {
        checks.push(Check::ok(
            "transport",
            format!("{} is {percent:.0} % full", stream.name),
        ));
    }
}

fn settings(transport: &Transport, checks: &mut Vec<Check>) {
    for difference in &transport.differs {
        checks.push(Check::new("transport", Level::Error, "differs", difference));
    }
    if let Some((wanted, found)) = transport.sync.as_ref().filter(|(wanted, found)| wanted != found) {
        let message = format!("the broker writes for good every {found}, not {wanted}");
        checks.push(Check::new("transport", Level::Error, "fsync", message).compared(wanted, found));
    }
}

fn durables(transport: &Transport, checks: &mut Vec<Check>) {
    for durable in &transport.durables {
        let name = &durable.name;
        if durable.ack_floor > durable.last_seq {
            let (at, last) = (durable.ack_floor, durable.last_seq);
            let message = format!("{name} stands at {at}, ahead of its stream's end {last}");
            checks.push(Check::new("transport", Level::Error, "ahead", message).compared(last, at));
        }
        if durable.pending > BACKLOG_MAX {
            let message = format!("{} messages of {name} are not stored yet", durable.pending);
            let check = Check::new("transport", Level::Warn, "backlog", message).rows(durable.pending);
            checks.push(check.compared(BACKLOG_MAX, durable.pending));
        }
        if let Some(began_at) = durable.began_at {
            let message = format!("{name} was made to begin at {began_at}: what was in its stream before was skipped");
            checks.push(Check::new("transport", Level::Warn, "deliver_policy", message));
        }
    }
}

/// Tells of messages that left before anybody read them.
///
/// mprism purges only what the durable of its subject has acked, so a stream's first message is never beyond the one after the
/// furthest durable. A stream with limits that discard has no such bound: between that durable and the first message nobody had
/// read anything.
fn discarded(transport: &Transport, stream: &StreamState, checks: &mut Vec<Check>) {
    let durables = transport
        .durables
        .iter()
        .filter(|durable| durable.stream == stream.name);
    let Some(floor) = durables.map(|durable| durable.ack_floor).max() else {
        return;
    };
    let lost = stream.first_seq.saturating_sub(floor.saturating_add(1));
    if lost > 0 {
        let message = format!(
            "{} of {} discarded before they were read: {} to {}",
            counted(lost, "message", "messages"),
            stream.name,
            floor + 1,
            stream.first_seq - 1
        );
        let check = Check::new("transport", Level::Error, "discarded", message).rows(lost);
        checks.push(check.compared(floor + 1, stream.first_seq));
    }
}

fn percent(stream: &StreamState) -> Option<f64> {
    (stream.bytes_max > 0).then(|| stream.bytes as f64 / stream.bytes_max as f64 * 100.0)
}

/// Tells of a stream that nears its limit, and how long that takes at the rate of what it holds.
fn fill(stream: &StreamState, checks: &mut Vec<Check>) {
    let Some(percent) = percent(stream).filter(|percent| *percent >= FILL_PERCENT_MAX) else {
        return;
    };
    let seconds = stream.spans_ms as f64 / 1_000.0;
    let rate = stream.bytes as f64 / seconds.max(1.0);
    let left = stream.bytes_max.saturating_sub(stream.bytes) as f64 / rate.max(1.0);
    let message = format!(
        "{} is {percent:.0} % full ({} of {}); at the present rate it takes {} until it is",
        stream.name,
        bytes(stream.bytes),
        bytes(stream.bytes_max),
        duration_text(Duration::from_secs_f64(left.min(1e9)))
    );
    let check = Check::new("transport", Level::Warn, "filling", message);
    checks.push(check.compared(stream.bytes_max, stream.bytes));
}

/// Tells of what could never be stored, by the subject that it came with.
fn dead_letters(transport: &Transport, checks: &mut Vec<Check>) {
    for (subject, count) in &transport.dead_letters {
        let message = format!(
            "{} of {subject} could never be stored (stream DEAD_LETTER)",
            counted(*count, "message", "messages")
        );
        let check = Check::new("transport", Level::Error, "dead_letters", message).rows(*count);
        let parts: Vec<&str> = subject.splitn(4, '.').collect();
        checks.push(match parts[..] {
            [data_type, exchange, _, symbol] => check.of(data_type).at(exchange, symbol),
            _ => check,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::observe::DurableState;
    use super::super::tests::messages;
    use super::*;

    fn proven(transport: Transport) -> Vec<Check> {
        let mut checks = Vec::new();
        let observed = Observed {
            transport: Some(transport),
            ..Observed::default()
        };
        prove(&observed, &mut checks);
        checks
    }

    fn durable(name: &str, ack_floor: u64) -> DurableState {
        DurableState {
            stream: "MARKET_DATA".into(),
            name: name.into(),
            ack_floor,
            last_seq: 5_000,
            ..DurableState::default()
        }
    }

    fn stream(first_seq: u64, bytes: u64) -> StreamState {
        StreamState {
            name: "MARKET_DATA".into(),
            first_seq,
            messages: 10,
            bytes,
            bytes_max: 1_000_000,
            spans_ms: 1_000_000,
        }
    }

    #[test]
    fn a_durable_ahead_of_its_stream_is_an_error() {
        let checks = proven(Transport {
            durables: vec![durable("d", 8_000)],
            ..Transport::default()
        });
        assert_eq!(
            messages(&checks, Level::Error),
            ["d stands at 8000, ahead of its stream's end 5000"]
        );
    }

    #[test]
    fn what_was_discarded_unread_is_counted_and_what_was_purged_is_not() {
        let with = |first_seq| {
            let checks = proven(Transport {
                durables: vec![durable("trade", 400), durable("liquidation", 3)],
                streams: vec![stream(first_seq, 1)],
                ..Transport::default()
            });
            messages(&checks, Level::Error)
        };
        assert_eq!(with(401), [] as [String; 0], "all that trades' durable read was purged");
        assert_eq!(
            with(501),
            ["100 messages of MARKET_DATA discarded before they were read: 401 to 500"]
        );
    }

    #[test]
    fn a_stream_that_fills_says_how_long_that_takes() {
        let checks = proven(Transport {
            streams: vec![stream(1, 900_000)],
            ..Transport::default()
        });
        let told = messages(&checks, Level::Warn);
        assert!(told[0].contains("90 % full"), "{told:?}");
        assert!(told[0].ends_with("it takes 1m 51s until it is"), "{told:?}");
    }

    #[test]
    fn dead_letters_are_told_by_market() {
        let checks = proven(Transport {
            dead_letters: [("trade.okx_spot.spot.BTC-USDT".to_owned(), 2)].into(),
            ..Transport::default()
        });
        let found = &checks[0];
        assert_eq!((found.level, found.rows), (Level::Error, 2));
        assert_eq!(found.r#type.as_deref(), Some("trade"));
        assert_eq!(found.symbol.as_deref(), Some("BTC-USDT"));
    }

    #[test]
    fn where_a_durable_should_have_begun_is_told() {
        let checks = proven(Transport {
            durables: vec![DurableState {
                began_at: Some("the last message"),
                ..durable("d", 1)
            }],
            ..Transport::default()
        });
        assert_eq!(messages(&checks, Level::Warn).len(), 1);
    }
}
