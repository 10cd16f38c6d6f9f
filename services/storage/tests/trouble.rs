//! A store that is full, has too many parts, can only be read, is slow or away, and a bus that forgot: intake waits, goes on by itself, and every
//! row is there once.

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use common::{Engine, store_options};
use mprism_bus::{Bus, LayoutOptions, layout, reconcile};
use mprism_clickhouse::StoreOptions;
use mprism_model::DataType;
use mprism_storage::letters::{self, Letter};
use mprism_storage::{BatchOptions, StorageOptions};
use mprism_testkit::{NatsServer, Tmpfs, free_address, until};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use worker::{connect, worker_options};

/// What stands between the worker and the engine.
#[derive(Clone)]
struct Between {
    mode: Arc<AtomicU8>,
    engine: String,
    http: reqwest::Client,
}

const SUBJECT: &str = "liquidation.binance_derivatives.perpetual.ETH-USDT";

const PASS: u8 = 0;
/// Everything is answered with an error of a gateway.
const AWAY: u8 = 1;
/// An insert is done, and its answer never comes.
const MUTE: u8 = 2;

async fn pass(State(between): State<Between>, request: Request) -> Response {
    let mode = between.mode.load(Ordering::Relaxed);
    let answer = |status: StatusCode, body: Body| {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response
    };
    if mode == AWAY {
        return answer(StatusCode::BAD_GATEWAY, Body::from("nobody there"));
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let query = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_insert = query.contains("INSERT");
    let mut sent = between
        .http
        .request(head.method, format!("{}{query}", between.engine))
        .body(body);
    for (name, value) in &head.headers {
        if name.as_str().starts_with("x-clickhouse") || name.as_str() == "content-encoding" {
            sent = sent.header(name, value);
        }
    }
    let Ok(got) = sent.send().await else {
        return answer(StatusCode::BAD_GATEWAY, Body::empty());
    };
    let (status, headers) = (got.status(), got.headers().clone());
    let body = got.bytes().await.unwrap_or_default();
    if mode == MUTE && is_insert {
        std::future::pending::<()>().await;
    }
    let mut response = answer(status, Body::from(body));
    for (name, value) in &headers {
        if name.as_str().starts_with("x-clickhouse") {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

async fn between(engine: &str) -> (SocketAddr, Arc<AtomicU8>) {
    let mode = Arc::new(AtomicU8::new(PASS));
    let state = Between {
        mode: Arc::clone(&mode),
        engine: engine.to_owned(),
        http: reqwest::Client::builder().no_proxy().build().expect("a client"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().fallback(pass).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    (address, mode)
}

/// Everything that takes part.
struct Line {
    engine: Engine,
    bus: Bus,
    listen: SocketAddr,
    published: u64,
}

impl Line {
    async fn publish(&mut self, count: u64) {
        for n in self.published..self.published + count {
            let message = json!({"data_type": "liquidation", "exchange": "binance_derivatives", "market_type": "perpetual",
                "symbol": "ETH-USDT", "liquidation_id": n.to_string(), "side": "sell",
                "price": "2410.5", "quantity": "3.2", "liquidation_ts_ms": 1_760_054_399_900_i64 + n as i64,
                "ts_ms": 1_760_054_400_123_i64 + n as i64});
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(mprism_model::SEQUENCE_HEADER, format!("5-{}", n + 1));
            let payload = serde_json::to_vec(&message).expect("JSON");
            let sent = self
                .bus
                .context()
                .publish_with_headers(SUBJECT, headers, payload.into())
                .await;
            sent.expect("sent").await.expect("stored");
        }
        self.published += count;
    }

    /// Publishes a message whose id is no number, and returns what it says and where it stands in its stream.
    async fn publish_word(&self, id: &str, identity: &str) -> (Vec<u8>, u64) {
        let message = json!({"data_type": "liquidation", "exchange": "binance_derivatives", "market_type": "perpetual",
            "symbol": "ETH-USDT", "liquidation_id": id, "side": "sell", "price": "2410.5", "quantity": "3.2",
            "liquidation_ts_ms": 1_760_054_399_900_i64, "ts_ms": 1_760_054_400_123_i64});
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(mprism_model::SEQUENCE_HEADER, identity);
        headers.insert("Nats-Msg-Id", id);
        let payload = serde_json::to_vec(&message).expect("JSON");
        let sent = self
            .bus
            .context()
            .publish_with_headers(SUBJECT, headers, payload.clone().into())
            .await;
        let kept = sent.expect("sent").await.expect("stored");
        (payload, kept.sequence)
    }

    /// Waits until there are so many dead letters, and returns the last.
    async fn letter(&self, count: usize) -> Letter {
        until("a dead letter", async || {
            let mut letters = letters::all(&self.bus).await.map_err(|e| e.to_string())?;
            match letters.pop() {
                Some(last) if letters.len() + 1 == count => Ok(last),
                last => Err(format!("{} letters, the last: {last:?}", letters.len())),
            }
        })
        .await
    }

    async fn stats(&self) -> Result<Value, String> {
        let answer = mprism_runtime::probe::get(self.listen, "/stats", Duration::from_secs(5)).await;
        let (_, body) = answer.map_err(|e| e.to_string())?;
        let stats: Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        Ok(stats["message_stats"].clone())
    }

    /// Waits until the worker has met trouble more than once, and holds what it has: at most what it writes and pulls ahead.
    async fn waits(&self, what: &str) {
        let before = self.stats().await.expect("answers")["retry_attempts"]
            .as_u64()
            .expect("a number");
        let received = until(what, async || {
            let stats = self.stats().await?;
            let retries = stats["retry_attempts"].as_u64().unwrap_or(0);
            if retries > before + 1 {
                Ok(stats["messages_received"].as_u64().expect("a number"))
            } else {
                Err(stats.to_string())
            }
        })
        .await;
        assert!(self.rows().await < self.published, "{what}: something is not stored");
        let stats = self.stats().await.expect("answers");
        let more = stats["messages_received"].as_u64().expect("a number") - received;
        assert!(more <= 300, "{what}: intake goes on: {stats}");
        assert_eq!(stats["messages_failed"], 0, "{what}: nothing is given up: {stats}");
    }

    async fn rows(&self) -> u64 {
        let query = "SELECT count() FROM marketprism_hot.liquidations";
        self.engine.store.fetch_one(query).await.expect("a count")
    }

    /// Waits until every message is stored, once.
    async fn all_stored(&self, what: &str) {
        until(what, async || {
            let query = "SELECT toString((count(), uniqExact(producer_epoch, producer_seq), uniqExact(liquidation_id))) FROM \
                         marketprism_hot.liquidations";
            let found: String = self.engine.store.fetch_one(query).await.map_err(|e| e.to_string())?;
            let n = self.published;
            if found == format!("({n},{n},{n})") { Ok(()) } else { Err(format!("{found} of {n}")) }
        })
        .await;
        let pending = until(what, async || {
            let stream = self
                .bus
                .context()
                .get_stream("MARKET_DATA")
                .await
                .map_err(|e| e.to_string())?;
            let durable = stream.consumer_info("simple_hot_storage_realtime_liquidation").await;
            let durable = durable.map_err(|e| e.to_string())?;
            match durable.num_pending + durable.num_ack_pending as u64 {
                0 => Ok(0),
                some => Err(format!("{some} on their way")),
            }
        });
        assert_eq!(pending.await, 0);
    }

    async fn execute(&self, statement: &str) {
        let done = self.engine.store.execute(statement).await;
        done.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    }
}

/// A row that the engine will never take is kept as the message that it was, or as itself where its stream lost that; the others are
/// stored.
async fn what_is_rejected_is_kept(line: &mut Line, mode: &AtomicU8) {
    line.execute(
        "ALTER TABLE marketprism_hot.liquidations ADD COLUMN number UInt64 MATERIALIZED toUInt64(liquidation_id)",
    )
    .await;
    line.publish(20).await;
    let (payload, _) = line.publish_word("a word", "9-1").await;
    line.publish(20).await;
    let letter = line.letter(1).await;
    assert_eq!((letter.subject.as_str(), &letter.payload[..]), (SUBJECT, &payload[..]));
    assert_eq!(letter.identity.map(|id| id.to_string()).as_deref(), Some("9-1"));
    assert!(letter.reason.contains("rejected"), "{}", letter.reason);
    line.all_stored("beside what is rejected").await;

    mode.store(AWAY, Ordering::Relaxed);
    let before = line.stats().await.expect("answers")["messages_received"].as_u64();
    line.publish(10).await;
    let (payload, sequence) = line.publish_word("lost", "9-2").await;
    until("the worker has it", async || {
        let stats = line.stats().await?;
        match stats["messages_received"].as_u64() >= before.map(|before| before + 11) {
            true => Ok(()),
            false => Err(stats.to_string()),
        }
    })
    .await;
    let removed = mprism_bus::remove_kept(&line.bus, "MARKET_DATA", sequence).await;
    removed.expect("removed");
    mode.store(PASS, Ordering::Relaxed);
    let letter = line.letter(2).await;
    assert_eq!(letter.subject, SUBJECT);
    assert_eq!(letter.identity.map(|id| id.to_string()).as_deref(), Some("9-2"));
    assert_ne!(letter.payload, payload, "nobody has that any more");
    assert!(
        letter.payload.windows(5).any(|part| part == b"\x04lost"),
        "the row has its id"
    );
    line.all_stored("with a message lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_store_or_the_bus_do_every_row_is_there_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk_folder = folder.path().join("disk");
    std::fs::create_dir(&disk_folder).expect("made");
    let disk = Tmpfs::mount(&disk_folder, 192 << 20);
    let engine = Engine::start_in(tempfile::tempdir_in(&disk_folder).expect("a folder")).await;
    let (address, mode) = between(&engine.options.url).await;
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let layout = layout(&LayoutOptions::standard(&["liquidation"], 1_000));
    reconcile(&bus, &layout).await.expect("made");
    let store = StoreOptions {
        insert_timeout: Duration::from_secs(2),
        ..store_options(&format!("http://{address}"))
    };
    let options = worker_options(&server.url(), store, &[DataType::Liquidation], folder.path());
    let options = StorageOptions {
        batch: BatchOptions {
            rows_max: 100,
            ..options.batch
        },
        ..options
    };
    let listen = options.listen;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    let mut line = Line {
        engine,
        bus,
        listen,
        published: 0,
    };
    line.publish(50).await;
    line.all_stored("at first").await;

    // ClickHouse's own refusal (code 252): one part is one too many.
    line.execute(
        "ALTER TABLE marketprism_hot.liquidations MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1",
    )
    .await;
    line.publish(1_000).await;
    line.waits("too many parts").await;
    line.execute("ALTER TABLE marketprism_hot.liquidations RESET SETTING parts_to_throw_insert, parts_to_delay_insert")
        .await;
    line.all_stored("after too many parts").await;

    // Nobody may write (code 242), as on a store that somebody else keeps as it is.
    line.execute("ALTER TABLE marketprism_hot.liquidations MODIFY SETTING table_readonly = 1")
        .await;
    line.publish(300).await;
    line.waits("only read").await;
    line.execute("ALTER TABLE marketprism_hot.liquidations RESET SETTING table_readonly")
        .await;
    line.all_stored("after it could only be read").await;

    mode.store(AWAY, Ordering::Relaxed);
    line.publish(1_000).await;
    until("it is told in /health", async || {
        let answer = mprism_runtime::probe::get(listen, "/health", Duration::from_secs(5)).await;
        let (status, body) = answer.map_err(|e| e.to_string())?;
        if status == 503 { Ok(()) } else { Err(body) }
    })
    .await;
    mode.store(PASS, Ordering::Relaxed);
    line.all_stored("after it was away").await;

    // Done, and nobody says so: read back, and not done twice.
    mode.store(MUTE, Ordering::Relaxed);
    line.publish(300).await;
    until("an insert is in doubt", async || {
        let stats = line.stats().await?;
        if stats["in_doubt"].as_u64() > Some(0) {
            Ok(())
        } else {
            Err(stats.to_string())
        }
    })
    .await;
    mode.store(PASS, Ordering::Relaxed);
    line.all_stored("after answers were lost").await;

    if let Some(disk) = &disk {
        let hog = disk.path().join("hog");
        let filled = std::fs::write(&hog, vec![1; 256 << 20]);
        filled.expect_err("the disk is full");
        line.publish(1_000).await;
        line.waits("out of space").await;
        std::fs::remove_file(&hog).expect("removed");
        line.all_stored("with room again").await;
    }

    what_is_rejected_is_kept(&mut line, &mode).await;

    // All that the server knew of the reader is gone: everything comes again, and is known.
    let stream = line.bus.context().get_stream("MARKET_DATA").await.expect("there");
    let before = line.stats().await.expect("answers");
    stream
        .delete_consumer("simple_hot_storage_realtime_liquidation")
        .await
        .expect("deleted");
    until("everything came again", async || {
        let stats = line.stats().await?;
        let again = stats["redelivered"].as_u64().unwrap_or(0) - before["redelivered"].as_u64().unwrap_or(0);
        if again == line.published {
            Ok(())
        } else {
            Err(stats.to_string())
        }
    })
    .await;
    line.publish(50).await;
    line.all_stored("after a full replay").await;
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");
    line.engine.stop().await;
}
