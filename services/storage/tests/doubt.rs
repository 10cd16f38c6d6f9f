//! Inserts whose answer does not come: they happened, or happen later, or race the next writer's first word. Every time the rows
//! are in the table once.

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use common::{Engine, samples};
use mprism_bus::{LayoutOptions, layout, reconcile};
use mprism_clickhouse::StoreOptions;
use mprism_model::{DataType, Event, SEQUENCE_HEADER};
use mprism_testkit::{NatsServer, free_address, until};
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::{connect, worker_options};

const TABLE: &str = "marketprism_hot.open_interests";
const ROUNDS: u64 = 50;
/// Messages of one round, in one insert or two.
const MESSAGES: u64 = 20;
/// How long the worker waits for an answer.
const PATIENCE_OF_THE_WORKER: Duration = Duration::from_millis(300);

/// What becomes of one insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It happens at once, and the answer does not come.
    AnswerLost,
    /// It happens, or tries to, at the moment that the next fence is asked for.
    Racing,
    /// It is read by the engine after the next fence stands.
    TooLate,
}

const FATES: [Fate; 3] = [Fate::AnswerLost, Fate::Racing, Fate::TooLate];

/// What stands between the worker and the engine.
struct Between {
    engine: String,
    http: reqwest::Client,
    /// What becomes of the next insert.
    fate: Mutex<Option<Fate>>,
    /// How many fences were asked for, and how many stand.
    asked: watch::Sender<u64>,
    stand: watch::Sender<u64>,
    /// Inserts that nobody waits for any more.
    late: Mutex<JoinSet<StatusCode>>,
    struck: AtomicU64,
}

impl Between {
    async fn start(engine: &StoreOptions) -> (Arc<Self>, SocketAddr) {
        let between = Arc::new(Self {
            engine: engine.url.clone(),
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            fate: Mutex::default(),
            asked: watch::Sender::new(0),
            stand: watch::Sender::new(0),
            late: Mutex::default(),
            struck: AtomicU64::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::clone(&between);
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let between = Arc::clone(&state);
            async move { between.passes(method, uri, headers, body).await }
        });
        let app = app.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
        (between, address)
    }

    async fn passes(self: Arc<Self>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let what = uri.path_and_query().map_or("", |what| what.as_str()).to_owned();
        let is_insert = what.contains("INSERT") && what.contains("open_interests");
        let fate = match is_insert {
            true => self.fate.lock().await.take(),
            false => None,
        };
        let Some(fate) = fate else {
            let is_fence = what.contains("/mprism/fence") && what.contains(TABLE) && method == Method::POST;
            if is_fence {
                self.asked.send_modify(|count| *count += 1);
            }
            let answered = self.forward(method, &what, &headers, body).await;
            if is_fence {
                self.stand.send_modify(|count| *count += 1);
            }
            return answered;
        };
        self.struck.fetch_add(1, Ordering::Relaxed);
        let (mut asked, mut stand) = (self.asked.subscribe(), self.stand.subscribe());
        let between = Arc::clone(&self);
        self.late.lock().await.spawn(async move {
            asked.mark_unchanged();
            stand.mark_unchanged();
            match fate {
                Fate::AnswerLost => {}
                Fate::Racing => asked.changed().await.expect("kept"),
                Fate::TooLate => stand.changed().await.expect("kept"),
            }
            between.forward(method, &what, &headers, body).await.status()
        });
        std::future::pending().await
    }

    async fn forward(&self, method: Method, what: &str, headers: &HeaderMap, body: Bytes) -> Response {
        let mut headers = headers.clone();
        for name in ["host", "content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        let url = format!("{}{what}", self.engine);
        let sent = self.http.request(method, url).headers(headers).body(body).send().await;
        let answer = sent.expect("the engine answers");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        for name in ["content-length", "transfer-encoding"] {
            response.headers_mut().remove(name);
        }
        *response.body_mut() = answer.bytes().await.expect("a body").into();
        response
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_without_an_answer_is_never_doubled_and_never_lost() {
    let engine = Engine::start().await;
    let (between, address) = Between::start(&engine.options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let layout = layout(&LayoutOptions::standard(&[DataType::OpenInterest.as_str()], 1_000));
    reconcile(&bus, &layout).await.expect("made");
    let store = StoreOptions {
        url: format!("http://{address}"),
        insert_timeout: PATIENCE_OF_THE_WORKER,
        ..engine.options.clone()
    };
    let options = worker_options(&server.url(), store, &[DataType::OpenInterest], folder.path());
    let listen = options.listen;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    let sample = samples().into_iter().find(|sample| TABLE.ends_with(sample.table));
    let sample = sample.expect("there is one");

    for round in 0..ROUNDS {
        *between.fate.lock().await = Some(FATES[round as usize % FATES.len()]);
        for n in 0..MESSAGES {
            let seq = round * MESSAGES + n + 1;
            let mut message = sample.first.clone();
            message["ts_ms"] = json!(1_760_054_400_000_i64 + i64::try_from(seq).expect("small"));
            let payload = serde_json::to_vec(&message).expect("JSON");
            let event = Event::parse(sample.subject, &payload).expect("valid");
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", event.message_id().to_string());
            headers.insert(SEQUENCE_HEADER, format!("5-{seq}"));
            let sent = bus
                .context()
                .publish_with_headers(sample.subject, headers, payload.into());
            sent.await.expect("sent").await.expect("stored");
        }
        let wanted = (round + 1) * MESSAGES;
        until("the round's rows are stored", async || {
            let query = format!("SELECT uniqExact(producer_seq) FROM {TABLE}");
            let rows: u64 = engine.store.fetch_one(&query).await.map_err(|e| e.to_string())?;
            if rows == wanted {
                return Ok(());
            }
            let said = mprism_runtime::probe::get(listen, "/health", Duration::from_secs(5)).await;
            Err(format!("{rows} of {wanted}: {said:?}"))
        })
        .await;
    }
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");
    let mut outcomes = std::collections::BTreeMap::<u16, u64>::new();
    while let Some(status) = between.late.lock().await.join_next().await {
        *outcomes.entry(status.expect("no panic").as_u16()).or_default() += 1;
    }
    let struck = between.struck.load(Ordering::Relaxed);
    assert_eq!(struck, ROUNDS, "each round had its insert");
    // What was read after the fence stood is refused, and nothing else is.
    assert!(
        outcomes.keys().all(|status| [200, 409].contains(status)),
        "{outcomes:?}"
    );
    assert!(
        outcomes[&409] >= ROUNDS / 3 && outcomes[&200] >= ROUNDS / 3,
        "{outcomes:?}"
    );
    let query = format!("SELECT count(), uniqExact(producer_seq), uniqExact(timestamp) FROM {TABLE}");
    let counts: (u64, u64, u64) = engine.store.fetch_one(&query).await.expect("counts");
    let all = ROUNDS * MESSAGES;
    assert_eq!(counts, (all, all, all), "{outcomes:?}");
    engine.stop().await;
}
