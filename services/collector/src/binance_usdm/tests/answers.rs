//! Bodies of the REST interface.

use mprism_model::{Event, FundingKind, InstrumentId, Population, TsSource};

use super::*;
use crate::wire::Accepted;

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
