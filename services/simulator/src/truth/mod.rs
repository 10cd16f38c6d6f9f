//! What truly happened, for tests: counts, events, books at an identifier, and the faults that struck.

mod books;
mod events;
mod series;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mprism_runtime::http::json_response;
use serde_json::json;

use crate::hub::Hub;

/// Returns `/truth/…`.
pub(crate) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/truth/counts", get(events::counts))
        .route("/truth/events", get(events::events))
        .route("/truth/faults", get(events::faults))
        .route("/truth/book", get(books::book))
        .route("/truth/books", get(books::known).post(books::books))
}

fn not_found(why: &str) -> Response {
    json_response(StatusCode::NOT_FOUND, &json!({"error": why}))
}
