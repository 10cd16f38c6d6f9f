//! The venue's paths: the handshake, and calls over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use mprism_runtime::clock;
use serde_json::{Map, Value};

use super::connection;
use super::market::EXCHANGE;
use super::methods::{Failure, call, envelope};
use crate::binance::parameters;
use crate::fault::FaultKind;
use crate::hub::Hub;

/// Connections an address may have at a time.
const CONNECTIONS_MAX: usize = 32;
/// Calls an address has: 20 a second, 100 at once.
const CALLS_MAX: usize = 100;
const CALLS_SPAN: Duration = Duration::from_secs(5);

type Shared = State<Arc<Hub>>;
type Peer = ConnectInfo<SocketAddr>;

/// Returns the venue's paths, to be nested below its prefix.
pub(crate) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/ws/api/v2", get(socket))
        .route("/api/v2/{*method}", get(by_query))
        .route("/api/v2", axum::routing::post(by_body))
}

async fn socket(State(hub): Shared, upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Response {
    if let Some(refusal) = crate::socket::trouble_handshake(&hub, EXCHANGE).await {
        return refusal;
    }
    let open = hub
        .lock()
        .clients
        .values()
        .filter(|client| client.exchange == EXCHANGE)
        .count();
    if open >= CONNECTIONS_MAX {
        hub.note("too many connections");
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    match upgrade {
        Ok(upgrade) => {
            let tasks = hub.connections.clone();
            upgrade.on_upgrade(move |socket| tasks.track_future(connection::serve(hub, socket)))
        }
        Err(rejection) => rejection.into_response(),
    }
}

async fn by_query(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let params = parameters(query)
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)));
    answer(
        &hub,
        peer,
        &Value::Null,
        &method,
        &Value::Object(params.collect::<Map<_, _>>()),
    )
    .await
}

async fn by_body(State(hub): Shared, ConnectInfo(peer): Peer, body: Bytes) -> Response {
    let in_us = clock::now_ns() / 1_000;
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        let failure = Failure::new(-32_700, "Parse error");
        return respond(StatusCode::BAD_REQUEST, envelope(&Value::Null, Err(failure), in_us));
    };
    let method = request["method"].as_str().unwrap_or_default();
    answer(&hub, peer, &request["id"], method, &request["params"]).await
}

async fn answer(hub: &Arc<Hub>, peer: SocketAddr, id: &Value, method: &str, params: &Value) -> Response {
    let in_us = clock::now_ns() / 1_000;
    let may = {
        let mut state = hub.lock();
        let forced = |kind: &FaultKind| matches!(kind, FaultKind::Http429 { .. }).then_some(());
        let forced = state.troubles.take(EXCHANGE, None, forced).is_some();
        let limits = state.limits.entry((EXCHANGE, peer.ip())).or_default();
        limits.may_ask("calls", CALLS_MAX, CALLS_SPAN) && !forced
    };
    let result = match may {
        true => call(hub, method, params).await,
        false => Err(Failure::new(10_028, "too_many_requests")),
    };
    let status = match &result {
        Ok(_) => StatusCode::OK,
        Err(failure) if failure.code == 10_028 => StatusCode::TOO_MANY_REQUESTS,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    respond(status, envelope(id, result, in_us))
}

fn respond(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
