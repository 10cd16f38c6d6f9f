//! From frames to events. Pure: when a frame was received is an argument.

use mprism_model::{Exchange, InstrumentId, MarketType, Source, Symbol, Trade, UnixNanos, UnknownName};
use serde_json::value::RawValue;

use crate::binance::{
    AggregateEvent, Depth, DepthEvent, Fill, Fills, Frame, Names, Payload, RestAggregate, RestTrade, TradeEvent,
    is_partial_depth, json, open, quick,
};
use crate::orderbook::Snapshot;
use crate::wire::{Known, ParseError, Said, Sizing, shortened};

/// Returns what an instrument is by its name: on this market that is all there is to know.
pub(super) fn known(instrument: &InstrumentId) -> Result<Known, UnknownName> {
    Ok(Known {
        symbol: Symbol::from_binance(instrument)?,
        market_type: MarketType::Spot,
        sizing: Some(Sizing::Base),
    })
}

thread_local! {
    static NAMES: Names = const { Names::new() };
}

/// Returns an instrument by the venue's name for it, and what it is.
fn named(text: &str) -> Result<(InstrumentId, Known), UnknownName> {
    NAMES.with(|names| names.read(text, known))
}

/// Reads one frame, raw or from a combined stream.
///
/// # Errors
/// Where it is not understood; whatever it said is not stored then, and has to be counted.
pub(super) fn parse_frame(text: &str, ts_recv: Option<UnixNanos>, source: Source) -> Result<Said, ParseError> {
    match quick(text) {
        Some(Fills::One(event)) => return parse_trade(event, ts_recv, source),
        Some(Fills::Aggregate(event)) => return parse_aggregate(event, ts_recv, source),
        None => {}
    }
    match open(text)? {
        Frame::Said(said) => Ok(said),
        Frame::Payload(payload) => parse_payload(&payload, ts_recv, source),
    }
}

fn parse_payload(payload: &Payload<'_>, ts_recv: Option<UnixNanos>, source: Source) -> Result<Said, ParseError> {
    // Partial books have neither a type nor a symbol.
    if let Some((name, _)) = payload.stream_parts()
        && payload.kind().is_some_and(is_partial_depth)
    {
        let instrument = InstrumentId::new(&name.to_uppercase())?;
        let snapshot = Depth::read(payload.text.as_bytes(), usize::MAX, ts_recv)?;
        return Ok(Said::Depth(Some(instrument), Box::new(snapshot)));
    }
    match &*payload.event()? {
        "trade" => parse_trade(
            serde_json::from_str(payload.text).map_err(json("trade"))?,
            ts_recv,
            source,
        ),
        "aggTrade" => parse_aggregate(
            serde_json::from_str(payload.text).map_err(json("aggregate trade"))?,
            ts_recv,
            source,
        ),
        "depthUpdate" => {
            let event = DepthEvent::read(payload.text)?;
            let instrument = InstrumentId::new(&event.symbol)?;
            Ok(Said::Diff(instrument, Box::new(event.into_diff(ts_recv)?)))
        }
        "serverShutdown" => Ok(Said::Leaving),
        other => Ok(Said::Skipped(shortened(other).into())),
    }
}

fn parse_trade(event: TradeEvent<'_>, ts_recv: Option<UnixNanos>, source: Source) -> Result<Said, ParseError> {
    let named = named(&event.symbol)?;
    let fill = Fill::from(event);
    let number = fill.id;
    Ok(Said::Trade {
        trade: Box::new(parse_fill(fill, named, ts_recv, source)?),
        number,
        is_sized: true,
    })
}

fn parse_aggregate(event: AggregateEvent<'_>, ts_recv: Option<UnixNanos>, source: Source) -> Result<Said, ParseError> {
    let named = named(&event.symbol)?;
    let fill = Fill::from(event);
    let number = Some(fill.id);
    Ok(Said::Aggregate {
        trade: Box::new(parse_fill(fill, named, ts_recv, source)?),
        number,
        is_sized: true,
    })
}

fn parse_fill(
    fill: Fill<'_>,
    (instrument, known): (InstrumentId, Known),
    ts_recv: Option<UnixNanos>,
    source: Source,
) -> Result<Trade, ParseError> {
    fill.into_trade(Exchange::BinanceSpot, instrument, known, ts_recv, source)
}

/// Returns whether a text is the body of `GET /api/v3/depth`, or a partial book: neither has an event type.
pub(crate) fn is_depth(text: &str) -> bool {
    let start = text.trim_start_matches(|c: char| c == '{' || c.is_whitespace());
    start.starts_with("\"lastUpdateId\"")
}

/// Reads the body of `GET /api/v3/depth`, which names no symbol, as the answer to a question for `limit` levels.
///
/// # Errors
/// Where it is not understood, or there is no book yet.
pub(crate) fn parse_depth(body: &[u8], limit: usize) -> Result<Snapshot, ParseError> {
    Depth::read(body, limit, None)
}

/// Reads the body of `GET /api/v3/trades`, `historicalTrades` or `aggTrades`, which name no symbol.
///
/// # Errors
/// Where it is not understood, or the instrument's name cannot be used.
pub(crate) fn parse_rest_trades(
    body: &str,
    instrument: &str,
    ts_recv: Option<UnixNanos>,
    source: Source,
) -> Result<Vec<Trade>, ParseError> {
    let named = named(instrument)?;
    let rows: Vec<&RawValue> = serde_json::from_str(body).map_err(json("list of trades"))?;
    let trade = |row: &RawValue| {
        let fill = match serde_json::from_str::<RestTrade<'_>>(row.get()) {
            Ok(row) => Fill::from(row),
            Err(error) => match serde_json::from_str::<RestAggregate<'_>>(row.get()) {
                Ok(row) => Fill::from(row),
                Err(_) => return Err(json("trade")(error)),
            },
        };
        parse_fill(fill, named.clone(), ts_recv, source)
    };
    rows.into_iter().map(trade).collect()
}

#[cfg(test)]
mod tests {
    use mprism_model::Side;

    use super::*;
    use crate::wire::Accepted;

    const RAW: &str = r#"{"e":"trade","E":1795176000123,"s":"BTCUSDT","t":5601234567,"p":"64000.10000000","q":"0.01500000","T":1795176000121,"m":true,"M":true}"#;

    fn parse(text: &str) -> Result<Said, ParseError> {
        parse_frame(text, Some(UnixNanos(5)), Source::Ws)
    }

    #[test]
    fn a_trade_keeps_the_venues_texts() {
        let combined = format!(r#"{{"stream":"btcusdt@trade","data":{RAW}}}"#);
        for text in [RAW, &combined] {
            let Ok(Said::Trade { trade, number: id, .. }) = parse(text) else {
                panic!("a trade: {text}");
            };
            assert_eq!(id, 5_601_234_567);
            assert_eq!(
                (trade.price.text(), trade.quantity.text()),
                ("64000.10000000", "0.01500000")
            );
            assert_eq!((trade.side, trade.symbol.as_str()), (Side::Sell, "BTC-USDT"));
            assert_eq!((trade.ts.0, trade.trade_ts.0), (1_795_176_000_123, 1_795_176_000_121));
        }
        let micros = RAW
            .replace("1795176000123", "1795176000123456")
            .replace("1795176000121", "1795176000121999");
        let Ok(Said::Trade { trade, .. }) = parse(&micros) else {
            panic!("a trade");
        };
        assert_eq!((trade.ts.0, trade.trade_ts.0), (1_795_176_000_123, 1_795_176_000_121));
    }

    #[test]
    fn answers_and_notices_are_told_apart() {
        assert_eq!(
            parse(r#"{"result":null,"id":7}"#).expect("valid"),
            Said::Accepted(Accepted::All(7))
        );
        let refused = parse(r#"{"code":2,"msg":"Invalid request: too many parameters","id":7}"#).expect("valid");
        assert!(matches!(
            refused,
            Said::Refused {
                id: Some(7),
                code: 2,
                ..
            }
        ));
        let nested = parse(r#"{"error":{"code":2,"msg":"x"},"id":1}"#).expect("valid");
        assert!(matches!(
            nested,
            Said::Refused {
                id: Some(1),
                code: 2,
                ..
            }
        ));
        let wrapped = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1795176000000}}"#;
        assert_eq!(parse(wrapped).expect("valid"), Said::Leaving);
        assert!(matches!(parse(r#"{"e":"bookTicker"}"#), Ok(Said::Skipped(_))));
    }

    #[test]
    fn nothing_malformed_becomes_a_trade() {
        for (from, to, cause) in [
            ("\"64000.10000000\"", "\"NaN\"", "decimal"),
            (
                "\"64000.10000000\"",
                "\"1234567890123456789012345678901234567890\"",
                "decimal",
            ),
            ("\"64000.10000000\"", "\"1e400\"", "decimal"),
            ("\"64000.10000000\"", "64000.1", "json"),
            ("\"0.01500000\"", "\"0.00000000\"", "not_positive"),
            ("\"0.01500000\"", "\"-1\"", "not_positive"),
            ("5601234567", "\"5601234567\"", "json"),
            ("5601234567", "-1", "json"),
            ("\"BTCUSDT\"", "\"BTC.USDT\"", "symbol"),
            ("1795176000123", "0", "time"),
            ("\"m\":true", "\"m\":1", "json"),
            ("\"t\":5601234567", "\"t\":1,\"t\":2", "json"),
        ] {
            let text = RAW.replacen(from, to, 1);
            let error = parse(&text).expect_err(&text);
            assert_eq!(error.cause(), cause, "{text}");
        }
        for text in ["", "{", "[]", "null", "{}", "{\"stream\":\"x\",\"data\":{}}"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep).is_err());
    }
}
