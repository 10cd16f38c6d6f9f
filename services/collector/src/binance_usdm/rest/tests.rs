//! Against the simulator: what is subscribed to speaks, and everything that is asked is answered and understood.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_model::{Event, FundingKind, MarketType, Trade};
use mprism_simulator::{Instruments, PingRule, Rate, SimulatorOptions, Tuning};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::binance_usdm::BinanceUsdm;
use crate::link::{Protocol, Wanted};
use crate::orderbook::{Join, Step, Sync};
use crate::wire::{Accepted, Wire};

/// So many times as fast as documented goes what happens by the clock: funding is paid every few seconds.
const PACE: u32 = 5_000;
const WAIT: Duration = Duration::from_secs(60);

/// Starts the simulator; returns where it speaks for this market.
async fn simulator(stop: &CancellationToken) -> String {
    // One provider in the process; a second call is refused and harmless.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let options = SimulatorOptions {
        places: None,
        listen: ([127, 0, 0, 1], 0).into(),
        symbols: Vec::new(),
        instruments: Instruments::default(),
        rate: Rate::PerSecond(200.0),
        seed: 11,
        corpus: None,
        keep_time: false,
        faults: Vec::new(),
        unknown_fields: true,
        limit_trades: None,
        connection_life: Duration::from_secs(86_400),
        tuning: Tuning {
            stale_snapshots: 0.0,
            pace: PACE,
            ..Tuning::default()
        },
    };
    let listener = TcpListener::bind(options.listen).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(mprism_simulator::run_on(
        listener,
        options,
        PingRule::default(),
        stop.clone(),
    ));
    format!("{address}/binance-usdm")
}

fn instrument() -> InstrumentId {
    InstrumentId::new("BTCUSDT").expect("valid")
}

fn rest(place: &str) -> Rest {
    Rest::new(format!("http://{place}"), 1_000, Limits::default()).expect("a client")
}

/// Subscribes as planned, and listens until every stream has spoken and a book is joined with a snapshot; returns the trades.
async fn listen(place: &str, rest: &Rest) -> Vec<Trade> {
    let wanted = Wanted {
        instrument: instrument(),
        types: DataType::ALL.to_vec(),
    };
    let mut trades = Vec::new();
    for plan in BinanceUsdm.plan(&[wanted]) {
        let url = format!("ws://{place}{}", plan.path);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
        let names: Vec<Box<str>> = plan.streams.iter().map(|stream| stream.name.clone()).collect();
        let requests = BinanceUsdm.subscribe(&names, 1);
        for request in &requests {
            let text = Message::text(request.text.clone());
            socket.send(text).await.expect("sent");
        }
        let mut silent: BTreeSet<DataType> = plan
            .streams
            .iter()
            .flat_map(|stream| stream.tells.iter().map(|(data_type, _)| *data_type))
            .collect();
        let (mut accepted, mut sync) = (Vec::new(), Sync::default());
        while !silent.is_empty() || accepted.len() < requests.len() {
            let frame = socket.next().await.expect("open").expect("a frame");
            let Message::Text(text) = frame else { continue };
            let terms = Terms::default();
            let about = About {
                ts_recv: Some(UnixNanos(clock::now_ns())),
                source: Source::Ws,
                terms: &terms,
                instrument: None,
                path: None,
            };
            let mut said = Vec::new();
            BinanceUsdm.frame(&text, &about, &mut said).expect("understood");
            for said in said {
                match said {
                    Said::Accepted(Accepted::All(id)) => accepted.push(id),
                    Said::Trade { trade, .. } => {
                        silent.remove(&DataType::Trade);
                        trades.push(*trade);
                    }
                    Said::Event { event, .. } => {
                        silent.remove(&event.data_type());
                    }
                    Said::Diff(id, diff) => {
                        let step = sync.diff(*diff);
                        assert!(matches!(step, Step::Kept | Step::Applied | Step::Known), "{step:?}");
                        if !sync.is_live() {
                            let snapshot = rest.snapshot(&id).await.expect("a book");
                            assert!(snapshot.ts.is_some() && snapshot.bids.len() <= snapshot.limit);
                            assert!(matches!(sync.snapshot(&snapshot), Join::Live(_) | Join::TooOld));
                        } else if step == Step::Applied {
                            silent.remove(&DataType::OrderBook);
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    trades
}

fn events(said: Vec<Said>) -> Vec<Event> {
    let event = |said| match said {
        Said::Event { event, .. } => *event,
        other => panic!("{other:?}"),
    };
    said.into_iter().map(event).collect()
}

/// Asks until the answer has something.
async fn polled(rest: &Rest, data_type: DataType, after: Option<UnixMillis>) -> Vec<Event> {
    let poll = rest.polls().into_iter().find(|poll| poll.data_type == data_type);
    let poll = poll.expect("polled");
    loop {
        let answer = rest.poll(poll, &instrument(), after).await.expect("an answer");
        if !answer.is_empty() {
            return events(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn everything() {
    let stop = CancellationToken::new();
    let place = simulator(&stop).await;
    let rest = rest(&place);
    let trades = listen(&place, &rest).await;

    // A trade that was heard is the same when it is asked for.
    let (first, last) = (&trades[0], &trades[trades.len() - 1]);
    let number = |trade: &Trade| trade.trade_id.parse::<u64>().expect("a number");
    let answered = loop {
        let answered = rest
            .trades(&instrument(), number(first), number(last))
            .await
            .expect("trades");
        // The venue's database is a little behind.
        if answered.len() as u64 == number(last) - number(first) + 1 {
            break answered;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for (told, heard) in answered.iter().zip(&trades) {
        let Said::Trade { trade, number: id, .. } = told else {
            panic!("{told:?}");
        };
        assert_eq!((*id, trade.content_hash()), (number(heard), heard.content_hash()));
    }

    let terms = rest.terms(&[instrument()]).await.expect("terms");
    let [(_, term)] = &terms[..] else { panic!("{terms:?}") };
    assert_eq!((term.market_type, term.funding_hours), (MarketType::Perpetual, Some(8)));
    assert!(term.is_trading && term.tick.is_some() && term.lot.is_some());

    let ago = |seconds: i64| UnixMillis(clock::now_ms() - seconds * 1_000);
    // Long enough for past open interest, not for a hole in ratios that may still be filled.
    for (long_ago, after) in [(None, None), (Some(ago(1_200)), Some(ago(400)))] {
        let interests = polled(&rest, DataType::OpenInterest, long_ago).await;
        let Some(Event::OpenInterest(newest)) = interests.last() else {
            panic!("{interests:?}");
        };
        assert!(newest.value_usd.is_some() && newest.mark_price.is_some());
        assert_eq!(newest.unit.as_deref(), Some("BTC"));
        let times: Vec<_> = interests.iter().map(crate::market::natural_time).collect();
        assert!(times.is_sorted() && (times.len() > 1) == after.is_some(), "{times:?}");
        for data_type in [DataType::LsrTopPosition, DataType::LsrAllAccount] {
            let ratios = polled(&rest, data_type, after).await;
            assert!(ratios.iter().all(|ratio| ratio.data_type() == data_type));
            let labels: Vec<_> = ratios.iter().map(crate::market::natural_time).collect();
            assert!(
                labels.is_sorted() && (labels.len() > 1) == after.is_some(),
                "{labels:?}"
            );
        }
        let paid = polled(&rest, DataType::FundingRate, after).await;
        assert!(
            paid.iter()
                .all(|event| matches!(event, Event::FundingRate(rate) if rate.kind == FundingKind::Settled))
        );
    }
    stop.cancel();
}

#[tokio::test]
async fn what_is_subscribed_to_speaks_and_what_is_asked_is_answered() {
    tokio::time::timeout(WAIT, everything()).await.expect("in time");
}
