//! The venue's paths: the handshake, books and trades by REST.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::market::Endpoint;
use super::{connection, series};
use crate::Exchange;
use crate::binance::parameters;
use crate::fault::FaultKind;
use crate::hub::Hub;
use crate::snapshot::{self, Snapshot};
use crate::symbol::{Numbering, Source, Synthetic};

/// Connections an address may open in a second.
const CONNECTIONS_MAX: usize = 3;
const TWO_SECONDS: Duration = Duration::from_secs(2);

pub(super) type Shared = State<Arc<Hub>>;
pub(super) type Peer = ConnectInfo<SocketAddr>;
/// Rows, or the venue's code and text with an HTTP status.
pub(super) type Answer = Result<Value, (StatusCode, &'static str, String)>;

/// Returns the venue's paths, to be nested below its prefix.
pub(crate) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route(
            "/ws/v5/public",
            get(|hub: Shared, peer: Peer, upgrade| socket(hub, peer, Endpoint::Public, upgrade)),
        )
        .route(
            "/ws/v5/business",
            get(|hub: Shared, peer: Peer, upgrade| socket(hub, peer, Endpoint::Business, upgrade)),
        )
        .route("/api/v5/market/books", get(books))
        .route("/api/v5/market/books-full", get(books_full))
        .route("/api/v5/market/trades", get(trades))
        .route("/api/v5/market/history-trades", get(history_trades))
        .route("/api/v5/public/time", get(time))
        .merge(series::router())
}

async fn socket(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    endpoint: Endpoint,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let exchange = Exchange::OkxDerivatives;
    if let Some(refusal) = crate::socket::trouble_handshake(&hub, exchange).await {
        return refusal;
    }
    let may = {
        let mut state = hub.lock();
        let limits = state.limits.entry((exchange, peer.ip())).or_default();
        limits.may_connect(CONNECTIONS_MAX, Duration::from_secs(1))
    };
    if !may {
        hub.note("too many connection attempts");
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    match upgrade {
        Ok(upgrade) => {
            let tasks = hub.connections.clone();
            upgrade.on_upgrade(move |socket| tasks.track_future(connection::serve(hub, endpoint, socket)))
        }
        Err(rejection) => rejection.into_response(),
    }
}

/// Counts a call; a refusal is HTTP 429 with the venue's code.
pub(super) fn enter(hub: &Hub, peer: SocketAddr, endpoint: &str, count: usize) -> Result<(), Box<Response>> {
    let exchange = Exchange::OkxDerivatives;
    let mut state = hub.lock();
    let forced = state.troubles.take(exchange, None, |kind| match kind {
        FaultKind::Http429 { retry_after, .. } => Some(*retry_after),
        _ => None,
    });
    let limits = state.limits.entry((exchange, peer.ip())).or_default();
    if limits.may_ask(endpoint, count, TWO_SECONDS) && forced.is_none() {
        return Ok(());
    }
    drop(state);
    hub.note("rate limit reached");
    let refused = (StatusCode::TOO_MANY_REQUESTS, "50011", "Too Many Requests".to_owned());
    let mut response = envelope(Err(refused));
    if let Some((Some(seconds), _)) = forced {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Err(Box::new(response))
}

/// Puts an answer in the venue's envelope.
pub(super) fn envelope(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(data) => (StatusCode::OK, json!({"code": "0", "msg": "", "data": data})),
        Err((status, code, message)) => (status, json!({"code": code, "msg": message, "data": []})),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The parameters of a call.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(query: Option<String>) -> Self {
        Self(parameters(query))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, (StatusCode, &'static str, String)> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err((StatusCode::BAD_REQUEST, "51000", format!("Parameter {key} error"))),
            },
        }
    }

    pub(super) fn instrument(&self) -> Result<(Exchange, &str), (StatusCode, &'static str, String)> {
        match self.get("instId") {
            None | Some("") => {
                let text = "Parameter instId can not be empty.".to_owned();
                Err((StatusCode::BAD_REQUEST, "50014", text))
            }
            Some(name) if name.ends_with("-SWAP") => Ok((Exchange::OkxDerivatives, name)),
            Some(name) => Ok((Exchange::OkxSpot, name)),
        }
    }
}

pub(super) fn unknown(name: &str) -> (StatusCode, &'static str, String) {
    (
        StatusCode::OK,
        "51001",
        format!("Instrument ID, Instrument ID code, or Spread ID doesn't exist: {name}"),
    )
}

async fn time(State(hub): Shared, ConnectInfo(peer): Peer) -> Response {
    if let Err(refusal) = enter(&hub, peer, "public/time", 10) {
        return *refusal;
    }
    let ts = hub.now_ms(Exchange::OkxDerivatives).to_string();
    envelope(Ok(json!([{"ts": ts}])))
}

async fn books(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    snapshot(hub, peer, query, "market/books", 40, 400).await
}

async fn books_full(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    snapshot(hub, peer, query, "market/books-full", 10, 5_000).await
}

async fn snapshot(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    RawQuery(query): RawQuery,
    endpoint: &str,
    count: usize,
    levels_max: usize,
) -> Response {
    if let Err(refusal) = enter(&hub, peer, endpoint, count) {
        return *refusal;
    }
    let query = Query::read(query);
    let read = query
        .instrument()
        .and_then(|instrument| Ok((instrument, query.number("sz")?.unwrap_or(1))));
    let ((exchange, name), size) = match read {
        Ok(read) => read,
        Err(refusal) => return envelope(Err(refusal)),
    };
    let limit = usize::try_from(size).unwrap_or(usize::MAX);
    if limit == 0 || limit > levels_max {
        return envelope(Err((StatusCode::BAD_REQUEST, "51000", "Parameter sz error".to_owned())));
    }
    if let Some(status) = snapshot::troubled(&hub, exchange, name).await {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return envelope(Err((
            status,
            "50001",
            "Service temporarily unavailable. Try again later".to_owned(),
        )));
    }
    let Some(snapshot) = Snapshot::take(&hub, exchange, name) else {
        return envelope(Err(unknown(name)));
    };
    let numbering = match hub.lock().symbol(exchange, name).map(|symbol| &symbol.source) {
        Some(Source::Synthetic(market)) => market.numbering,
        _ => Numbering::default(),
    };
    let (ts, full) = (hub.now_ms(exchange).to_string(), levels_max > 400);
    let folded = tokio::task::spawn_blocking(move || snapshot.fold(limit)).await;
    let answer = folded.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, "50026", error.to_string()));
    envelope(answer.map(|folded| {
        let row = |(price, quantity): &(String, String)| match full {
            true => json!([price, quantity, "1"]),
            false => json!([price, quantity, "0", "1"]),
        };
        let asks = folded.asks.iter().map(row).collect::<Vec<_>>();
        let bids = folded.bids.iter().map(row).collect::<Vec<_>>();
        json!([{"asks": asks, "bids": bids, "ts": ts, "seqId": folded.id.map(|id| numbering.wire(id))}])
    }))
}

async fn trades(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = enter(&hub, peer, "market/trades", 100) {
        return *refusal;
    }
    let query = Query::read(query);
    envelope(with_trades(&hub, &query, 100, 500, |market, count, until_ms| {
        let seen = market.trades.position_at(until_ms);
        Ok(seen.saturating_sub(count)..seen)
    }))
}

async fn history_trades(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = enter(&hub, peer, "market/history-trades", 20) {
        return *refusal;
    }
    let query = Query::read(query);
    envelope(with_trades(&hub, &query, 100, 100, |market, count, until_ms| {
        let log = &market.trades;
        let seen = log.position_at(until_ms);
        let by_time = query.get("type") == Some("2");
        if by_time && query.get("before").is_some() {
            let text = "before can't be used with this paging".to_owned();
            return Err((StatusCode::OK, "50039", text));
        }
        let position = |number: u64| match by_time {
            true => log.position_at(i64::try_from(number).unwrap_or(i64::MAX)),
            false => number.saturating_sub(log.first_id()),
        };
        // `before` alone is the newest page; `after` is exclusive and goes back.
        let end = query.number("after")?.map_or(seen, |after| position(after).min(seen));
        let begin = query
            .number("before")?
            .map_or(0, |before| position(before + 1).min(end));
        Ok(end.saturating_sub(count).max(begin)..end)
    }))
}

/// Answers with the trades in a range of positions, the newest one first.
fn with_trades(
    hub: &Hub,
    query: &Query,
    limit: u64,
    limit_max: u64,
    choose: impl FnOnce(&Synthetic, u64, i64) -> Result<std::ops::Range<u64>, (StatusCode, &'static str, String)>,
) -> Answer {
    let (exchange, name) = query.instrument()?;
    let count = query.number("limit")?.unwrap_or(limit).min(limit_max);
    let lag_ms = i64::try_from(hub.tuning.trades_lag.as_millis()).unwrap_or(i64::MAX / 2);
    let until_ms = hub.now_ms(exchange) - lag_ms + 1;
    let state = hub.lock();
    let Some(Source::Synthetic(market)) = state.symbol(exchange, name).map(|symbol| &symbol.source) else {
        return Err(unknown(name));
    };
    let range = choose(market, count, until_ms)?;
    let rows = range
        .rev()
        .filter_map(|position| market.trades.at(position))
        .map(|trade| {
            let side = if trade.taker_sold { "sell" } else { "buy" };
            json!({"instId": name, "side": side, "sz": market.scale.quantity(trade.quantity),
            "px": market.scale.price(trade.price), "source": "0", "tradeId": trade.id.to_string(),
            "ts": trade.ts_ms.to_string()})
        });
    Ok(rows.collect())
}
