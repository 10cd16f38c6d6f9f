//! Counts, events and faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mprism_runtime::http::json_response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{not_found, series};
use crate::Exchange;
use crate::hub::Hub;
use crate::symbol::{Source, Symbol};

/// Events in one piece of an answer.
const LINES: u64 = 4_096;

pub(super) async fn counts(State(hub): State<Arc<Hub>>) -> Response {
    let mut types = BTreeMap::<&str, BTreeMap<&str, Map<String, Value>>>::new();
    let state = hub.lock();
    let now_ms = mprism_runtime::clock::now_ms();
    for symbol in state.all() {
        // The first exchange there was has always told what nobody has subscribed to, too.
        if !symbol.started && symbol.exchange != Exchange::BinanceSpot {
            continue;
        }
        let mut count = |data_type, count: u64| {
            let exchanges = types.entry(data_type).or_default();
            let symbols = exchanges.entry(symbol.exchange.as_str()).or_default();
            symbols.insert(symbol.ours(), count.into());
        };
        if symbol.exchange.has_trades(&symbol.name) {
            count("trade", symbol.true_trades());
        }
        for data_type in series::TYPES {
            if let Some(lines) = series::lines(symbol, data_type, now_ms) {
                count(data_type, lines.len() as u64);
            }
        }
    }
    drop(state);
    json_response(StatusCode::OK, &types)
}

#[derive(Deserialize)]
pub(super) struct Series {
    r#type: String,
    exchange: String,
    symbol: String,
}

pub(super) async fn events(State(hub): State<Arc<Hub>>, Query(of): Query<Series>) -> Response {
    let exchange = Exchange::from_name(&of.exchange);
    if let Some(exchange) = exchange.filter(|_| of.r#type != "trade") {
        return series_of(&hub, exchange, &of);
    }
    let found = exchange.and_then(|exchange| {
        let state = hub.lock();
        let symbol = state.called(exchange, &of.symbol)?;
        // What was true when it was asked: a market that goes on must not make the answer endless.
        Some((exchange, symbol.name.clone(), symbol.true_trades()))
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

/// Answers with what happened by the clock.
fn series_of(hub: &Hub, exchange: Exchange, of: &Series) -> Response {
    let now_ms = hub.now_ms(exchange);
    let lines = {
        let state = hub.lock();
        let symbol = state.called(exchange, &of.symbol);
        symbol.and_then(|symbol| series::lines(symbol, &of.r#type, now_ms))
    };
    let Some(lines) = lines else {
        return not_found("no such series");
    };
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response()
}

fn write_trades(symbol: &Symbol, from: u64, count: u64, out: &mut Vec<u8>) {
    match &symbol.source {
        Source::Synthetic(market) if symbol.exchange.tells_aggregates() => {
            market.trades.write_aggregates(&market.scale, from, count, out);
        }
        Source::Synthetic(market) => market.trades.write_lines(&market.scale, from, count, out),
        Source::Recorded(recording) => recording.write_lines(from, count, out),
    }
}

pub(super) async fn faults(State(hub): State<Arc<Hub>>) -> Response {
    let records = hub.lock().records.clone();
    json_response(StatusCode::OK, &records)
}
