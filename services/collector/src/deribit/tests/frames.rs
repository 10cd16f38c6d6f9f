//! What notifications say of the market.

use mprism_model::{Event, MarketType, Side, Written};

use super::*;

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
