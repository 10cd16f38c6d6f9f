//! Frames and answers of every form that the venue is known to send.

use mprism_model::{Event, Exchange, FundingKind, MarketType, Population, Side, Source, TsSource, UnixNanos};
use proptest::prelude::*;

use super::*;
use crate::okx::Okx;
use crate::okx::answers::{answer, fills as asked_fills};
use crate::wire::{Term, Terms, Wire};

const RECEIVED: UnixNanos = UnixNanos(1_795_176_000_500_000_000);
const FILL: &str = r#"{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1500000012","px":"64000.1","sz":"0.0320","side":"sell","ts":"1795176000221","source":"0","seqId":5000000014}]}"#;
const SNAPSHOT: &str = r#"{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"snapshot","data":[{"asks":[["64000.2","310.5","0","14"],["64000.3","1","0","1"]],"bids":[["64000.1","120","0","9"]],"ts":"1795176000200","checksum":0,"seqId":5000000010,"prevSeqId":-1}]}"#;
const FUNDING: &str = r#"{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","method":"current_period","formulaType":"noRate","fundingRate":"0.0000812","nextFundingRate":"","fundingTime":"1795190400000","nextFundingTime":"1795219200000","premium":"-0.0001","settState":"settled","settFundingRate":"0.0000655","ts":"1795176010000"}]}"#;
const INTEREST: &str = r#"{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"3301005.66000002036","oiCcy":"33010.0566000002036","oiUsd":"2567723563.69327583724996","ts":"1795176003000"}]}"#;
const LIQUIDATIONS: &str = r#"{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","instFamily":"BTC-USDT","uly":"BTC-USDT","details":[{"side":"sell","posSide":"long","bkPx":"63650.1","sz":"85","bkLoss":"0","ccy":"","ts":"1795176002009"},{"side":"buy","posSide":"net","bkPx":"64650.1","sz":"0.5","bkLoss":"0","ccy":"","ts":"1795176001009"}]},{"instType":"SWAP","instId":"ETH-USD-SWAP","details":[{"side":"sell","posSide":"long","bkPx":"2500","sz":"5","ts":"1795176002010"}]}]}"#;
const RATIOS: &str =
    "/api/v5/rubik/stat/contracts/long-short-position-ratio-contract-top-trader?instId=BTC-USDT-SWAP&period=5m";

fn about(terms: &Terms) -> About<'_> {
    About {
        ts_recv: Some(RECEIVED),
        source: Source::Ws,
        terms,
        instrument: None,
        path: None,
    }
}

/// Reads a frame; what was understood, and the cause of what was not.
fn read(text: &str) -> (Vec<Said>, Option<&'static str>) {
    let (terms, mut said) = (Terms::default(), Vec::new());
    let result = frame(text, &about(&terms), &mut said);
    (said, result.err().map(|error| error.cause()))
}

fn one(text: &str) -> Said {
    let (mut said, cause) = read(text);
    assert_eq!((said.len(), cause), (1, None), "{text}");
    said.remove(0)
}

fn events(said: Vec<Said>) -> Vec<(Event, bool)> {
    let event = |said| match said {
        Said::Event { event, is_sized, .. } => (*event, is_sized),
        other => panic!("an event: {other:?}"),
    };
    said.into_iter().map(event).collect()
}

#[test]
fn a_fill_keeps_the_venues_texts_and_is_numbered() {
    let Said::Trade {
        trade,
        number,
        is_sized,
    } = one(FILL)
    else {
        panic!("a trade")
    };
    assert_eq!(
        (number, is_sized, &*trade.trade_id),
        (1_500_000_012, true, "1500000012")
    );
    assert_eq!(
        (trade.price.text(), trade.quantity.text(), &trade.contracts),
        ("64000.1", "0.0320", &None)
    );
    assert_eq!(
        (trade.side, trade.is_maker, trade.ts_source),
        (Side::Sell, true, TsSource::Trade)
    );
    assert_eq!(
        (trade.exchange, trade.market_type),
        (Exchange::OkxSpot, MarketType::Spot)
    );
    assert_eq!((trade.ts.0, trade.trade_ts.0), (1_795_176_000_221, 1_795_176_000_221));
}

#[test]
fn merged_fills_are_no_part_of_the_sequence_and_contracts_become_base_currency() {
    let swap = FILL
        .replace("trades-all", "trades")
        .replace("BTC-USDT", "BTC-USDT-SWAP")
        .replace("0.0320", "3.2");
    for (instrument, quantity, is_sized) in [
        ("BTC-USDT-SWAP", "0.032", true),
        ("BTC-USDT-261225", "0.032", true),
        // 3.2 contracts of 100 US dollars at 64000.1, to twelve places.
        ("BTC-USD-SWAP", "0.004999992188", true),
        ("PEPE-USDT-SWAP", "3.2", false),
    ] {
        let text = swap.replace("BTC-USDT-SWAP", instrument);
        let Said::Aggregate {
            trade,
            number: None,
            is_sized: sized,
        } = one(&text)
        else {
            panic!("merged: {text}")
        };
        assert_eq!((trade.quantity.text(), sized), (quantity, is_sized), "{instrument}");
        assert_eq!(trade.contracts.as_ref().map(|size| size.text()), Some("3.2"));
        assert_eq!(
            (trade.exchange, &*trade.trade_id),
            (Exchange::OkxDerivatives, "1500000012")
        );
    }
}

#[test]
fn books_are_chained_by_the_number_before() {
    let Said::Book(instrument, book) = one(SNAPSHOT) else {
        panic!("a book")
    };
    assert_eq!(
        (instrument.as_str(), book.last, book.checksum),
        ("BTC-USDT-SWAP", 5_000_000_010, None)
    );
    assert_eq!((book.bids.len(), book.asks.len(), book.limit), (1, 2, usize::MAX));
    assert_eq!(
        book.asks[0].quantity.to_string(),
        "310.5",
        "contracts, as the venue has them"
    );
    let update = SNAPSHOT.replace("snapshot", "update");
    let chained = |seq: i64, before: i64| {
        let text = update
            .replace("5000000010", &seq.to_string())
            .replace("-1", &before.to_string());
        match one(&text) {
            Said::Diff(_, diff) => (diff.first, diff.last),
            other => panic!("a diff: {other:?}"),
        }
    };
    assert_eq!(chained(15, 10), (11, 15));
    assert_eq!(chained(15, 15), (16, 15), "nothing has changed");
    assert_eq!(chained(3, 15), (16, 3), "numbers begin anew");
    for (from, to) in [
        ("\"seqId\":5000000010,", ""),
        (",\"prevSeqId\":-1", ""),
        (",\"seqId\":5000000010,\"prevSeqId\":-1", ""),
        ("5000000010", "-3"),
        ("\"update\"", "\"partial\""),
    ] {
        let text = update.replacen(from, to, 1);
        assert!(read(&text).1.is_some() && read(&text).0.is_empty(), "{text}");
    }
}

#[test]
fn frames_without_a_time_have_that_of_their_reception() {
    let text = SNAPSHOT.replace("snapshot", "update").replace("-1", "5000000009");
    let Said::Diff(_, diff) = one(&text.replace("1795176000200", "0")) else {
        panic!("a diff")
    };
    assert_eq!(diff.ts, RECEIVED.to_millis());
}

#[test]
fn recordings_without_numbers_have_a_checksum() {
    let numbers = ",\"checksum\":0,\"seqId\":5000000010,\"prevSeqId\":-1";
    let old = SNAPSHOT
        .replace(numbers, ",\"checksum\":-889972680")
        .replace("\"books\"", "\"books-l2-tbt\"");
    let (terms, update) = (Terms::default(), old.replace("snapshot", "update"));
    let replayed = |text: &str| {
        let about = About {
            source: Source::Replay,
            ..about(&terms)
        };
        let mut said = Vec::new();
        frame(text, &about, &mut said).map(|()| said)
    };
    let book = replayed(&old).expect("valid");
    assert!(matches!(&book[..], [Said::Book(_, book)] if book.last == 0 && book.checksum == Some(-889_972_680)));
    let diff = replayed(&update).expect("valid");
    assert!(matches!(&diff[..], [Said::Diff(_, diff)] if (diff.first, diff.last) == (0, 0)));
    assert!(
        replayed(&update.replace("-889972680", "0")).is_err(),
        "neither number nor checksum"
    );
    assert!(
        read(&old).1.is_some() && read(&update).1.is_some(),
        "today every frame has its number"
    );
}

#[test]
fn top_levels_are_books_by_themselves_and_other_channels_are_skipped() {
    let top = SNAPSHOT
        .replace("\"books\"", "\"books5\"")
        .replace("\"action\":\"snapshot\",", "");
    assert!(matches!(one(&top), Said::Depth(Some(_), book) if book.last == 5_000_000_010));
    for channel in ["bbo-tbt", "books-rpi", "candle1m", "tickers"] {
        let text = SNAPSHOT.replace("\"books\"", &format!("\"{channel}\""));
        assert_eq!(one(&text), Said::Skipped(channel.into()));
    }
}

#[test]
fn funding_is_estimated_live_and_settled_in_history() {
    let Some((Event::FundingRate(rate), true)) = events(vec![one(FUNDING)]).pop() else {
        panic!("a rate")
    };
    assert_eq!(
        (rate.kind, rate.current_funding_rate.text()),
        (FundingKind::Estimated, "0.0000812")
    );
    assert_eq!(
        (rate.estimated_funding_rate, rate.funding_interval.as_deref()),
        (None, Some("8h"))
    );
    assert_eq!(rate.funding_ts.map(|ts| ts.0), Some(1_795_190_400_000));
    assert_eq!(rate.next_funding_ts.map(|ts| ts.0), Some(1_795_219_200_000));
    assert_eq!(
        (rate.origin.ts.0, rate.origin.ts_source),
        (1_795_176_010_000, TsSource::Event)
    );

    // 2022: no time, no next settlement.
    let old = r#"{"arg":{"channel":"funding-rate","instId":"BTC-USD-SWAP"},"data":[{"fundingRate":"0.0000734174532791","fundingTime":"1646323200000","instId":"BTC-USD-SWAP","instType":"SWAP","nextFundingRate":"0.0001163723201487"}]}"#;
    let Some((Event::FundingRate(rate), _)) = events(vec![one(old)]).pop() else {
        panic!("a rate")
    };
    assert_eq!(
        (rate.origin.ts, rate.origin.ts_source),
        (RECEIVED.to_millis(), TsSource::Recv)
    );
    assert_eq!(
        rate.estimated_funding_rate.map(|rate| rate.to_string()).as_deref(),
        Some("0.0001163723201487")
    );
    let absent = old.replace("\"fundingRate\":\"0.0000734174532791\",", "");
    assert!(
        matches!(one(&absent), Said::Blank { .. }),
        "a frame of 2021 that says no rate"
    );
    assert_eq!(read(&FUNDING.replace("0.0000812", "1.2")).1, Some("impossible"));

    let history = r#"{"code":"0","msg":"","data":[
        {"instType":"SWAP","instId":"BTC-USDT-SWAP","fundingRate":"0.0000812","realizedRate":"","fundingTime":"1795190400000"},
        {"instType":"SWAP","instId":"BTC-USDT-SWAP","fundingRate":"0.0000500","realizedRate":"0.0000655","fundingTime":"1795161600000"}]}"#;
    let (terms, mut said) = (Terms::default(), Vec::new());
    answer(history, &about(&terms), &mut said).expect("valid");
    assert!(matches!(said.remove(0), Said::Blank { .. }), "not settled yet");
    let Some((Event::FundingRate(rate), _)) = events(said).pop() else {
        panic!("a rate")
    };
    assert_eq!(
        (rate.kind, rate.current_funding_rate.text()),
        (FundingKind::Settled, "0.0000655")
    );
    assert_eq!(
        (rate.origin.ts.0, rate.origin.ts_source),
        (1_795_161_600_000, TsSource::Event)
    );
}

#[test]
fn open_interest_is_in_base_currency_beside_the_contracts() {
    let Some((Event::OpenInterest(interest), true)) = events(vec![one(INTEREST)]).pop() else {
        panic!("interest")
    };
    assert_eq!(
        (interest.open_interest.text(), interest.unit.as_deref()),
        ("33010.0566000002036", Some("BTC"))
    );
    assert_eq!(
        interest.contracts.map(|n| n.to_string()).as_deref(),
        Some("3301005.66000002036")
    );
    assert_eq!(
        interest.value_usd.map(|n| n.to_string()).as_deref(),
        Some("2567723563.69327583724996")
    );
    let without = INTEREST
        .replace("33010.0566000002036", "")
        .replace("2567723563.69327583724996", "");
    let Some((Event::OpenInterest(interest), false)) = events(vec![one(&without)]).pop() else {
        panic!("unsized")
    };
    assert_eq!(
        (interest.unit.as_deref(), interest.value_usd),
        (Some("contracts"), None)
    );
}

#[test]
fn every_liquidation_of_a_frame_is_told() {
    let (said, None) = read(LIQUIDATIONS) else {
        panic!("valid")
    };
    let told: Vec<_> = events(said)
        .into_iter()
        .map(|(event, is_sized)| match event {
            Event::Liquidation(one) => (one, is_sized),
            other => panic!("a liquidation: {other:?}"),
        })
        .collect();
    let texts = |n: usize| {
        let one = &told[n].0;
        (
            one.origin.instrument_id.to_string(),
            one.side,
            one.quantity.to_string(),
            one.contracts.clone().map(|n| n.to_string()),
        )
    };
    assert_eq!(
        texts(0),
        ("BTC-USDT-SWAP".into(), Side::Sell, "0.85".into(), Some("85".into()))
    );
    assert_eq!(
        texts(1),
        ("BTC-USDT-SWAP".into(), Side::Buy, "0.005".into(), Some("0.5".into()))
    );
    assert_eq!(
        texts(2),
        ("ETH-USD-SWAP".into(), Side::Sell, "0.02".into(), Some("5".into()))
    );
    assert_eq!(
        &*told[0].0.liquidation_id,
        "okx_1795176002009_BTC-USDT-SWAP_sell_85_63650.1_long"
    );
    assert_eq!(
        told[0].0.notional_value.as_ref().map(|n| n.to_string()).as_deref(),
        Some("54102.585")
    );
    assert!(
        told.iter()
            .all(|(one, is_sized)| *is_sized && one.bankruptcy_price.as_ref() == Some(&one.price))
    );
}

#[test]
fn one_bad_row_does_not_lose_the_others() {
    let (said, cause) = read(&LIQUIDATIONS.replace("\"64650.1\"", "\"\""));
    assert_eq!((said.len(), cause), (2, Some("decimal")));
    let rows = FILL
        .split_once("[")
        .map(|(_, rows)| rows.trim_end_matches("]}"))
        .expect("rows");
    let mixed = format!(
        "{},{},{rows}]}}",
        FILL.trim_end_matches("]}"),
        rows.replace("64000.1", "NaN")
    );
    let (said, cause) = read(&mixed);
    assert_eq!((said.len(), cause), (2, Some("decimal")), "{mixed}");
}

#[test]
fn answers_and_notices_are_told_apart() {
    let ack =
        r#"{"id":"1512","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"connId":"a4d3ae55"}"#;
    assert_eq!(one(ack), Said::Accepted(Accepted::One("books:BTC-USDT-SWAP".into())));
    let ack = r#"{"event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"}}"#;
    assert_eq!(
        one(ack),
        Said::Accepted(Accepted::One("liquidation-orders:SWAP".into()))
    );
    let refused = r#"{"id":"1512","event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:BTC-USDTX doesn't exist. Please use the correct URL.","connId":"a4d3ae55"}"#;
    let Said::Refused { id, code, message } = one(refused) else {
        panic!("refused")
    };
    assert_eq!((id, code), (Some(1_512), 60_018));
    assert!(message.starts_with("`books:BTC-USDTX`: Wrong URL"), "{message}");
    let other = r#"{"event":"error","code":"60012","msg":"Invalid request: {}"}"#;
    assert!(matches!(
        one(other),
        Said::Refused {
            id: None,
            code: 60_012,
            ..
        }
    ));
    let notice = r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#;
    assert_eq!(one(notice), Said::Leaving);
    assert_eq!(one(&notice.replace("64008", "64007")), Said::Skipped("notice".into()));
    assert_eq!(one("pong"), Said::Alive);
    assert_eq!(
        one(&ack.replace("\"subscribe\"", "\"unsubscribe\"")),
        Said::Skipped("unsubscribe".into())
    );
}

#[test]
fn answers_are_known_by_their_shape() {
    let terms = Terms::default();
    let instrument = InstrumentId::new("BTC-USDT-SWAP").expect("valid");
    let read = |path: Option<&str>, named: bool, text: &str| {
        let about = About {
            source: Source::Rest,
            path,
            instrument: named.then_some(&instrument),
            ..about(&terms)
        };
        let mut said = Vec::new();
        answer(text, &about, &mut said).map(|()| said)
    };
    let body = |rows: &str| format!(r#"{{"code":"0","msg":"","data":[{rows}]}}"#);
    let rows = |text: &str| {
        let (_, rows) = text.split_once("\"data\":[").expect("rows");
        body(rows.trim_end_matches("]}").trim_end_matches(']'))
    };
    let book =
        r#"{"asks":[["64000.2","310.5","0","14"]],"bids":[["64000.1","120","0","9"]],"ts":"1795176000200","seqId":7}"#;
    assert!(
        matches!(&read(None, true, &body(book)).expect("valid")[..], [Said::Depth(Some(_), book)] if book.last == 7)
    );
    assert!(matches!(
        &read(None, false, &body(book)).expect("valid")[..],
        [Said::Depth(None, _)]
    ));
    let fills = rows(FILL);
    assert!(matches!(
        &read(None, false, &fills).expect("valid")[..],
        [Said::Aggregate { number: None, .. }]
    ));
    assert!(matches!(
        &read(None, false, &rows(INTEREST)).expect("valid")[..],
        [Said::Event { .. }]
    ));
    assert!(matches!(
        &read(None, false, &rows(FUNDING)).expect("valid")[..],
        [Said::Event { .. }]
    ));
    assert!(matches!(
        &read(None, false, &body(r#"{"ts":"1795176000000"}"#)).expect("valid")[..],
        [Said::Skipped(_)]
    ));

    let ratios = body(r#"["1795175700000","1.5"],["1795175400000","0"]"#);
    let told = events(read(Some(RATIOS), true, &ratios).expect("valid"));
    let [
        (Event::LongShortRatio(newest), true),
        (Event::LongShortRatio(older), true),
    ] = &told[..]
    else {
        panic!("ratios")
    };
    assert_eq!(
        (newest.population, &*newest.period, newest.period_ts.0),
        (Population::TopPositions, "5m", 1_795_175_700_000)
    );
    assert_eq!((newest.long_ratio.text(), newest.short_ratio.text()), ("0.6", "0.4"));
    assert_eq!((older.long_ratio.text(), older.short_ratio.text()), ("0", "1"));
    assert_eq!(
        (newest.origin.ts, newest.origin.ts_source),
        (RECEIVED.to_millis(), TsSource::Recv)
    );
    for (path, named) in [
        (None, true),
        (Some(RATIOS), false),
        (Some("/api/v5/market/candles?instId=BTC-USDT"), true),
    ] {
        assert!(
            matches!(&read(path, named, &ratios).expect("valid")[..], [Said::Skipped(_)]),
            "{path:?}"
        );
    }

    let refused = r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#;
    assert!(matches!(
        read(None, false, refused),
        Err(ParseError::Refused { code: 50_011, .. })
    ));
    assert!(matches!(
        read(None, false, &refused.replace("50011", "0")).expect("valid")[..],
        [Said::Skipped(_)]
    ));
    assert!(read(None, false, "{}").is_err());
    let mut asked = Vec::new();
    let two = fills.replace(
        "]}",
        &format!(
            ",{}]}}",
            &fills[fills.find("[{").expect("a row") + 1..fills.len() - 2].replace("12\",\"px", "11\",\"px")
        ),
    );
    asked_fills(&two, &about(&terms), &mut asked).expect("valid");
    assert!(matches!(
        &asked[..],
        [
            Said::Trade {
                number: 1_500_000_011,
                ..
            },
            Said::Trade {
                number: 1_500_000_012,
                ..
            }
        ]
    ));
}

#[test]
fn terms_come_by_channel_and_by_answer() {
    let row = r#"{"instType":"SWAP","instId":"BTC-USDT-SWAP","instFamily":"BTC-USDT","ctVal":"0.01","ctMult":"1","ctValCcy":"BTC","ctType":"linear","lotSz":"0.01","tickSz":"0.1","state":"live"}"#;
    let broken = row
        .replace("BTC-USDT-SWAP", "DOGE-USDT-SWAP")
        .replace("\"0.01\",\"ctMult", "\"\",\"ctMult");
    let pushed = format!(r#"{{"arg":{{"channel":"instruments","instType":"SWAP"}},"data":[{broken},{row}]}}"#);
    let (said, cause) = read(&pushed);
    assert_eq!(cause, Some("decimal"));
    let [Said::Terms(terms)] = &said[..] else {
        panic!("terms: {said:?}")
    };
    let [
        (
            instrument,
            Term {
                tick,
                lot,
                is_trading: true,
                ..
            },
        ),
    ] = &terms[..]
    else {
        panic!("{terms:?}")
    };
    assert_eq!(
        (instrument.as_str(), tick.as_deref(), lot.as_deref()),
        ("BTC-USDT-SWAP", Some("0.1"), Some("0.01"))
    );
}

#[test]
fn nothing_malformed_becomes_a_trade() {
    for (from, to, cause) in [
        ("\"64000.1\"", "\"NaN\"", "decimal"),
        ("\"64000.1\"", "\"1234567890123456789012345678901234567890\"", "decimal"),
        ("\"64000.1\"", "64000.1", "json"),
        ("\"0.0320\"", "\"0\"", "not_positive"),
        ("\"0.0320\"", "\"-1\"", "not_positive"),
        ("\"sell\"", "\"short\"", "impossible"),
        ("\"1500000012\"", "\"-1\"", "impossible"),
        ("\"1500000012\"", "\"99999999999999999999\"", "impossible"),
        ("\"1795176000221\"", "\"0\"", "time"),
        ("\"1795176000221\"", "\"soon\"", "impossible"),
        (
            "},\"data\":[{\"instId\":\"BTC-USDT\"",
            "},\"data\":[{\"instId\":\"BTC.USDT\"",
            "symbol",
        ),
        ("\"data\":[", "\"data\":[[],", "json"),
    ] {
        let text = FILL.replacen(from, to, 1);
        assert_eq!(read(&text).1, Some(cause), "{text}");
    }
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "ping",
        r#"{"arg":{"channel":"trades"},"data":{}}"#,
    ] {
        assert!(read(text).1.is_some(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(&deep).1.is_some());
}

proptest! {
    /// Whatever arrives, it is answered, and with no more than it can hold.
    #[test]
    fn no_bytes_and_no_mutation_panic(
        which in 0..6_usize,
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        filling in prop_oneof![
            ".{0,20}",
            prop::sample::select(vec!["", "0", "-1", "null", "[]", "{}", "\"", "1e308", "99999999999999999999", "]", "}"]).prop_map(str::to_owned),
        ],
        noise in ".{0,60}",
    ) {
        let valid = [FILL, SNAPSHOT, FUNDING, INTEREST, LIQUIDATIONS, RATIOS][which];
        let (a, b) = (cut.0.index(valid.len() + 1), cut.1.index(valid.len() + 1));
        let mutated = format!("{}{filling}{}", &valid[..a.min(b)], &valid[a.max(b)..]);
        let terms = Terms::default();
        let instrument = InstrumentId::new("BTC-USDT-SWAP").expect("valid");
        for exchange in [Exchange::OkxSpot, Exchange::OkxDerivatives] {
            let wire = Okx(exchange);
            for text in [&mutated, &noise] {
                let about = About { instrument: Some(&instrument), path: Some(RATIOS), ..about(&terms) };
                let mut said = Vec::new();
                let _understood = (wire.frame(text, &about, &mut said).is_ok(), wire.answer(text, &about, &mut said).is_ok());
                prop_assert!(said.len() <= text.len());
                prop_assert!(wire.instrument_named(text).is_none_or(|name| name.len() <= 64));
            }
        }
    }
}
