//! Questions to the simulated venue, and to one that says what a test wants.

use std::collections::{HashMap, HashSet};

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use futures_util::{SinkExt, StreamExt};
use mprism_model::{Exchange, Trade};
use mprism_simulator::{Instruments, PingRule, Rate, SimulatorOptions, Tuning};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::link::{Protocol, Wanted};
use crate::okx::Okx;
use crate::okx::kept::label;
use crate::wire::{Accepted, Sizing, Wire};

fn id(name: &str) -> InstrumentId {
    InstrumentId::new(name).expect("valid")
}

fn rest(base: String, terms: SharedTerms) -> Rest {
    // One provider in the process; a second call is refused and harmless.
    let _already = rustls::crypto::ring::default_provider().install_default();
    Rest::new(base, 400, Arc::default(), terms).expect("a client")
}

/// Starts the simulated venue; returns its address without a scheme.
async fn simulated() -> (String, CancellationToken) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = format!("{}/okx", listener.local_addr().expect("bound"));
    let options = SimulatorOptions {
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
        places: None,
        connection_life: Duration::from_secs(86_400),
        tuning: Tuning {
            trades_lag: Duration::ZERO,
            pace: 20,
            ..Tuning::default()
        },
    };
    let stop = CancellationToken::new();
    let simulator = mprism_simulator::run_on(listener, options, PingRule::default(), stop.clone());
    tokio::spawn(simulator);
    (address, stop)
}

/// Does what a plan says until everything is acknowledged, and everything that tells something has, trades more than once.
async fn listen(okx: Okx, address: &str, plan: &crate::link::Plan, terms: &SharedTerms) -> Vec<Said> {
    let url = format!("ws://{address}{}", plan.path);
    // The venue takes three connections a second.
    let connecting = async || {
        tokio_tungstenite::connect_async(&url)
            .await
            .map_err(|error| error.to_string())
    };
    let (mut socket, _) = mprism_testkit::until("the venue accepts a connection", connecting).await;
    let names: Vec<Box<str>> = plan.streams.iter().map(|stream| stream.name.clone()).collect();
    for request in okx.subscribe(&names, 1) {
        socket.send(Message::text(request.text)).await.expect("sent");
    }
    socket.send(Message::text("ping")).await.expect("sent");
    let mut asked: HashSet<Box<str>> = names.into_iter().collect();
    let mut awaited: HashMap<_, usize> = HashMap::new();
    for tells in plan.streams.iter().flat_map(|stream| &stream.tells) {
        awaited.insert(tells.clone(), if tells.0 == DataType::Trade { 30 } else { 1 });
    }
    let (mut all, mut is_alive) = (Vec::new(), false);
    while !asked.is_empty() || !awaited.is_empty() || !is_alive {
        let next = tokio::time::timeout(mprism_testkit::PATIENCE, socket.next()).await;
        let waits = format!("not acknowledged: {asked:?}, not told: {awaited:?}");
        let message = next.expect(&waits).expect("open").expect("a message");
        let Message::Text(text) = message else { continue };
        let terms = terms.now();
        let about = About {
            ts_recv: Some(UnixNanos(clock::now_ns())),
            source: Source::Ws,
            terms: &terms,
            instrument: None,
            path: None,
        };
        let before = all.len();
        okx.frame(&text, &about, &mut all).expect("understood");
        for said in &all[before..] {
            let told = match said {
                Said::Accepted(Accepted::One(name)) => {
                    assert!(asked.remove(name), "{name}");
                    continue;
                }
                Said::Alive => {
                    is_alive = true;
                    continue;
                }
                Said::Trade { trade, .. } => (DataType::Trade, trade.instrument_id.clone()),
                Said::Book(instrument, _) | Said::Diff(instrument, _) => (DataType::OrderBook, instrument.clone()),
                Said::Event { instrument, event, .. } => (event.data_type(), instrument.clone()),
                other => panic!("{other:?}"),
            };
            if let Some(left) = awaited.get_mut(&told) {
                *left -= 1;
                if *left == 0 {
                    awaited.remove(&told);
                }
            }
        }
    }
    all
}

/// Returns an instrument's trades by their numbers, without what differs between stream and history.
fn numbered(said: Vec<Said>, of: &InstrumentId) -> Vec<(u64, Trade)> {
    let trade = |said| match said {
        Said::Trade {
            trade,
            number,
            is_sized: true,
        } if trade.instrument_id == *of => Some((
            number,
            Trade {
                ts_recv: None,
                source: Source::Ws,
                ..*trade
            },
        )),
        _ => None,
    };
    said.into_iter().filter_map(trade).collect()
}

#[tokio::test]
async fn what_is_planned_is_given_and_history_says_the_same() {
    let (address, stop) = simulated().await;
    for (exchange, names) in [
        (Exchange::OkxDerivatives, ["BTC-USDT-SWAP", "ETH-USDT-SWAP"]),
        (Exchange::OkxSpot, ["BTC-USDT", "ETH-USDT"]),
    ] {
        let (okx, terms, instruments) = (Okx(exchange), SharedTerms::default(), names.map(id));
        let rest = rest(format!("http://{address}"), terms.clone());
        let learnt = rest.terms(&instruments).await.expect("terms");
        assert_eq!(learnt.len(), 2);
        let is_swap = exchange == Exchange::OkxDerivatives;
        let sized = Sizing::Linear("0.01".parse().expect("valid"));
        let first = learnt
            .iter()
            .find(|(instrument, _)| *instrument == instruments[0])
            .expect("known");
        assert_eq!(first.1.sizing, if is_swap { sized } else { Sizing::Base });
        terms.learn(learnt);

        let wanted: Vec<_> = instruments
            .iter()
            .map(|instrument| Wanted {
                instrument: instrument.clone(),
                types: DataType::ALL.to_vec(),
            })
            .collect();
        let mut live = Vec::new();
        for plan in okx.plan(&wanted) {
            live.extend(listen(okx, &address, &plan, &terms).await);
        }
        let books = live
            .iter()
            .filter(|said| matches!(said, Said::Book(_, book) if book.bids.len() == books::WINDOW));
        assert_eq!(books.count(), 2, "each book begins with all of it");
        let live = numbered(live, &instruments[0]);
        assert!(
            live.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0),
            "fills are numbered without holes"
        );
        let (first, last) = (live[0].0, live[live.len() - 1].0.min(live[0].0 + 99));
        let past = rest.trades(&instruments[0], first, last).await.expect("trades");
        let mut past = numbered(past, &instruments[0]);
        assert!(past.is_sorted_by_key(|(number, _)| *number));
        past.retain(|(number, _)| (first..=last).contains(number));
        assert_eq!(past[..], live[..past.len()]);
        assert_eq!(past.len() as u64, last - first + 1);

        let snapshot = rest.snapshot(&instruments[0]).await.expect("a book");
        assert!(snapshot.last > 0 && snapshot.bids.len() == books::WINDOW && snapshot.limit == usize::MAX);
        for poll in rest.polls() {
            let newest = rest.poll(poll, &instruments[0], None).await.expect("answered");
            let is_ratio = is_swap && poll.period.is_some();
            assert_eq!(newest.len(), usize::from(is_ratio), "{poll:?}");
        }
    }
    stop.cancel();
}

/// Serves what a test wants to be answered; returns the base URL.
async fn venue(
    answer: impl Fn(&str, &HashMap<String, String>) -> (StatusCode, String) + Clone + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let handler = move |Path(path): Path<String>, Query(query): Query<HashMap<String, String>>| async move {
        answer(&path, &query)
    };
    let router = axum::Router::new().route("/api/v5/{*path}", axum::routing::get(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

/// Returns the rows of a series, the newest first, as the venue pages them.
fn page(
    labels: &[i64],
    query: &HashMap<String, String>,
    bound: impl Fn(i64, i64) -> bool,
    row: impl Fn(i64) -> String,
) -> String {
    let older_than = query
        .get("end")
        .or(query.get("after"))
        .map(|text| text.parse().expect("a number"));
    let limit = query["limit"].parse().expect("a number");
    let rows = labels
        .iter()
        .rev()
        .filter(|label| older_than.is_none_or(|older_than| bound(**label, older_than)));
    let rows: Vec<_> = rows.take(limit).map(|label| row(*label)).collect();
    format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, rows.join(","))
}

fn labels(said: &[Said]) -> Vec<i64> {
    said.iter().map(|said| label(said).expect("a label").0).collect()
}

#[tokio::test]
async fn series_are_caught_up_with_page_by_page_and_oldest_first() {
    let now = clock::now_ms();
    let all: Vec<i64> = (-340..=0)
        .map(|n| now - now.rem_euclid(300_000) + n * 300_000)
        .collect();
    // Of a period that lies ahead.
    let told: Vec<i64> = all.iter().copied().chain([now + 60_000]).collect();
    let base = venue(move |path, query| {
        let body = if path.starts_with("rubik/") {
            page(&told, query, |label, end| label <= end, |label| format!(r#"["{label}","1.25"]"#))
        } else {
            let row = |label| format!(r#"{{"instId":"BTC-USDT-SWAP","fundingRate":"0.0001","realizedRate":"0.0001","fundingTime":"{label}"}}"#);
            page(&told, query, |label, after| label < after, row)
        };
        (StatusCode::OK, body)
    })
    .await;
    let (rest, btc) = (rest(base, SharedTerms::default()), id("BTC-USDT-SWAP"));
    for poll in rest.polls() {
        let newest = rest.poll(poll, &btc, None).await.expect("answered");
        assert_eq!(labels(&newest), all[all.len() - 1..], "{poll:?}");
        let recent = rest
            .poll(poll, &btc, Some(UnixMillis(all[338])))
            .await
            .expect("answered");
        assert_eq!(labels(&recent), all[339..], "{poll:?}");
        let missed = rest.poll(poll, &btc, Some(UnixMillis(all[0]))).await.expect("answered");
        assert_eq!(labels(&missed), all[1..], "{poll:?}");
        let since_ever = rest.poll(poll, &btc, Some(UnixMillis(0))).await.expect("answered");
        assert_eq!(labels(&since_ever), all, "{poll:?}");
        assert!(
            rest.poll(poll, &id("BTC-USDT"), None)
                .await
                .expect("nothing to ask")
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_limit_pauses_its_endpoint_alone_whatever_the_status() {
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        let base = venue(move |path, _| {
            let refused = r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#;
            match path {
                "market/history-trades" => (status, refused.to_owned()),
                _ => (
                    StatusCode::OK,
                    r#"{"code":"51001","msg":"Instrument ID doesn't exist","data":[]}"#.to_owned(),
                ),
            }
        })
        .await;
        let (rest, btc) = (rest(base, SharedTerms::default()), id("BTC-USDT"));
        let refused = rest.trades(&btc, 1, 100).await.expect_err("limited");
        let RestError::Limited { status: told, pause } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(told, status.as_u16());
        assert!(
            (Duration::from_secs(2)..Duration::from_secs(3)).contains(&pause),
            "{pause:?}"
        );
        assert!(rest.limits.trades().paused_for() > Some(Duration::from_secs(1)));
        assert_eq!(rest.limits.of(Endpoint::Books, &btc).budget.paused_for(), None);
        let unknown = rest.snapshot(&btc).await.expect_err("no such instrument");
        assert!(matches!(unknown, RestError::Answer(_)), "{unknown:?}");
    }
}

#[tokio::test]
async fn a_snapshot_without_its_number_cannot_be_joined() {
    let base = venue(|_, _| {
        let body = r#"{"code":"0","msg":"","data":[{"asks":[["2","1","0","1"]],"bids":[["1","1","0","1"]],"ts":"1795176000200"}]}"#;
        (StatusCode::OK, body.to_owned())
    })
    .await;
    assert!(
        rest(base, SharedTerms::default())
            .snapshot(&id("BTC-USDT"))
            .await
            .is_err()
    );
}
