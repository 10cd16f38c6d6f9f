//! Everything that is asked by HTTP: the venues' paths, the truth, and the controls.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use mprism_runtime::http::json_response;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::hub::Hub;
use crate::{binance_spot, binance_usdm, deribit, okx, truth};

type Shared = State<Arc<Hub>>;

/// Returns everything that the simulator serves.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .nest("/binance-spot", binance_spot::router())
        .nest("/binance-usdm", binance_usdm::router(hub.tuning.legacy_path))
        .nest("/okx", okx::router())
        .nest("/deribit", deribit::router())
        .merge(truth::router())
        .route("/health", get(health))
        .route("/control/pause", post(pause))
        .route("/control/resume", post(resume))
        .route("/control/fault", post(fault))
        .with_state(hub)
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

async fn pause(State(hub): Shared) -> Response {
    hub.lock().paused = true;
    hub.wake.notify_one();
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
