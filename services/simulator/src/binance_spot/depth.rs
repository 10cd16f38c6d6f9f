//! `GET /api/v3/depth`: snapshots of the book, a little old now and then.

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::rest::{Peer, Shared, admit};
use crate::Exchange;
use crate::binance::{Refusal, no_symbol, parameters, read_limit, refused, respond, respond_with};
use crate::corpus::push_texts;
use crate::market::push_integer;
use crate::snapshot::{self, Folded, Snapshot};

const EXCHANGE: Exchange = Exchange::BinanceSpot;
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 5_000;

pub(super) async fn depth(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    let read = Request::read(&parameters(query));
    let weight = read.as_ref().map_or(5, |request| weight(request.limit));
    let used = match admit(&hub, peer, weight) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    let request = match read {
        Ok(request) => request,
        Err(refusal) => return respond(used, refusal),
    };
    if let Some(status) = snapshot::troubled(&hub, EXCHANGE, &request.symbol).await {
        return respond(used, unavailable(status));
    }
    let Some(snapshot) = Snapshot::take(&hub, EXCHANGE, &request.symbol) else {
        return respond(used, refused(-1121, "Invalid symbol."));
    };
    // Folding takes a moment: not on a thread that others wait for.
    let folded = tokio::task::spawn_blocking(move || write(&snapshot.fold(request.limit))).await;
    match folded {
        Ok(body) => respond_with(used, StatusCode::OK, body),
        Err(error) => respond(used, refused(-1000, &format!("simulator: {error}"))),
    }
}

fn weight(limit: usize) -> u64 {
    match limit {
        ..=100 => 5,
        101..=500 => 25,
        501..=1_000 => 50,
        _ => 250,
    }
}

struct Request {
    symbol: String,
    limit: usize,
}

impl Request {
    fn read(parameters: &[(String, String)]) -> Result<Self, Refusal> {
        let (mut symbol, mut limit) = (None, LIMIT);
        for (key, value) in parameters {
            match key.as_str() {
                "symbol" if value.is_empty() => return Err(refused(-1105, "Parameter 'symbol' was empty.")),
                "symbol" => symbol = Some(value.clone()),
                "limit" => limit = read_limit(value)?.min(LIMIT_MAX),
                "symbolStatus" if value == "TRADING" => {}
                "symbolStatus" => return Err(refused(-1122, "Invalid symbolStatus.")),
                other => return Err(refused(-1103, &format!("An unknown parameter was sent: '{other}'."))),
            }
        }
        let symbol = symbol.ok_or_else(no_symbol)?;
        Ok(Self { symbol, limit })
    }
}

/// Returns what a refused snapshot says.
pub(crate) fn unavailable(status: u16) -> Refusal {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let (code, text) = match status {
        StatusCode::SERVICE_UNAVAILABLE => (
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few minutes.",
        ),
        _ => (-1000, "An unknown error occurred while processing the request."),
    };
    (status, serde_json::json!({"code": code, "msg": text}))
}

fn write(folded: &Folded) -> Vec<u8> {
    let mut out = b"{\"lastUpdateId\":".to_vec();
    match folded.id {
        Some(id) => push_integer(&mut out, id),
        // Seen on newly listed instruments: there is no book yet.
        None => out.extend_from_slice(b"-1"),
    }
    out.extend_from_slice(b",\"bids\":[");
    push_texts(&mut out, &folded.bids);
    out.extend_from_slice(b"],\"asks\":[");
    push_texts(&mut out, &folded.asks);
    out.extend_from_slice(b"]}");
    out
}
