//! Trades by REST: from the same log as the streams, a little behind them.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::rest::{EXCHANGE, Peer, Shared, enter};
use crate::binance::{Refusal, no_symbol, parameters, read_limit, refused, respond, respond_with};
use crate::hub::Hub;
use crate::market::KeptTrade;
use crate::symbol::{Source, Synthetic};

const LIMIT: usize = 500;
const LIMIT_MAX: usize = 1_000;
/// Longest time between the ends of a query.
const SPAN_MS: i64 = 3_600_000;

pub(super) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/fapi/v1/trades", get(trades))
        .route("/fapi/v1/historicalTrades", get(historical_trades))
        .route("/fapi/v1/aggTrades", get(aggregates))
}

async fn trades(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    answer(hub, peer, query, 5, &["symbol", "limit"], write_trades)
}

async fn historical_trades(hub: Shared, peer: Peer, headers: HeaderMap, query: RawQuery) -> Response {
    if !headers.contains_key("x-mbx-apikey") {
        let body = serde_json::json!({"code": -2014, "msg": "API-key format invalid."});
        return respond(0, (StatusCode::UNAUTHORIZED, body));
    }
    answer(hub, peer, query, 20, &["symbol", "limit", "fromId"], write_trades)
}

async fn aggregates(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    let known = ["symbol", "limit", "fromId", "startTime", "endTime"];
    answer(hub, peer, query, 20, &known, write_aggregates)
}

fn answer(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    RawQuery(query): RawQuery,
    weight: u64,
    known: &[&str],
    write: fn(&Synthetic, &Request) -> String,
) -> Response {
    let used = match enter(&hub, peer, weight) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    let lag_ms = i64::try_from(hub.tuning.trades_lag.as_millis()).unwrap_or(i64::MAX / 2);
    let until_ms = hub.now_ms(EXCHANGE) - lag_ms;
    let body = Request::read(&parameters(query), known, until_ms).and_then(|request| {
        let state = hub.lock();
        match state.symbol(EXCHANGE, &request.symbol).map(|symbol| &symbol.source) {
            Some(Source::Synthetic(market)) => Ok(write(market, &request)),
            _ => Err(refused(-1121, "Invalid symbol.")),
        }
    });
    match body {
        Ok(body) => respond_with(used, StatusCode::OK, body.into_bytes()),
        Err(refusal) => respond(used, refusal),
    }
}

struct Request {
    symbol: String,
    limit: usize,
    from_id: Option<u64>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    /// Later trades are not in the database yet.
    until_ms: i64,
}

impl Request {
    fn read(parameters: &[(String, String)], known: &[&str], until_ms: i64) -> Result<Self, Refusal> {
        let mut request = Self {
            symbol: String::new(),
            limit: LIMIT,
            from_id: None,
            start_ms: None,
            end_ms: None,
            until_ms,
        };
        for (key, value) in parameters {
            let malformed = || refused(-1100, &format!("Illegal characters found in parameter '{key}'."));
            match key.as_str() {
                key if !known.contains(&key) => {
                    return Err(refused(-1103, &format!("An unknown parameter was sent: '{key}'.")));
                }
                "limit" => request.limit = read_limit(value)?,
                "fromId" => request.from_id = Some(value.parse().map_err(|_| malformed())?),
                "startTime" => request.start_ms = Some(value.parse().map_err(|_| malformed())?),
                "endTime" => request.end_ms = Some(value.parse().map_err(|_| malformed())?),
                _ => request.symbol = value.clone(),
            }
        }
        let spans = request
            .start_ms
            .zip(request.end_ms)
            .is_some_and(|(start, end)| end - start > SPAN_MS);
        if request.limit > LIMIT_MAX || spans || (request.from_id.is_some() && request.start_ms.is_some()) {
            return Err(refused(-1130, "Data sent for parameter is not valid."));
        }
        match request.symbol.is_empty() {
            true => Err(no_symbol()),
            false => Ok(request),
        }
    }
}

fn write_trades(market: &Synthetic, request: &Request) -> String {
    let (log, scale) = (&market.trades, &market.scale);
    let seen = log.position_at(request.until_ms.saturating_add(1));
    let from = match request.from_id {
        Some(id) => id.saturating_sub(log.first_id()),
        None => seen.saturating_sub(request.limit as u64),
    };
    let count = usize::try_from(seen.saturating_sub(from))
        .unwrap_or(0)
        .min(request.limit);
    let rows = log.from(from).take(count).map(|trade| {
        let mut notional = Vec::new();
        scale.push_notional(&mut notional, trade.price, trade.quantity);
        format!(
            r#"{{"id":{},"price":"{}","qty":"{}","quoteQty":"{}","time":{},"isBuyerMaker":{},"isRPITrade":false}}"#,
            trade.id,
            scale.price(trade.price),
            scale.quantity(trade.quantity),
            String::from_utf8_lossy(&notional),
            trade.ts_ms,
            trade.taker_sold
        )
    });
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn write_aggregates(market: &Synthetic, request: &Request) -> String {
    let log = &market.trades;
    let end_ms = request.end_ms.map_or(request.until_ms, |end| end.min(request.until_ms));
    let start = match (request.from_id, request.start_ms) {
        (Some(id), _) => log.position_of_aggregate(id),
        (None, Some(start_ms)) => log.start_of_order(log.position_at(start_ms)),
        (None, None) => log.start_of_order(log.position_at(end_ms).saturating_sub(request.limit as u64)),
    };
    let mut out = String::from("[");
    let (mut aggregate, mut count, mut fills) = (log.aggregate_at(start), 0, Vec::<KeptTrade>::new());
    for trade in log.from(start).take_while(|trade| trade.ts_ms <= end_ms) {
        fills.push(trade);
        // An order that is not filled yet has no aggregate yet.
        if !trade.last_of_order {
            continue;
        }
        let (first, quantity) = (fills[0], fills.iter().map(|fill| fill.quantity).sum());
        let (price, quantity) = (market.scale.price(first.price), market.scale.quantity(quantity));
        let comma = if count == 0 { "" } else { "," };
        // Writing to a text does not fail.
        let _ = write!(
            out,
            r#"{comma}{{"a":{aggregate},"p":"{price}","q":"{quantity}","nq":"{quantity}","f":{},"l":{},"T":{},"m":{}}}"#,
            first.id, trade.id, first.ts_ms, first.taker_sold
        );
        aggregate += 1;
        count += 1;
        fills.clear();
        if count == request.limit {
            break;
        }
    }
    out.push(']');
    out
}
