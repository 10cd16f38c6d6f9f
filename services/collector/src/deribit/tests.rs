//! Frames and answers of every kind, and what must not become anything.

use mprism_model::{Event, InstrumentId, MarketType, Side, Source, UnixNanos, Written};
use proptest::prelude::*;

use super::Deribit;
use crate::wire::{About, Accepted, ParseError, Said, Sizing, Terms, Wire};

const TRADE: &str = r#"{"trade_seq":150000123,"trade_id":"340000456","timestamp":1795176000155,"tick_direction":0,"price":64000.0,"mark_price":64000.21,"instrument_name":"BTC-PERPETUAL","index_price":63998.77,"direction":"buy","amount":5000.0,"contracts":500.0}"#;
const TICKER: &str = r#"{"timestamp":1795176000155,"state":"open","open_interest":559791310,"mark_price":29932.79,"instrument_name":"BTC-PERPETUAL","index_price":29930.44,"funding_8h":0.00000255,"current_funding":-1e-5}"#;
const CHANGE: &str = r#"{"type":"change","timestamp":1622627435737,"prev_change_id":31479598064,"instrument_name":"BTC-PERPETUAL","change_id":31479598217,"bids":[["delete",36779.0,0.0],["new",36809.5,254870.0]],"asks":[["delete",37462.5,0.0],["change",37394.0,42670.0]]}"#;
const CANDLES: &str = r#"{"jsonrpc":"2.0","id":833,"result":{"data":[[1795175880000,45.2,45.4,45.1,45.25],[1795175940000,45.20,45.36,45.18,45.31],[1795176000000,45.3,45.3,45.3,45.3]],"continuation":null},"usIn":1795176001000000,"usOut":1795176001000900,"usDiff":900,"testnet":false}"#;

fn notification(channel: &str, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#)
}

fn about<'a>(terms: &'a Terms, source: Source) -> About<'a> {
    About {
        ts_recv: Some(UnixNanos(1_795_176_000_200_000_000)),
        source,
        terms,
        instrument: None,
        path: None,
    }
}

fn frame(text: &str) -> (Vec<Said>, Result<(), ParseError>) {
    let (mut said, terms) = (Vec::new(), Terms::default());
    let result = Deribit.frame(text, &about(&terms, Source::Ws), &mut said);
    (said, result)
}

fn answer(text: &str, about: &About<'_>) -> Vec<Said> {
    let mut said = Vec::new();
    Deribit.answer(text, about, &mut said).expect("valid");
    said
}

fn one(text: &str) -> Said {
    let (mut said, result) = frame(text);
    result.expect("valid");
    assert_eq!(said.len(), 1, "{text}");
    said.remove(0)
}

#[test]
fn answers_heartbeats_and_notices_are_told_apart() {
    let accepted = r#"{"jsonrpc":"2.0","id":42,"result":["book.BTC-PERPETUAL.100ms"],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#;
    let channel = || "book.BTC-PERPETUAL.100ms".into();
    assert_eq!(one(accepted), Said::Accepted(Accepted::Only(42, vec![channel()])));
    let nothing = r#"{"jsonrpc":"2.0","id":7,"result":[]}"#;
    assert_eq!(one(nothing), Said::Accepted(Accepted::Only(7, Vec::new())));
    assert_eq!(
        one(r#"{"jsonrpc":"2.0","id":1,"result":"ok"}"#),
        Said::Accepted(Accepted::All(1))
    );
    assert_eq!(
        one(r#"{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"}}"#),
        Said::Alive
    );
    let heartbeat = |kind: &str| {
        one(&format!(
            r#"{{"jsonrpc":"2.0","method":"heartbeat","params":{{"type":"{kind}"}}}}"#
        ))
    };
    assert_eq!(heartbeat("heartbeat"), Said::Alive);
    let Said::Asks(proof) = heartbeat("test_request") else {
        panic!("a proof of life is asked for");
    };
    assert!(proof.contains("public/test"), "{proof}");
    for (code, message) in [
        (10_028, "too_many_requests"),
        (11_051, "system_maintenance"),
        (13_778, "raw"),
    ] {
        let refused = format!(r#"{{"jsonrpc":"2.0","id":9,"error":{{"code":{code},"message":"{message}"}}}}"#);
        let message = message.to_owned();
        assert_eq!(
            one(&refused),
            Said::Refused {
                id: Some(9),
                code,
                message
            }
        );
    }
    let state = |data| one(&notification("platform_state", data));
    assert_eq!(state(r#"{"maintenance":true}"#), Said::Leaving);
    assert!(matches!(state(r#"{"maintenance":false}"#), Said::Skipped(_)));
    assert!(matches!(
        state(r#"{"price_index":"btc_usd","locked":true}"#),
        Said::Skipped(_)
    ));
    for channel in ["quote.BTC-PERPETUAL", "perpetual.BTC-PERPETUAL.100ms", "zz", ""] {
        assert!(
            matches!(one(&notification(channel, "{}")), Said::Skipped(_)),
            "{channel}"
        );
    }
}

#[test]
fn amounts_of_inverse_instruments_become_base_currency() {
    let data = format!("[{TRADE}]");
    let Said::Trade {
        trade,
        number,
        is_sized,
    } = one(&notification("trades.BTC-PERPETUAL.100ms", &data))
    else {
        panic!("a trade");
    };
    assert_eq!(
        (number, trade.sequence, is_sized),
        (150_000_123, Some(150_000_123), true)
    );
    assert_eq!((&*trade.trade_id, trade.symbol.as_str()), ("340000456", "BTC-USD"));
    assert_eq!((trade.price.text(), trade.quantity.text()), ("64000.0", "0.078125"));
    assert_eq!(trade.contracts.as_ref().map(|c| c.text()), Some("5000.0"));
    assert_eq!((trade.side, trade.is_maker), (Side::Buy, false));
    let told = |name: &str| {
        let data = data.replace("BTC-PERPETUAL", name);
        match one(&notification("trades.any.any.100ms", &data)) {
            Said::Trade { trade, is_sized, .. } => {
                let size = trade.contracts.is_none().then(|| trade.quantity.text().to_owned());
                (trade.market_type, trade.symbol.as_str().to_owned(), size, is_sized)
            }
            other => panic!("{other:?}"),
        }
    };
    let base = || Some("5000.0".to_owned());
    assert_eq!(
        told("BTC-25MAR22"),
        (MarketType::Future, "BTC-USD-220325".into(), None, true)
    );
    assert_eq!(
        told("SOL_USDC-PERPETUAL"),
        (MarketType::Perpetual, "SOL-USDC".into(), base(), true)
    );
    let option = "BTC-26MAR21-62000-C";
    assert_eq!(told(option), (MarketType::Options, option.into(), base(), true));
    assert_eq!(told("BTC_USDC"), (MarketType::Spot, "BTC-USDC".into(), base(), true));
    let spread = "BTC-FS-25MAR22_PERP";
    assert_eq!(
        told(spread),
        (MarketType::Future, spread.into(), None, false),
        "a price that is a difference"
    );
}

#[test]
fn a_liquidation_stands_behind_the_trade_that_it_is() {
    let told = |flag: &str| {
        let trade = TRADE.replace("\"direction\"", &format!("\"liquidation\":\"{flag}\",\"direction\""));
        let (said, result) = frame(&notification("trades.BTC-PERPETUAL.100ms", &format!("[{trade}]")));
        result.expect("valid");
        assert!(matches!(said[0], Said::Trade { .. }));
        let liquidations = said[1..].iter().map(|said| match said {
            Said::Event { instrument, event, .. } => match &**event {
                Event::Liquidation(one) => {
                    assert_eq!(instrument.as_str(), "BTC-PERPETUAL");
                    assert_eq!(one.quantity.text(), "0.078125");
                    assert_eq!(one.notional_value.as_ref().map(|value| value.text()), Some("5000.0"));
                    (one.side, one.liquidation_id.to_string())
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        liquidations.collect::<Vec<_>>()
    };
    let (taker, maker) = (
        (Side::Buy, "340000456".to_owned()),
        (Side::Sell, "340000456-maker".to_owned()),
    );
    assert_eq!(told("none"), []);
    assert_eq!((told("T"), told("M")), (vec![taker.clone()], vec![maker.clone()]));
    assert_eq!(told("MT"), [maker, taker]);
}

#[test]
fn one_bad_row_does_not_lose_the_others() {
    let bad = TRADE.replace("\"buy\"", "\"up\"");
    let other = TRADE.replace("150000123", "150000124");
    let (said, result) = frame(&notification(
        "trades.BTC-PERPETUAL.100ms",
        &format!("[{TRADE},{bad},{other}]"),
    ));
    assert_eq!(said.len(), 2);
    assert_eq!(result.expect_err("one is bad").cause(), "impossible");
}

#[test]
fn a_book_names_the_change_that_it_goes_on_from() {
    let Said::Diff(instrument, diff) = one(&notification("book.BTC-PERPETUAL.100ms", CHANGE)) else {
        panic!("a change");
    };
    assert_eq!(instrument.as_str(), "BTC-PERPETUAL");
    assert_eq!((diff.first, diff.last), (31_479_598_065, 31_479_598_217));
    let texts = |levels: &[mprism_model::Level]| -> Vec<_> {
        let pair = |level: &mprism_model::Level| (level.price.to_string(), level.quantity);
        levels.iter().map(pair).collect()
    };
    let number = |text| Written::new(text).expect("valid");
    assert_eq!(
        texts(&diff.bids),
        [
            ("36779.0".into(), Written::ZERO),
            ("36809.5".into(), number("254870.0"))
        ]
    );
    assert_eq!(texts(&diff.asks)[1], ("37394.0".into(), number("42670.0")));
    // Frames of 2020 have no type; a whole book has no previous change.
    let old = CHANGE.replace("\"type\":\"change\",", "");
    assert!(matches!(
        one(&notification("book.BTC-PERPETUAL.raw", &old)),
        Said::Diff(..)
    ));
    let whole = old.replace("\"prev_change_id\":31479598064,", "");
    let null = old
        .replace("31479598064", "null")
        .replace("\"timestamp\"", "\"type\":\"snapshot\",\"timestamp\"");
    for text in [whole, null] {
        let Said::Book(_, book) = one(&notification("book.BTC-PERPETUAL.agg2", &text)) else {
            panic!("a book: {text}");
        };
        assert_eq!((book.last, book.limit), (31_479_598_217, usize::MAX));
    }
    let top = r#"{"timestamp":1653983481909,"instrument_name":"BTC-PERPETUAL","change_id":45176552517,"bids":[[31523.5,6.55e-6]],"asks":[]}"#;
    let Said::Depth(Some(_), book) = one(&notification("book.BTC-PERPETUAL.none.20.100ms", top)) else {
        panic!("the best levels");
    };
    assert_eq!(
        (book.limit, texts(&book.bids)),
        (20, vec![("31523.5".into(), number("0.00000655"))])
    );
}

#[test]
fn nothing_malformed_becomes_a_book_or_a_trade() {
    let book = |from: &str, to: &str| frame(&notification("book.BTC-PERPETUAL.100ms", &CHANGE.replacen(from, to, 1)));
    for (from, to, cause) in [
        ("36779.0", "\"36779.0\"", "json"),
        ("36779.0", "-1.0", "json"),
        (",254870.0", "", "json"),
        ("254870.0", "254870.0,1", "json"),
        ("\"new\"", "\"zz\"", "json"),
        ("[[\"delete\"", "[{\"delete\"", "json"),
        ("31479598217", "31479598064", "backwards"),
        ("31479598217", "31479598000", "backwards"),
        ("31479598064", "null", "impossible"),
        ("\"change\"", "\"zz\"", "impossible"),
        ("\"change\"", "7", "json"),
        ("1622627435737", "5", "time"),
        ("\"BTC-PERPETUAL\"", "\"A.B\"", "symbol"),
    ] {
        let (said, result) = book(from, to);
        assert!(said.is_empty(), "{to}");
        assert_eq!(result.expect_err(to).cause(), cause, "{from} {to}");
    }
    let trade = |from: &str, to: &str| {
        let data = format!("[{}]", TRADE.replacen(from, to, 1));
        frame(&notification("trades.BTC-PERPETUAL.100ms", &data))
    };
    for (from, to, cause) in [
        ("64000.0", "\"64000.0\"", "decimal"),
        ("64000.0", "1234567890123456789012345678901234567890", "decimal"),
        ("64000.0", "0.0", "not_positive"),
        ("5000.0", "-5000.0", "not_positive"),
        ("5000.0", "1e-18", "not_positive"),
        ("\"340000456\"", "\"\"", "impossible"),
        ("150000123", "\"150000123\"", "json"),
        ("\"buy\"", "\"zz\"", "impossible"),
        ("1795176000155", "null", "json"),
    ] {
        let (said, result) = trade(from, to);
        assert!(said.is_empty(), "{to}");
        assert_eq!(result.expect_err(to).cause(), cause, "{from} {to}");
    }
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "7",
        r#"{"method":"subscription"}"#,
        r#"{"id":1}"#,
    ] {
        assert!(
            matches!(frame(text), (said, Err(_)) if said.is_empty()) || text.contains("method"),
            "{text}"
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(frame(&deep).1.is_err() && frame(&notification("book.A.100ms", &deep)).1.is_err());
}

#[test]
fn a_ticker_says_open_interest_and_funding_as_far_as_it_says_them() {
    let told = |data: &str| {
        let (said, result) = frame(&notification("ticker.BTC-PERPETUAL.agg2", data));
        let events = said.into_iter().map(|said| match said {
            Said::Event { event, is_sized, .. } => (*event, is_sized),
            other => panic!("{other:?}"),
        });
        (events.collect::<Vec<_>>(), result.map_err(|error| error.cause()))
    };
    let (events, result) = told(TICKER);
    assert_eq!(result, Ok(()));
    let [(Event::OpenInterest(interest), true), (Event::FundingRate(rate), true)] = &events[..] else {
        panic!("{events:?}");
    };
    // 559791310 / 29932.79, twelve places.
    assert_eq!(interest.open_interest.text(), "18701.608169502409");
    assert_eq!(interest.contracts.as_ref().map(|c| c.text()), Some("559791310"));
    assert_eq!(interest.unit.as_deref(), Some("BTC"));
    assert_eq!(
        (rate.current_funding_rate.text(), rate.kind.as_str()),
        ("0.00000255", "estimated")
    );
    assert_eq!(rate.premium_index.as_ref().map(|p| p.text()), Some("-1e-5"));
    let (events, result) = told(&TICKER.replace("559791310", "-1"));
    assert_eq!(
        (events.len(), result),
        (1, Err("impossible")),
        "the funding rate is not lost"
    );
    let changed =
        r#"{"type":"change","timestamp":1795176000155,"instrument_name":"BTC-PERPETUAL","best_bid_price":1.5}"#;
    assert_eq!(told(changed), (Vec::new(), Ok(())));
    let unpriced = r#"{"timestamp":1795176000155,"instrument_name":"BTC-PERPETUAL","open_interest":7}"#;
    assert!(!told(unpriced).0[0].1, "without a price nobody knows how much it is");
}

#[test]
fn closed_candles_alone_are_told() {
    let (terms, btc) = (Terms::default(), InstrumentId::new("BTC").expect("valid"));
    let asked = About {
        instrument: Some(&btc),
        ..about(&terms, Source::Backfill)
    };
    let told = |text: &str, about: &About<'_>| -> Vec<_> {
        let told = answer(text, about).into_iter().map(|said| match said {
            Said::Event { instrument, event, .. } => match *event {
                Event::VolatilityIndex(index) => {
                    let id = index.origin.instrument_id.as_str().to_owned();
                    (
                        instrument.to_string(),
                        id,
                        index.origin.ts.0,
                        index.volatility_index.text().to_owned(),
                    )
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        told.collect()
    };
    let row = |ts: i64, close: &str| ("BTC".to_owned(), "btc_usd".to_owned(), ts, close.to_owned());
    let closed = [row(1_795_175_880_000, "45.25"), row(1_795_175_940_000, "45.31")];
    assert_eq!(told(CANDLES, &asked), closed, "the last one is still open");
    let path = Some("/api/v2/public/get_volatility_index_data?currency=BTC&resolution=60");
    let by_path = About {
        path,
        ..about(&terms, Source::Backfill)
    };
    assert_eq!(told(CANDLES, &by_path), closed);
    // Nobody's, live; a fraction of the old scale, live; and as recorded.
    assert!(matches!(
        answer(CANDLES, &about(&terms, Source::Rest))[..],
        [Said::Skipped(_)]
    ));
    let old = r#"{"data":[[1598019300000,0.21,0.22,0.20,0.215]],"continuation":1598019400000}"#;
    let mut said = Vec::new();
    assert!(Deribit.answer(old, &asked, &mut said).is_err() && said.is_empty());
    let recorded = About {
        source: Source::Replay,
        ..asked
    };
    assert_eq!(told(old, &recorded), [row(1_598_019_300_000, "0.215")]);
}

#[test]
fn answers_are_known_by_their_shape() {
    let terms = Terms::default();
    let about = about(&terms, Source::Rest);
    let trades = format!(r#"{{"jsonrpc":"2.0","result":{{"trades":[{TRADE}],"has_more":true}},"usOut":1}}"#);
    let said = answer(&trades, &about);
    assert!(
        matches!(&said[..], [Said::Aggregate { number: None, .. }]),
        "no part of the sequence"
    );
    let book = format!(
        r#"{{"result":{{{},"change_id":5,"bids":[[1.5,10.0]],"asks":[[2.5,10.0]]}}}}"#,
        TICKER.trim_matches(['{', '}'])
    );
    let said = answer(&book, &about);
    assert!(
        matches!(&said[..], [Said::Depth(Some(_), book), Said::Event { .. }, Said::Event { .. }] if book.last == 5)
    );
    let lists = r#"{"result":[
        {"instrument_name":"BTC-PERPETUAL","kind":"future","quote_currency":"USD","settlement_period":"perpetual","instrument_type":"reversed","tick_size":0.5,"min_trade_amount":10.0,"contract_size":10.0,"state":"open","is_active":true},
        {"instrument_name":"SOL_USDC-PERPETUAL","kind":"future","quote_currency":"USDC","settlement_period":"perpetual","future_type":"linear","tick_size":0.01,"is_active":true},
        {"instrument_name":"BTC-25MAR22","kind":"future","quote_currency":"USD","settlement_period":"month","tick_size":2.5,"is_active":false},
        {"instrument_name":"BTC-FS-25MAR22_PERP","kind":"future_combo","quote_currency":"USD","is_active":true},
        {"instrument_name":"ETH-25MAR22-4000-P","kind":"option","quote_currency":"ETH","instrument_type":"reversed","is_active":true,"state":"locked"}]}"#;
    let [Said::Terms(listed)] = &answer(lists, &about)[..] else {
        panic!("a list of instruments");
    };
    let inverse = Sizing::Inverse("1".parse().expect("valid"));
    let rows: Vec<_> = listed
        .iter()
        .map(|(_, term)| (term.symbol.as_str(), term.market_type, term.sizing, term.is_trading))
        .collect();
    assert_eq!(
        rows,
        [
            ("BTC-USD", MarketType::Perpetual, inverse, true),
            ("SOL-USDC", MarketType::Perpetual, Sizing::Base, true),
            ("BTC-USD-220325", MarketType::Future, inverse, false),
            ("ETH-25MAR22-4000-P", MarketType::Options, Sizing::Base, false),
        ]
    );
    assert_eq!(
        (listed[0].1.tick.as_deref(), listed[0].1.funding_hours),
        (Some("0.5"), Some(8))
    );
    let funding = r#"{"result":[{"timestamp":1795176000000,"index_price":64000.5,"prev_index_price":64001.0,"interest_8h":-0.0001,"interest_1h":0.0}]}"#;
    let btc = InstrumentId::new("BTC-PERPETUAL").expect("valid");
    let asked = About {
        instrument: Some(&btc),
        ..about
    };
    let said = answer(funding, &asked);
    let [Said::Event { event, .. }] = &said[..] else {
        panic!("{said:?}");
    };
    assert!(
        matches!(&**event, Event::FundingRate(rate) if rate.kind.as_str() == "settled"),
        "{event:?}"
    );
    assert!(matches!(answer(funding, &about)[..], [Said::Skipped(_)]), "nobody's");
    let mut said = Vec::new();
    let refused = r#"{"error":{"code":-32602,"message":"Invalid params"}}"#;
    assert_eq!(
        Deribit.answer(refused, &about, &mut said).expect_err("refused").cause(),
        "venue_error"
    );
}

/// Frames and answers that are understood.
fn valid() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        notification("trades.BTC-PERPETUAL.100ms", &format!("[{TRADE},{TRADE}]")),
        notification("ticker.BTC-PERPETUAL.100ms", TICKER),
        notification("book.BTC-PERPETUAL.100ms", CHANGE),
        notification(
            "deribit_volatility_index.btc_usd",
            r#"{"timestamp":1795176001000,"volatility":45.31,"index_name":"btc_usd"}"#,
        ),
        CANDLES.to_owned(),
        format!(r#"{{"result":{{"trades":[{TRADE}],"has_more":true}}}}"#),
    ])
}

fn read_everything(text: &str) {
    let (terms, btc) = (Terms::default(), InstrumentId::new("BTC").expect("valid"));
    for instrument in [None, Some(&btc)] {
        let about = About {
            instrument,
            path: Some("/api/v2/public/x?depth=9&resolution=1D&currency=é"),
            ..about(&terms, Source::Replay)
        };
        let (mut frames, mut answers) = (Vec::new(), Vec::new());
        // Whether it is understood is not the question.
        let _ = (
            Deribit.frame(text, &about, &mut frames),
            Deribit.answer(text, &about, &mut answers),
        );
        assert!(
            frames.len() + answers.len() <= 4 * text.len() + 4,
            "bounded by the text"
        );
    }
    let _ = Deribit.instrument_named(text);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        read_everything(&text);
    }

    #[test]
    fn no_mutation_panics(
        text in valid(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,6}"), 1..4),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        for (from, to, put) in changes {
            let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
            // A short piece becomes another, or is cut away with all that follows.
            let to = if from < to && to - from < 40 { to } else { from };
            chars.splice(from..to, put.chars());
        }
        read_everything(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn no_torn_frame_panics(text in valid(), at in any::<prop::sample::Index>()) {
        read_everything(&text[..at.index(text.len())]);
    }
}
