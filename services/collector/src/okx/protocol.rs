//! What OKX's sockets want to hear: <https://www.okx.com/docs-v5/en/#overview-websocket>.

use std::collections::BTreeMap;
use std::time::Duration;

use mprism_model::{DataType, InstrumentId, MarketType};
use serde_json::{Value, json};

use super::Okx;
use super::instruments::{family, market_type};
use super::messages::stream_name;
use crate::link::{Plan, Protocol, Request, Rules, Silence, Stream, Wanted};
use crate::registry;
use crate::wire::Wire;

/// Most channels are told here, fills and candles there.
const PUBLIC: &str = "/ws/v5/public";
const BUSINESS: &str = "/ws/v5/business";
/// Order books on one connection, as the venue recommends.
const BOOKS_MAX: usize = 30;
/// Streams on one connection: all arguments together may have 64 KiB, of which a stream takes less than 128 bytes.
const STREAMS_MAX: usize = 200;
/// Streams in one request; the venue counts requests, 480 an hour.
const STREAMS_PER_REQUEST: usize = 50;
/// Channels of all instruments of a type.
const LIQUIDATIONS: &str = "liquidation-orders";
const INSTRUMENTS: &str = "instruments";

impl Protocol for Okx {
    fn wire(&self) -> &'static dyn Wire {
        registry::wire(self.0)
    }

    fn rules(&self) -> Rules {
        Rules {
            send_every: Duration::from_secs(1),
            // Three are allowed, from one address.
            connect_every: Duration::from_secs(1),
            // The venue closes after 30 s without any message.
            ping: Some((Duration::from_secs(20), "ping")),
            // 20 s until the ping, and 25 s for what answers it.
            dead_after: Duration::from_secs(45),
            life: None,
        }
    }

    fn plan(&self, wanted: &[Wanted]) -> Vec<Plan> {
        let (mut public, mut business) = (of_types(wanted), Vec::new());
        for wanted in wanted {
            for (data_type, channel, silence) in CHANNELS {
                if !wanted.wants(data_type) || !has(&wanted.instrument, data_type) {
                    continue;
                }
                let streams = if channel == "trades-all" {
                    &mut business
                } else {
                    &mut public
                };
                streams.push(Stream {
                    name: stream_name(channel, wanted.instrument.as_str()),
                    tells: vec![(data_type, wanted.instrument.clone())],
                    silence,
                });
            }
        }
        // Connections are opened one after the other: trades come first, of which every one counts.
        let mut plans = on_connections(BUSINESS, business);
        plans.extend(on_connections(PUBLIC, public));
        plans
    }

    fn subscribe(&self, streams: &[Box<str>], first_id: u64) -> Vec<Request> {
        let requests = streams.chunks(STREAMS_PER_REQUEST).zip(first_id..);
        let request = |(streams, id): (&[Box<str>], u64)| {
            let args: Vec<Value> = streams.iter().map(|name| argument(name)).collect();
            Request {
                id,
                streams: streams.to_vec(),
                text: json!({"id": id.to_string(), "op": "subscribe", "args": args}).to_string(),
            }
        };
        requests.map(request).collect()
    }
}

/// The channels of an instrument, what they tell, and how long they may say nothing: funding is told every 30 to 90 s, open
/// interest every 3 s where it changes.
const CHANNELS: [(DataType, &str, Silence); 4] = [
    (DataType::OrderBook, "books", Silence::Usual),
    (DataType::Trade, "trades-all", Silence::Usual),
    (
        DataType::FundingRate,
        "funding-rate",
        Silence::Within(Duration::from_secs(180)),
    ),
    (
        DataType::OpenInterest,
        "open-interest",
        Silence::Within(Duration::from_secs(30)),
    ),
];

/// Returns whether an instrument has what is wanted of it; of futures that expire only those that are perpetuals for all but
/// their name pay funding.
fn has(instrument: &InstrumentId, data_type: DataType) -> bool {
    let market_type = market_type(instrument);
    match data_type {
        DataType::FundingRate => market_type == MarketType::Perpetual || family(instrument).ends_with("_XPERP"),
        DataType::OpenInterest | DataType::Liquidation => market_type != MarketType::Spot,
        _ => true,
    }
}

/// Returns what the venue calls the instruments of a market.
pub(super) fn inst_type(market_type: MarketType) -> &'static str {
    match market_type {
        MarketType::Spot => "SPOT",
        MarketType::Perpetual => "SWAP",
        MarketType::Future => "FUTURES",
        MarketType::Options => "OPTION",
    }
}

/// Returns the streams of all instruments of the wanted ones' types: changes of their terms, and liquidations.
fn of_types(wanted: &[Wanted]) -> Vec<Stream> {
    let mut types: BTreeMap<&str, Vec<&Wanted>> = BTreeMap::new();
    for wanted in wanted {
        types
            .entry(inst_type(market_type(&wanted.instrument)))
            .or_default()
            .push(wanted);
    }
    let mut streams = Vec::new();
    for (inst_type, wanted) in types {
        let stream = |channel, tells| Stream {
            name: stream_name(channel, inst_type),
            tells,
            silence: Silence::Unlimited,
        };
        streams.push(stream(INSTRUMENTS, Vec::new()));
        let liquidations =
            |wanted: &&&Wanted| wanted.wants(DataType::Liquidation) && has(&wanted.instrument, DataType::Liquidation);
        let told = wanted.iter().filter(liquidations);
        let told: Vec<_> = told
            .map(|wanted| (DataType::Liquidation, wanted.instrument.clone()))
            .collect();
        if !told.is_empty() {
            streams.push(stream(LIQUIDATIONS, told));
        }
    }
    streams
}

/// Divides streams among as many connections as they take.
fn on_connections(path: &'static str, streams: Vec<Stream>) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    let is_book = |stream: &Stream| stream.name.starts_with("books:");
    for stream in streams {
        let fits = |plan: &&mut Plan| {
            let books = plan.streams.iter().filter(|stream| is_book(stream)).count();
            plan.streams.len() < STREAMS_MAX && (!is_book(&stream) || books < BOOKS_MAX)
        };
        match plans.last_mut().filter(fits) {
            Some(plan) => plan.streams.push(stream),
            None => plans.push(Plan {
                path,
                streams: vec![stream],
            }),
        }
    }
    plans
}

/// Returns how a stream is asked for.
fn argument(stream: &str) -> Value {
    let (channel, of) = stream.split_once(':').unwrap_or((stream, ""));
    let key = if matches!(channel, LIQUIDATIONS | INSTRUMENTS) {
        "instType"
    } else {
        "instId"
    };
    json!({"channel": channel, key: of})
}

#[cfg(test)]
mod tests {
    use mprism_model::Exchange;

    use super::*;

    fn wanted(instrument: &str, types: &[DataType]) -> Wanted {
        Wanted {
            instrument: InstrumentId::new(instrument).expect("valid"),
            types: types.to_vec(),
        }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.streams.iter().map(|stream| &*stream.name).collect()
    }

    #[test]
    fn fills_have_a_connection_of_their_own_and_liquidations_one_stream() {
        let all = [
            DataType::OrderBook,
            DataType::Trade,
            DataType::FundingRate,
            DataType::OpenInterest,
            DataType::Liquidation,
            DataType::LsrAllAccount,
        ];
        let swaps = Okx(Exchange::OkxDerivatives);
        let plans = swaps.plan(&[wanted("BTC-USDT-SWAP", &all), wanted("ETH-USDT-SWAP", &all)]);
        let [business, public] = &plans[..] else {
            panic!("{plans:?}")
        };
        assert_eq!((public.path, business.path), ("/ws/v5/public", "/ws/v5/business"));
        let expected = [
            "instruments:SWAP",
            "liquidation-orders:SWAP",
            "books:BTC-USDT-SWAP",
            "funding-rate:BTC-USDT-SWAP",
            "open-interest:BTC-USDT-SWAP",
            "books:ETH-USDT-SWAP",
            "funding-rate:ETH-USDT-SWAP",
            "open-interest:ETH-USDT-SWAP",
        ];
        assert_eq!(names(public), expected);
        assert_eq!(public.streams[1].tells.len(), 2);
        assert_eq!(
            names(business),
            ["trades-all:BTC-USDT-SWAP", "trades-all:ETH-USDT-SWAP"]
        );
        let spot = Okx(Exchange::OkxSpot).plan(&[wanted("BTC-USDT", &all)]);
        assert_eq!(names(&spot[1]), ["instruments:SPOT", "books:BTC-USDT"]);
        let dated = swaps.plan(&[wanted("BTC-USDT-261225", &all), wanted("LTC-USD_UM_XPERP-310404", &all)]);
        let paying: Vec<_> = names(&dated[1])
            .into_iter()
            .filter(|name| name.starts_with("funding"))
            .collect();
        assert_eq!(paying, ["funding-rate:LTC-USD_UM_XPERP-310404"]);
    }

    #[test]
    fn connections_and_requests_keep_within_the_venues_limits() {
        let many: Vec<_> = (0..100)
            .map(|n| wanted(&format!("C{n}-USDT"), &[DataType::OrderBook, DataType::Trade]))
            .collect();
        let spot = Okx(Exchange::OkxSpot);
        let plans = spot.plan(&many);
        let counts: Vec<_> = plans.iter().map(|plan| (plan.path, plan.streams.len())).collect();
        assert_eq!(
            counts,
            [(BUSINESS, 100), (PUBLIC, 31), (PUBLIC, 30), (PUBLIC, 30), (PUBLIC, 10)]
        );
        let streams: Vec<_> = plans[0].streams.iter().map(|stream| stream.name.clone()).collect();
        let requests = spot.subscribe(&streams, 7);
        assert_eq!(
            requests
                .iter()
                .map(|request| (request.id, request.streams.len()))
                .collect::<Vec<_>>(),
            [(7, 50), (8, 50)]
        );
        assert!(requests.iter().all(|request| request.text.len() < 4_096));
    }

    #[test]
    fn requests_name_what_the_acknowledgements_name() {
        let streams = ["books:BTC-USDT", "liquidation-orders:SWAP"].map(Box::from);
        let requests = Okx(Exchange::OkxSpot).subscribe(&streams, 3);
        let text: Value = serde_json::from_str(&requests[0].text).expect("JSON");
        let expected = json!({"id": "3", "op": "subscribe", "args": [
            {"channel": "books", "instId": "BTC-USDT"},
            {"channel": "liquidation-orders", "instType": "SWAP"}]});
        assert_eq!(text, expected);
    }
}
