//! How this market's sockets are spoken to. Since April 2026 a stream is served in its category alone; in the wrong one it is
//! acknowledged and silent:
//! <https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams>.

use std::time::Duration;

use mprism_model::DataType;

use super::BinanceUsdm;
use super::instruments::expiry;
use crate::binance::{on_connections, stream, subscribe};
use crate::link::{Plan, Protocol, Request, Rules, Silence, Stream, Wanted};
use crate::wire::Wire;

/// Where order books are served.
const PUBLIC: &str = "/public/stream";
/// Where everything else is served.
const MARKET: &str = "/market/stream";
/// Streams of a connection: the venue takes 1,024, in older documents 200.
const STREAMS_MAX: usize = 200;
/// A mark price comes every second.
const MARK_WITHIN: Duration = Duration::from_secs(5);

impl Protocol for BinanceUsdm {
    fn wire(&self) -> &'static dyn Wire {
        &BinanceUsdm
    }

    fn rules(&self) -> Rules {
        Rules {
            // Ten incoming messages a second, pongs included.
            send_every: Duration::from_millis(200),
            // Not documented for futures; spot takes 300 attempts in five minutes.
            connect_every: Duration::from_secs(1),
            ping: None,
            // The venue pings every three minutes.
            dead_after: Duration::from_secs(7 * 60),
            // The venue cuts at 24 h.
            life: Some(Duration::from_secs(23 * 3_600)),
        }
    }

    fn plan(&self, wanted: &[Wanted]) -> Vec<Plan> {
        let (mut public, mut market) = (Vec::new(), Vec::new());
        for wanted in wanted {
            if wanted.wants(DataType::OrderBook) {
                let instrument = &wanted.instrument;
                public.push(stream(instrument, "depth@100ms", DataType::OrderBook, Silence::Usual));
            }
            market.extend(market_streams(wanted));
        }
        let mut plans = on_connections(PUBLIC, public, STREAMS_MAX);
        plans.extend(on_connections(MARKET, market, STREAMS_MAX));
        plans
    }

    fn subscribe(&self, streams: &[Box<str>], first_id: u64) -> Vec<Request> {
        subscribe(streams, first_id)
    }
}

fn market_streams(wanted: &Wanted) -> impl Iterator<Item = Stream> {
    let instrument = &wanted.instrument;
    // What expires has a mark price, and no funding.
    let has_funding = expiry(instrument.as_str()).is_none();
    let kinds = [
        (DataType::Trade, "aggTrade", Silence::Usual, true),
        (
            DataType::FundingRate,
            "markPrice@1s",
            Silence::Within(MARK_WITHIN),
            has_funding,
        ),
        (DataType::Liquidation, "forceOrder", Silence::Unlimited, true),
    ];
    let wanted = kinds
        .into_iter()
        .filter(|(data_type, _, _, is_there)| *is_there && wanted.wants(*data_type));
    wanted.map(|(data_type, kind, silence, _)| stream(instrument, kind, data_type, silence))
}

#[cfg(test)]
mod tests {
    use mprism_model::InstrumentId;

    use super::*;

    fn wanted(name: &str) -> Wanted {
        Wanted {
            instrument: InstrumentId::new(name).expect("valid"),
            types: DataType::ALL.to_vec(),
        }
    }

    #[test]
    fn each_stream_is_asked_for_in_its_category() {
        let plans = BinanceUsdm.plan(&[wanted("BTCUSDT"), wanted("ETHUSDT_261225")]);
        let named: Vec<_> = plans
            .iter()
            .map(|plan| {
                (
                    plan.path,
                    plan.streams.iter().map(|stream| &*stream.name).collect::<Vec<_>>(),
                )
            })
            .collect();
        let public = vec!["btcusdt@depth@100ms", "ethusdt_261225@depth@100ms"];
        let market = vec![
            "btcusdt@aggTrade",
            "btcusdt@markPrice@1s",
            "btcusdt@forceOrder",
            "ethusdt_261225@aggTrade",
            "ethusdt_261225@forceOrder",
        ];
        assert_eq!(named, [("/public/stream", public), ("/market/stream", market)]);
    }

    #[test]
    fn many_streams_take_several_connections() {
        let many: Vec<Wanted> = (0..101).map(|n| wanted(&format!("A{n}USDT"))).collect();
        let sizes: Vec<_> = BinanceUsdm
            .plan(&many)
            .iter()
            .map(|plan| (plan.path, plan.streams.len()))
            .collect();
        assert_eq!(sizes, [(PUBLIC, 101), (MARKET, 200), (MARKET, 103)]);
        assert!(BinanceUsdm.plan(&[]).is_empty());
    }
}
