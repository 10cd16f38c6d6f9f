//! The venue's paths: the handshake, what every REST call costs, and the small answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mprism_runtime::clock;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::address::Address;
use super::{connection, depth, history};
use crate::Exchange;
use crate::fault::FaultKind;
use crate::hub::Hub;
use crate::limits::Verdict;

const EXCHANGE: Exchange = Exchange::BinanceSpot;
/// Weight an address may use in a minute.
const WEIGHT_MAX: u64 = 6_000;
/// Connections an address may try in [`ATTEMPTS_SPAN`].
const ATTEMPTS_MAX: usize = 300;
const ATTEMPTS_SPAN: Duration = Duration::from_secs(300);

/// Returns the venue's paths, to be nested below its prefix.
pub(crate) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/ws", get(socket))
        .route("/ws/{*streams}", get(socket))
        .route("/stream", get(socket))
        .route("/api/v3/ping", get(ping))
        .route("/api/v3/time", get(time))
        .route("/api/v3/exchangeInfo", get(exchange_info))
        .route("/api/v3/depth", get(depth::depth))
        .route("/api/v3/trades", get(history::trades))
        .route("/api/v3/historicalTrades", get(history::historical_trades))
        .route("/api/v3/aggTrades", get(history::aggregates))
}

pub(super) type Shared = State<Arc<Hub>>;
pub(super) type Peer = ConnectInfo<SocketAddr>;

async fn socket(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Some(refusal) = handshake(&hub, peer).await {
        return refusal;
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    match Address::read(&uri) {
        Some(address) => {
            let tasks = hub.connections.clone();
            upgrade.on_upgrade(move |socket| tasks.track_future(connection::serve(hub, socket, address)))
        }
        None => {
            hub.note("bad WebSocket address");
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

/// Counts a connection attempt and lets it wait or fail where a fault says so.
async fn handshake(hub: &Hub, peer: SocketAddr) -> Option<Response> {
    let (may, slow, error) = {
        let mut state = hub.lock();
        let limits = state.limits.entry((EXCHANGE, peer.ip())).or_default();
        let may = limits.may_connect(ATTEMPTS_MAX, ATTEMPTS_SPAN);
        let slow = state.troubles.take(EXCHANGE, None, |kind| match kind {
            FaultKind::HandshakeSlow { duration, .. } => Some(*duration),
            _ => None,
        });
        let error = state.troubles.take(EXCHANGE, None, |kind| match kind {
            FaultKind::HandshakeError { status, .. } => Some(*status),
            _ => None,
        });
        (may, slow, error)
    };
    if let Some((delay, _)) = slow {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = hub.stop.cancelled() => {}
        }
    }
    if let Some((status, _)) = error {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return Some(status.into_response());
    }
    (!may).then(|| {
        hub.note("too many connection attempts");
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "300")]).into_response()
    })
}

/// Lets a REST call in after its weight is paid, and returns what the address has used in this minute.
pub(super) fn admit(hub: &Hub, peer: SocketAddr, weight: u64) -> Result<u64, Box<Response>> {
    let now_ms = clock::now_ms();
    let (verdict, used, forced) = {
        let mut state = hub.lock();
        let forced = state.troubles.take(EXCHANGE, None, |kind| match kind {
            FaultKind::Http429 { retry_after, .. } => Some(*retry_after),
            _ => None,
        });
        let banned_until_ms = state.banned_until_ms.get(&EXCHANGE).copied();
        let limits = state.limits.entry((EXCHANGE, peer.ip())).or_default();
        banned_until_ms.into_iter().for_each(|until_ms| limits.ban(until_ms));
        let (verdict, used) = limits.request(weight, WEIGHT_MAX, now_ms);
        (verdict, used, forced.map(|(retry_after, _)| retry_after))
    };
    match (verdict, forced) {
        (Verdict::Banned(until_ms), _) => {
            hub.note("address banned");
            let text = format!(
                "Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live updates to avoid bans."
            );
            let seconds = (until_ms - now_ms).div_euclid(1_000) + 1;
            let answer = (StatusCode::IM_A_TEAPOT, json!({"code": -1003, "msg": text}));
            Err(Box::new(retry_after(respond(used, answer), Some(seconds))))
        }
        (_, Some(seconds)) => {
            let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
            Err(Box::new(retry_after(respond(used, too_much()), seconds)))
        }
        (Verdict::TooMuch, None) => {
            hub.note("too much request weight");
            let seconds = 60 - (now_ms / 1_000) % 60;
            Err(Box::new(retry_after(respond(used, too_much()), Some(seconds))))
        }
        (Verdict::Served, None) => Ok(used),
    }
}

fn retry_after(mut response: Response, seconds: Option<i64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Answers with a document and what the address has used.
pub(super) fn respond(used: u64, (status, body): (StatusCode, Value)) -> Response {
    respond_with(used, status, body.to_string().into_bytes())
}

/// As [`respond`], with a text that is a document already.
pub(super) fn respond_with(used: u64, status: StatusCode, body: Vec<u8>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json;charset=UTF-8")];
    let mut response = (status, content_type, body).into_response();
    let headers = response.headers_mut();
    headers.insert("x-mbx-used-weight", used.into());
    headers.insert("x-mbx-used-weight-1m", used.into());
    response
}

fn too_much() -> (StatusCode, Value) {
    let text = format!(
        "Too much request weight used; current limit is {WEIGHT_MAX} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
    );
    (StatusCode::TOO_MANY_REQUESTS, json!({"code": -1003, "msg": text}))
}

pub(super) fn refused(code: i32, text: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({"code": code, "msg": text}))
}

pub(super) fn parameters(query: Option<String>) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = query.unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            pair.split_once('=')
                .map_or_else(|| (decode(pair), String::new()), |(k, v)| (decode(k), decode(v)))
        })
        .collect()
}

fn no_parameters(query: Option<String>, answer: Value) -> (StatusCode, Value) {
    match parameters(query).len() {
        0 => (StatusCode::OK, answer),
        count => refused(
            -1101,
            &format!("Too many parameters; expected '0' and received '{count}'."),
        ),
    }
}

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

/// Whether a request asks for times in microseconds.
pub(super) fn wants_micros(headers: &HeaderMap) -> bool {
    let unit = headers.get("x-mbx-time-unit").and_then(|unit| unit.to_str().ok());
    unit.is_some_and(|unit| unit.eq_ignore_ascii_case("MICROSECOND"))
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
    let known = hub
        .lock()
        .symbols
        .get(&EXCHANGE)
        .map(|symbols| symbols.keys().cloned().collect::<Vec<_>>());
    let known = known.unwrap_or_default();
    let wanted = wanted.unwrap_or_else(|| known.clone());
    if wanted.iter().any(|symbol| !known.contains(symbol)) {
        return refused(-1121, "Invalid symbol.");
    }
    let symbols = wanted.iter().map(|symbol| {
        let ours = EXCHANGE.our_symbol(symbol);
        let (base, quote) = ours.split_once('-').unwrap_or((symbol, ""));
        json!({"symbol": symbol, "status": "TRADING", "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": quote,
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
