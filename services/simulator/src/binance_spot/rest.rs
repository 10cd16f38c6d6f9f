//! The venue's paths and the small answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::{depth, history};
use crate::Exchange;
use crate::binance::{Dialect, no_parameters, parameters, refused, respond, sockets, wants_micros};
use crate::hub::Hub;

const EXCHANGE: Exchange = Exchange::BinanceSpot;
/// Weight an address may use in a minute.
const WEIGHT_MAX: u64 = 6_000;
/// The venue's rules for connections.
const DIALECT: Dialect = Dialect {
    exchange: EXCHANGE,
    frames_max: 5,
    wants: super::market::wants,
    ping: |hub| hub.pings,
};

/// Returns the venue's paths, to be nested below its prefix.
pub(crate) fn router() -> Router<Arc<Hub>> {
    sockets(DIALECT)
        .route("/api/v3/ping", get(ping))
        .route("/api/v3/time", get(time))
        .route("/api/v3/exchangeInfo", get(exchange_info))
        .route("/api/v3/depth", get(depth::depth))
        .route("/api/v3/trades", get(history::trades))
        .route("/api/v3/historicalTrades", get(history::historical_trades))
        .route("/api/v3/aggTrades", get(history::aggregates))
}

/// Lets a call in after its weight is paid.
pub(super) fn admit(hub: &Hub, peer: SocketAddr, weight: u64) -> Result<u64, Box<Response>> {
    crate::binance::admit(hub, EXCHANGE, WEIGHT_MAX, peer, weight)
}

pub(super) type Shared = State<Arc<Hub>>;
pub(super) type Peer = ConnectInfo<SocketAddr>;

async fn ping(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    let used = match admit(&hub, peer, 1) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    respond(used, no_parameters(query, json!({})))
}

async fn time(State(hub): Shared, ConnectInfo(peer): Peer, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let used = match admit(&hub, peer, 1) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    let now = hub.now_ms(EXCHANGE) * if wants_micros(&headers) { 1_000 } else { 1 };
    respond(used, no_parameters(query, json!({"serverTime": now})))
}

async fn exchange_info(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    let used = match admit(&hub, peer, 20) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    respond(used, describe(&hub, &parameters(query)))
}

fn describe(hub: &Hub, parameters: &[(String, String)]) -> (StatusCode, Value) {
    let mut wanted = None;
    for (key, value) in parameters {
        wanted = match key.as_str() {
            "symbol" | "symbols" if value.is_empty() => {
                return refused(-1105, &format!("Parameter '{key}' was empty."));
            }
            "symbol" => Some(vec![value.clone()]),
            "symbols" => match serde_json::from_str::<Vec<String>>(value) {
                Ok(symbols) => Some(symbols),
                Err(_) => return refused(-1100, "Illegal characters found in parameter 'symbols'."),
            },
            "permissions" | "symbolStatus" | "showPermissionSets" => wanted,
            other => return refused(-1103, &format!("An unknown parameter was sent: '{other}'.")),
        };
    }
    let known = {
        let state = hub.lock();
        let symbols = state
            .symbols
            .get(&EXCHANGE)
            .into_iter()
            .flat_map(|symbols| symbols.values());
        let known = symbols.map(|symbol| (symbol.name.clone(), symbol.is_halted()));
        known.collect::<BTreeMap<_, _>>()
    };
    let wanted = wanted.unwrap_or_else(|| known.keys().cloned().collect());
    if wanted.iter().any(|symbol| !known.contains_key(symbol)) {
        return refused(-1121, "Invalid symbol.");
    }
    let symbols = wanted.iter().map(|symbol| {
        let status = if known.get(symbol) == Some(&true) { "BREAK" } else { "TRADING" };
        let ours = EXCHANGE.our_symbol(symbol);
        let (base, quote) = ours.split_once('-').unwrap_or((symbol, ""));
        json!({"symbol": symbol, "status": status, "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": quote,
            "quotePrecision": 8, "quoteAssetPrecision": 8, "isSpotTradingAllowed": true, "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"}]})
    });
    let limits = json!([
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MAX},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000}]);
    let symbols = symbols.collect::<Vec<_>>();
    let body = json!({"timezone": "UTC", "serverTime": hub.now_ms(EXCHANGE), "rateLimits": limits, "exchangeFilters": [], "symbols": symbols});
    (StatusCode::OK, body)
}
