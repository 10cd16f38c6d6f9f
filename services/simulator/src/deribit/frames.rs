//! Notifications as the venue writes them.

use axum::extract::ws::Message;

use super::channels::channel_of;
use super::market::is_liquidation;
use crate::fault::Malformed;
use crate::market::{KeptTrade, Scale, Trade};
use crate::symbol::{Body, Item, Mask, Quote, Row, Source, Stream, Symbol, ViewDiff, shortest};

/// Length of a frame that is far too long.
const HUGE_BYTES: usize = 5 * 1024 * 1024;
/// The announcement of maintenance.
pub(crate) const MAINTENANCE: &str =
    r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"platform_state","data":{"maintenance":true}}}"#;

/// Serialises frames once for all clients; the trades of a window are one frame.
pub(crate) fn render(symbol: &Symbol, items: &[Item], mask: Mask) -> Vec<Message> {
    let Source::Synthetic(market) = &symbol.source else {
        return Vec::new(); // nothing of this venue is recorded here
    };
    let (name, scale) = (&symbol.name, &market.scale);
    let mut frames = Vec::new();
    let mut trades = Vec::new();
    for item in items.iter().filter(|item| item.stream.bit() & mask != 0) {
        if let Body::Trade { trade, trade_ms, .. } = &item.body {
            trades.push(trade_text(name, scale, &kept(trade, *trade_ms)));
            continue;
        }
        flush(name, &mut trades, &mut frames);
        frames.extend(frame(name, scale, item));
    }
    flush(name, &mut trades, &mut frames);
    frames
}

fn flush(name: &str, trades: &mut Vec<String>, frames: &mut Vec<Message>) {
    if !trades.is_empty() {
        let data = format!("[{}]", trades.join(","));
        frames.push(Message::Text(
            notification(&channel_of(name, Stream::Trade), &data).into(),
        ));
        trades.clear();
    }
}

fn kept(trade: &Trade, ts_ms: i64) -> KeptTrade {
    KeptTrade {
        id: trade.id,
        price: trade.price,
        quantity: trade.quantity,
        ts_ms,
        taker_sold: trade.buyer_is_maker,
        last_of_order: trade.last_of_order,
    }
}

pub(super) fn notification(channel: &str, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#)
}

fn frame(name: &str, scale: &Scale, item: &Item) -> Option<Message> {
    let channel = channel_of(name, item.stream);
    let data = match &item.body {
        Body::View(diff) => book(name, scale, diff, "change"),
        Body::Top(top) => {
            let rows = |levels: &[(u32, u32)]| {
                let rows = levels
                    .iter()
                    .map(|(price, lots)| format!("[{},{}]", scale.price(*price), scale.quantity(*lots)));
                rows.collect::<Vec<_>>().join(",")
            };
            let (ts_ms, id, bids, asks) = (top.event_ms, top.id, rows(&top.bids), rows(&top.asks));
            format!(
                r#"{{"timestamp":{ts_ms},"instrument_name":"{name}","change_id":{id},"bids":[{bids}],"asks":[{asks}]}}"#
            )
        }
        Body::Quote(quote) => ticker(name, scale, quote),
        Body::Mark(mark) => {
            let (interest, index, ts_ms) = (number(mark.rate), number(mark.index), mark.ts_ms);
            format!(r#"{{"interest":{interest},"index_price":{index},"timestamp":{ts_ms}}}"#)
        }
        Body::Volatility(point) => {
            let (ts_ms, value) = (point.ts_ms, point.text());
            format!(r#"{{"timestamp":{ts_ms},"volatility":{value},"index_name":"{name}"}}"#)
        }
        Body::Broken { kind, id, event_ms } => return Some(broken(name, &channel, item.stream, *kind, *id, *event_ms)),
        // Told by other means here, of other venues, or recorded.
        Body::Trade { .. }
        | Body::Aggregate(_)
        | Body::Diff(_)
        | Body::Ticker { .. }
        | Body::Interest(_)
        | Body::Liquidation(_)
        | Body::Recorded(_) => return None,
    };
    Some(Message::Text(notification(&channel, &data).into()))
}

/// Returns a trade; its row by REST is the same.
pub(super) fn trade_text(name: &str, scale: &Scale, trade: &KeptTrade) -> String {
    let (id, ts_ms) = (trade.id, trade.ts_ms);
    let prefix = if name.starts_with("ETH") { "ETH-" } else { "" };
    let (price, amount) = (scale.price(trade.price), scale.quantity(trade.quantity));
    let contracts = trade.quantity;
    let (direction, ticks) = if trade.taker_sold { ("sell", 2) } else { ("buy", 0) };
    let liquidation = if is_liquidation(id) {
        r#","liquidation":"T""#
    } else {
        ""
    };
    format!(
        r#"{{"trade_seq":{id},"trade_id":"{prefix}{id}","timestamp":{ts_ms},"tick_direction":{ticks},"price":{price},"mark_price":{price},"instrument_name":"{name}","index_price":{price},"direction":"{direction}","amount":{amount},"contracts":{contracts}.0{liquidation}}}"#
    )
}

/// Returns the data of a book's notification.
pub(super) fn book(name: &str, scale: &Scale, diff: &ViewDiff, kind: &str) -> String {
    let (ts_ms, id) = (diff.event_ms, diff.id);
    let previous = match kind {
        "snapshot" => String::new(),
        _ => format!(r#""prev_change_id":{},"#, diff.previous),
    };
    let (bids, asks) = (rows(scale, &diff.bids), rows(scale, &diff.asks));
    format!(
        r#"{{"type":"{kind}","timestamp":{ts_ms},"instrument_name":"{name}",{previous}"change_id":{id},"bids":[{bids}],"asks":[{asks}]}}"#
    )
}

fn rows(scale: &Scale, rows: &[Row]) -> String {
    let texts = rows.iter().map(|row| {
        let action = match (row.quantity, row.existed) {
            (0, _) => "delete",
            (_, true) => "change",
            (_, false) => "new",
        };
        format!(
            r#"["{action}",{},{}]"#,
            scale.price(row.price),
            scale.quantity(row.quantity)
        )
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Returns an instrument's ticker.
pub(super) fn ticker(name: &str, scale: &Scale, quote: &Quote) -> String {
    let (mark, index, rate) = (
        number(quote.mark.mark),
        number(quote.mark.index),
        number(quote.mark.rate),
    );
    let (bid, bid_lots) = (scale.price(quote.bid.0), scale.quantity(quote.bid.1));
    let (ask, ask_lots) = (scale.price(quote.ask.0), scale.quantity(quote.ask.1));
    let (ts_ms, interest) = (quote.ts_ms, scale.quantity_of(quote.lots));
    format!(
        r#"{{"timestamp":{ts_ms},"stats":{{"volume":0.0,"price_change":0.0,"low":{bid},"high":{ask}}},"state":"open","settlement_price":{mark},"open_interest":{interest},"min_price":{bid},"max_price":{ask},"mark_price":{mark},"last_price":{bid},"interest_value":{rate},"instrument_name":"{name}","index_price":{index},"funding_8h":{rate},"estimated_delivery_price":{index},"current_funding":{rate},"best_bid_price":{bid},"best_bid_amount":{bid_lots},"best_ask_price":{ask},"best_ask_amount":{ask_lots}}}"#
    )
}

/// Returns units of 10⁻⁸ as a JSON number with a fraction.
pub(super) fn number(units: i64) -> String {
    let text = shortest(units);
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn broken(name: &str, channel: &str, stream: Stream, kind: Malformed, id: u64, ms: i64) -> Message {
    let price = match kind {
        Malformed::Nan => r#""NaN""#,
        Malformed::LongNumber => "1234567890123456789012345678901234567890",
        _ => "64000.5",
    };
    let data = match (kind, stream) {
        (Malformed::WrongTypes, Stream::Depth(_)) => {
            format!(r#"{{"type":7,"timestamp":"{ms}","change_id":"x","bids":{{}},"asks":[[1,"2"]]}}"#)
        }
        (Malformed::WrongTypes, _) => {
            format!(r#"[{{"trade_seq":"{id}","trade_id":{id},"timestamp":null,"price":true}}]"#)
        }
        (_, Stream::Depth(_)) => format!(
            r#"{{"type":"change","timestamp":{ms},"instrument_name":"{name}","prev_change_id":{id},"change_id":{id},"bids":[["new",{price},10.0]],"asks":[]}}"#
        ),
        _ => format!(
            r#"[{{"trade_seq":{id},"trade_id":"{id}","timestamp":{ms},"tick_direction":0,"price":{price},"instrument_name":"{name}","direction":"buy","amount":10.0}}]"#
        ),
    };
    let text = notification(channel, &data);
    match kind {
        Malformed::Truncated => Message::Text(text[..text.len() / 2].into()),
        Malformed::EmptyObject => Message::Text("{}".into()),
        Malformed::Binary => Message::Binary(text.into()),
        Malformed::UnknownEvent => Message::Text(notification("zz_future", "{}").into()),
        Malformed::Huge => {
            let data = format!(r#"{{"zz":"{}"}}"#, "z".repeat(HUGE_BYTES));
            Message::Text(notification("zz_huge", &data).into())
        }
        _ => Message::Text(text.into()),
    }
}
