//! Books at an identifier: each the fold of everything up to it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mprism_runtime::http::json_response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::not_found;
use crate::Exchange;
use crate::corpus::{Level, RecordedFold, push_texts};
use crate::hub::Hub;
use crate::market::{Fold, Scale, Side};
use crate::symbol::{Numbering, Source};

/// Books that may wait for who asked.
const WAITING: usize = 64;

#[derive(Deserialize)]
pub(super) struct Series {
    exchange: String,
    symbol: String,
    levels: Option<usize>,
}

#[derive(Deserialize)]
pub(super) struct One {
    exchange: String,
    symbol: String,
    id: u64,
    levels: Option<usize>,
}

/// Answers with the identifiers that can be told.
pub(super) async fn known(State(hub): State<Arc<Hub>>, Query(of): Query<Series>) -> Response {
    let known = Teller::find(&hub, &of.exchange, &of.symbol, &[]).map(|teller| teller.known());
    match known {
        Some(Some((first, last))) => {
            let body = json!({"first_id": first.to_string(), "last_id": last.to_string()});
            json_response(StatusCode::OK, &body)
        }
        Some(None) => not_found("no snapshot was recorded for the books of this symbol"),
        None => not_found("no such series"),
    }
}

/// Answers with one book.
pub(super) async fn book(State(hub): State<Arc<Hub>>, Query(of): Query<One>) -> Response {
    let Some(mut teller) = Teller::find(&hub, &of.exchange, &of.symbol, &[of.id]) else {
        return not_found("no such series");
    };
    let why = match teller.known() {
        Some((first, _)) if of.id < first => format!("{} is too old: the first one known is {first}", of.id),
        Some((_, last)) if of.id > last => format!("{} has not happened: the last one is {last}", of.id),
        _ => format!("{} ends nothing", of.id),
    };
    let levels = of.levels.unwrap_or(usize::MAX);
    let told = tokio::task::spawn_blocking(move || teller.tell(of.id, levels)).await;
    match told {
        Ok(Some(line)) => ([(header::CONTENT_TYPE, "application/json")], line).into_response(),
        Ok(None) => not_found(&why),
        Err(error) => json_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({"error": format!("cannot fold: {error}")}),
        ),
    }
}

/// Answers with one book a line, in the order of their identifiers; those that cannot be told are told as such.
pub(super) async fn books(State(hub): State<Arc<Hub>>, Query(of): Query<Series>, body: Bytes) -> Response {
    let mut ids = match read_ids(&body) {
        Ok(ids) => ids,
        Err(error) => return json_response(StatusCode::BAD_REQUEST, &json!({"error": error})),
    };
    let Some(mut teller) = Teller::find(&hub, &of.exchange, &of.symbol, &ids) else {
        return not_found("no such series");
    };
    // In the order in which they happened.
    ids.sort_unstable_by_key(|id| teller.numbering.change(*id));
    ids.dedup();
    let levels = of.levels.unwrap_or(usize::MAX);
    let (lines, waiting) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(WAITING);
    tokio::task::spawn_blocking(move || {
        for id in ids {
            let mut line = teller.tell(id, levels).unwrap_or_else(|| teller.untold(id));
            line.push(b'\n');
            if lines.blocking_send(Ok(line.into())).is_err() {
                break; // nobody asks any more
            }
        }
    });
    let pieces = futures_util::stream::unfold(waiting, |mut waiting| async move {
        let line = waiting.recv().await?;
        Some((line, waiting))
    });
    let content_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (content_type, Body::from_stream(pieces)).into_response()
}

/// Reads a list of identifiers, as numbers or as texts.
fn read_ids(body: &[u8]) -> Result<Vec<u64>, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Text(String),
    }
    let ids = serde_json::from_slice::<Vec<Id>>(body).map_err(|error| error.to_string())?;
    let read = ids.into_iter().map(|id| match id {
        Id::Number(id) => Ok(id),
        Id::Text(text) => text.parse().map_err(|_| format!("`{text}` is no identifier")),
    });
    read.collect()
}

/// Tells books of one series without holding up the markets.
struct Teller {
    exchange: Exchange,
    symbol: String,
    books: Books,
    numbering: Numbering,
}

enum Books {
    Synthetic(Fold, Scale),
    Recorded(RecordedFold),
}

impl Teller {
    /// Takes what is needed for the books at `ids`; `None` where there is no such series.
    fn find(hub: &Hub, exchange: &str, symbol: &str, ids: &[u64]) -> Option<Self> {
        let exchange = Exchange::from_name(exchange)?;
        let state = hub.lock();
        let symbol = state.called(exchange, symbol)?;
        let mut numbering = Numbering::default();
        let books = match &symbol.source {
            Source::Synthetic(market) => {
                numbering = market.numbering;
                let from = ids.iter().map(|id| numbering.change(*id)).min();
                let from = from.unwrap_or_else(|| market.changes.last_id());
                Books::Synthetic(market.changes.fold_from(from), market.scale)
            }
            Source::Recorded(recording) => Books::Recorded(recording.fold()),
        };
        let symbol = symbol.ours();
        Some(Self {
            exchange,
            symbol,
            books,
            numbering,
        })
    }

    fn known(&self) -> Option<(u64, u64)> {
        match &self.books {
            Books::Synthetic(fold, _) => {
                let (first, last) = fold.known();
                Some((self.numbering.wire(first), self.numbering.wire(last)))
            }
            Books::Recorded(fold) => fold.known(),
        }
    }

    fn tell(&mut self, id: u64, levels: usize) -> Option<Vec<u8>> {
        let mut out = self.head(id);
        let (bids, asks) = match &mut self.books {
            Books::Synthetic(fold, scale) => {
                let book = fold.book(self.numbering.change(id))?;
                let write = |side| {
                    let mut out = Vec::new();
                    scale.push_levels(&mut out, &book.top(side, levels));
                    out
                };
                (write(Side::Bid), write(Side::Ask))
            }
            Books::Recorded(fold) => {
                let (bids, asks) = fold.book(id)?.top(levels);
                let write = |levels: &[Level]| {
                    let mut out = Vec::new();
                    push_texts(&mut out, levels);
                    out
                };
                (write(&bids), write(&asks))
            }
        };
        out.extend_from_slice(b",\"bids\":[");
        out.extend_from_slice(&bids);
        out.extend_from_slice(b"],\"asks\":[");
        out.extend_from_slice(&asks);
        out.extend_from_slice(b"]}");
        Some(out)
    }

    fn untold(&self, id: u64) -> Vec<u8> {
        let mut out = self.head(id);
        out.extend_from_slice(b",\"error\":\"unknown or too old\"}");
        out
    }

    fn head(&self, id: u64) -> Vec<u8> {
        let (exchange, symbol) = (self.exchange.as_str(), &self.symbol);
        format!(r#"{{"exchange":"{exchange}","symbol":"{symbol}","id":"{id}""#).into_bytes()
    }
}
