//! What is asked for by JSON-RPC, over WebSocket and HTTP alike.

use std::sync::Arc;

use serde_json::{Value, json};

use super::frames::{ticker, trade_text};
use super::market::EXCHANGE;
use crate::fault::FaultKind;
use crate::hub::Hub;
use crate::market::KeptTrade;
use crate::snapshot::{self, Snapshot};
use crate::symbol::{Derivative, Source, Synthetic, Volatility};

/// Rows on one page of the volatility index.
const PAGE: usize = 1_000;
/// Trades in one answer.
const TRADES_MAX: u64 = 1_000;
/// Depths of a book that can be asked for.
const DEPTHS: [u64; 8] = [1, 5, 10, 20, 50, 100, 1_000, 10_000];

/// Why a call fails.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: &'static str,
    data: Option<Value>,
}

impl Failure {
    pub(super) fn new(code: i64, message: &'static str) -> Self {
        let data = None;
        Self { code, message, data }
    }

    fn parameter(name: &str, reason: &str) -> Self {
        let data = Some(json!({"param": name, "reason": reason}));
        Self {
            code: -32602,
            message: "Invalid params",
            data,
        }
    }
}

/// Puts a result or a failure in the venue's envelope.
pub(super) fn envelope(id: &Value, result: Result<String, Failure>, in_us: i64) -> String {
    let out_us = mprism_runtime::clock::now_ns() / 1_000;
    let spent = out_us - in_us;
    let answer = match result {
        Ok(result) => format!(r#""result":{result}"#),
        Err(failure) => {
            let mut error = json!({"code": failure.code, "message": failure.message});
            if let Some(data) = failure.data {
                error["data"] = data;
            }
            format!(r#""error":{error}"#)
        }
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},{answer},"usIn":{in_us},"usOut":{out_us},"usDiff":{spent},"testnet":false}}"#
    )
}

/// Answers a call that needs no connection of its own.
pub(super) async fn call(hub: &Arc<Hub>, method: &str, params: &Value) -> Result<String, Failure> {
    let maintenance = |kind: &FaultKind| matches!(kind, FaultKind::Maintenance { .. }).then_some(());
    if hub.lock().troubles.take(EXCHANGE, None, maintenance).is_some() {
        return Err(Failure::new(11_051, "system_maintenance"));
    }
    match method {
        "public/test" | "public/hello" => Ok(r#"{"version":"1.2.26"}"#.to_owned()),
        "public/get_time" => Ok(hub.now_ms(EXCHANGE).to_string()),
        "public/status" => Ok(r#"{"locked":"false","locked_indices":[]}"#.to_owned()),
        "public/get_instruments" => Ok(instruments(hub, params)),
        "public/get_order_book" => order_book(hub, params).await,
        "public/ticker" => with(hub, text(params, "instrument_name")?, |market, now_ms| {
            let name = params["instrument_name"].as_str().unwrap_or_default();
            market
                .quote(now_ms)
                .map(|quote| ticker(name, &market.scale, &quote))
                .unwrap_or_default()
        }),
        "public/get_last_trades_by_instrument" => last_trades(hub, params, false),
        "public/get_last_trades_by_instrument_and_time" => last_trades(hub, params, true),
        "public/get_volatility_index_data" => volatility(hub, params),
        _ => Err(Failure::new(-32_601, "Method not found")),
    }
}

fn text<'a>(params: &'a Value, name: &str) -> Result<&'a str, Failure> {
    params[name].as_str().ok_or_else(|| Failure::parameter(name, "missing"))
}

/// Reads a whole number, which is a text in a query.
fn number(params: &Value, name: &str) -> Result<Option<u64>, Failure> {
    match &params[name] {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| Failure::parameter(name, "invalid")),
        value => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| Failure::parameter(name, "invalid")),
    }
}

/// Reads a market after what is due in it has happened; who asks for it starts it, too.
fn with<T>(hub: &Hub, name: &str, read: impl FnOnce(&Synthetic, i64) -> T) -> Result<T, Failure> {
    let now_ms = hub.now_ms(EXCHANGE);
    let mut state = hub.lock();
    let paused = state.paused;
    let unknown = || Failure::parameter("instrument_name", "wrong format");
    let symbol = state.symbol_mut(EXCHANGE, name).ok_or_else(unknown)?;
    symbol.started = true;
    let Source::Synthetic(market) = &mut symbol.source else {
        return Err(unknown());
    };
    if market.derivative.as_ref().is_some_and(Derivative::has_not_begun) && !paused {
        market.by_the_clock(now_ms, &mut Vec::new());
    }
    hub.wake.notify_one();
    Ok(read(market, now_ms))
}

fn instruments(hub: &Hub, params: &Value) -> String {
    let currency = params["currency"].as_str().filter(|currency| *currency != "any");
    let state = hub.lock();
    let names = state
        .symbols
        .get(&EXCHANGE)
        .into_iter()
        .flat_map(|symbols| symbols.keys());
    let names = names.filter(|name| EXCHANGE.has_trades(name));
    let names = names.filter(|name| currency.is_none_or(|currency| name.starts_with(currency)));
    let rows = names.map(|name| {
        let base = name.split('-').next().unwrap_or_default();
        let (tick, size) = if base == "BTC" { (0.5, 10) } else { (0.05, 1) };
        json!({"instrument_name": name, "kind": "future", "base_currency": base, "quote_currency": "USD",
            "settlement_currency": base, "counter_currency": "USD", "contract_size": size, "tick_size": tick,
            "min_trade_amount": size, "settlement_period": "perpetual", "instrument_type": "reversed", "is_active": true,
            "state": "open", "creation_timestamp": 1_534_167_754_000_i64, "expiration_timestamp": 32_503_708_800_000_i64})
    });
    Value::Array(rows.collect()).to_string()
}

async fn order_book(hub: &Arc<Hub>, params: &Value) -> Result<String, Failure> {
    let name = text(params, "instrument_name")?;
    let depth = number(params, "depth")?.unwrap_or(5);
    if !DEPTHS.contains(&depth) {
        return Err(Failure::parameter("depth", "invalid"));
    }
    if snapshot::troubled(hub, EXCHANGE, name).await.is_some() {
        return Err(Failure::new(13_028, "temporarily_unavailable"));
    }
    let unknown = || Failure::parameter("instrument_name", "wrong format");
    let snapshot = Snapshot::take(hub, EXCHANGE, name).ok_or_else(unknown)?;
    let (about, now_ms) = with(hub, name, |market, now_ms| {
        (
            market.quote(now_ms).map(|quote| ticker(name, &market.scale, &quote)),
            now_ms,
        )
    })?;
    let limit = usize::try_from(depth).unwrap_or(usize::MAX);
    let folded = tokio::task::spawn_blocking(move || snapshot.fold(limit)).await;
    let folded = folded.map_err(|_| Failure::new(11_094, "internal_server_error"))?;
    let rows = |levels: &[(String, String)]| {
        let rows = levels.iter().map(|(price, amount)| format!("[{price},{amount}]"));
        rows.collect::<Vec<_>>().join(",")
    };
    let (id, bids, asks) = (folded.id.unwrap_or(0), rows(&folded.bids), rows(&folded.asks));
    // The rest of an answer is the ticker's.
    let about = about.unwrap_or_else(|| "{}".to_owned());
    let rest = about.split_once(r#""stats""#).map_or("", |(_, rest)| rest);
    Ok(format!(
        r#"{{"timestamp":{now_ms},"change_id":{id},"bids":[{bids}],"asks":[{asks}],"stats"{rest}"#
    ))
}

fn last_trades(hub: &Hub, params: &Value, by_time: bool) -> Result<String, Failure> {
    let name = text(params, "instrument_name")?;
    let count = number(params, "count")?.unwrap_or(10);
    if count == 0 || count > TRADES_MAX {
        return Err(Failure::parameter("count", "must be from 1 to 1000"));
    }
    let (start, end) = match by_time {
        true => (number(params, "start_timestamp")?, number(params, "end_timestamp")?),
        false => (number(params, "start_seq")?, number(params, "end_seq")?),
    };
    let default = if start.is_some() { "asc" } else { "desc" };
    let sorting = params["sorting"]
        .as_str()
        .filter(|sorting| *sorting != "default")
        .unwrap_or(default);
    let lag_ms = i64::try_from(hub.tuning.trades_lag.as_millis()).unwrap_or(i64::MAX / 2);
    with(hub, name, |market, now_ms| {
        let log = &market.trades;
        let seen = log.position_at(now_ms - lag_ms + 1);
        let position = |bound: u64| match by_time {
            true => log.position_at(i64::try_from(bound).unwrap_or(i64::MAX)),
            false => bound.saturating_sub(log.first_id()),
        };
        let first = start.map_or(0, position);
        let last = end.map_or(seen, |end| position(end.saturating_add(1)).min(seen));
        let found = last.saturating_sub(first);
        // The oldest ones where a beginning is given, the newest ones otherwise.
        let from = if sorting == "asc" {
            first
        } else {
            last.saturating_sub(count).max(first)
        };
        let taken = usize::try_from(count.min(found)).unwrap_or(0);
        let mut trades = log.from(from).take(taken).collect::<Vec<KeptTrade>>();
        if sorting == "desc" {
            trades.reverse();
        }
        let rows = trades
            .iter()
            .map(|trade| trade_text(name, &market.scale, trade))
            .collect::<Vec<_>>();
        format!(r#"{{"trades":[{}],"has_more":{}}}"#, rows.join(","), found > count)
    })
}

fn volatility(hub: &Hub, params: &Value) -> Result<String, Failure> {
    let currency = text(params, "currency")?.to_lowercase();
    let missing = |name: &'static str| Failure::parameter(name, "missing");
    let start = number(params, "start_timestamp")?.ok_or_else(|| missing("start_timestamp"))?;
    let end = number(params, "end_timestamp")?.ok_or_else(|| missing("end_timestamp"))?;
    let resolution_ms = match text(params, "resolution")? {
        "1" => 1_000,
        "60" => 60_000,
        "3600" => 3_600_000,
        "43200" => 43_200_000,
        "1D" => 86_400_000,
        _ => return Err(Failure::parameter("resolution", "invalid")),
    };
    let name = format!("{currency}_usd");
    let bound = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let (start, end) = (bound(start), bound(end));
    let read = with(hub, &name, |market, _| {
        let points = market
            .derivative
            .as_ref()
            .map(|derivative| derivative.volatilities.as_slice());
        candles(points.unwrap_or_default(), start, end, resolution_ms)
    });
    let rows = read.map_err(|_| Failure::parameter("currency", "invalid"))?;
    let skipped = rows.len().saturating_sub(PAGE);
    let continuation = match skipped {
        0 => "null".to_owned(),
        _ => (rows[skipped].0 - 1).to_string(),
    };
    let two = |value: u32| format!("{}.{:02}", value / 100, value % 100);
    let texts = rows[skipped..].iter().map(|(ts_ms, open, high, low, close)| {
        format!("[{ts_ms},{},{},{},{}]", two(*open), two(*high), two(*low), two(*close))
    });
    let texts = texts.collect::<Vec<_>>().join(",");
    Ok(format!(r#"{{"data":[{texts}],"continuation":{continuation}}}"#))
}

type Candle = (i64, u32, u32, u32, u32);

/// Folds points to candles that begin within the bounds; the last one may still be forming.
fn candles(points: &[Volatility], start: i64, end: i64, resolution_ms: i64) -> Vec<Candle> {
    let mut rows = Vec::<Candle>::new();
    for point in points {
        let begin = point.ts_ms.div_euclid(resolution_ms) * resolution_ms;
        if begin < start || begin > end {
            continue;
        }
        match rows.last_mut().filter(|row| row.0 == begin) {
            Some(row) => {
                row.2 = row.2.max(point.value);
                row.3 = row.3.min(point.value);
                row.4 = point.value;
            }
            None => rows.push((begin, point.value, point.value, point.value, point.value)),
        }
    }
    rows
}
