//! What happens by the clock, by REST: instruments, funding, open interest, ratios.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::frames::{funding, open_interest};
use super::market::contract_hundredths;
use super::rest::{Answer, Peer, Query, Shared, enter, envelope, unknown};
use crate::Exchange;
use crate::hub::Hub;
use crate::symbol::{Derivative, RatioKind, Source, Symbol, Synthetic, shortest};

const EXCHANGE: Exchange = Exchange::OkxDerivatives;

pub(super) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/api/v5/public/instruments", get(instruments))
        .route("/api/v5/public/funding-rate", get(funding_rate))
        .route("/api/v5/public/funding-rate-history", get(funding_history))
        .route("/api/v5/public/open-interest", get(interests))
        .route("/api/v5/system/status", get(status))
        .route(
            "/api/v5/rubik/stat/contracts/long-short-position-ratio-contract-top-trader",
            get(top_positions),
        )
        .route(
            "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract-top-trader",
            get(top_accounts),
        )
        .route(
            "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract",
            get(all_accounts),
        )
}

/// Reads a swap's market after what is due in it has happened; who asks by REST starts it, too.
fn with<T>(
    hub: &Hub,
    name: &str,
    read: impl FnOnce(&Synthetic, &Derivative, i64) -> T,
) -> Result<T, (StatusCode, &'static str, String)> {
    let now_ms = hub.now_ms(EXCHANGE);
    let mut state = hub.lock();
    let paused = state.paused;
    let symbol = state.symbol_mut(EXCHANGE, name).ok_or_else(|| unknown(name))?;
    symbol.started = true;
    let Source::Synthetic(market) = &mut symbol.source else {
        return Err(unknown(name));
    };
    if market.derivative.as_ref().is_some_and(Derivative::has_not_begun) && !paused {
        market.by_the_clock(now_ms, &mut Vec::new());
    }
    hub.wake.notify_one();
    match &market.derivative {
        Some(derivative) => Ok(read(market, derivative, now_ms)),
        None => Err(unknown(name)),
    }
}

async fn instruments(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = enter(&hub, peer, "public/instruments", 20) {
        return *refusal;
    }
    let query = Query::read(query);
    let exchange = match query.get("instType") {
        Some("SPOT") => Exchange::OkxSpot,
        Some("SWAP") => Exchange::OkxDerivatives,
        Some(_) => return envelope(Ok(json!([]))),
        None => {
            let text = "Parameter instType can not be empty.".to_owned();
            return envelope(Err((StatusCode::BAD_REQUEST, "50014", text)));
        }
    };
    let state = hub.lock();
    let symbols = state
        .symbols
        .get(&exchange)
        .into_iter()
        .flat_map(|symbols| symbols.values());
    let symbols = symbols.filter(|symbol| query.get("instId").is_none_or(|wanted| wanted == symbol.name));
    let rows = symbols.map(describe).collect::<Vec<_>>();
    drop(state);
    envelope(Ok(Value::Array(rows)))
}

fn describe(symbol: &Symbol) -> Value {
    let (exchange, name) = (symbol.exchange, symbol.name.as_str());
    let state = if symbol.is_halted() { "suspend" } else { "live" };
    let ours = exchange.our_symbol(name);
    let (base, quote) = ours.split_once('-').unwrap_or((name, ""));
    let tick = if base == "BTC" { "0.1" } else { "0.01" };
    match exchange {
        Exchange::OkxSpot => json!({"instType": "SPOT", "instId": name, "uly": "", "instFamily": "", "baseCcy": base,
            "quoteCcy": quote, "settleCcy": "", "ctVal": "", "ctMult": "", "ctValCcy": "", "ctType": "", "lotSz": "0.00001",
            "minSz": "0.00001", "tickSz": tick, "listTime": "1548133413000", "expTime": "", "state": state,
            "instIdCode": 1}),
        _ => {
            let value = if contract_hundredths(name) == 1 { "0.01" } else { "0.1" };
            json!({"instType": "SWAP", "instId": name, "uly": ours, "instFamily": ours, "baseCcy": "", "quoteCcy": "",
                "settleCcy": quote, "ctVal": value, "ctMult": "1", "ctValCcy": base, "ctType": "linear", "lotSz": "0.01",
                "minSz": "0.01", "tickSz": tick, "listTime": "1573557408000", "expTime": "", "state": state,
                "instIdCode": 2})
        }
    }
}

fn swaps(hub: &Hub) -> Vec<String> {
    let state = hub.lock();
    let symbols = state
        .symbols
        .get(&EXCHANGE)
        .into_iter()
        .flat_map(|symbols| symbols.keys());
    symbols.cloned().collect()
}

async fn funding_rate(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query);
    let wanted = query.get("instId").unwrap_or_default();
    if let Err(refusal) = enter(&hub, peer, &format!("public/funding-rate/{wanted}"), 10) {
        return *refusal;
    }
    let one = |name: &str| {
        with(&hub, name, |market, derivative, now_ms| {
            market
                .prices()
                .map(|prices| funding(name, &derivative.mark(now_ms, prices)))
        })
    };
    envelope(match wanted {
        "" => query.instrument().map(|_| Value::Null),
        "ANY" => swaps(&hub)
            .iter()
            .map(|name| one(name))
            .collect::<Result<Vec<_>, _>>()
            .map(|rows| json!(rows)),
        name => one(name).map(|row| json!([row])),
    })
}

async fn funding_history(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    if let Err(refusal) = enter(&hub, peer, "public/funding-rate-history", 10) {
        return *refusal;
    }
    let query = Query::read(query);
    envelope(read_funding_history(&hub, &query))
}

fn read_funding_history(hub: &Hub, query: &Query) -> Answer {
    let (_, name) = query.instrument()?;
    let limit = usize::try_from(query.number("limit")?.unwrap_or(400))
        .unwrap_or(400)
        .min(400);
    let bound =
        |number: Option<u64>, default: i64| number.map_or(default, |number| i64::try_from(number).unwrap_or(i64::MAX));
    let after = bound(query.number("after")?, i64::MAX);
    let before = bound(query.number("before")?, i64::MIN);
    with(hub, name, |_, derivative, now_ms| {
        let rows = derivative.settled.iter().rev();
        let rows = rows.filter(|row| row.published_ms <= now_ms && row.ts_ms < after && row.ts_ms > before);
        let rows = rows.take(limit).map(|row| {
            json!({"instType": "SWAP", "instId": name, "formulaType": "noRate", "fundingRate": shortest(row.rate),
                "realizedRate": shortest(row.rate), "fundingTime": row.ts_ms.to_string(), "method": "current_period"})
        });
        rows.collect()
    })
}

async fn interests(State(hub): Shared, ConnectInfo(peer): Peer, RawQuery(query): RawQuery) -> Response {
    let query = Query::read(query);
    let wanted = query.get("instId").unwrap_or_default();
    if let Err(refusal) = enter(&hub, peer, &format!("public/open-interest/{wanted}"), 20) {
        return *refusal;
    }
    let one = |name: &str| {
        with(&hub, name, |market, derivative, _| {
            derivative
                .interests
                .last()
                .map(|last| open_interest(name, market, last.lots, last.ts_ms))
        })
    };
    envelope(match wanted {
        "" => swaps(&hub)
            .iter()
            .map(|name| one(name))
            .collect::<Result<Vec<_>, _>>()
            .map(|rows| json!(rows)),
        name => one(name).map(|row| json!([row])),
    })
}

async fn status(State(hub): Shared, ConnectInfo(peer): Peer) -> Response {
    match enter(&hub, peer, "system/status", 10) {
        Ok(()) => envelope(Ok(json!([]))),
        Err(refusal) => *refusal,
    }
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
    let query = Query::read(query);
    let wanted = query.get("instId").unwrap_or_default();
    if let Err(refusal) = enter(&hub, peer, &format!("rubik/{kind:?}/{wanted}"), 5) {
        return *refusal;
    }
    envelope(read_ratios(&hub, &query, kind))
}

/// Rows, the newest one first: time and ratio.
fn read_ratios(hub: &Hub, query: &Query, kind: RatioKind) -> Answer {
    const PERIODS: [&str; 11] = [
        "5m", "15m", "30m", "1H", "2H", "4H", "6H", "12H", "1D", "6Hutc", "1Dutc",
    ];
    let (_, name) = query.instrument()?;
    if !PERIODS.contains(&query.get("period").unwrap_or("5m")) {
        return Err((StatusCode::BAD_REQUEST, "51000", "Parameter period error".to_owned()));
    }
    let limit = usize::try_from(query.number("limit")?.unwrap_or(100))
        .unwrap_or(100)
        .min(100);
    let bound =
        |number: Option<u64>, default: i64| number.map_or(default, |number| i64::try_from(number).unwrap_or(i64::MAX));
    let begin = bound(query.number("begin")?, i64::MIN);
    let end = bound(query.number("end")?, i64::MAX);
    with(hub, name, |_, derivative, now_ms| {
        let rows = derivative.ratios(kind).iter().rev();
        let rows = rows.filter(|row| row.published_ms <= now_ms && (begin..=end).contains(&row.ts_ms));
        rows.take(limit)
            .map(|row| json!([row.ts_ms.to_string(), row.ratio()]))
            .collect()
    })
}
