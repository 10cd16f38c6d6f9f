//! What Binance spot's sockets need: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

use std::time::Duration;

use mprism_model::DataType;

use super::BinanceSpot;
use crate::link::{Plan, Protocol, Request, Rules, Silence, Stream, Wanted};
use crate::wire::Wire;

/// Streams named in one request; the venue counts requests, not names.
const STREAMS_PER_REQUEST: usize = 100;
/// Streams on one connection.
const STREAMS_PER_CONNECTION: usize = 1_024;

impl Protocol for BinanceSpot {
    fn wire(&self) -> &'static dyn Wire {
        &BinanceSpot
    }

    fn rules(&self) -> Rules {
        Rules {
            // Five incoming messages a second, pongs included.
            send_every: Duration::from_millis(300),
            connect_every: Duration::from_secs(1),
            ping: None,
            // The venue pings every 20 s.
            dead_after: Duration::from_secs(60),
            // The venue cuts at 24 h.
            life: Some(Duration::from_secs(23 * 3_600)),
        }
    }

    fn plan(&self, wanted: &[Wanted]) -> Vec<Plan> {
        let kinds = [(DataType::Trade, "@trade"), (DataType::OrderBook, "@depth@100ms")];
        let mut streams = Vec::new();
        for wanted in wanted {
            for (data_type, suffix) in kinds {
                if wanted.wants(data_type) {
                    let symbol = wanted.instrument.as_str().to_lowercase();
                    streams.push(Stream {
                        name: format!("{symbol}{suffix}").into(),
                        tells: vec![(data_type, wanted.instrument.clone())],
                        silence: Silence::Usual,
                    });
                }
            }
        }
        let plan = |streams: &[Stream]| Plan {
            path: "/stream",
            streams: streams.to_vec(),
        };
        streams.chunks(STREAMS_PER_CONNECTION).map(plan).collect()
    }

    fn subscribe(&self, streams: &[Box<str>], first_id: u64) -> Vec<Request> {
        let requests = streams.chunks(STREAMS_PER_REQUEST).zip(first_id..);
        requests
            .map(|(names, id)| Request {
                id,
                streams: names.to_vec(),
                text: serde_json::json!({"method": "SUBSCRIBE", "params": names, "id": id}).to_string(),
            })
            .collect()
    }
}
