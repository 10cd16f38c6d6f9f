//! Frames as the venue writes them.

use axum::extract::ws::Message;
use serde_json::{Value, json};

use super::market::{channel_of, contract_hundredths};
use crate::fault::Malformed;
use crate::market::Scale;
use crate::symbol::{Body, Item, Liquidation, Mark, Mask, Row, Source, Stream, Symbol, Synthetic, ViewDiff, shortest};

/// Length of a frame that is far too long.
const HUGE_BYTES: usize = 5 * 1024 * 1024;

/// The announcement of a planned end.
pub(crate) const NOTICE: &str = r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#;

/// Serialises frames once for all clients.
pub(crate) fn render(symbol: &Symbol, items: &[Item], mask: Mask) -> Vec<Message> {
    let Source::Synthetic(market) = &symbol.source else {
        return Vec::new(); // nothing of this venue is recorded here
    };
    let wanted = items.iter().filter(|item| item.stream.bit() & mask != 0);
    wanted.filter_map(|item| frame(&symbol.name, market, item)).collect()
}

fn frame(name: &str, market: &Synthetic, item: &Item) -> Option<Message> {
    let scale = &market.scale;
    let channel = channel_of(item.stream);
    let data = match &item.body {
        Body::Trade {
            trade,
            trade_ms,
            change_id,
            ..
        } => {
            let side = if trade.buyer_is_maker { "sell" } else { "buy" };
            json!({"instId": name, "tradeId": trade.id.to_string(), "px": scale.price(trade.price),
                "sz": scale.quantity(trade.quantity), "side": side, "ts": trade_ms.to_string(), "source": "0",
                "seqId": market.numbering.wire(*change_id)})
        }
        Body::Aggregate(aggregate) => {
            let side = if aggregate.buyer_is_maker { "sell" } else { "buy" };
            let count = aggregate.last_trade - aggregate.first_trade + 1;
            json!({"instId": name, "tradeId": aggregate.last_trade.to_string(), "px": scale.price(aggregate.price),
                "sz": scale.quantity(aggregate.quantity), "side": side, "ts": aggregate.trade_ms.to_string(),
                "count": count.to_string(), "source": "0", "seqId": market.numbering.wire(aggregate.change_id)})
        }
        Body::View(diff) => {
            return Some(Message::Text(book(name, market, diff, "update").into()));
        }
        Body::Top(top) => {
            json!({"asks": levels(scale, &top.asks), "bids": levels(scale, &top.bids), "instId": name,
                "ts": top.event_ms.to_string(), "seqId": market.numbering.wire(top.id)})
        }
        Body::Ticker { id, bid, ask } => {
            let ts = mprism_runtime::clock::now_ms().to_string();
            json!({"asks": levels(scale, &[*ask]), "bids": levels(scale, &[*bid]), "ts": ts, "seqId": market.numbering.wire(*id)})
        }
        Body::Mark(mark) if item.stream == Stream::Mark => {
            json!({"instType": "SWAP", "instId": name, "markPx": shortest(mark.mark), "ts": mark.ts_ms.to_string()})
        }
        Body::Mark(mark) => funding(name, mark),
        Body::Interest(interest) => open_interest(name, market, interest.lots, interest.ts_ms),
        Body::Liquidation(one) => {
            return Some(Message::Text(
                liquidations(name, scale, std::slice::from_ref(one)).into(),
            ));
        }
        Body::Broken { kind, id, event_ms } => return Some(broken(name, channel, *kind, *id, *event_ms)),
        // What others have, and recorded frames.
        Body::Diff(_) | Body::Quote(_) | Body::Volatility(_) | Body::Recorded(_) => return None,
    };
    let frame = json!({"arg": {"channel": channel, "instId": name}, "data": [data]});
    Some(Message::Text(frame.to_string().into()))
}

/// Returns a frame of the channel `books`.
pub(super) fn book(name: &str, market: &Synthetic, diff: &ViewDiff, action: &str) -> String {
    let (scale, ts, id) = (&market.scale, diff.event_ms, market.numbering.wire(diff.id));
    let (asks, bids) = (rows(scale, &diff.asks), rows(scale, &diff.bids));
    let previous = match action {
        "snapshot" => "-1".to_owned(),
        _ => market.numbering.wire(diff.previous).to_string(),
    };
    format!(
        r#"{{"arg":{{"channel":"books","instId":"{name}"}},"action":"{action}","data":[{{"asks":[{asks}],"bids":[{bids}],"ts":"{ts}","checksum":0,"seqId":{id},"prevSeqId":{previous}}}]}}"#
    )
}

fn rows(scale: &Scale, rows: &[Row]) -> String {
    let texts = rows.iter().map(|row| {
        let (price, quantity) = (scale.price(row.price), scale.quantity(row.quantity));
        format!(r#"["{price}","{quantity}","0","{}"]"#, orders(row.quantity))
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Returns how many orders make up a level: some number that goes with its quantity.
pub(super) fn orders(quantity: u32) -> u32 {
    if quantity == 0 { 0 } else { 1 + quantity % 17 }
}

fn levels(scale: &Scale, levels: &[(u32, u32)]) -> Value {
    let row = |(price, quantity): &(u32, u32)| {
        json!([
            scale.price(*price),
            scale.quantity(*quantity),
            "0",
            orders(*quantity).to_string()
        ])
    };
    levels.iter().map(row).collect()
}

/// Returns a row of funding.
pub(super) fn funding(name: &str, mark: &Mark) -> Value {
    json!({"instType": "SWAP", "instId": name, "method": "current_period", "formulaType": "noRate",
        "fundingRate": shortest(mark.rate), "nextFundingRate": "", "fundingTime": mark.next_ms.to_string(),
        "nextFundingTime": (mark.next_ms + mark.interval_ms).to_string(), "minFundingRate": "-0.00375",
        "maxFundingRate": "0.00375", "interestRate": "0.0001", "impactValue": "20000", "premium": "-0.0001",
        "settState": "settled", "settFundingRate": shortest(mark.settled_rate), "ts": mark.ts_ms.to_string()})
}

/// Returns a row of open interest: contracts, base currency, US dollars.
pub(super) fn open_interest(name: &str, market: &Synthetic, lots: u64, ts_ms: i64) -> Value {
    // Lots are hundredths of a contract, and a contract is so many hundredths of a coin.
    let base = lots * contract_hundredths(name);
    let coins = format!("{}.{:04}", base / 10_000, base % 10_000);
    let coins = coins.trim_end_matches('0').trim_end_matches('.').to_owned();
    let middle = market.prices().map_or(0, |prices| prices.middle);
    let dollars = i128::from(middle) * i128::from(base) / 10_000 / 100_000_000;
    json!({"instId": name, "instType": "SWAP", "oi": market.scale.quantity_of(lots), "oiCcy": coins,
        "oiUsd": dollars.to_string(), "ts": ts_ms.to_string()})
}

/// Returns a frame of the channel `liquidation-orders`.
pub(super) fn liquidations(name: &str, scale: &Scale, all: &[Liquidation]) -> String {
    let family = name.trim_end_matches("-SWAP");
    let details = all.iter().map(|one| {
        let (side, position) = if one.sells { ("sell", "long") } else { ("buy", "short") };
        json!({"side": side, "posSide": position, "bkPx": scale.price(one.price), "sz": scale.quantity(one.lots),
            "bkLoss": "0", "ccy": "", "ts": one.ts_ms.to_string()})
    });
    let row = json!({"instType": "SWAP", "instId": name, "instFamily": family, "uly": family,
        "details": details.collect::<Vec<_>>()});
    json!({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [row]}).to_string()
}

fn broken(name: &str, channel: &str, kind: Malformed, id: u64, ms: i64) -> Message {
    let price = match kind {
        Malformed::Nan => "NaN",
        Malformed::LongNumber => "1234567890123456789012345678901234567890",
        _ => "64000.1",
    };
    let data = match (kind, channel) {
        (Malformed::WrongTypes, "books") => json!({"asks": {}, "bids": [[64000.1, true]], "ts": null, "seqId": "x"}),
        (Malformed::WrongTypes, _) => {
            json!({"instId": 7, "tradeId": id, "px": 64000.1, "sz": null, "side": [], "ts": ms})
        }
        (_, "books") => json!({"asks": [], "bids": [[price, "1", "0", "1"]], "ts": ms.to_string(), "checksum": 0,
            "seqId": id, "prevSeqId": id}),
        _ => json!({"instId": name, "tradeId": id.to_string(), "px": price, "sz": "1", "side": "buy",
            "ts": ms.to_string(), "count": "1", "source": "0", "seqId": id}),
    };
    let frame = json!({"arg": {"channel": channel, "instId": name}, "action": "update", "data": [data]}).to_string();
    match kind {
        Malformed::Truncated => Message::Text(frame[..frame.len() / 2].into()),
        Malformed::EmptyObject => Message::Text("{}".into()),
        Malformed::Binary => Message::Binary(frame.into()),
        Malformed::UnknownEvent => Message::Text(
            json!({"arg": {"channel": "zz-future", "instId": name}, "data": [{"zz": id}]})
                .to_string()
                .into(),
        ),
        Malformed::Huge => {
            let data = json!({"arg": {"channel": "zz-huge"}, "data": [{"zz": "z".repeat(HUGE_BYTES)}]});
            Message::Text(data.to_string().into())
        }
        _ => Message::Text(frame.into()),
    }
}
