//! From frames to events. Pure: when a frame was received is an argument.

use mprism_model::{Exchange, InstrumentId, MarketType, Side, Source, Symbol, Trade, TsSource, UnixNanos};

use super::messages::{AggregateEvent, Depth, DepthEvent, Envelope, EventType, RestTrade, TradeEvent};
use crate::orderbook::{Diff, Snapshot};
use crate::wire::{Accepted, ParseError, Said, positive, shortened, time};

/// Reads one frame, raw or from a combined stream.
///
/// # Errors
/// Where it is not understood; whatever it said is not stored then, and has to be counted.
pub(super) fn parse_frame(text: &str, ts_recv: Option<UnixNanos>, source: Source) -> Result<Said, ParseError> {
    let json = |what| move |source| ParseError::Json { what, source };
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(json("frame"))?;
    if let (Some(stream), Some(data)) = (&envelope.stream, envelope.data) {
        if let Some((name, _)) = stream.split_once("@depth").filter(|_| is_depth(data.get())) {
            let instrument = InstrumentId::new(&name.to_uppercase())?;
            let snapshot = parse_depth(data.get().as_bytes(), usize::MAX)?;
            return Ok(Said::Depth(Some(instrument), Box::new(snapshot)));
        }
        let event: EventType<'_> = serde_json::from_str(data.get()).map_err(json("event"))?;
        return parse_event(&event.e, data.get(), ts_recv, source);
    }
    if let Some(kind) = &envelope.e {
        return parse_event(kind, text, ts_recv, source);
    }
    let id = envelope.id.and_then(|id| id.get().parse().ok());
    if let Some(error) = envelope.error {
        return Ok(Said::Refused {
            id,
            code: error.code,
            message: shortened(&error.msg),
        });
    }
    match (envelope.code, id) {
        (Some(code), id) => Ok(Said::Refused {
            id,
            code,
            message: envelope.msg.as_deref().map(shortened).unwrap_or_default(),
        }),
        (None, Some(id)) => Ok(Said::Accepted(Accepted::All(id))),
        (None, None) => Err(ParseError::Unknown),
    }
}

fn parse_event(kind: &str, text: &str, ts_recv: Option<UnixNanos>, source: Source) -> Result<Said, ParseError> {
    match kind {
        "trade" => {
            let raw: TradeEvent<'_> =
                serde_json::from_str(text).map_err(|source| ParseError::Json { what: "trade", source })?;
            let id = raw.trade_id;
            parse_trade(&raw, ts_recv, source).map(|trade| Said::Trade {
                trade: Box::new(trade),
                number: id,
                is_sized: true,
            })
        }
        "aggTrade" => {
            let what = "aggregate trade";
            let raw: AggregateEvent<'_> =
                serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
            let (id, raw) = (raw.aggregate_id, raw.into_trade());
            parse_trade(&raw, ts_recv, source).map(|trade| Said::Aggregate {
                trade: Box::new(trade),
                number: Some(id),
                is_sized: true,
            })
        }
        "depthUpdate" => parse_diff(text, ts_recv),
        "serverShutdown" => Ok(Said::Leaving),
        other => Ok(Said::Skipped(shortened(other).into())),
    }
}

fn parse_trade(raw: &TradeEvent<'_>, ts_recv: Option<UnixNanos>, source: Source) -> Result<Trade, ParseError> {
    let instrument_id = InstrumentId::new(&raw.symbol)?;
    Ok(Trade {
        exchange: Exchange::BinanceSpot,
        market_type: MarketType::Spot,
        symbol: Symbol::from_binance(&instrument_id)?,
        instrument_id,
        trade_id: raw.trade_id.to_string().into(),
        price: positive("price", &raw.price)?,
        quantity: positive("quantity", &raw.quantity)?,
        contracts: None,
        sequence: None,
        side: if raw.is_buyer_maker { Side::Sell } else { Side::Buy },
        is_maker: raw.is_buyer_maker,
        trade_ts: time(raw.trade_time)?,
        ts: time(raw.event_time)?,
        ts_source: TsSource::Event,
        ts_recv,
        source,
    })
}

fn parse_diff(text: &str, ts_recv: Option<UnixNanos>) -> Result<Said, ParseError> {
    let what = "order-book diff";
    let raw: DepthEvent<'_> = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
    if raw.first_update_id > raw.last_update_id {
        return Err(ParseError::Backwards {
            first: raw.first_update_id,
            last: raw.last_update_id,
        });
    }
    let diff = Diff {
        first: raw.first_update_id,
        last: raw.last_update_id,
        checksum: None,
        ts: time(raw.event_time)?,
        ts_recv,
        bids: raw.bids.0,
        asks: raw.asks.0,
    };
    Ok(Said::Diff(InstrumentId::new(&raw.symbol)?, Box::new(diff)))
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
    let what = "order-book snapshot";
    let raw: Depth = serde_json::from_slice(body).map_err(|source| ParseError::Json { what, source })?;
    Ok(Snapshot {
        last: u64::try_from(raw.last_update_id).map_err(|_| ParseError::NoBook)?,
        ts: None,
        ts_recv: None,
        checksum: None,
        bids: raw.bids.0,
        asks: raw.asks.0,
        limit,
    })
}

/// Reads the body of `GET /api/v3/trades` or `historicalTrades`, which names no symbol.
///
/// # Errors
/// Where it is not understood, or the instrument's name cannot be used.
pub(crate) fn parse_rest_trades(
    body: &str,
    instrument: &str,
    ts_recv: Option<UnixNanos>,
    source: Source,
) -> Result<Vec<Trade>, ParseError> {
    let what = "list of trades";
    let rows: Vec<RestTrade<'_>> = serde_json::from_str(body).map_err(|source| ParseError::Json { what, source })?;
    let trade = |row: RestTrade<'_>| {
        let raw = row.into_trade(instrument);
        // REST knows no event time.
        parse_trade(&raw, ts_recv, source).map(|trade| Trade {
            ts_source: TsSource::Trade,
            ..trade
        })
    };
    rows.into_iter().map(trade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
