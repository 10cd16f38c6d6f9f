//! What stands between a worker and its store: it loses, delays and reorders inserts.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use mprism_bus::{Bus, LayoutOptions, layout, reconcile};
use mprism_clickhouse::StoreOptions;
use mprism_model::{DataType, Event, SEQUENCE_HEADER};
use mprism_storage::StorageOptions;
use mprism_testkit::{NatsServer, free_address, until};
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::common::{Engine, samples};
use crate::worker::{connect, worker_options};

/// The table whose inserts and fences are looked at.
pub(crate) const TABLE: &str = "marketprism_hot.open_interests";

/// What becomes of one insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It happens at once, and the answer does not come.
    AnswerLost,
    /// It happens, or tries to, at the moment that the next fence is asked for.
    Racing,
    /// It is read by the engine after the next fence stands.
    TooLate,
}

pub(crate) const FATES: [Fate; 3] = [Fate::AnswerLost, Fate::Racing, Fate::TooLate];

/// What stands between the worker and the engine.
pub(crate) struct Between {
    engine: String,
    http: reqwest::Client,
    /// What becomes of the next insert.
    pub(crate) fate: Mutex<Option<Fate>>,
    /// How many fences were asked for, and how many stand.
    asked: watch::Sender<u64>,
    stand: watch::Sender<u64>,
    /// Inserts that nobody waits for any more.
    pub(crate) late: Mutex<JoinSet<StatusCode>>,
    pub(crate) struck: AtomicU64,
}

impl Between {
    pub(crate) async fn start(engine: &StoreOptions) -> (Arc<Self>, SocketAddr) {
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
        let is_insert = ["INSERT", "RowBinary", "open_interests"]
            .iter()
            .all(|word| what.contains(word));
        let fate = match is_insert {
            true => self.fate.lock().await.take(),
            false => None,
        };
        let Some(fate) = fate else {
            let is_asked = what.contains("/mprism/fence") && what.contains(TABLE) && method == Method::POST;
            // On a server the last question is what runs.
            let is_look = [what.as_bytes(), &body].iter().any(|text| {
                let text = String::from_utf8_lossy(text);
                text.contains("system.processes") && text.contains(TABLE)
            });
            if is_asked {
                self.asked.send_modify(|count| *count += 1);
            }
            let answered = self.forward(method, &what, &headers, body).await;
            if is_look || is_asked && answered.status() == StatusCode::OK {
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

/// A bus, a store with something between it and its worker, and what was published.
pub(crate) struct Line<'a> {
    engine: &'a Engine,
    pub(crate) between: Arc<Between>,
    pub(crate) store: StoreOptions,
    pub(crate) server: NatsServer,
    pub(crate) folder: tempfile::TempDir,
    bus: Bus,
    published: u64,
}

impl<'a> Line<'a> {
    /// Starts everything but the worker, which waits for so long for the answer to an insert.
    pub(crate) async fn start(engine: &'a Engine, insert_timeout: Duration) -> Self {
        let (between, address) = Between::start(&engine.options).await;
        let folder = tempfile::tempdir().expect("a folder");
        let server = NatsServer::start(folder.path(), free_address());
        let bus = connect(&server).await;
        let layout = layout(&LayoutOptions::standard(&[DataType::OpenInterest.as_str()], 1_000));
        reconcile(&bus, &layout).await.expect("made");
        let store = StoreOptions {
            url: format!("http://{address}"),
            insert_timeout,
            ..engine.options.clone()
        };
        Self {
            engine,
            between,
            store,
            server,
            folder,
            bus,
            published: 0,
        }
    }

    /// Returns the worker's options.
    pub(crate) fn worker(&self) -> StorageOptions {
        let types = [DataType::OpenInterest];
        worker_options(&self.server.url(), self.store.clone(), &types, self.folder.path())
    }

    /// Publishes messages of the table, each under its number.
    pub(crate) async fn publish(&mut self, messages: u64) {
        let sample = samples().into_iter().find(|sample| TABLE.ends_with(sample.table));
        let sample = sample.expect("there is one");
        for seq in self.published + 1..=self.published + messages {
            let mut message = sample.first.clone();
            message["ts_ms"] = json!(1_760_054_400_000_i64 + i64::try_from(seq).expect("small"));
            let payload = serde_json::to_vec(&message).expect("JSON");
            let event = Event::parse(sample.subject, &payload).expect("valid");
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", event.message_id().to_string());
            headers.insert(SEQUENCE_HEADER, format!("5-{seq}"));
            let sent = self
                .bus
                .context()
                .publish_with_headers(sample.subject, headers, payload.into());
            sent.await.expect("sent").await.expect("stored");
        }
        self.published += messages;
    }

    /// Waits until everything that was published is stored; tells what the worker says where it is not.
    pub(crate) async fn stored(&self, worker: SocketAddr) {
        until("everything that was published is stored", async || {
            let query = format!("SELECT uniqExact(producer_seq) FROM {TABLE}");
            let rows: u64 = self.engine.store.fetch_one(&query).await.map_err(|e| e.to_string())?;
            if rows == self.published {
                return Ok(());
            }
            let said = mprism_runtime::probe::get(worker, "/health", Duration::from_secs(5)).await;
            Err(format!("{rows} of {}: {said:?}", self.published))
        })
        .await;
    }

    /// Waits for the inserts that nobody waited for, and expects every row to be there once. Returns how many were answered how.
    pub(crate) async fn ends(&self) -> BTreeMap<u16, u64> {
        let mut outcomes = BTreeMap::new();
        while let Some(status) = self.between.late.lock().await.join_next().await {
            *outcomes.entry(status.expect("no panic").as_u16()).or_default() += 1;
        }
        let query = format!("SELECT count(), uniqExact(producer_seq), uniqExact(timestamp) FROM {TABLE}");
        let counts: (u64, u64, u64) = self.engine.store.fetch_one(&query).await.expect("counts");
        let all = self.published;
        assert_eq!(counts, (all, all, all), "{outcomes:?}");
        outcomes
    }
}
