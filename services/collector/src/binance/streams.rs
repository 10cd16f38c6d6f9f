//! Streams by name, spread over connections, and the requests that subscribe to them.

use mprism_model::{DataType, InstrumentId};

use crate::link::{Plan, Request, Silence, Stream};

/// Streams named in one request; the venue counts requests, not names.
const STREAMS_PER_REQUEST: usize = 100;

/// Returns an instrument's stream of this kind: its name is in lower case.
pub(crate) fn stream(instrument: &InstrumentId, kind: &str, data_type: DataType, silence: Silence) -> Stream {
    Stream {
        name: format!("{}@{kind}", instrument.as_str().to_lowercase()).into(),
        tells: vec![(data_type, instrument.clone())],
        silence,
    }
}

/// Spreads streams over as many connections as they need, at most `streams_max` each.
pub(crate) fn on_connections(path: &'static str, streams: Vec<Stream>, streams_max: usize) -> Vec<Plan> {
    let portion = |streams: &[Stream]| Plan {
        path,
        streams: streams.to_vec(),
    };
    streams.chunks(streams_max).map(portion).collect()
}

/// Returns the requests that subscribe to streams, each answered by its id.
pub(crate) fn subscribe(streams: &[Box<str>], first_id: u64) -> Vec<Request> {
    let portions = (first_id..).zip(streams.chunks(STREAMS_PER_REQUEST));
    let request = |(id, names): (u64, &[Box<str>])| Request {
        id,
        streams: names.to_vec(),
        text: serde_json::json!({"method": "SUBSCRIBE", "params": names, "id": id}).to_string(),
    };
    portions.map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_streams_take_several_requests() {
        let names: Vec<Box<str>> = (0..101).map(|n| format!("s{n}@trade").into()).collect();
        let requests = subscribe(&names, 7);
        let told: Vec<_> = requests
            .iter()
            .map(|request| (request.id, request.streams.len()))
            .collect();
        assert_eq!(told, [(7, 100), (8, 1)]);
        assert_eq!(
            requests[1].text,
            r#"{"id":8,"method":"SUBSCRIBE","params":["s100@trade"]}"#
        );
        assert!(subscribe(&[], 1).is_empty());
    }
}
