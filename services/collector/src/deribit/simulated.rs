//! What is sent and asked, against a venue that answers.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_model::{DataType, InstrumentId, MarketType, Source, Trade, UnixMillis, UnixNanos};
use mprism_runtime::clock;
use mprism_simulator::{Instruments, PingRule, Rate, SimulatorOptions, Tuning};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{Deribit, Rest, budget};
use crate::link::{Protocol, Wanted};
use crate::rest::{History, RestError};
use crate::wire::{About, Accepted, Said, Sizing, Terms, Wire};

const WITHIN: Duration = Duration::from_secs(20);

fn id(name: &str) -> InstrumentId {
    InstrumentId::new(name).expect("valid")
}

/// Starts a simulator that ends when the token is dropped.
async fn simulator() -> (SocketAddr, tokio_util::sync::DropGuard) {
    let options = SimulatorOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        symbols: Vec::new(),
        instruments: Instruments::default(),
        rate: Rate::PerSecond(2_000.0),
        seed: 7,
        corpus: None,
        keep_time: false,
        faults: Vec::new(),
        unknown_fields: false,
        limit_trades: None,
        places: None,
        connection_life: Duration::from_secs(3_600),
        tuning: Tuning {
            trades_lag: Duration::ZERO,
            ..Tuning::default()
        },
    };
    let listener = TcpListener::bind(options.listen).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = CancellationToken::new();
    tokio::spawn(mprism_simulator::run_on(
        listener,
        options,
        PingRule::default(),
        stop.clone(),
    ));
    (address, stop.drop_guard())
}

fn rest(address: SocketAddr) -> Rest {
    // One provider in the process; a second call is refused and harmless.
    let _already = rustls::crypto::ring::default_provider().install_default();
    Rest::new(format!("http://{address}/deribit"), 400, budget()).expect("prepared")
}

#[tokio::test]
async fn everything_planned_is_accepted_and_tells_what_it_should() {
    let (address, _running) = simulator().await;
    let all = DataType::ALL.to_vec();
    let wanted = ["BTC-PERPETUAL", "BTC"].map(|name| Wanted {
        instrument: id(name),
        types: all.clone(),
    });
    let plan = Deribit.plan(&wanted).remove(0);
    let url = format!("ws://{address}/deribit{}", plan.path);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
    let names: Vec<_> = plan.streams.iter().map(|stream| stream.name.clone()).collect();
    for request in Deribit.greeting(1).into_iter().chain(Deribit.subscribe(&names, 2)) {
        socket.send(Message::text(request.text)).await.expect("sent");
    }
    let mut missing: HashSet<_> = plan.streams.iter().flat_map(|stream| stream.tells.clone()).collect();
    let (mut accepted, mut live) = (Vec::new(), BTreeMap::new());
    let terms = Terms::default();
    let reading = async {
        while !missing.is_empty() || accepted.len() < 2 {
            let Some(Ok(Message::Text(text))) = socket.next().await else {
                continue;
            };
            let about = About {
                ts_recv: Some(UnixNanos(clock::now_ns())),
                source: Source::Ws,
                terms: &terms,
                instrument: None,
                path: None,
            };
            let mut said = Vec::new();
            let understood = Deribit.frame(&text, &about, &mut said);
            understood.unwrap_or_else(|error| panic!("{error}: {text}"));
            for said in said {
                match said {
                    Said::Accepted(answer) => accepted.push(answer),
                    Said::Trade { trade, number, .. } => {
                        missing.remove(&(DataType::Trade, trade.instrument_id.clone()));
                        live.insert(number, *trade);
                    }
                    Said::Book(instrument, _) => drop(missing.remove(&(DataType::OrderBook, instrument))),
                    Said::Diff(..) => {}
                    Said::Event { instrument, event, .. } => drop(missing.remove(&(event.data_type(), instrument))),
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    tokio::time::timeout(WITHIN, reading).await.expect("all told");
    assert_eq!(accepted[0], Accepted::All(1));
    assert_eq!(accepted[1], Accepted::Only(2, names));
    history_says_the_same(&rest(address), &live).await;
}

/// Holds what was heard against what REST tells of the same numbers.
async fn history_says_the_same(rest: &Rest, live: &BTreeMap<u64, Trade>) {
    let (first, last) = (
        *live.keys().next().expect("some"),
        *live.keys().next_back().expect("some"),
    );
    assert_eq!(last - first + 1, live.len() as u64, "no number is missing");
    let to = last.min(first + 499);
    let told = rest.trades(&id("BTC-PERPETUAL"), first, to).await.expect("answered");
    let mut expected = first;
    for said in told {
        match said {
            Said::Trade { trade, number, .. } => {
                assert_eq!(number, expected, "in the order of their numbers");
                assert_eq!(trade.content_hash(), live[&number].content_hash());
                assert_eq!(trade.source, Source::Backfill);
                expected += 1;
            }
            Said::Event { event, .. } => assert_eq!(event.data_type(), DataType::Liquidation),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(expected, to + 1, "every one of them");
}

#[tokio::test]
async fn books_terms_and_candles_are_asked_for_as_the_venue_answers() {
    let (address, _running) = simulator().await;
    let rest = rest(address);
    let (btc, eth, index) = (id("BTC-PERPETUAL"), id("ETH-PERPETUAL"), id("BTC"));
    let book = rest.snapshot(&btc).await.expect("a book");
    assert_eq!(book.limit, 1_000);
    assert!(book.last > 0 && !book.bids.is_empty() && !book.asks.is_empty() && book.ts.is_some());
    let names = [btc.clone(), index.clone(), eth.clone()];
    let terms = rest.terms(&names).await.expect("a list");
    let named: Vec<_> = terms.iter().map(|(instrument, _)| instrument).collect();
    assert_eq!(named, [&btc, &eth]);
    for (_, term) in &terms {
        assert!(matches!(term.sizing, Sizing::Inverse(_)) && term.is_trading);
        assert_eq!(term.market_type, MarketType::Perpetual);
    }
    let poll = rest.polls()[0];
    let after = UnixMillis(clock::now_ms() - 3_600_000);
    for said in rest.poll(poll, &index, Some(after)).await.expect("candles") {
        let Said::Event { instrument, event, .. } = said else {
            panic!("{said:?}");
        };
        let ts = crate::market::natural_time(&event);
        assert_eq!(instrument, index);
        assert!(ts > after && ts.0 + 60_000 <= clock::now_ms(), "closed");
    }
    let refused = rest.snapshot(&id("NO-PERPETUAL")).await.expect_err("not there");
    assert!(matches!(refused, RestError::Status { status: 400, .. }), "{refused:?}");
}
