//! Frames as the venue writes them.

use axum::extract::ws::Message;

use super::market::name_of;
use crate::fault::Malformed;
use crate::hub::Form;
use crate::market::Scale;
use crate::symbol::{Body, Item, Liquidation, Mark, Mask, Source, Stream, Symbol, fixed};

/// Length of a frame that is far too long.
const HUGE_BYTES: usize = 5 * 1024 * 1024;

/// Serialises frames once for all clients that want them in this form.
pub(crate) fn render(symbol: &Symbol, items: &[Item], form: Form, mask: Mask) -> Vec<Message> {
    let Source::Synthetic(market) = &symbol.source else {
        return Vec::new(); // nothing of this venue is recorded here
    };
    let mut frames = Vec::new();
    for item in items.iter().filter(|item| item.stream.bit() & mask != 0) {
        let stream = name_of(&symbol.name, item.stream);
        for text in texts(symbol, &market.scale, item) {
            let broken = match &item.body {
                Body::Broken { kind, .. } => Some(*kind),
                _ => None,
            };
            let text = match form.combined {
                true => format!(r#"{{"stream":"{stream}","data":{text}}}"#),
                false => text,
            };
            frames.push(match broken {
                Some(Malformed::Truncated) => Message::Text(text[..text.len() / 2].into()),
                Some(Malformed::EmptyObject) => Message::Text("{}".into()),
                Some(Malformed::Binary) => Message::Binary(text.into()),
                _ => Message::Text(text.into()),
            });
        }
    }
    frames
}

/// Returns the frames of one item; only streams of all instruments have more than one.
fn texts(symbol: &Symbol, scale: &Scale, item: &Item) -> Vec<String> {
    let name = &symbol.name;
    let one = match &item.body {
        Body::Trade {
            trade,
            event_ms,
            trade_ms,
            ..
        } => {
            let (price, quantity) = (scale.price(trade.price), scale.quantity(trade.quantity));
            let (id, maker) = (trade.id, trade.buyer_is_maker);
            format!(
                r#"{{"e":"trade","E":{event_ms},"T":{trade_ms},"s":"{name}","t":{id},"p":"{price}","q":"{quantity}","X":"MARKET","m":{maker}}}"#
            )
        }
        Body::Aggregate(aggregate) => {
            let (price, quantity) = (scale.price(aggregate.price), scale.quantity(aggregate.quantity));
            let (a, f, l) = (aggregate.id, aggregate.first_trade, aggregate.last_trade);
            let (event_ms, trade_ms, maker) = (aggregate.event_ms, aggregate.trade_ms, aggregate.buyer_is_maker);
            format!(
                r#"{{"e":"aggTrade","E":{event_ms},"s":"{name}","ps":"{name}","st":1,"a":{a},"p":"{price}","q":"{quantity}","nq":"{quantity}","f":{f},"l":{l},"T":{trade_ms},"m":{maker}}}"#
            )
        }
        Body::Diff(diff) => {
            let (event_ms, change_ms, first, last, previous) =
                (diff.event_ms, diff.change_ms, diff.first, diff.last, diff.previous);
            let (bids, asks) = (levels(scale, &diff.bids), levels(scale, &diff.asks));
            let future = if diff.unknown_field { r#","zz_future":1"# } else { "" };
            format!(
                r#"{{"e":"depthUpdate","E":{event_ms},"T":{change_ms},"s":"{name}","ps":"{name}","st":1,"U":{first},"u":{last},"pu":{previous},"b":[{bids}],"a":[{asks}]{future}}}"#
            )
        }
        Body::Top(top) => {
            let (id, ms) = (top.id, top.event_ms);
            let (bids, asks) = (levels(scale, &top.bids), levels(scale, &top.asks));
            format!(
                r#"{{"e":"depthUpdate","E":{ms},"T":{ms},"s":"{name}","ps":"{name}","st":1,"U":{id},"u":{id},"pu":{id},"b":[{bids}],"a":[{asks}]}}"#
            )
        }
        Body::Ticker { id, bid, ask } => {
            let ms = mprism_runtime::clock::now_ms();
            let (b, bq) = (scale.price(bid.0), scale.quantity(bid.1));
            let (a, aq) = (scale.price(ask.0), scale.quantity(ask.1));
            format!(
                r#"{{"e":"bookTicker","u":{id},"s":"{name}","ps":"{name}","st":1,"b":"{b}","B":"{bq}","a":"{a}","A":"{aq}","T":{ms},"E":{ms}}}"#
            )
        }
        Body::Mark(mark) => match item.stream {
            Stream::MarkAll | Stream::MarkSlowAll => format!("[{}]", mark_text(name, mark)),
            _ => mark_text(name, mark),
        },
        Body::Liquidation(liquidation) => {
            let text = liquidation_text(name, scale, liquidation);
            // The stream of all carries coin-margined contracts, too.
            let foreign = item.stream == Stream::LiquidationAll && liquidation.id % 2 == 0;
            if foreign {
                return vec![foreign_text(liquidation), text];
            }
            text
        }
        Body::Broken { kind, id, event_ms } => broken(name, item.stream, *kind, *id, *event_ms),
        // What is asked for by REST, what others have, and recorded frames.
        Body::Interest(_) | Body::Volatility(_) | Body::Quote(_) | Body::View(_) | Body::Recorded(_) => {
            return Vec::new();
        }
    };
    vec![one]
}

fn levels(scale: &Scale, levels: &[(u32, u32)]) -> String {
    let mut out = Vec::with_capacity(levels.len() * 24);
    scale.push_levels(&mut out, levels);
    String::from_utf8(out).unwrap_or_default()
}

fn mark_text(name: &str, mark: &Mark) -> String {
    let (ts_ms, next_ms) = (mark.ts_ms, mark.next_ms);
    let (price, index, rate) = (fixed(mark.mark), fixed(mark.index), fixed(mark.rate));
    let average = fixed((mark.mark + mark.index) / 2);
    format!(
        r#"{{"e":"markPriceUpdate","E":{ts_ms},"s":"{name}","ps":"{name}","st":1,"p":"{price}","ap":"{average}","i":"{index}","P":"{index}","r":"{rate}","T":{next_ms}}}"#
    )
}

fn liquidation_text(name: &str, scale: &Scale, liquidation: &Liquidation) -> String {
    let side = if liquidation.sells { "SELL" } else { "BUY" };
    let (price, average) = (scale.price(liquidation.price), scale.price(liquidation.average));
    let (quantity, last) = (
        scale.quantity(liquidation.lots),
        scale.quantity(liquidation.lots.div_ceil(2)),
    );
    let (event_ms, trade_ms) = (liquidation.ts_ms + 5, liquidation.ts_ms);
    format!(
        r#"{{"e":"forceOrder","E":{event_ms},"ps":"{name}","st":1,"o":{{"s":"{name}","S":"{side}","o":"LIMIT","f":"IOC","q":"{quantity}","p":"{price}","ap":"{average}","X":"FILLED","l":"{last}","z":"{quantity}","T":{trade_ms}}}}}"#
    )
}

/// A liquidation of a coin-margined contract: not of this market, and in its stream since June 2026.
fn foreign_text(liquidation: &Liquidation) -> String {
    let (event_ms, trade_ms) = (liquidation.ts_ms + 5, liquidation.ts_ms);
    format!(
        r#"{{"e":"forceOrder","E":{event_ms},"ps":"BTCUSD","st":2,"o":{{"s":"BTCUSD_PERP","S":"SELL","o":"LIMIT","f":"IOC","q":"17","p":"63650.1","ap":"63710.4","X":"FILLED","l":"3","z":"17","T":{trade_ms}}}}}"#
    )
}

fn broken(name: &str, stream: Stream, kind: Malformed, id: u64, ms: i64) -> String {
    let quoted = match kind {
        Malformed::Nan => "NaN",
        Malformed::LongNumber => "1234567890123456789012345678901234567890",
        _ => "64000.10",
    };
    match (kind, stream) {
        (Malformed::UnknownEvent, _) => format!(r#"{{"e":"zzFuture","E":{ms},"s":"{name}","zz":{id}}}"#),
        (Malformed::Huge, _) => format!(
            r#"{{"e":"zzHuge","E":{ms},"s":"{name}","zz":"{}"}}"#,
            "z".repeat(HUGE_BYTES)
        ),
        (Malformed::WrongTypes, Stream::Depth(_)) => format!(
            r#"{{"e":"depthUpdate","E":{ms},"T":{ms},"s":"{name}","st":1,"U":"{id}","u":null,"pu":true,"b":[[64000.1,true]],"a":{{}}}}"#
        ),
        (_, Stream::Depth(_)) => format!(
            r#"{{"e":"depthUpdate","E":{ms},"T":{ms},"s":"{name}","st":1,"U":{id},"u":{id},"pu":{id},"b":[["{quoted}","0.015"]],"a":[]}}"#
        ),
        (Malformed::WrongTypes, _) => format!(
            r#"{{"e":"aggTrade","E":"{ms}","s":"{name}","st":1,"a":"{id}","p":64000.1,"q":true,"f":[],"l":{{}},"T":null,"m":"yes"}}"#
        ),
        _ => format!(
            r#"{{"e":"aggTrade","E":{ms},"s":"{name}","ps":"{name}","st":1,"a":{id},"p":"{quoted}","q":"0.015","nq":"0.015","f":{id},"l":{id},"T":{ms},"m":true}}"#
        ),
    }
}
