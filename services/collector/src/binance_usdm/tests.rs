//! What frames and answers say, in the forms that were recorded and those that are documented since.

use mprism_model::{
    Event, FundingKind, InstrumentId, LiquidationStatus, Population, Side, Source, TsSource, UnixNanos,
};
use proptest::prelude::*;

use super::BinanceUsdm;
use crate::orderbook::{Diff, Snapshot};
use crate::wire::{About, Accepted, ParseError, Said, Terms, Wire};

const AGGREGATE: &str = r#"{"e":"aggTrade","E":1795176000300,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"a":3100000001,"p":"64000.10","q":"1.250","nq":"1.200","f":7000000010,"l":7000000015,"T":1795176000240,"m":false}"#;
const TRADE: &str = r#"{"e":"trade","E":1795176000300,"T":1795176000299,"s":"BTCUSDT","t":7000000015,"p":"64000.10","q":"0.100","X":"MARKET","m":true}"#;
const DIFF: &str = r#"{"e":"depthUpdate","E":1795176000210,"T":1795176000203,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"U":9000000000501,"u":9000000000588,"pu":9000000000493,"b":[["64000.10","12.300"]],"a":[["64000.20","0.000"]]}"#;
const MARK: &str = r#"{"e":"markPriceUpdate","E":1795176001000,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"p":"64001.25000000","ap":"64000.90000000","i":"64002.11000000","P":"64010.00000000","r":"-0.00010000","T":1795190400000}"#;
const LIQUIDATION: &str = r#"{"e":"forceOrder","E":1795176002014,"ps":"BTCUSDT","st":1,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.850","p":"63650.10","ap":"63710.42","X":"FILLED","l":"0.350","z":"0.850","T":1795176002009}}"#;
const PREMIUM: &str = r#"{"symbol":"BTCUSDT","markPrice":"64001.25","indexPrice":"64002.11","estimatedSettlePrice":"64010.00","lastFundingRate":"0.00010000","interestRate":"0.00010000","nextFundingTime":1795190400000,"time":1795176001000}"#;
const INTEREST: &str = r#"{"openInterest":"78123.456","symbol":"BTCUSDT","time":1795176000000}"#;
const PAST_INTEREST: &str = r#"[{"sumOpenInterest":"286060.67400000","sumOpenInterestValue":"13151177.54493120","symbol":"LTCUSDT","timestamp":1602028800000}]"#;
const RATIOS: &str = r#"[{"symbol":"BTCUSDT","longShortRatio":"1.8571","longAccount":"0.6500","shortAccount":"0.3500","timestamp":1795175700000},{"symbol":"BTCUSDT","longShortRatio":"1","longPosition":"0.5","shortPosition":"0.5","timestamp":"1795176000000"}]"#;
const SETTLED: &str =
    r#"[{"symbol":"BTCUSDT","fundingRate":"-0.00002796","fundingTime":1600156800010,"markPrice":""}]"#;
const AGGREGATES: &str =
    r#"[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true}]"#;
const DEPTH: &str = r#"{"lastUpdateId":1570255790655,"E":1654232606707,"T":1654232606695,"bids":[["30430.80","0.482"]],"asks":[["30430.90","1.685"]]}"#;
const LIST: &str = r#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","contractType":"PERPETUAL","status":"TRADING","filters":[{"filterType":"LOT_SIZE","stepSize":"0.001"}]}]}"#;
const INTERVALS: &str =
    r#"[{"symbol":"XYZUSDT","adjustedFundingRateCap":"0.02","fundingIntervalHours":4,"disclaimer":false}]"#;

/// What is known beside a text.
#[derive(Default)]
struct Beside<'a> {
    terms: Terms,
    instrument: Option<InstrumentId>,
    path: Option<&'a str>,
    is_recorded: bool,
}

impl Beside<'_> {
    fn about(&self) -> About<'_> {
        About {
            ts_recv: (!self.is_recorded).then_some(UnixNanos(1_795_176_000_500_000_001)),
            source: Source::Ws,
            terms: &self.terms,
            instrument: self.instrument.as_ref(),
            path: self.path,
        }
    }
}

fn frame(text: &str) -> (Vec<Said>, Result<(), ParseError>) {
    let mut said = Vec::new();
    let result = BinanceUsdm.frame(text, &Beside::default().about(), &mut said);
    (said, result)
}

fn one(text: &str) -> Said {
    let (mut said, result) = frame(text);
    result.expect(text);
    assert_eq!(said.len(), 1, "{text}");
    said.remove(0)
}

fn answer(text: &str, beside: &Beside<'_>) -> Vec<Said> {
    let mut said = Vec::new();
    BinanceUsdm.answer(text, &beside.about(), &mut said).expect(text);
    said
}

fn event(said: &Said) -> &Event {
    match said {
        Said::Event { event, .. } => event,
        other => panic!("{other:?}"),
    }
}

fn combined(stream: &str, data: &str) -> String {
    format!(r#"{{"stream":"{stream}","data":{data}}}"#)
}

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
fn answers_are_known_by_their_shape() {
    let told = answer(INTEREST, &Beside::default());
    let Event::OpenInterest(interest) = event(&told[0]) else {
        panic!("open interest");
    };
    assert_eq!(
        (interest.open_interest.text(), interest.unit.as_deref()),
        ("78123.456", Some("BTC"))
    );
    assert_eq!(interest.origin.ts.0, 1_795_176_000_000);
    let told = answer(PAST_INTEREST, &Beside::default());
    let Event::OpenInterest(interest) = event(&told[0]) else {
        panic!("open interest");
    };
    assert_eq!(interest.value_usd.as_ref().map(|v| v.text()), Some("13151177.54493120"));

    let told = answer(SETTLED, &Beside::default());
    let Event::FundingRate(rate) = event(&told[0]) else {
        panic!("a rate");
    };
    assert_eq!(
        (rate.kind, rate.funding_ts.map(|ts| ts.0)),
        (FundingKind::Settled, Some(1_600_156_800_010))
    );
    assert_eq!((&rate.mark_price, rate.next_funding_ts), (&None, None));

    assert!(matches!(&answer(DEPTH, &Beside::default())[0], Said::Depth(None, s) if s.ts.is_some()));
    let over_socket = format!(r#"{{"id":"a1","status":200,"result":{DEPTH}}}"#);
    assert!(matches!(
        &answer(&over_socket, &Beside::default())[0],
        Said::Depth(None, _)
    ));
    assert!(matches!(&answer(LIST, &Beside::default())[0], Said::Terms(terms) if terms.len() == 1));
    assert!(matches!(&answer(AGGREGATES, &Beside::default())[0], Said::Skipped(_)));
    let beside = Beside {
        instrument: Some(InstrumentId::new("ETHUSDT").expect("valid")),
        ..Beside::default()
    };
    let [
        Said::Aggregate {
            trade, number: None, ..
        },
    ] = &answer(AGGREGATES, &beside)[..]
    else {
        panic!("no part of the sequence");
    };
    assert_eq!((&*trade.trade_id, trade.ts_source), ("26129", TsSource::Trade));
    let fill = r#"[{"id":5,"price":"1.5","qty":"2","quoteQty":"3","time":1498793709153,"isBuyerMaker":true,"isRPITrade":false}]"#;
    assert!(matches!(
        &answer(fill, &beside)[0],
        Said::Aggregate { number: None, .. }
    ));
    // What the live socket and the file of a recording say in the same words.
    assert_eq!(
        answer(r#"{"result":null,"id":7}"#, &beside),
        [Said::Accepted(Accepted::All(7))]
    );
    assert_eq!(
        answer(r#"{"serverTime":1795176000000}"#, &beside),
        [Said::Skipped("time".into())]
    );
    assert_eq!(answer("[]", &beside), []);
}

#[test]
fn ratios_are_those_that_were_asked_for_and_keep_the_venues_label() {
    let path = "/futures/data/topLongShortPositionRatio?symbol=BTCUSDT&period=15m";
    let beside = Beside {
        path: Some(path),
        ..Beside::default()
    };
    let told = answer(RATIOS, &beside);
    let Event::LongShortRatio(ratio) = event(&told[0]) else {
        panic!("a ratio");
    };
    assert_eq!((ratio.population, &*ratio.period), (Population::TopPositions, "15m"));
    assert_eq!(
        (ratio.long_short_ratio.text(), ratio.long_ratio.text()),
        ("1.8571", "0.6500")
    );
    assert_eq!(
        (ratio.period_ts.0, ratio.origin.ts.0),
        (1_795_175_700_000, 1_795_176_000_500)
    );
    assert_eq!(ratio.origin.ts_source, TsSource::Recv);
    let recorded = Beside {
        path: Some("https://fapi.binance.com/futures/data/globalLongShortAccountRatio"),
        is_recorded: true,
        ..Beside::default()
    };
    let told = answer(RATIOS, &recorded);
    let Event::LongShortRatio(ratio) = event(&told[1]) else {
        panic!("a ratio");
    };
    assert_eq!((ratio.population, &*ratio.period), (Population::AllAccounts, "5m"));
    assert_eq!(
        (ratio.origin.ts, ratio.origin.ts.0),
        (ratio.period_ts, 1_795_176_000_000)
    );
    let others = Beside {
        path: Some("/futures/data/topLongShortAccountRatio?period=5m"),
        ..Beside::default()
    };
    assert!(
        answer(RATIOS, &others)
            .iter()
            .all(|said| matches!(said, Said::Skipped(_)))
    );
}

#[test]
fn what_is_sent_to_be_stored_can_be_stored() {
    let path = Beside {
        path: Some("/futures/data/globalLongShortAccountRatio"),
        ..Beside::default()
    };
    let mut all: Vec<Said> = [MARK, LIQUIDATION].into_iter().map(one).collect();
    for text in [INTEREST, PAST_INTEREST, SETTLED, PREMIUM, RATIOS] {
        all.extend(answer(text, &path));
    }
    assert_eq!(all.len(), 8);
    for said in &all {
        let event = event(said);
        let subject = event.subject().to_string();
        assert_eq!(&Event::parse(&subject, &event.to_json()).expect("storable"), event);
    }
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

/// Frames and bodies of every kind.
const TEXTS: [&str; 14] = [
    AGGREGATE,
    TRADE,
    DIFF,
    MARK,
    LIQUIDATION,
    PREMIUM,
    INTEREST,
    PAST_INTEREST,
    RATIOS,
    SETTLED,
    AGGREGATES,
    DEPTH,
    LIST,
    INTERVALS,
];

/// Reads a text in every way there is.
fn read(text: &str) {
    let beside = Beside {
        instrument: InstrumentId::new("BTCUSDT").ok(),
        path: Some("/futures/data/globalLongShortAccountRatio?period=5m"),
        ..Beside::default()
    };
    let mut said = Vec::new();
    let _understood_or_not = BinanceUsdm.frame(text, &beside.about(), &mut said);
    let _understood_or_not = BinanceUsdm.answer(text, &beside.about(), &mut said);
    let _named_or_not = BinanceUsdm.instrument_named(text);
    assert!(said.len() <= text.len(), "more is said than was written");
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn no_changed_frame_is_too_strange(
        which in 0..TEXTS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = TEXTS[which].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // Mostly what has a meaning in these texts.
            bytes[at] = match byte {
                0..=200 => b"0123456789-.\"{}[],:eEstupabmTX"[usize::from(byte) % 30],
                _ => byte,
            };
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let text = String::from_utf8_lossy(&bytes);
        read(&text);
        read(&combined("btcusdt@depth@100ms", &text));
    }
}
