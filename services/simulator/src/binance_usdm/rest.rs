//! The venue's paths, and its book and small answers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::{history, market, series};
use crate::binance::{
    Dialect, Refusal, admit, no_parameters, no_symbol, parameters, read_limit, refused, respond, respond_with, sockets,
};
use crate::corpus::push_texts;
use crate::hub::{Hub, Wants};
use crate::snapshot::{self, Snapshot};
use crate::{Exchange, LegacyPath, PingRule, binance_spot};

pub(super) const EXCHANGE: Exchange = Exchange::BinanceDerivatives;
/// Weight an address may use in a minute.
const WEIGHT_MAX: u64 = 2_400;
const LIMIT: usize = 500;
/// Limits of a book and what they cost.
const LIMITS: [(usize, u64); 7] = [(5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1_000, 20)];

pub(super) type Shared = State<Arc<Hub>>;
pub(super) type Peer = ConnectInfo<SocketAddr>;

/// Returns the venue's paths, to be nested below its prefix.
pub(crate) fn router(legacy: LegacyPath) -> Router<Arc<Hub>> {
    let dialect = |wants: fn(&std::collections::BTreeSet<String>, &[String]) -> Wants| Dialect {
        exchange: EXCHANGE,
        frames_max: 10,
        wants,
        // Three and ten minutes, where spot has 20 and 60 seconds.
        ping: |hub| PingRule {
            interval: hub.pings.interval * 9,
            timeout: hub.pings.timeout * 10,
        },
    };
    // Without a category the address is retired: accepted, and silent but for what is public.
    let without_category = match legacy {
        LegacyPath::Silent => sockets(dialect(market::public)),
        LegacyPath::Served => sockets(dialect(market::any)),
        LegacyPath::Refused => Router::new(),
    };
    without_category
        .nest("/public", sockets(dialect(market::public)))
        .nest("/market", sockets(dialect(market::market)))
        .nest("/private", sockets(dialect(market::private)))
        .route("/fapi/v1/ping", get(ping))
        .route("/fapi/v1/time", get(time))
        .route("/fapi/v1/exchangeInfo", get(exchange_info))
        .route("/fapi/v1/depth", get(depth))
        .merge(history::router())
        .merge(series::router())
}

/// Lets a call in after its weight is paid.
pub(super) fn enter(hub: &Hub, peer: SocketAddr, weight: u64) -> Result<u64, Box<Response>> {
    admit(hub, EXCHANGE, WEIGHT_MAX, peer, weight)
}

async fn ping(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    match enter(&hub, peer, 1) {
        Ok(used) => respond(used, no_parameters(query, json!({}))),
        Err(refusal) => *refusal,
    }
}

async fn time(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    match enter(&hub, peer, 1) {
        Ok(used) => respond(used, no_parameters(query, json!({"serverTime": hub.now_ms(EXCHANGE)}))),
        Err(refusal) => *refusal,
    }
}

async fn exchange_info(State(hub): Shared, ConnectInfo(peer): Peer) -> Response {
    let used = match enter(&hub, peer, 1) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    let symbols = {
        let state = hub.lock();
        let symbols = state
            .symbols
            .get(&EXCHANGE)
            .into_iter()
            .flat_map(|symbols| symbols.values());
        let describe = |symbol: &crate::symbol::Symbol| {
            let name = &symbol.name;
            let status = if symbol.is_halted() { "BREAK" } else { "TRADING" };
            let ours = EXCHANGE.our_symbol(name);
            let (base, quote) = ours.split_once('-').unwrap_or((name, ""));
            json!({"symbol": name, "pair": name, "contractType": "PERPETUAL", "status": status, "baseAsset": base,
                "quoteAsset": quote, "marginAsset": quote, "pricePrecision": 2, "quantityPrecision": 3, "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"},
                {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"}]})
        };
        symbols.map(describe).collect::<Vec<_>>()
    };
    let limits =
        json!([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MAX}]);
    let body = json!({"timezone": "UTC", "serverTime": hub.now_ms(EXCHANGE), "futuresType": "U_MARGINED",
        "rateLimits": limits, "exchangeFilters": [], "assets": [], "symbols": symbols});
    respond(used, (StatusCode::OK, body))
}

async fn depth(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    let read = read_depth(&parameters(query));
    let cost = |limit| {
        LIMITS
            .into_iter()
            .find(|(known, _)| *known == limit)
            .map_or(2, |(_, weight)| weight)
    };
    let weight = read.as_ref().map_or(2, |(_, limit)| cost(*limit));
    let used = match enter(&hub, peer, weight) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    let (symbol, limit) = match read {
        Ok(read) => read,
        Err(refusal) => return respond(used, refusal),
    };
    if let Some(status) = snapshot::troubled(&hub, EXCHANGE, &symbol).await {
        return respond(used, binance_spot::unavailable(status));
    }
    let Some(snapshot) = Snapshot::take(&hub, EXCHANGE, &symbol) else {
        return respond(used, refused(-1121, "Invalid symbol."));
    };
    let now_ms = hub.now_ms(EXCHANGE);
    let folded = tokio::task::spawn_blocking(move || {
        let folded = snapshot.fold(limit);
        let id = folded.id.unwrap_or(0);
        let mut out = format!(r#"{{"lastUpdateId":{id},"E":{now_ms},"T":{now_ms},"bids":["#).into_bytes();
        push_texts(&mut out, &folded.bids);
        out.extend_from_slice(b"],\"asks\":[");
        push_texts(&mut out, &folded.asks);
        out.extend_from_slice(b"]}");
        out
    })
    .await;
    match folded {
        Ok(body) => respond_with(used, StatusCode::OK, body),
        Err(error) => respond(used, refused(-1000, &format!("simulator: {error}"))),
    }
}

fn read_depth(parameters: &[(String, String)]) -> Result<(String, usize), Refusal> {
    let (mut symbol, mut limit) = (None, LIMIT);
    for (key, value) in parameters {
        match key.as_str() {
            "symbol" if value.is_empty() => return Err(refused(-1105, "Parameter 'symbol' was empty.")),
            "symbol" => symbol = Some(value.clone()),
            "limit" => limit = read_limit(value)?,
            other => return Err(refused(-1103, &format!("An unknown parameter was sent: '{other}'."))),
        }
    }
    if LIMITS.into_iter().all(|(known, _)| known != limit) {
        return Err(refused(-1130, "Data sent for parameter 'limit' is not valid."));
    }
    Ok((symbol.ok_or_else(no_symbol)?, limit))
}
