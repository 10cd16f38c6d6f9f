//! `GET /api/v3/depth`: snapshots of the book, a little old now and then.

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::frames::push_levels;
use super::rest::{Peer, Shared, admit, parameters, refused, respond, respond_with};
use crate::Exchange;
use crate::corpus::RecordedBook;
use crate::fault::FaultKind;
use crate::hub::{Hub, State as Markets};
use crate::market::{Fold, Scale, Side, push_integer};
use crate::symbol::{Source, Synthetic};

const EXCHANGE: Exchange = Exchange::BinanceSpot;
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 5_000;
/// The level that a bad snapshot lacks.
const MISSING: usize = 3;

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
    if let Some(refusal) = troubled(&hub, &request.symbol).await {
        return respond(used, refusal);
    }
    let Some(snapshot) = Snapshot::take(&hub, &request.symbol) else {
        return respond(used, refused(-1121, "Invalid symbol."));
    };
    // Folding takes a moment: not on a thread that others wait for.
    let folded = tokio::task::spawn_blocking(move || snapshot.write(request.limit)).await;
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
    fn read(parameters: &[(String, String)]) -> Result<Self, (StatusCode, Value)> {
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
        let symbol = symbol.ok_or_else(|| {
            let text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
            refused(-1102, text)
        })?;
        Ok(Self { symbol, limit })
    }
}

/// Reads a number of rows.
pub(super) fn read_limit(value: &str) -> Result<usize, (StatusCode, Value)> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.";
        return Err(refused(-1100, text));
    }
    match value.parse::<usize>() {
        Ok(0) => Err(refused(-1130, "Data sent for parameter 'limit' is not valid.")),
        Ok(limit) => Ok(limit),
        Err(_) => Ok(usize::MAX),
    }
}

/// Waits or refuses where a fault says so.
async fn troubled(hub: &Hub, symbol: &str) -> Option<(StatusCode, Value)> {
    let (delay, error) = {
        let mut state = hub.lock();
        let delay = state.troubles.take(EXCHANGE, Some(symbol), |kind| match kind {
            FaultKind::SnapshotDelay { duration, .. } => Some(*duration),
            _ => None,
        });
        let error = state.troubles.take(EXCHANGE, Some(symbol), |kind| match kind {
            FaultKind::SnapshotError { status, .. } => Some(*status),
            _ => None,
        });
        (delay, error)
    };
    if let Some((delay, _)) = delay {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = hub.stop.cancelled() => {}
        }
    }
    let (status, _) = error?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let (code, text) = match status {
        StatusCode::SERVICE_UNAVAILABLE => (
            -1008,
            "Server is currently overloaded with other requests. Please try again in a few minutes.",
        ),
        _ => (-1000, "An unknown error occurred while processing the request."),
    };
    Some((status, serde_json::json!({"code": code, "msg": text})))
}

/// A book to tell, taken under the lock and folded without it.
struct Snapshot {
    book: Told,
    is_bad: bool,
}

enum Told {
    Synthetic { fold: Fold, id: u64, scale: Scale },
    Recorded(Option<RecordedBook>),
}

impl Snapshot {
    fn take(hub: &Hub, name: &str) -> Option<Self> {
        let mut state = hub.lock();
        state.symbol(EXCHANGE, name)?;
        let stale = state.troubles.take(EXCHANGE, Some(name), |kind| {
            matches!(kind, FaultKind::StaleSnapshot { .. }).then_some(())
        });
        let bad = state.troubles.take(EXCHANGE, Some(name), |kind| {
            matches!(kind, FaultKind::BadSnapshot { .. }).then_some(())
        });
        let book = choose(&mut state, hub, name, stale.is_some())?;
        let id = match &book {
            Told::Synthetic { id, .. } => *id,
            Told::Recorded(book) => book.as_ref().map_or(0, |book| book.id),
        };
        for ((), record) in stale.into_iter().chain(bad) {
            state.tell(record, name, id, id);
        }
        let is_bad = bad.is_some();
        Some(Self { book, is_bad })
    }

    fn write(self, limit: usize) -> Vec<u8> {
        let mut out = b"{\"lastUpdateId\":".to_vec();
        match self.book {
            Told::Synthetic { mut fold, id, scale } => {
                push_integer(&mut out, id);
                let book = fold.book(id);
                let levels = |side| book.map(|book| book.top(side, limit)).unwrap_or_default();
                let (mut bids, asks) = (levels(Side::Bid), levels(Side::Ask));
                if self.is_bad && bids.len() > MISSING {
                    bids.remove(MISSING);
                }
                out.extend_from_slice(b",\"bids\":[");
                push_levels(&mut out, &scale, &bids);
                out.extend_from_slice(b"],\"asks\":[");
                push_levels(&mut out, &scale, &asks);
            }
            Told::Recorded(Some(book)) => {
                push_integer(&mut out, book.id);
                let (mut bids, asks) = book.top(limit);
                if self.is_bad && bids.len() > MISSING {
                    bids.remove(MISSING);
                }
                out.extend_from_slice(b",\"bids\":[");
                push_texts(&mut out, &bids);
                out.extend_from_slice(b"],\"asks\":[");
                push_texts(&mut out, &asks);
            }
            // Seen on newly listed instruments: there is no book yet.
            Told::Recorded(None) => out.extend_from_slice(b"-1,\"bids\":[],\"asks\":["),
        }
        out.extend_from_slice(b"]}");
        out
    }
}

fn choose(state: &mut Markets, hub: &Hub, name: &str, stale: bool) -> Option<Told> {
    let is_stale = state.random.happens(hub.tuning.stale_snapshots);
    let at_an_end = state.random.happens(hub.tuning.snapshots_at_event_end);
    let share = state.random.below(1 << 20);
    let symbol = state.symbol(EXCHANGE, name)?;
    Some(match &symbol.source {
        Source::Synthetic(market) => {
            let key = (EXCHANGE, name.to_owned());
            let id = match (stale, is_stale, at_an_end) {
                (true, _, _) => before_buffers(market, state.before_anybody(&key)),
                (_, true, _) => market.end_of_window(2),
                (_, _, true) => market.end_of_window(0),
                _ => {
                    let end = market.end_of_window(0);
                    let changes = (market.changes.last_id() - end) / market.stride();
                    end + (changes + 1) * share / (1 << 20) * market.stride()
                }
            };
            Told::Synthetic {
                fold: market.changes.fold_at(id),
                id,
                scale: market.scale,
            }
        }
        Source::Recorded(recording) if stale => Told::Recorded(recording.first_snapshot()),
        Source::Recorded(recording) => Told::Recorded(recording.book()),
    })
}

/// Returns a change before the first one that anybody can have buffered.
fn before_buffers(market: &Synthetic, before_anybody: Option<u64>) -> u64 {
    let heard = before_anybody.unwrap_or_else(|| market.changes.last_id());
    let first = *market.changes.known().start();
    heard
        .saturating_sub(market.stride())
        .max(first)
        .min(market.end_of_window(2))
}

/// Appends `["price","quantity"]` for each level, with commas between.
pub(crate) fn push_texts(out: &mut Vec<u8>, levels: &[crate::corpus::Level]) {
    for (position, (price, quantity)) in levels.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        out.extend_from_slice(format!("{comma}[\"{price}\",\"{quantity}\"]").as_bytes());
    }
}
