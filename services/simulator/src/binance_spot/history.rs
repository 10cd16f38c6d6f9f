//! Trades by REST: from the same log as the streams, a little behind them.

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::rest::{Peer, Shared, admit};
use crate::Exchange;
use crate::binance::{Refusal, no_symbol, parameters, read_limit, refused, respond, respond_with, wants_micros};
use crate::hub::Hub;
use crate::market::{KeptTrade, Scale, push_integer};
use crate::symbol::{Source, Symbol};

const EXCHANGE: Exchange = Exchange::BinanceSpot;
const LIMIT: usize = 500;
const LIMIT_MAX: usize = 1_000;

pub(super) async fn trades(hub: Shared, peer: Peer, headers: HeaderMap, query: RawQuery) -> Response {
    answer(hub, peer, &headers, query, 25, &["symbol", "limit"], write_trades)
}

pub(super) async fn historical_trades(hub: Shared, peer: Peer, headers: HeaderMap, query: RawQuery) -> Response {
    answer(
        hub,
        peer,
        &headers,
        query,
        25,
        &["symbol", "limit", "fromId"],
        write_trades,
    )
}

pub(super) async fn aggregates(hub: Shared, peer: Peer, headers: HeaderMap, query: RawQuery) -> Response {
    let known = ["symbol", "limit", "fromId", "startTime", "endTime"];
    answer(hub, peer, &headers, query, 4, &known, write_aggregates)
}

fn answer(
    State(hub): Shared,
    ConnectInfo(peer): Peer,
    headers: &HeaderMap,
    RawQuery(query): RawQuery,
    weight: u64,
    known: &[&str],
    write: fn(&Symbol, &Request) -> Result<Vec<u8>, Refusal>,
) -> Response {
    let used = match admit(&hub, peer, weight) {
        Ok(used) => used,
        Err(refusal) => return *refusal,
    };
    let body = Request::read(&parameters(query), known).and_then(|mut request| {
        request.micros = wants_micros(headers);
        request.until_ms = seen_until(&hub);
        let state = hub.lock();
        let symbol = state.symbol(EXCHANGE, &request.symbol);
        write(symbol.ok_or_else(|| refused(-1121, "Invalid symbol."))?, &request)
    });
    match body {
        Ok(body) => respond_with(used, StatusCode::OK, body),
        Err(refusal) => respond(used, refusal),
    }
}

/// Returns until when trades have reached the venue's database.
fn seen_until(hub: &Hub) -> i64 {
    let lag_ms = i64::try_from(hub.tuning.trades_lag.as_millis()).unwrap_or(i64::MAX / 2);
    hub.now_ms(EXCHANGE) - lag_ms
}

struct Request {
    symbol: String,
    limit: usize,
    from_id: Option<u64>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    micros: bool,
    /// Later trades are not in the database yet.
    until_ms: i64,
}

impl Request {
    fn read(parameters: &[(String, String)], known: &[&str]) -> Result<Self, Refusal> {
        let mut request = Self {
            symbol: String::new(),
            limit: LIMIT,
            from_id: None,
            start_ms: None,
            end_ms: None,
            micros: false,
            until_ms: i64::MAX,
        };
        for (key, value) in parameters {
            let malformed = || refused(-1100, &format!("Illegal characters found in parameter '{key}'."));
            match key.as_str() {
                key if !known.contains(&key) => {
                    return Err(refused(-1103, &format!("An unknown parameter was sent: '{key}'.")));
                }
                key if value.is_empty() => return Err(refused(-1105, &format!("Parameter '{key}' was empty."))),
                "limit" => request.limit = read_limit(value)?.min(LIMIT_MAX),
                "fromId" => request.from_id = Some(value.parse().map_err(|_| malformed())?),
                "startTime" => request.start_ms = Some(value.parse().map_err(|_| malformed())?),
                "endTime" => request.end_ms = Some(value.parse().map_err(|_| malformed())?),
                _ => request.symbol = value.clone(),
            }
        }
        if request.symbol.is_empty() {
            return Err(no_symbol());
        }
        Ok(request)
    }
}

fn write_trades(symbol: &Symbol, request: &Request) -> Result<Vec<u8>, Refusal> {
    let mut rows = Rows::new(request.micros);
    match &symbol.source {
        Source::Synthetic(market) => {
            let seen = market.trades.position_at(request.until_ms.saturating_add(1));
            let from = match request.from_id {
                Some(id) => id.saturating_sub(market.trades.first_id()),
                None => seen.saturating_sub(request.limit as u64),
            };
            let count = seen.saturating_sub(from).min(request.limit as u64);
            for trade in market
                .trades
                .from(from)
                .take(usize::try_from(count).unwrap_or(usize::MAX))
            {
                rows.trade(&market.scale, &trade);
            }
        }
        Source::Recorded(recording) => {
            let from = match request.from_id {
                Some(id) => recording.played().take_while(|trade| trade.id < id).count(),
                None => recording.played().count().saturating_sub(request.limit),
            };
            for trade in recording.played().skip(from).take(request.limit) {
                let row = (trade.id, trade.price.as_bytes(), trade.quantity.as_bytes());
                rows.row(row, &trade.notional(), trade.ts_ms, trade.buyer_is_maker);
            }
        }
    }
    Ok(rows.end())
}

fn write_aggregates(symbol: &Symbol, request: &Request) -> Result<Vec<u8>, Refusal> {
    let Source::Synthetic(market) = &symbol.source else {
        return Err(refused(-1000, "A recording has no aggregate trades to answer with."));
    };
    let (log, scale) = (&market.trades, &market.scale);
    let end_ms = request.end_ms.map_or(request.until_ms, |end| end.min(request.until_ms));
    let start = match (request.from_id, request.start_ms) {
        (Some(id), _) => log.position_of_aggregate(id),
        (None, Some(start_ms)) => log.start_of_order(log.position_at(start_ms)),
        (None, None) => log.start_of_order(log.position_at(end_ms).saturating_sub(request.limit as u64)),
    };
    let mut rows = Rows::new(request.micros);
    let mut aggregate = log.aggregate_at(start);
    let mut fills = Vec::new();
    for trade in log.from(start).take_while(|trade| trade.ts_ms <= end_ms) {
        fills.push(trade);
        // An order that is not filled yet has no aggregate yet.
        if trade.last_of_order {
            rows.aggregate(scale, aggregate, &fills);
            aggregate += 1;
            fills.clear();
            if rows.count == request.limit {
                break;
            }
        }
    }
    Ok(rows.end())
}

/// A JSON list of rows.
struct Rows {
    out: Vec<u8>,
    micros: bool,
    count: usize,
}

impl Rows {
    fn new(micros: bool) -> Self {
        Self {
            out: b"[".to_vec(),
            micros,
            count: 0,
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.out.push(b']');
        self.out
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, key: &str, number: u64) {
        self.text(key);
        push_integer(&mut self.out, number);
    }

    fn begin(&mut self, key: &str, id: u64) {
        self.text(if self.count == 0 { "{" } else { ",{" });
        self.count += 1;
        self.number(key, id);
    }

    fn time(&mut self, key: &str, ms: i64) {
        let scale = if self.micros { 1_000 } else { 1 };
        self.number(key, u64::try_from(ms).unwrap_or(0) * scale);
    }

    fn trade(&mut self, scale: &Scale, trade: &KeptTrade) {
        let (mut price, mut quantity, mut notional) = (Vec::new(), Vec::new(), Vec::new());
        scale.push_price(&mut price, trade.price);
        scale.push_quantity(&mut quantity, trade.quantity);
        scale.push_notional(&mut notional, trade.price, trade.quantity);
        self.row((trade.id, &price, &quantity), &notional, trade.ts_ms, trade.taker_sold);
    }

    fn row(&mut self, (id, price, quantity): (u64, &[u8], &[u8]), notional: &[u8], ts_ms: i64, maker: bool) {
        self.begin("\"id\":", id);
        for (key, value) in [("price", price), ("qty", quantity), ("quoteQty", notional)] {
            self.text(&format!(",\"{key}\":\""));
            self.out.extend_from_slice(value);
            self.text("\"");
        }
        self.time(",\"time\":", ts_ms);
        self.text(&format!(",\"isBuyerMaker\":{maker},\"isBestMatch\":true}}"));
    }

    fn aggregate(&mut self, scale: &Scale, id: u64, fills: &[KeptTrade]) {
        let (Some(first), Some(last)) = (fills.first(), fills.last()) else {
            return;
        };
        self.begin("\"a\":", id);
        self.text(",\"p\":\"");
        scale.push_price(&mut self.out, first.price);
        self.text("\",\"q\":\"");
        scale.push_quantity(&mut self.out, fills.iter().map(|fill| fill.quantity).sum());
        self.number("\",\"f\":", first.id);
        self.number(",\"l\":", last.id);
        self.time(",\"T\":", first.ts_ms);
        self.text(&format!(",\"m\":{},\"M\":true}}", first.taker_sold));
    }
}
