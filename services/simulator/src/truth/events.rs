//! Counts, events and faults.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mprism_runtime::http::json_response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::not_found;
use crate::Exchange;
use crate::hub::Hub;
use crate::symbol::{Source, Symbol};

/// Events in one piece of an answer.
const LINES: u64 = 4_096;

pub(super) async fn counts(State(hub): State<Arc<Hub>>) -> Response {
    let mut trades = Map::new();
    let state = hub.lock();
    for (exchange, symbols) in &state.symbols {
        let counts = symbols.values().map(|symbol| (symbol.ours(), symbol.trades().into()));
        trades.insert(exchange.as_str().to_owned(), Value::Object(counts.collect()));
    }
    drop(state);
    json_response(StatusCode::OK, &json!({"trade": trades}))
}

#[derive(Deserialize)]
pub(super) struct Series {
    r#type: String,
    exchange: String,
    symbol: String,
}

pub(super) async fn events(State(hub): State<Arc<Hub>>, Query(of): Query<Series>) -> Response {
    let exchange = Exchange::from_name(&of.exchange).filter(|_| of.r#type == "trade");
    let found = exchange.and_then(|exchange| {
        let state = hub.lock();
        let symbol = state.called(exchange, &of.symbol)?;
        // What was true when it was asked: a market that goes on must not make the answer endless.
        Some((exchange, symbol.name.clone(), symbol.trades()))
    });
    let Some((exchange, name, count)) = found else {
        return not_found("no such series");
    };
    let pieces = futures_util::stream::unfold(0, move |from| {
        let (hub, name) = (hub.clone(), name.clone());
        async move {
            (from < count).then(|| {
                let mut lines = Vec::new();
                if let Some(symbol) = hub.lock().symbol(exchange, &name) {
                    write_trades(symbol, from, LINES.min(count - from), &mut lines);
                }
                (Ok::<_, std::convert::Infallible>(Bytes::from(lines)), from + LINES)
            })
        }
    });
    let content_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (content_type, Body::from_stream(pieces)).into_response()
}

fn write_trades(symbol: &Symbol, from: u64, count: u64, out: &mut Vec<u8>) {
    match &symbol.source {
        Source::Synthetic(market) => market.trades.write_lines(&market.scale, from, count, out),
        Source::Recorded(recording) => recording.write_lines(from, count, out),
    }
}

pub(super) async fn faults(State(hub): State<Arc<Hub>>) -> Response {
    let records = hub.lock().records.clone();
    json_response(StatusCode::OK, &records)
}
