//! One exchange followed: its instruments' terms, its connections, and what is asked again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_model::{DataType, InstrumentId};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::endpoint::Endpoint;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::link::{self, Link, Plan, Protocol, Silence, Wanted};
use crate::market::{self, Instrument, MarketOptions};
use crate::rest::History;
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;
use crate::wire::SharedTerms;
use crate::{LatencyOptions, LivenessOptions, OrderBookOptions, latency};

/// How long the terms of instruments are waited for before collecting begins: what they are needed for is not told without.
const TERMS_WITHIN: Duration = Duration::from_secs(5);
/// Contract sizes, intervals and states change seldom, but they do.
const TERMS_EVERY: Duration = Duration::from_secs(3_600);

/// What every exchange shares with the rest of the collector.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) order_book: OrderBookOptions,
    pub(crate) liveness: LivenessOptions,
    pub(crate) latency: LatencyOptions,
    pub(crate) polling: BTreeMap<DataType, Duration>,
    pub(crate) store: Option<Endpoint>,
    pub(crate) batches: mpsc::Sender<Vec<Outgoing>>,
    pub(crate) admission: Admission,
    pub(crate) shutdown: CancellationToken,
}

/// Follows an exchange until shutdown.
pub(crate) async fn follow<P: Protocol, H: History>(
    (protocol, history): (P, H),
    (websocket_url, terms): (String, SharedTerms),
    instruments: Vec<Instrument>,
    stats: Arc<ExchangeStats>,
    around: Surroundings,
) {
    let (protocol, history) = (Arc::new(protocol), Arc::new(history));
    let names: Vec<InstrumentId> = instruments.iter().map(|instrument| instrument.id.clone()).collect();
    let mut tasks = JoinSet::new();
    // What is not known yet when collecting begins is waited for no longer, and still asked for.
    let known = CancellationToken::new();
    let asking = ask_terms(
        Arc::clone(&history),
        names,
        terms.clone(),
        Arc::clone(&stats),
        known.clone(),
    );
    let asking = around.shutdown.clone().run_until_cancelled_owned(asking);
    tasks.spawn(async move { asking.await.unwrap_or(()) });
    // Late or not, what needs no terms is collected. Who is to end meanwhile does not wait: nobody asks any more.
    let in_time = tokio::time::timeout(TERMS_WITHIN, known.cancelled());
    let _ended_or_in_time = around.shutdown.run_until_cancelled(in_time).await;

    let exchange = protocol.wire().exchange().as_str();
    let watching = latency::watch(exchange, around.latency, Arc::clone(&stats));
    let watching = around.shutdown.clone().run_until_cancelled_owned(watching);
    tasks.spawn(async move { watching.await.unwrap_or(()) });
    let wanted: Vec<Wanted> = instruments.iter().map(wanted).collect();
    let plans = protocol.plan(&wanted);
    note_patience(&plans, &instruments, &stats, around.liveness);
    let followed = MarketOptions {
        exchange: protocol.wire().exchange(),
        wire: protocol.wire(),
        terms: terms.clone(),
        cadence: around.order_book.cadence,
        audit_every: around.order_book.audit_every,
        polling: around.polling,
        store: around.store,
    };
    let (heard, market) = market::start(
        followed,
        instruments,
        history,
        &|data_type| protocol.thinned(data_type),
        (Arc::clone(&stats), around.batches, around.admission),
        around.shutdown.clone(),
    );
    tasks.spawn(market);
    for link in Link::all(
        &protocol,
        &websocket_url,
        plans,
        around.liveness,
        (&terms, &stats),
        &heard,
    ) {
        tasks.spawn(link::run(link, around.shutdown.clone()));
    }
    drop(heard);
    while let Some(ended) = tasks.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(%panic, exchange, "a task of an exchange panicked");
        }
    }
}

fn wanted(instrument: &Instrument) -> Wanted {
    let numbered = [
        (DataType::Trade, instrument.trades.is_some()),
        (DataType::OrderBook, instrument.books.is_some()),
    ];
    let numbered = numbered
        .into_iter()
        .filter_map(|(data_type, is_wanted)| is_wanted.then_some(data_type));
    let series = instrument.series.iter().map(|(data_type, _)| *data_type);
    Wanted {
        instrument: instrument.id.clone(),
        types: numbered.chain(series).collect(),
    }
}

/// Says of each stream how long it may say nothing.
fn note_patience(plans: &[Plan], instruments: &[Instrument], stats: &ExchangeStats, liveness: LivenessOptions) {
    for stream in plans.iter().flat_map(|plan| &plan.streams) {
        let silence = match stream.silence {
            Silence::Usual => liveness.silence,
            Silence::Within(limit) => limit,
            Silence::Unlimited => continue,
        };
        for (data_type, name) in &stream.tells {
            let told = instruments.iter().find(|instrument| instrument.id == *name);
            // Liquidations that come with trades are as seldom as any.
            if let Some(instrument) = told.filter(|_| *data_type != DataType::Liquidation) {
                let told = stats.stream(*data_type, instrument.symbol.as_str());
                let silence_ms = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
                told.silence_ms.store(silence_ms, Ordering::Relaxed);
            }
        }
    }
}

/// Asks what instruments are, now and then.
async fn ask_terms<H: History>(
    history: Arc<H>,
    names: Vec<InstrumentId>,
    terms: SharedTerms,
    stats: Arc<ExchangeStats>,
    known: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        let wait = match history.terms(&names).await {
            Ok(learnt) => {
                terms.learn(learnt);
                known.cancel();
                backoff.reset();
                TERMS_EVERY
            }
            Err(error) => {
                if stats.rest_errors.first(error.cause()) {
                    let error = mprism_runtime::log::chain(&error);
                    tracing::warn!(
                        error,
                        "the venue's list of instruments is not known; it is asked for again"
                    );
                }
                backoff.next_wait()
            }
        };
        tokio::time::sleep(wait).await;
    }
}
