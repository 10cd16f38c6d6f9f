//! How Deribit's socket is spoken to: JSON-RPC on one path.
//!
//! Source: <https://docs.deribit.com/> (JSON-RPC over websocket, Subscriptions).

use std::time::Duration;

use mprism_model::{DataType, MarketType};
use serde_json::json;

use super::limits::{CHANNELS_MAX, HEARTBEAT_S, SEND_EVERY};
use super::terms::by_name;
use super::volatility::index_name;
use super::wire::Deribit;
use crate::link::{Plan, Protocol, Request, Rules, Silence, Stream, Wanted};
use crate::wire::Wire;

/// The path of the socket.
const PATH: &str = "/ws/api/v2";
/// Tells that maintenance begins.
const PLATFORM_STATE: &str = "platform_state";
/// Longest silence of a ticker and of a volatility index, which come every second.
const BY_THE_CLOCK: Silence = Silence::Within(Duration::from_secs(30));

/// Least time between two values of a ticker's series.
const TICKER_EVERY: Duration = Duration::from_secs(1);

impl Protocol for Deribit {
    fn wire(&self) -> &'static dyn Wire {
        &Deribit
    }

    fn rules(&self) -> Rules {
        Rules {
            send_every: SEND_EVERY,
            connect_every: Duration::from_secs(1),
            // The venue sends heartbeats, and asks for proofs of life by them.
            ping: None,
            dead_after: Duration::from_secs(2 * HEARTBEAT_S),
            life: None,
        }
    }

    fn plan(&self, wanted: &[Wanted]) -> Vec<Plan> {
        let streams: Vec<Stream> = wanted.iter().flat_map(streams_of).collect();
        // One channel of each connection is the platform's.
        let portions = streams.chunks(CHANNELS_MAX - 1);
        let plan = |portion: &[Stream]| Plan {
            path: PATH,
            streams: portion.iter().cloned().chain([platform_state()]).collect(),
        };
        portions.map(plan).collect()
    }

    /// A ticker comes ten times a second, and says the same again each time that only its prices have changed.
    fn thinned(&self, data_type: DataType) -> Option<Duration> {
        let is_of_ticker = matches!(data_type, DataType::OpenInterest | DataType::FundingRate);
        is_of_ticker.then_some(TICKER_EVERY)
    }

    fn greeting(&self, first_id: u64) -> Vec<Request> {
        let params = json!({"interval": HEARTBEAT_S});
        vec![Request {
            id: first_id,
            streams: Vec::new(),
            text: call(first_id, "public/set_heartbeat", &params),
        }]
    }

    fn subscribe(&self, streams: &[Box<str>], first_id: u64) -> Vec<Request> {
        let portions = (first_id..).zip(streams.chunks(CHANNELS_MAX));
        let request = |(id, channels): (u64, &[Box<str>])| Request {
            id,
            streams: channels.to_vec(),
            text: call(id, "public/subscribe", &json!({"channels": channels})),
        };
        portions.map(request).collect()
    }
}

/// Returns the text of a call.
fn call(id: u64, method: &str, params: &serde_json::Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Returns the channels that an instrument is collected from.
fn streams_of(wanted: &Wanted) -> Vec<Stream> {
    let name = wanted.instrument.as_str();
    let tells = |types: &[DataType]| {
        let told = types.iter().filter(|data_type| wanted.wants(**data_type));
        told.map(|data_type| (*data_type, wanted.instrument.clone()))
            .collect::<Vec<_>>()
    };
    let index = format!("deribit_volatility_index.{}", index_name(name));
    let is_index = index_of(name);
    // A liquidation is said by the trade that it is; who collects only these waits for them.
    let trades = match wanted.wants(DataType::Trade) {
        true => Silence::Usual,
        false => Silence::Unlimited,
    };
    let channels = [
        (is_index, index, tells(&[DataType::VolatilityIndex]), BY_THE_CLOCK),
        (
            !is_index,
            format!("book.{name}.100ms"),
            tells(&[DataType::OrderBook]),
            Silence::Usual,
        ),
        (
            !is_index,
            format!("trades.{name}.100ms"),
            tells(&[DataType::Trade, DataType::Liquidation]),
            trades,
        ),
        (
            !is_index,
            format!("ticker.{name}.100ms"),
            tells(&[DataType::OpenInterest, DataType::FundingRate]),
            BY_THE_CLOCK,
        ),
    ];
    let channels = channels
        .into_iter()
        .filter(|(fits, _, tells, _)| *fits && !tells.is_empty());
    let stream = |(_, name, tells, silence): (bool, String, Vec<_>, Silence)| Stream {
        name: name.into(),
        tells,
        silence,
    };
    channels.map(stream).collect()
}

/// Returns whether the settings mean a volatility index by this name.
fn index_of(name: &str) -> bool {
    !name.contains('-') && by_name(name).is_ok_and(|known| known.market_type == MarketType::Options)
}

fn platform_state() -> Stream {
    Stream {
        name: PLATFORM_STATE.into(),
        tells: Vec::new(),
        silence: Silence::Unlimited,
    }
}

#[cfg(test)]
mod tests {
    use mprism_model::InstrumentId;

    use super::*;

    fn wanted(name: &str, types: &[DataType]) -> Wanted {
        Wanted {
            instrument: InstrumentId::new(name).expect("valid"),
            types: types.to_vec(),
        }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.streams.iter().map(|stream| &*stream.name).collect()
    }

    #[test]
    fn an_index_and_an_instrument_have_their_channels_and_no_others() {
        let all = DataType::ALL;
        let plan = Deribit.plan(&[wanted("BTC", all), wanted("BTC-PERPETUAL", all)]);
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].path, "/ws/api/v2");
        assert_eq!(
            names(&plan[0]),
            [
                "deribit_volatility_index.btc_usd",
                "book.BTC-PERPETUAL.100ms",
                "trades.BTC-PERPETUAL.100ms",
                "ticker.BTC-PERPETUAL.100ms",
                "platform_state"
            ]
        );
        let told = plan[0].streams[2].tells.iter().map(|(data_type, _)| *data_type);
        assert_eq!(told.collect::<Vec<_>>(), [DataType::Trade, DataType::Liquidation]);
        let plan = Deribit.plan(&[wanted("ETH-PERPETUAL", &[DataType::Liquidation])]);
        assert_eq!(names(&plan[0]), ["trades.ETH-PERPETUAL.100ms", "platform_state"]);
        assert_eq!(plan[0].streams[0].silence, Silence::Unlimited);
        assert!(
            Deribit.plan(&[wanted("BTC", &[DataType::Trade])]).is_empty(),
            "an index has no trades"
        );
    }

    #[test]
    fn a_subscription_has_five_hundred_channels_at_most() {
        let many: Vec<Wanted> = (0..300)
            .map(|n| wanted(&format!("A{n}-PERPETUAL"), &[DataType::Trade, DataType::OrderBook]))
            .collect();
        let plans = Deribit.plan(&many);
        let sizes: Vec<_> = plans.iter().map(|plan| plan.streams.len()).collect();
        assert_eq!(sizes, [500, 102]);
        let channels: Vec<Box<str>> = (0..1_001).map(|n| format!("trades.A{n}.100ms").into()).collect();
        let requests = Deribit.subscribe(&channels, 7);
        let told: Vec<_> = requests
            .iter()
            .map(|request| (request.id, request.streams.len()))
            .collect();
        assert_eq!(told, [(7, 500), (8, 500), (9, 1)]);
        let last =
            r#"{"id":9,"jsonrpc":"2.0","method":"public/subscribe","params":{"channels":["trades.A1000.100ms"]}}"#;
        assert_eq!(requests[2].text, last);
        let greeting = r#"{"id":3,"jsonrpc":"2.0","method":"public/set_heartbeat","params":{"interval":30}}"#;
        assert_eq!(Deribit.greeting(3)[0].text, greeting);
    }
}
