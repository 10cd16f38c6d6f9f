//! Frames as the venue writes them.

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;

use super::market::kind_of;
use crate::fault::Malformed;
use crate::hub::Form;
use crate::market::{Scale, push_integer};
use crate::symbol::{Body, Item, Mask, Source, Stream, Symbol};

/// Length of a frame that is far too long.
const HUGE_BYTES: usize = 5 * 1024 * 1024;

/// Serialises frames once for all clients that want them in this form.
pub(crate) fn render(symbol: &Symbol, items: &[Item], form: Form, mask: Mask) -> Vec<Message> {
    let mut text = Vec::with_capacity(items.len() * 192);
    let mut parts = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| item.stream.bit() & mask != 0) {
        let start = text.len();
        let wrap = form.combined && !is_damaged(symbol, item);
        if wrap {
            text.extend_from_slice(b"{\"stream\":\"");
            text.extend_from_slice(symbol.name.to_lowercase().as_bytes());
            text.push(b'@');
            text.extend_from_slice(kind_of(item.stream).unwrap_or_default().as_bytes());
            text.extend_from_slice(b"\",\"data\":");
        }
        write(symbol, item, form.micros, &mut text);
        if wrap {
            text.push(b'}');
        }
        let mut binary = false;
        if let Body::Broken { kind, .. } = item.body {
            match kind {
                Malformed::Truncated => text.truncate(start + (text.len() - start) / 2),
                Malformed::EmptyObject => {
                    text.truncate(start);
                    text.extend_from_slice(b"{}");
                }
                Malformed::Binary => binary = true,
                _ => {}
            }
        }
        parts.push((start..text.len(), binary));
    }
    let text = Bytes::from(text);
    let frames = parts.into_iter().map(|(range, binary)| {
        let part = text.slice(range);
        match Utf8Bytes::try_from(part.clone()) {
            Ok(text) if !binary => Message::Text(text),
            _ => Message::Binary(part),
        }
    });
    frames.collect()
}

/// Returns the announcement of a planned end.
pub(crate) fn server_shutdown(now_ms: i64, form: Form) -> String {
    let time = now_ms * if form.micros { 1_000 } else { 1 };
    let raw = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
    match form.combined {
        true => format!(r#"{{"stream":"!serverShutdown","data":{raw}}}"#),
        false => raw,
    }
}

/// Whether an item is a recorded line that is sent as it was found.
fn is_damaged(symbol: &Symbol, item: &Item) -> bool {
    match (&item.body, &symbol.source) {
        (Body::Recorded(position), Source::Recorded(recording)) => recording.frame(*position).is_malformed(),
        _ => false,
    }
}

fn write(symbol: &Symbol, item: &Item, micros: bool, out: &mut Vec<u8>) {
    match (&item.body, &symbol.source) {
        (Body::Recorded(position), Source::Recorded(recording)) => {
            recording.frame(*position).write(out, recording.shift_ms(), micros);
        }
        (Body::Broken { kind, id, event_ms }, _) => {
            let text = match item.stream {
                Stream::Depth(_) => broken_diff(&symbol.name, *kind, *id, *event_ms),
                _ => broken(&symbol.name, *kind, *id, *event_ms),
            };
            out.extend_from_slice(text.as_bytes());
        }
        (body, Source::Synthetic(synthetic)) => Writer {
            name: &symbol.name,
            scale: &synthetic.scale,
            micros,
            out,
        }
        .body(body),
        // A recording makes no other frames.
        (_, Source::Recorded(_)) => {}
    }
}

/// Writes synthetic frames.
struct Writer<'a> {
    name: &'a str,
    scale: &'a Scale,
    micros: bool,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn body(mut self, body: &Body) {
        match body {
            Body::Trade {
                trade,
                event_ms,
                trade_ms,
                unknown_field,
                ..
            } => {
                self.head("trade", *event_ms);
                self.number(",\"t\":", trade.id);
                self.price(",\"p\":\"", trade.price);
                self.quantity("\",\"q\":\"", trade.quantity);
                self.time("\",\"T\":", *trade_ms);
                self.taker(trade.buyer_is_maker);
                self.end(*unknown_field);
            }
            Body::Aggregate(aggregate) => {
                self.head("aggTrade", aggregate.event_ms);
                self.number(",\"a\":", aggregate.id);
                self.price(",\"p\":\"", aggregate.price);
                self.quantity("\",\"q\":\"", aggregate.quantity);
                self.number("\",\"f\":", aggregate.first_trade);
                self.number(",\"l\":", aggregate.last_trade);
                self.time(",\"T\":", aggregate.trade_ms);
                self.taker(aggregate.buyer_is_maker);
                self.end(false);
            }
            Body::Diff(diff) => {
                self.head("depthUpdate", diff.event_ms);
                self.number(",\"U\":", diff.first);
                self.number(",\"u\":", diff.last);
                self.levels(",\"b\":[", &diff.bids);
                self.levels("],\"a\":[", &diff.asks);
                self.text("]");
                self.end(diff.unknown_field);
            }
            Body::Ticker { id, bid, ask } => {
                self.number("{\"u\":", *id);
                self.text(",\"s\":\"");
                self.text(self.name);
                self.price("\",\"b\":\"", bid.0);
                self.quantity("\",\"B\":\"", bid.1);
                self.price("\",\"a\":\"", ask.0);
                self.quantity("\",\"A\":\"", ask.1);
                self.text("\"}");
            }
            Body::Top(top) => {
                self.number("{\"lastUpdateId\":", top.id);
                self.levels(",\"bids\":[", &top.bids);
                self.levels("],\"asks\":[", &top.asks);
                self.text("]}");
            }
            // The market has no derivatives; the others are written elsewhere.
            _ => {}
        }
    }

    fn head(&mut self, event: &str, event_ms: i64) {
        self.text("{\"e\":\"");
        self.text(event);
        self.time("\",\"E\":", event_ms);
        self.text(",\"s\":\"");
        self.text(self.name);
        self.text("\"");
    }

    fn end(&mut self, unknown_field: bool) {
        self.text(if unknown_field { ",\"zz_future\":1}" } else { "}" });
    }

    fn taker(&mut self, buyer_is_maker: bool) {
        self.text(if buyer_is_maker {
            ",\"m\":true,\"M\":true"
        } else {
            ",\"m\":false,\"M\":true"
        });
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, key: &str, number: u64) {
        self.text(key);
        push_integer(self.out, number);
    }

    fn time(&mut self, key: &str, ms: i64) {
        let scale = if self.micros { 1_000 } else { 1 };
        self.number(key, u64::try_from(ms).unwrap_or(0) * scale);
    }

    fn price(&mut self, key: &str, ticks: u32) {
        self.text(key);
        self.scale.push_price(self.out, ticks);
    }

    fn quantity(&mut self, key: &str, lots: u32) {
        self.text(key);
        self.scale.push_quantity(self.out, lots);
    }

    fn levels(&mut self, key: &str, levels: &[(u32, u32)]) {
        self.text(key);
        self.scale.push_levels(self.out, levels);
    }
}

fn broken(name: &str, kind: Malformed, id: u64, ms: i64) -> String {
    let quoted = broken_price(kind);
    match kind {
        Malformed::WrongTypes => format!(
            r#"{{"e":"trade","E":"{ms}","s":"{name}","t":"{id}","p":64000.1,"q":true,"T":null,"m":"yes","M":true}}"#
        ),
        Malformed::UnknownEvent => format!(r#"{{"e":"zzFuture","E":{ms},"s":"{name}","zz":{id}}}"#),
        Malformed::Huge => format!(
            r#"{{"e":"zzHuge","E":{ms},"s":"{name}","zz":"{}"}}"#,
            "z".repeat(HUGE_BYTES)
        ),
        _ => format!(
            r#"{{"e":"trade","E":{ms},"s":"{name}","t":{id},"p":"{quoted}","q":"0.01500000","T":{ms},"m":true,"M":true}}"#
        ),
    }
}

fn broken_diff(name: &str, kind: Malformed, id: u64, ms: i64) -> String {
    let quoted = broken_price(kind);
    match kind {
        Malformed::WrongTypes => {
            format!(r#"{{"e":"depthUpdate","E":{ms},"s":"{name}","U":"{id}","u":null,"b":[[64000.1,true]],"a":{{}}}}"#)
        }
        Malformed::UnknownEvent | Malformed::Huge => broken(name, kind, id, ms),
        _ => format!(
            r#"{{"e":"depthUpdate","E":{ms},"s":"{name}","U":{id},"u":{id},"b":[["{quoted}","0.01500000"]],"a":[]}}"#
        ),
    }
}

fn broken_price(kind: Malformed) -> &'static str {
    match kind {
        Malformed::Nan => "NaN",
        Malformed::LongNumber => "1234567890123456789012345678901234567890",
        _ => "64000.10000000",
    }
}
