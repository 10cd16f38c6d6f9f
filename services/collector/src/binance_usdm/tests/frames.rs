//! Frames, raw and of combined streams.

use mprism_model::{Event, FundingKind, InstrumentId, LiquidationStatus, Side};

use super::*;
use crate::orderbook::{Diff, Snapshot};

#[test]
fn aggregates_are_the_trades_and_fills_are_numbered_apart() {
    for text in [AGGREGATE, &combined("btcusdt@aggTrade", AGGREGATE)] {
        let Said::Trade { trade, number, .. } = one(text) else {
            panic!("{text}");
        };
        assert_eq!((number, &*trade.trade_id), (3_100_000_001, "3100000001"));
        assert_eq!((trade.price.text(), trade.quantity.text()), ("64000.10", "1.250"));
        assert_eq!((trade.side, trade.symbol.as_str()), (Side::Buy, "BTC-USDT"));
        assert_eq!((trade.ts.0, trade.trade_ts.0), (1_795_176_000_300, 1_795_176_000_240));
        assert_eq!(
            trade.subject().to_string(),
            "trade.binance_derivatives.perpetual.BTC-USDT"
        );
    }
    let Said::Aggregate { trade, number, .. } = one(TRADE) else {
        panic!("a fill");
    };
    assert_eq!((number, trade.side), (Some(7_000_000_015), Side::Sell));
    let old = TRADE.replace(r#""X":"MARKET","#, "");
    assert!(matches!(one(&old), Said::Aggregate { .. }));
}

#[test]
fn what_the_insurance_fund_took_over_is_counted_and_no_trade() {
    let text = TRADE
        .replace("MARKET", "INSURANCE_FUND")
        .replace("\"64000.10\"", "\"0\"")
        .replace("\"0.100\"", "\"0\"");
    let Said::Blank { kind, number, .. } = one(&text) else {
        panic!("no trade");
    };
    assert_eq!(
        (&*kind, number.map(|(_, id, _)| id)),
        ("INSURANCE_FUND fill", Some(7_000_000_015))
    );
}

#[test]
fn diffs_are_chained_by_the_message_before() {
    let Said::Diff(instrument, diff) = one(&combined("btcusdt@depth@100ms", DIFF)) else {
        panic!("a diff");
    };
    let Diff { first, last, .. } = *diff;
    assert_eq!(
        (instrument.as_str(), first, last),
        ("BTCUSDT", 9_000_000_000_494, 9_000_000_000_588)
    );
    assert_eq!(diff.asks[0].quantity.to_string(), "0.000");
    let idle = DIFF.replace("9000000000493", "9000000000588");
    assert!(matches!(one(&idle), Said::Diff(_, diff) if diff.first == diff.last + 1));
}

#[test]
fn the_best_levels_alone_are_no_diff() {
    for stream in ["btcusdt@depth20", "btcusdt@depth5@100ms"] {
        let Said::Depth(Some(instrument), snapshot) = one(&combined(stream, DIFF)) else {
            panic!("{stream}");
        };
        let Snapshot { last, ts, .. } = *snapshot;
        assert_eq!((instrument.as_str(), last), ("BTCUSDT", 9_000_000_000_588));
        assert_eq!(ts.map(|ts| ts.0), Some(1_795_176_000_210));
    }
    let hidden = combined("btcusdt@rpiDepth@500ms", DIFF);
    assert_eq!(one(&hidden), Said::Skipped("rpiDepth".into()));
}

#[test]
fn a_mark_price_tells_the_running_rate() {
    let mut beside = Beside::default();
    let id = InstrumentId::new("XYZUSDT").expect("valid");
    for said in answer(INTERVALS, &beside) {
        let Said::Terms(learnt) = said else { panic!("{said:?}") };
        learnt.into_iter().for_each(|(id, term)| beside.terms.set(id, term));
    }
    let mut said = Vec::new();
    let text = MARK.replace("BTCUSDT", "XYZUSDT");
    BinanceUsdm.frame(&text, &beside.about(), &mut said).expect("valid");
    let Event::FundingRate(rate) = event(&said[0]) else {
        panic!("a rate");
    };
    assert_eq!(rate.origin.instrument_id, id);
    assert_eq!(
        (rate.kind, rate.current_funding_rate.text()),
        (FundingKind::Estimated, "-0.00010000")
    );
    assert_eq!(rate.next_funding_ts.map(|ts| ts.0), Some(1_795_190_400_000));
    assert_eq!(rate.funding_interval.as_deref(), Some("4h"));
    assert_eq!(rate.mark_price.as_ref().map(|p| p.text()), Some("64001.25000000"));
    assert_eq!(
        (rate.origin.ts.0, &rate.estimated_funding_rate),
        (1_795_176_001_000, &None)
    );

    let premium = answer(PREMIUM, &Beside::default());
    let Event::FundingRate(rate) = event(&premium[0]) else {
        panic!("a rate");
    };
    assert_eq!(
        (rate.current_funding_rate.text(), &rate.funding_interval),
        ("0.00010000", &None)
    );
}

#[test]
fn a_list_of_mark_prices_keeps_its_places_and_survives_a_bad_row() {
    let dated = MARK
        .replace("\"BTCUSDT\"", "\"BTCUSDT_261225\"")
        .replace("\"-0.00010000\"", "\"\"")
        .replace("\"T\":1795190400000", "\"T\":0");
    let foreign = MARK
        .replace("\"st\":1", "\"st\":2")
        .replace("\"BTCUSDT\"", "\"BTCUSD_PERP\"");
    let bad = MARK.replace("\"-0.00010000\"", "\"much\"");
    let list = format!("[{dated},{foreign},{bad},{MARK}]");
    for text in [list.clone(), combined("!markPrice@arr@1s", &list)] {
        let (said, result) = frame(&text);
        assert_eq!(result.expect_err("one is bad").cause(), "decimal");
        assert!(
            matches!(&said[0], Said::Blank { .. }) && matches!(&said[1], Said::Blank { .. }),
            "{said:?}"
        );
        assert!(matches!(event(&said[2]), Event::FundingRate(_)) && said.len() == 3);
    }
}

#[test]
fn a_liquidation_says_what_was_ordered_and_what_was_filled() {
    let Said::Event { event, is_sized, .. } = one(&combined("btcusdt@forceOrder", LIQUIDATION)) else {
        panic!("an event");
    };
    let Event::Liquidation(liquidation) = *event else {
        panic!("a liquidation");
    };
    assert!(is_sized);
    assert_eq!(
        (liquidation.side, liquidation.status),
        (Side::Sell, Some(LiquidationStatus::Filled))
    );
    assert_eq!(
        (liquidation.price.text(), liquidation.quantity.text()),
        ("63650.10", "0.850")
    );
    assert_eq!(liquidation.average_price.as_ref().map(|p| p.text()), Some("63710.42"));
    assert_eq!(liquidation.notional_value.as_ref().map(|v| v.text()), Some("54102.585"));
    assert_eq!(
        &*liquidation.liquidation_id,
        "binance_1795176002009_BTCUSDT_sell_63650.1_0.85"
    );
    assert_eq!(
        (liquidation.liquidation_ts.0, liquidation.origin.ts.0),
        (1_795_176_002_009, 1_795_176_002_014)
    );
    assert_eq!(liquidation.aggregation_mode.map(|mode| mode.as_str()), Some("filtered"));

    // Since June 2026 the stream of all has the other market's, too; recordings of before do not say which is which.
    let foreign = LIQUIDATION.replace("\"st\":1", "\"st\":2");
    assert!(matches!(one(&foreign), Said::Blank { .. }));
    let unsaid = LIQUIDATION.replace("\"st\":1,", "");
    assert!(matches!(one(&unsaid), Said::Event { .. }));
    let unsaid = unsaid.replace("\"s\":\"BTCUSDT\"", "\"s\":\"BTCUSD_PERP\"");
    assert!(matches!(one(&unsaid), Said::Blank { .. }));
}

#[test]
fn nothing_malformed_becomes_an_event() {
    for (text, from, to, cause) in [
        (AGGREGATE, "\"64000.10\"", "\"NaN\"", "decimal"),
        (AGGREGATE, "\"64000.10\"", "64000.10", "json"),
        (AGGREGATE, "\"1.250\"", "\"0.000\"", "not_positive"),
        (AGGREGATE, "3100000001", "18446744073709551615", "impossible"),
        (AGGREGATE, "\"s\":\"BTCUSDT\"", "\"s\":\"A.B\"", "symbol"),
        (TRADE, "1795176000300", "0", "time"),
        (DIFF, "9000000000493", "9000000000589", "backwards"),
        (DIFF, "\"64000.10\"", "\"-64000.10\"", "json"),
        (MARK, "\"-0.00010000\"", "\"1.5\"", "impossible"),
        (MARK, "\"64001.25000000\"", "\"-1\"", "impossible"),
        (LIQUIDATION, "\"SELL\"", "\"BOTH\"", "impossible"),
        (LIQUIDATION, "\"0.850\",\"p\"", "\"0\",\"p\"", "not_positive"),
    ] {
        let text = text.replacen(from, to, 1);
        let (said, result) = frame(&text);
        assert_eq!(result.expect_err(&text).cause(), cause, "{text}");
        assert_eq!(said, [], "{text}");
    }
    for text in ["", "{", "null", "{}", "{\"stream\":\"x\",\"data\":{}}", "[1]", "[{}]"] {
        assert!(frame(text).1.is_err(), "{text}");
        let mut said = Vec::new();
        assert!(
            BinanceUsdm.answer(text, &Beside::default().about(), &mut said).is_err(),
            "{text}"
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(frame(&deep).1.is_err());
    let shares = RATIOS.replace("0.3500", "0.4500");
    let mut said = Vec::new();
    let path = Beside {
        path: Some("/futures/data/globalLongShortAccountRatio"),
        ..Beside::default()
    };
    let result = BinanceUsdm.answer(&shares, &path.about(), &mut said);
    assert_eq!((result.expect_err("no shares").cause(), said.len()), ("impossible", 1));
}
