//! What every call costs, and how refusals look: the same on all Binance markets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mprism_runtime::clock;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::Exchange;
use crate::fault::FaultKind;
use crate::hub::Hub;
use crate::limits::Verdict;

/// Connections an address may try in [`ATTEMPTS_SPAN`].
const ATTEMPTS_MAX: usize = 300;
const ATTEMPTS_SPAN: Duration = Duration::from_secs(300);

/// A refusal: an HTTP status and the venue's body.
pub(crate) type Refusal = (StatusCode, Value);

/// Counts a connection attempt and lets it wait or fail where a fault says so.
pub(crate) async fn handshake(hub: &Hub, exchange: Exchange, peer: SocketAddr) -> Option<Response> {
    let may = {
        let mut state = hub.lock();
        let limits = state.limits.entry((exchange, peer.ip())).or_default();
        limits.may_connect(ATTEMPTS_MAX, ATTEMPTS_SPAN)
    };
    if let Some(refusal) = crate::socket::trouble_handshake(hub, exchange).await {
        return Some(refusal);
    }
    (!may).then(|| {
        hub.note("too many connection attempts");
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "300")]).into_response()
    })
}

/// Lets a REST call in after its weight is paid, and returns what the address has used in this minute.
pub(crate) fn admit(
    hub: &Hub,
    exchange: Exchange,
    weight_max: u64,
    peer: SocketAddr,
    weight: u64,
) -> Result<u64, Box<Response>> {
    let now_ms = clock::now_ms();
    let (verdict, used, forced) = {
        let mut state = hub.lock();
        let forced = state.troubles.take(exchange, None, |kind| match kind {
            FaultKind::Http429 { retry_after, .. } => Some(*retry_after),
            _ => None,
        });
        let banned_until_ms = state.banned_until_ms.get(&exchange).copied();
        let limits = state.limits.entry((exchange, peer.ip())).or_default();
        banned_until_ms.into_iter().for_each(|until_ms| limits.ban(until_ms));
        let (verdict, used) = limits.request(weight, weight_max, now_ms);
        (verdict, used, forced.map(|(retry_after, _)| retry_after))
    };
    match (verdict, forced) {
        (Verdict::Banned(until_ms), _) => {
            hub.note("address banned");
            let text = format!(
                "Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live updates to avoid bans."
            );
            let seconds = (until_ms - now_ms).div_euclid(1_000) + 1;
            let answer = (StatusCode::IM_A_TEAPOT, json!({"code": -1003, "msg": text}));
            Err(Box::new(retry_after(respond(used, answer), Some(seconds))))
        }
        (_, Some(seconds)) => {
            let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
            Err(Box::new(retry_after(respond(used, too_much(weight_max)), seconds)))
        }
        (Verdict::TooMuch, None) => {
            hub.note("too much request weight");
            let seconds = 60 - (now_ms / 1_000) % 60;
            Err(Box::new(retry_after(
                respond(used, too_much(weight_max)),
                Some(seconds),
            )))
        }
        (Verdict::Served, None) => Ok(used),
    }
}

fn retry_after(mut response: Response, seconds: Option<i64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Answers with a document and what the address has used.
pub(crate) fn respond(used: u64, (status, body): (StatusCode, Value)) -> Response {
    respond_with(used, status, body.to_string().into_bytes())
}

/// As [`respond`], with a text that is a document already.
pub(crate) fn respond_with(used: u64, status: StatusCode, body: Vec<u8>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json;charset=UTF-8")];
    let mut response = (status, content_type, body).into_response();
    let headers = response.headers_mut();
    headers.insert("x-mbx-used-weight", used.into());
    headers.insert("x-mbx-used-weight-1m", used.into());
    response
}

fn too_much(weight_max: u64) -> (StatusCode, Value) {
    let text = format!(
        "Too much request weight used; current limit is {weight_max} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
    );
    (StatusCode::TOO_MANY_REQUESTS, json!({"code": -1003, "msg": text}))
}

pub(crate) fn refused(code: i32, text: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({"code": code, "msg": text}))
}

pub(crate) fn parameters(query: Option<String>) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = query.unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            pair.split_once('=')
                .map_or_else(|| (decode(pair), String::new()), |(k, v)| (decode(k), decode(v)))
        })
        .collect()
}

/// Whether a request asks for times in microseconds.
pub(crate) fn wants_micros(headers: &HeaderMap) -> bool {
    let unit = headers.get("x-mbx-time-unit").and_then(|unit| unit.to_str().ok());
    unit.is_some_and(|unit| unit.eq_ignore_ascii_case("MICROSECOND"))
}

/// Refuses what has parameters; answers what has none.
pub(crate) fn no_parameters(query: Option<String>, answer: Value) -> (StatusCode, Value) {
    match parameters(query).len() {
        0 => (StatusCode::OK, answer),
        count => refused(
            -1101,
            &format!("Too many parameters; expected '0' and received '{count}'."),
        ),
    }
}

/// Refuses a request without a symbol.
pub(crate) fn no_symbol() -> Refusal {
    let text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
    refused(-1102, text)
}

/// Reads a number of rows.
pub(crate) fn read_limit(value: &str) -> Result<usize, Refusal> {
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
