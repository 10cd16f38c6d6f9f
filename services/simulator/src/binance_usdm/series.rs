//! What happens by the clock, by REST: funding, open interest, ratios.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mprism_runtime::http::json_response;
use serde_json::{Value, json};

use super::rest::{EXCHANGE, Peer, Shared, enter};
use crate::binance::{Refusal, no_symbol, parameters, read_limit, refused, respond};
use crate::hub::Hub;
use crate::symbol::{Derivative, Mark, RatioKind, Source, Synthetic, fixed};

/// Requests for ratios that an address has in five minutes.
const RATIO_REQUESTS_MAX: usize = 1_000;
const RATIO_REQUESTS_SPAN: std::time::Duration = std::time::Duration::from_secs(300);
const PERIODS: [&str; 9] = ["5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"];

pub(super) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/fapi/v1/premiumIndex", get(premium_index))
        .route("/fapi/v1/fundingRate", get(funding_rate))
        .route("/fapi/v1/fundingInfo", get(funding_info))
        .route("/fapi/v1/openInterest", get(open_interest))
        .route("/futures/data/openInterestHist", get(interest_history))
        .route("/futures/data/topLongShortPositionRatio", get(top_positions))
        .route("/futures/data/topLongShortAccountRatio", get(top_accounts))
        .route("/futures/data/globalLongShortAccountRatio", get(all_accounts))
}

/// Reads a market after what is due in it has happened; who asks by REST starts it, too.
fn with<T>(hub: &Hub, symbol: &str, read: impl FnOnce(&Synthetic, &Derivative, i64) -> T) -> Result<T, Refusal> {
    let now_ms = hub.now_ms(EXCHANGE);
    let mut state = hub.lock();
    let paused = state.paused;
    let invalid = || refused(-1121, "Invalid symbol.");
    let symbol = state.symbol_mut(EXCHANGE, symbol).ok_or_else(invalid)?;
    symbol.started = true;
    let Source::Synthetic(market) = &mut symbol.source else {
        return Err(invalid());
    };
    if market
        .derivative
        .as_ref()
        .is_some_and(|derivative| derivative.has_not_begun())
        && !paused
    {
        market.by_the_clock(now_ms, &mut Vec::new());
    }
    hub.wake.notify_one();
    match &market.derivative {
        Some(derivative) => Ok(read(market, derivative, now_ms)),
        None => Err(invalid()),
    }
}

struct Request {
    symbol: Option<String>,
    period: Option<String>,
    limit: Option<usize>,
    start_ms: i64,
    end_ms: i64,
}

impl Request {
    fn read(query: Option<String>) -> Result<Self, Refusal> {
        let mut request = Self {
            symbol: None,
            period: None,
            limit: None,
            start_ms: i64::MIN,
            end_ms: i64::MAX,
        };
        for (key, value) in parameters(query) {
            let malformed = || refused(-1100, &format!("Illegal characters found in parameter '{key}'."));
            match key.as_str() {
                "symbol" => request.symbol = Some(value),
                "period" => request.period = Some(value),
                "limit" => request.limit = Some(read_limit(&value)?),
                "startTime" => request.start_ms = value.parse().map_err(|_| malformed())?,
                "endTime" => request.end_ms = value.parse().map_err(|_| malformed())?,
                other => return Err(refused(-1103, &format!("An unknown parameter was sent: '{other}'."))),
            }
        }
        Ok(request)
    }

    fn symbol(&self) -> Result<&str, Refusal> {
        self.symbol.as_deref().ok_or_else(no_symbol)
    }

    fn has(&self, ts_ms: i64) -> bool {
        (self.start_ms..=self.end_ms).contains(&ts_ms)
    }
}

/// Answers a weighed call.
fn weighed(hub: &Hub, peer: SocketAddr, weight: u64, answer: impl FnOnce() -> Result<Value, Refusal>) -> Response {
    match enter(hub, peer, weight) {
        Ok(used) => respond(
            used,
            answer().map_or_else(|refusal| refusal, |body| (StatusCode::OK, body)),
        ),
        Err(refusal) => *refusal,
    }
}

async fn premium_index(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    weighed(&hub, peer, 1, || {
        let request = Request::read(query)?;
        match &request.symbol {
            Some(symbol) => with(&hub, symbol, |market, derivative, now_ms| {
                premium(symbol, market, derivative, now_ms)
            }),
            None => {
                let names = {
                    let state = hub.lock();
                    let symbols = state
                        .symbols
                        .get(&EXCHANGE)
                        .into_iter()
                        .flat_map(|symbols| symbols.keys());
                    symbols.cloned().collect::<Vec<_>>()
                };
                let one = |symbol: &String| {
                    with(&hub, symbol, |market, derivative, now_ms| {
                        premium(symbol, market, derivative, now_ms)
                    })
                };
                names.iter().map(one).collect()
            }
        }
    })
}

fn premium(symbol: &str, market: &Synthetic, derivative: &Derivative, now_ms: i64) -> Value {
    let Some(mark) = market.prices().map(|prices| derivative.mark(now_ms, prices)) else {
        return Value::Null;
    };
    let Mark {
        ts_ms,
        mark,
        index,
        rate,
        next_ms,
        ..
    } = mark;
    json!({"symbol": symbol, "markPrice": fixed(mark), "indexPrice": fixed(index), "estimatedSettlePrice": fixed(index),
        "lastFundingRate": fixed(rate), "interestRate": "0.00010000", "nextFundingTime": next_ms, "time": ts_ms})
}

async fn funding_rate(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    weighed(&hub, peer, 0, || {
        let request = Request::read(query)?;
        let symbol = request.symbol()?;
        let limit = request.limit.unwrap_or(100).min(1_000);
        with(&hub, symbol, |_, derivative, now_ms| {
            let rows = derivative.settled.iter();
            let rows = rows.filter(|row| row.published_ms <= now_ms && request.has(row.ts_ms));
            let rows = rows.map(|row| {
                json!({"symbol": symbol, "fundingRate": fixed(row.rate), "fundingTime": row.ts_ms,
                    "markPrice": fixed(row.mark)})
            });
            let rows = rows.collect::<Vec<_>>();
            // The newest ones, unless a beginning is asked for.
            let skip = if request.start_ms == i64::MIN {
                rows.len().saturating_sub(limit)
            } else {
                0
            };
            Value::Array(rows.into_iter().skip(skip).take(limit).collect())
        })
    })
}

/// Only instruments with settings of their own are listed; the usual interval is eight hours.
async fn funding_info(State(hub): Shared, ConnectInfo(peer): Peer) -> Response {
    weighed(&hub, peer, 0, || {
        let state = hub.lock();
        let symbols = state
            .symbols
            .get(&EXCHANGE)
            .into_iter()
            .flat_map(|symbols| symbols.values());
        let rows = symbols.filter_map(|symbol| {
            let Source::Synthetic(market) = &symbol.source else {
                return None;
            };
            let hours = market.derivative.as_ref()?.unusual_hours()?;
            Some(
                json!({"symbol": symbol.name, "adjustedFundingRateCap": "0.02", "adjustedFundingRateFloor": "-0.02",
                "fundingIntervalHours": hours, "disclaimer": false}),
            )
        });
        Ok(rows.collect())
    })
}

async fn open_interest(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    weighed(&hub, peer, 1, || {
        let request = Request::read(query)?;
        let symbol = request.symbol()?;
        with(&hub, symbol, |market, derivative, now_ms| {
            match derivative.interests.last() {
                Some(last) => {
                    json!({"openInterest": market.scale.quantity_of(last.lots), "symbol": symbol, "time": last.ts_ms})
                }
                None => json!({"openInterest": "0.000", "symbol": symbol, "time": now_ms}),
            }
        })
    })
}

async fn interest_history(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    unweighed(&hub, peer, || {
        let request = Request::read(query)?;
        let (symbol, limit) = history_of(&request)?;
        with(&hub, symbol, |market, derivative, _| {
            let period_ms = derivative.paced(crate::symbol::RATIO_MS);
            let mut rows = Vec::new();
            let mut last = None;
            for point in derivative.interests.iter().filter(|point| request.has(point.ts_ms)) {
                let period = point.ts_ms.div_euclid(period_ms);
                if last.replace(period) != Some(period) {
                    let value = market.scale.quantity_of(point.lots);
                    rows.push(
                        json!({"symbol": symbol, "sumOpenInterest": value, "sumOpenInterestValue": value,
                        "CMCCirculatingSupply": "0", "timestamp": period * period_ms}),
                    );
                }
            }
            let skip = rows.len().saturating_sub(limit);
            Value::Array(rows.split_off(skip))
        })
    })
}

async fn top_positions(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    ratios(hub, peer, query, RatioKind::TopPosition)
}

async fn top_accounts(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    ratios(hub, peer, query, RatioKind::TopAccount)
}

async fn all_accounts(hub: Shared, peer: Peer, query: RawQuery) -> Response {
    ratios(hub, peer, query, RatioKind::AllAccount)
}

fn ratios(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery, kind: RatioKind) -> Response {
    unweighed(&hub, peer, || {
        let request = Request::read(query)?;
        let (symbol, limit) = history_of(&request)?;
        with(&hub, symbol, |_, derivative, now_ms| {
            let rows = derivative.ratios(kind).iter();
            let rows = rows.filter(|row| row.published_ms <= now_ms && request.has(row.ts_ms));
            let rows = rows.map(|row| {
                json!({"symbol": symbol, "longShortRatio": row.ratio(), "longAccount": row.long_share(),
                    "shortAccount": row.short_share(), "timestamp": row.ts_ms})
            });
            let mut rows = rows.collect::<Vec<_>>();
            let skip = rows.len().saturating_sub(limit);
            Value::Array(rows.split_off(skip))
        })
    })
}

/// Reads what every history needs: the instrument, a known period, how many rows.
fn history_of(request: &Request) -> Result<(&str, usize), Refusal> {
    let symbol = request.symbol()?;
    let period = request.period.as_deref().unwrap_or_default();
    if !PERIODS.contains(&period) {
        return Err(refused(-1130, "Data sent for parameter 'period' is not valid."));
    }
    match request.limit.unwrap_or(30) {
        limit @ 1..=500 => Ok((symbol, limit)),
        _ => Err(refused(-1130, "Data sent for parameter 'limit' is not valid.")),
    }
}

/// Answers a call that has no weight but a number of requests.
fn unweighed(hub: &Hub, peer: SocketAddr, answer: impl FnOnce() -> Result<Value, Refusal>) -> Response {
    // Whoever is banned for the weighed calls is banned here, too.
    if let Err(refusal) = enter(hub, peer, 0) {
        return *refusal;
    }
    let may = {
        let mut state = hub.lock();
        let limits = state.limits.entry((EXCHANGE, peer.ip())).or_default();
        limits.may_ask("/futures/data", RATIO_REQUESTS_MAX, RATIO_REQUESTS_SPAN)
    };
    if !may {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    match answer() {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err((status, body)) => json_response(status, &body),
    }
}
