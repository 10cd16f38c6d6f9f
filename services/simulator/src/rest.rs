//! Everything that is asked by HTTP: the venue's paths, the truth, and the controls.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use mprism_runtime::clock;
use mprism_runtime::http::json_response;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::protocol::STREAMS_MAX;
use crate::truth::our_symbol;

const EXCHANGE: &str = "binance_spot";
const WEIGHT_MAX: u64 = 6_000;
/// Trades in one piece of an answer.
const LINES: u64 = 4_096;

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let venue = Router::new()
        .route("/ws", get(socket))
        .route("/ws/{*streams}", get(socket))
        .route("/stream", get(socket))
        .route("/api/v3/ping", get(ping))
        .route("/api/v3/time", get(time))
        .route("/api/v3/exchangeInfo", get(exchange_info));
    Router::new()
        .nest("/binance-spot", venue)
        .route("/health", get(health))
        .route("/truth/counts", get(counts))
        .route("/truth/events", get(events))
        .route("/truth/faults", get(faults))
        .route("/control/pause", post(pause))
        .route("/control/resume", post(resume))
        .route("/control/fault", post(fault))
        .with_state(hub)
}

type Shared = State<Arc<Hub>>;
type Peer = ConnectInfo<SocketAddr>;

async fn socket(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    if !hub.may_connect(peer.ip()) {
        hub.note("too many connection attempts");
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "300")]).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    match Wanted::read(&uri) {
        Some(wanted) => {
            let tasks = hub.connections.clone();
            upgrade.on_upgrade(move |socket| {
                tasks.track_future(connection::serve(
                    hub,
                    socket,
                    wanted.streams,
                    wanted.combined,
                    wanted.micros,
                ))
            })
        }
        None => {
            hub.note("bad WebSocket address");
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

/// What a WebSocket's address asks for.
struct Wanted {
    streams: BTreeSet<String>,
    combined: bool,
    micros: bool,
}

impl Wanted {
    fn read(uri: &Uri) -> Option<Self> {
        let mut micros = false;
        let mut names = String::new();
        // Within the nested router the prefix is gone already.
        let path = uri.path();
        let combined = path.ends_with("/stream");
        if let Some(rest) = path.split_once("/ws/").map(|(_, rest)| rest) {
            names = percent_decode_str(rest).decode_utf8().ok()?.into_owned();
        }
        for pair in uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let pair = percent_decode_str(pair).decode_utf8().ok()?;
            match pair.split_once('=')? {
                ("streams", list) if combined => names = list.to_owned(),
                ("timeUnit", "MICROSECOND" | "microsecond") => micros = true,
                ("timeUnit", "MILLISECOND" | "millisecond") => micros = false,
                ("timeUnit", _) => return None,
                _ => {}
            }
        }
        let streams = names
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>();
        (streams.len() <= STREAMS_MAX).then_some(Self {
            streams,
            combined,
            micros,
        })
    }
}

/// Answers a venue's REST call after its weight is paid.
fn weighed(hub: &Hub, peer: SocketAddr, weight: u64, answer: impl FnOnce() -> (StatusCode, Value)) -> Response {
    let used = hub.use_weight(peer.ip(), weight);
    let (status, body) = if used > WEIGHT_MAX { too_much() } else { answer() };
    let mut response = (
        status,
        [(header::CONTENT_TYPE, "application/json;charset=UTF-8")],
        body.to_string(),
    )
        .into_response();
    let headers = response.headers_mut();
    headers.insert("x-mbx-used-weight", used.into());
    headers.insert("x-mbx-used-weight-1m", used.into());
    if status == StatusCode::TOO_MANY_REQUESTS {
        hub.note("too much request weight");
        headers.insert(header::RETRY_AFTER, (60 - clock::now_ms() / 1_000 % 60).into());
    }
    response
}

fn too_much() -> (StatusCode, Value) {
    let text = format!(
        "Too much request weight used; current limit is {WEIGHT_MAX} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
    );
    (StatusCode::TOO_MANY_REQUESTS, json!({"code": -1003, "msg": text}))
}

fn refused(code: i32, text: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({"code": code, "msg": text}))
}

fn parameters(query: Option<String>) -> Vec<(String, String)> {
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
    weighed(&hub, peer, 1, || no_parameters(query, json!({})))
}

async fn time(State(hub): Shared, ConnectInfo(peer): Peer, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let unit = headers
        .get("x-mbx-time-unit")
        .and_then(|unit| unit.to_str().ok())
        .unwrap_or_default();
    let micros = unit.eq_ignore_ascii_case("MICROSECOND");
    let now = if micros {
        clock::now_ns() / 1_000
    } else {
        clock::now_ms()
    };
    weighed(&hub, peer, 1, || no_parameters(query, json!({"serverTime": now})))
}

async fn exchange_info(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    weighed(&hub, peer, 20, || describe(&hub, &parameters(query)))
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
    let known = hub.lock().symbols.keys().cloned().collect::<Vec<_>>();
    let wanted = wanted.unwrap_or_else(|| known.clone());
    if wanted.iter().any(|symbol| !known.contains(symbol)) {
        return refused(-1121, "Invalid symbol.");
    }
    let symbols = wanted.iter().map(|symbol| {
        let ours = our_symbol(symbol);
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
    let body = json!({"timezone": "UTC", "serverTime": clock::now_ms(), "rateLimits": limits, "exchangeFilters": [], "symbols": symbols});
    (StatusCode::OK, body)
}

async fn health(State(hub): Shared) -> Response {
    let (clients, paused) = {
        let state = hub.lock();
        (state.clients.len(), state.paused)
    };
    let closed = hub.causes.counts();
    json_response(
        StatusCode::OK,
        &json!({"status": "healthy", "clients": clients, "paused": paused, "closed": closed}),
    )
}

async fn counts(State(hub): Shared) -> Response {
    let counts = hub
        .lock()
        .symbols
        .iter()
        .map(|(name, symbol)| (our_symbol(name), symbol.truth.count().into()))
        .collect();
    json_response(StatusCode::OK, &json!({"trade": {EXCHANGE: Value::Object(counts)}}))
}

#[derive(Deserialize)]
struct EventsOf {
    r#type: String,
    exchange: String,
    symbol: String,
}

async fn events(State(hub): Shared, Query(of): Query<EventsOf>) -> Response {
    let symbol = of.symbol.replace('-', "");
    // What was true when it was asked: a market that goes on must not make the answer endless.
    let count = hub.lock().symbols.get(&symbol).map(|symbol| symbol.truth.count());
    let Some(count) = count.filter(|_| of.r#type == "trade" && of.exchange == EXCHANGE) else {
        return json_response(StatusCode::NOT_FOUND, &json!({"error": "no such series"}));
    };
    let pieces = futures_util::stream::unfold(0, move |from| {
        let (hub, symbol) = (hub.clone(), symbol.clone());
        async move {
            (from < count).then(|| {
                let mut lines = Vec::new();
                if let Some(symbol) = hub.lock().symbols.get(&symbol) {
                    symbol.truth.write_lines(from, LINES.min(count - from), &mut lines);
                }
                (Ok::<_, std::convert::Infallible>(Bytes::from(lines)), from + LINES)
            })
        }
    });
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(pieces),
    )
        .into_response()
}

async fn faults(State(hub): Shared) -> Response {
    let records = hub.lock().records.clone();
    json_response(StatusCode::OK, &records)
}

async fn pause(State(hub): Shared) -> Response {
    hub.lock().paused = true;
    json_response(StatusCode::OK, &json!({"paused": true}))
}

async fn resume(State(hub): Shared) -> Response {
    hub.lock().paused = false;
    hub.wake.notify_one();
    json_response(StatusCode::OK, &json!({"paused": false}))
}

async fn fault(State(hub): Shared, body: Bytes) -> Response {
    let read = serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string());
    match read.and_then(|entry| Fault::from_value(&entry, Some(Duration::ZERO))) {
        Ok(fault) => {
            hub.lock().injected.push(fault);
            hub.wake.notify_one();
            json_response(StatusCode::ACCEPTED, &json!({"accepted": true}))
        }
        Err(why) => json_response(StatusCode::BAD_REQUEST, &json!({"error": why})),
    }
}
