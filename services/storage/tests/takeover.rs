//! Two hot workers on one bus and one store, as on two hosts: one writes, the other waits, and takes over; nothing is stored twice.

mod common;
#[path = "common/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Engine, store_options};
use mprism_bus::{Bus, LayoutOptions, layout, reconcile};
use mprism_clickhouse::{Copy, InsertError, Pace};
use mprism_model::DataType;
use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use mprism_storage::{BatchOptions, StorageOptions};
use mprism_testkit::{NatsServer, free_address, until};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use worker::{connect, worker_options};

const TTL: Duration = Duration::from_secs(2);
/// Tells this program that it is the worker of the other host: where bus, store, locks and endpoints are.
const CHILD: &str = "MPRISM_TEST_TAKEOVER";

fn options(bus: &str, store: &str, locks: &Path, listen: std::net::SocketAddr) -> StorageOptions {
    let options = worker_options(bus, store_options(store), &[DataType::Trade], locks);
    StorageOptions {
        listen,
        batch: BatchOptions {
            rows_max: 50,
            ..options.batch
        },
        lease_ttl: TTL,
        ..options
    }
}

/// The worker of the other host, where this program is told to be it; nothing otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_host() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let told: Value = serde_json::from_str(&told).expect("a document");
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let _there_already = rustls::crypto::ring::default_provider().install_default();
    let listen = text("listen").parse().expect("an address");
    let options = options(&text("bus"), &text("store"), &PathBuf::from(text("locks")), listen);
    let ended = mprism_storage::run(options, CancellationToken::new()).await;
    panic!("it runs until it is killed: {ended:?}");
}

struct Host(Child);

impl Host {
    fn start(bus: &str, store: &str, locks: &Path, listen: std::net::SocketAddr) -> Self {
        std::fs::create_dir_all(locks).expect("made");
        let told = json!({"bus": bus, "store": store, "locks": locks, "listen": listen.to_string()});
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["the_other_host", "--exact", "--nocapture"])
            .env(CHILD, told.to_string())
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("started"))
    }

    fn signal(&self, signal: Signal) {
        let identity = ProcessIdentity::of(self.0.id()).expect("alive");
        let process = PidFd::open(&identity).expect("ours").expect("alive");
        process.signal(signal).expect("sent");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

async fn publish(bus: &Bus, from: u64, to: u64) {
    for n in from..to {
        let message = json!({"data_type": "trade", "exchange": "binance_spot", "market_type": "spot", "symbol": "BTC-USDT",
            "price": "61234.5", "quantity": "0.012", "side": "buy", "trade_id": n.to_string(),
            "trade_ts_ms": 1_760_054_400_000_i64 + n as i64, "ts_ms": 1_760_054_400_000_i64 + n as i64});
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("trade/{n}"));
        headers.insert(mprism_model::SEQUENCE_HEADER, format!("5-{n}"));
        let payload = serde_json::to_vec(&message).expect("JSON");
        let subject = "trade.binance_spot.spot.BTC-USDT";
        let sent = bus
            .context()
            .publish_with_headers(subject, headers, payload.into())
            .await;
        sent.expect("sent").await.expect("stored");
    }
}

async fn rows(engine: &Engine) -> (u64, u64) {
    let query = "SELECT toString((count(), uniqExact(producer_epoch, producer_seq))) FROM marketprism_hot.trades";
    let text: String = engine.store.fetch_one(query).await.expect("counts");
    let (all, unique) = text.trim_matches(['(', ')']).split_once(',').expect("two");
    (all.parse().expect("a number"), unique.parse().expect("a number"))
}

async fn stored(engine: &Engine, count: u64) {
    until("everything is stored once", async || {
        let found = rows(engine).await;
        assert_eq!(found.0, found.1, "nothing is stored twice");
        if found.0 == count {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

async fn said(listen: std::net::SocketAddr, path: &str) -> Result<String, String> {
    let answer = mprism_runtime::probe::get(listen, path, Duration::from_secs(5)).await;
    answer.map(|(_, body)| body).map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_waits_takes_over_and_a_holder_that_wakes_up_writes_nothing() {
    let engine = Engine::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    reconcile(&bus, &layout(&LayoutOptions::standard(&["trade"], 100)))
        .await
        .expect("made");

    let (locks, listen) = (folder.path().join("one"), free_address());
    let first = Host::start(&server.url(), &engine.options.url, &locks, listen);
    publish(&bus, 0, 200).await;
    stored(&engine, 200).await;

    let (here, shutdown) = (free_address(), CancellationToken::new());
    let own = folder.path().join("two");
    std::fs::create_dir_all(&own).expect("made");
    let options = options(&server.url(), &engine.options.url, &own, here);
    let second = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    until("the second one says whom it waits for", async || {
        let body = said(here, "/health").await?;
        let is_told = body.contains("stands by") && body.contains(&format!("pid {}", first.0.id()));
        if is_told { Ok(()) } else { Err(body) }
    })
    .await;
    publish(&bus, 200, 300).await;
    stored(&engine, 300).await;
    let stats: Value = serde_json::from_str(&said(here, "/stats").await.expect("answers")).expect("JSON");
    assert_eq!(stats["message_stats"]["messages_processed"], 0, "{stats}");

    // Stopped in the middle of its work, whatever that is, the first one loses the table.
    let publishing = async {
        publish(&bus, 300, 1_300).await;
    };
    let stopping = async {
        until("it is in the middle of its work", async || {
            let (all, _) = rows(&engine).await;
            if all > 500 { Ok(()) } else { Err(all.to_string()) }
        })
        .await;
        first.signal(Signal::STOP);
    };
    tokio::join!(publishing, stopping);
    stored(&engine, 1_300).await;
    let stats: Value = serde_json::from_str(&said(here, "/stats").await.expect("answers")).expect("JSON");
    assert_ne!(stats["message_stats"]["messages_processed"], 0, "{stats}");

    // It wakes up: what it holds it may not write, by its own clock, and by the store's fence.
    first.signal(Signal::CONT);
    until("the first one stands by", async || {
        let body = said(listen, "/health").await?;
        if body.contains("stands by") { Ok(()) } else { Err(body) }
    })
    .await;
    publish(&bus, 1_300, 1_500).await;
    stored(&engine, 1_500).await;
    let old = Copy {
        table: "marketprism_hot.trades",
        columns: "trade_id",
        generation: 1,
        select: "SELECT 'old'",
        row_bytes: 10,
        pace: Pace::Steady,
    };
    let refused = engine
        .store
        .copy(&old)
        .await
        .expect_err("another generation has the table");
    assert!(matches!(refused, InsertError::Fenced { .. }), "{refused:?}");

    // The second one ends in order, and the first one has the table at once.
    shutdown.cancel();
    second.await.expect("no panic").expect("ends well");
    publish(&bus, 1_500, 1_600).await;
    stored(&engine, 1_600).await;
    drop(first);
    engine.stop().await;
}
