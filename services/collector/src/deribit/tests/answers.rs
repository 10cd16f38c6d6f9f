//! What REST answers.

use mprism_model::{Event, InstrumentId, MarketType};

use super::*;
use crate::wire::Sizing;

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
