//! The paths of WebSockets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::address::Address;
use super::connection::{Dialect, serve};
use super::handshake;
use crate::hub::Hub;

/// Returns `/ws`, `/ws/<a>/<b>` and `/stream`.
pub(crate) fn sockets(dialect: Dialect) -> Router<Arc<Hub>> {
    let socket = move |State(hub): State<Arc<Hub>>,
                       ConnectInfo(peer): ConnectInfo<SocketAddr>,
                       uri: Uri,
                       upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>| {
        connect(hub, dialect, peer, uri, upgrade)
    };
    Router::new()
        .route("/ws", get(socket))
        .route("/ws/{*streams}", get(socket))
        .route("/stream", get(socket))
}

async fn connect(
    hub: Arc<Hub>,
    dialect: Dialect,
    peer: SocketAddr,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Some(refusal) = handshake(&hub, dialect.exchange, peer).await {
        return refusal;
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    match Address::read(&uri) {
        Some(address) => {
            let tasks = hub.connections.clone();
            upgrade.on_upgrade(move |socket| tasks.track_future(serve(hub, dialect, socket, address)))
        }
        None => {
            hub.note("bad WebSocket address");
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}
