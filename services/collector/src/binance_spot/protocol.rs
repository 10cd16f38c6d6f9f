//! How Binance spot's sockets are spoken to:
//! <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

use std::time::Duration;

use mprism_model::DataType;

use super::BinanceSpot;
use crate::binance::{on_connections, stream, subscribe};
use crate::link::{Plan, Protocol, Request, Rules, Silence, Wanted};
use crate::wire::Wire;

/// Streams of a connection: the venue takes 1,024.
const STREAMS_MAX: usize = 1_024;

impl Protocol for BinanceSpot {
    fn wire(&self) -> &'static dyn Wire {
        &Self
    }

    fn rules(&self) -> Rules {
        Rules {
            // Five incoming messages a second, pongs included.
            send_every: Duration::from_millis(300),
            // 300 attempts in five minutes, and others on this address may connect, too.
            connect_every: Duration::from_secs(1),
            ping: None,
            // It pings every 20 seconds, and takes a minute to give up itself.
            dead_after: Duration::from_secs(60),
            // The venue cuts at 24 h.
            life: Some(Duration::from_secs(23 * 3_600)),
        }
    }

    fn plan(&self, wanted: &[Wanted]) -> Vec<Plan> {
        let kinds = [(DataType::Trade, "trade"), (DataType::OrderBook, "depth@100ms")];
        let streams = wanted.iter().flat_map(|wanted| {
            let kinds = kinds.into_iter().filter(|(data_type, _)| wanted.wants(*data_type));
            kinds.map(|(data_type, kind)| stream(&wanted.instrument, kind, data_type, Silence::Usual))
        });
        on_connections("/stream", streams.collect(), STREAMS_MAX)
    }

    fn subscribe(&self, streams: &[Box<str>], first_id: u64) -> Vec<Request> {
        subscribe(streams, first_id)
    }
}

#[cfg(test)]
mod tests {
    use mprism_model::InstrumentId;

    use super::*;

    #[test]
    fn only_what_is_wanted_is_subscribed_to() {
        let wanted = |name: &str, types: &[DataType]| Wanted {
            instrument: InstrumentId::new(name).expect("valid"),
            types: types.to_vec(),
        };
        let all = [
            wanted("BTCUSDT", &[DataType::Trade, DataType::OrderBook]),
            wanted("ETHUSDT", &[DataType::OrderBook]),
            wanted("BNBUSDT", &[DataType::FundingRate]),
        ];
        let plans = BinanceSpot.plan(&all);
        assert_eq!(plans.len(), 1);
        let names: Vec<_> = plans[0].streams.iter().map(|stream| &*stream.name).collect();
        assert_eq!(
            (plans[0].path, names),
            (
                "/stream",
                vec!["btcusdt@trade", "btcusdt@depth@100ms", "ethusdt@depth@100ms"]
            )
        );
        assert!(BinanceSpot.plan(&all[2..]).is_empty());
    }
}
