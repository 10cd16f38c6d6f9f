//! A store that has no fences of its own, as ClickHouse's server has none: whatever is lost, late or killed, each row is there once.
//!
//! The engine plays the server: it is ClickHouse, and here it does nothing for its writers that a server would not do.

#[path = "common/between.rs"]
mod between;
#[path = "common/cold.rs"]
mod cold;
mod common;
#[path = "common/worker.rs"]
mod worker;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use between::{FATES, Fate, Line, TABLE};
use cold::{DAY, Rows, content, difference, fill, make_truth, now, options};
use common::{Engine, store_options};
use mprism_clickhouse::{Copy, FenceKeeper, Insert, InsertError, Pace, Store, StoreError, StoreOptions};
use mprism_model::DataType;
use mprism_storage::cold::{ColdOptions, Step, StepObserver};
use mprism_testkit::{free_address, until};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use worker::worker_options;

/// Says what this program is, where it is a worker of its own; nothing is in it otherwise.
const CHILD: &str = "MPRISM_TEST_SERVER";
const ROUNDS: usize = 12;
const MESSAGES: u64 = 20;
/// How long a worker waits for an answer.
const PATIENCE_OF_THE_WORKER: Duration = Duration::from_millis(300);

/// A worker in a process of its own, so that it can be killed. Killed when dropped.
struct Worker(Child);

impl Worker {
    fn start(told: &Value) -> Self {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["the_worker_itself", "--exact", "--nocapture"])
            .env(CHILD, told.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("started"))
    }

    async fn crashes(mut self) {
        until("it crashes", async || {
            let ended = self.0.try_wait().expect("our child");
            ended.map(|_| ()).ok_or_else(|| "it runs".to_owned())
        })
        .await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_itself() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let told: Value = serde_json::from_str(&told).expect("a document");
    let text = |name: &str| told[name].as_str().expect("a text");
    let _there_already = rustls::crypto::ring::default_provider().install_default();
    let store = store_options(text("store"));
    if let Some(bus) = told["bus"].as_str() {
        let options = worker_options(bus, store, &[DataType::OpenInterest], Path::new(text("locks")));
        let ended = mprism_storage::run(options, CancellationToken::new()).await;
        panic!("it runs until it is killed: {ended:?}");
    }
    let step: Option<Step> = serde_json::from_value(told["crash_at"].clone()).expect("a step");
    let observer = StepObserver::new(move |done, _| {
        if Some(done) == step {
            std::process::abort();
        }
    });
    let options = ColdOptions {
        observer,
        ..cold_options(&store)
    };
    let ended = mprism_storage::cold::run(options, CancellationToken::new()).await;
    panic!("it runs until it is killed: {ended:?}");
}

fn cold_options(store: &StoreOptions) -> ColdOptions {
    ColdOptions {
        data_types: vec![DataType::Trade],
        // Several statements for what there is.
        rows_max: 300,
        ..options(store, free_address())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_fences_has_each_row_once() {
    let engine = Engine::start_as_server().await;
    let keeper = engine.store.fence_keeper().await.expect("it answers");
    assert_eq!(keeper, FenceKeeper::Table);
    answers_that_do_not_come(&engine).await;
    an_insert_that_runs_is_waited_for_and_killed(&engine).await;
    copies_that_crash_and_are_taken_over(&engine).await;
    who_may_not_write_is_told_what_to_grant(&engine).await;
    engine.stop().await;
}

/// Inserts are lost, race the next fence, or come after it; in the end with a writer that was killed while they were on their way.
async fn answers_that_do_not_come(engine: &Engine) {
    let mut line = Line::start(engine, PATIENCE_OF_THE_WORKER).await;
    let options = line.worker();
    let listen = options.listen;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    for fate in FATES.iter().cycle().take(ROUNDS) {
        *line.between.fate.lock().await = Some(*fate);
        line.publish(MESSAGES).await;
        line.stored(listen).await;
    }
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");

    let struck = || line.between.struck.load(Ordering::Relaxed);
    assert_eq!(struck(), ROUNDS as u64, "each round had its insert");
    *line.between.fate.lock().await = Some(Fate::TooLate);
    let locks = line.folder.path().display().to_string();
    let killed = Worker::start(&json!({"bus": line.server.url(), "store": line.store.url, "locks": locks}));
    line.publish(MESSAGES).await;
    let struck = || line.between.struck.load(Ordering::Relaxed);
    until("its insert is on its way", async || {
        let is_on_its_way = struck() == ROUNDS as u64 + 1;
        is_on_its_way.then_some(()).ok_or_else(|| struck().to_string())
    })
    .await;
    drop(killed);
    let options = line.worker();
    let listen = options.listen;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    line.stored(listen).await;
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");

    let outcomes = line.ends().await;
    // Refused, or killed: both are answered as failures. What came too late always is.
    assert!(
        outcomes.keys().all(|status| [200, 500].contains(status)),
        "{outcomes:?}"
    );
    let third = ROUNDS as u64 / 3;
    assert!(outcomes[&500] > third && outcomes[&200] >= third, "{outcomes:?}");
}

/// A statement of an earlier writer that runs and runs keeps nobody waiting, and leaves nothing behind.
async fn an_insert_that_runs_is_waited_for_and_killed(engine: &Engine) {
    let table = "marketprism_hot.liquidations";
    let old = |generation| Copy {
        table,
        columns: "producer_epoch, producer_seq",
        generation,
        select: "SELECT toUInt64(7) AS producer_epoch, number AS producer_seq FROM numbers(10)",
        row_bytes: 100,
        pace: Pace::Steady,
    };
    let nobodys = engine.store.copy(&old(0)).await.expect_err("never raised");
    assert!(matches!(nobodys, InsertError::Fenced { .. }), "{nobodys:?}");
    let generation = engine.store.fence(table).await.expect("raised");
    let store = engine.store.clone();
    let slow = tokio::spawn(async move {
        let copy = Copy {
            table,
            columns: "producer_epoch, producer_seq",
            generation,
            select: "SELECT toUInt64(7 + sleepEachRow(0.02)), number FROM numbers(6400)",
            // Small blocks: it can be killed between any two.
            row_bytes: 1 << 20,
            pace: Pace::Steady,
        };
        store.copy(&copy).await
    });
    until("it runs", async || {
        let query = format!(
            "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'mp-{table}-{generation}-')"
        );
        let running: u64 = engine.store.fetch_one(&query).await.map_err(|e| e.to_string())?;
        (running == 1).then_some(()).ok_or_else(|| running.to_string())
    })
    .await;
    let later = engine.store.fence(table).await.expect("raised");
    assert!(later > generation);
    let ended = slow.await.expect("no panic").expect_err("killed");
    assert!(matches!(ended, InsertError::Fenced { .. }), "{ended:?}");
    let rows: u64 = engine
        .store
        .fetch_one(&format!("SELECT count() FROM {table}"))
        .await
        .expect("a count");
    assert_eq!(rows, 0);
    // Whoever is told late does nothing either, by whatever way its rows come.
    let late = engine.store.copy(&old(generation)).await.expect_err("late");
    assert!(matches!(late, InsertError::Fenced { .. }), "{late:?}");
    let rows = engine.store.read(&old(generation)).await.expect("read");
    let late = engine.store.copy_from(&old(generation), rows).await.expect_err("late");
    assert!(matches!(late, InsertError::Fenced { .. }), "{late:?}");
    let rows = engine.store.read(&old(later)).await.expect("read");
    let written = engine.store.copy_from(&old(later), rows).await.expect("in time");
    assert_eq!(written, Some(10));
    // Rows that come along are one part, however many of the server's own blocks they are.
    let row_count = 200_000;
    let rows: Vec<u8> = (0..row_count)
        .flat_map(|n: u64| [8, n].map(u64::to_le_bytes).concat())
        .collect();
    let insert = |generation| Insert {
        table,
        columns: "producer_epoch, producer_seq",
        generation,
        rows: rows.clone().into(),
        row_count,
    };
    let late = engine.store.insert(insert(generation)).await.expect_err("late");
    assert!(matches!(late, InsertError::Fenced { .. }), "{late:?}");
    engine.store.insert(insert(later)).await.expect("in time");
    // As it was written, whatever became of it since.
    let query = "SELECT max(rows) FROM system.parts WHERE level = 0 AND database = 'marketprism_hot' AND table = 'liquidations'";
    let largest: u64 = engine.store.fetch_one(query).await.expect("a number");
    assert_eq!(largest, row_count);
    engine
        .store
        .execute(&format!("TRUNCATE TABLE {table}"))
        .await
        .expect("empty");
}

/// The cold worker crashes after a copy, and after a proof; a second one takes over from one that still runs.
async fn copies_that_crash_and_are_taken_over(engine: &Engine) {
    make_truth(&engine.store).await;
    let write = async |epoch| {
        for (first, count, from) in [(1, 700, now() - 2 * DAY), (1_001, 300, now() - 120_000)] {
            let rows = Rows {
                epoch,
                first,
                count,
                from,
                step: 100,
            };
            fill(&engine.store, &["marketprism_hot", cold::TRUTH], "trades", rows).await;
        }
    };
    let told = |step: Option<Step>| json!({"store": engine.options.url, "crash_at": step});
    for (epoch, step) in [(1, Step::Copied), (2, Step::Noted)] {
        write(epoch).await;
        Worker::start(&told(Some(step))).crashes().await;
    }
    write(3).await;
    let first = Worker::start(&told(None));
    until("it copies", async || {
        let (rows, ..) = content(&engine.store, "marketprism_cold", "trades").await;
        if rows > 2_000 { Ok(()) } else { Err(rows.to_string()) }
    })
    .await;
    let shutdown = CancellationToken::new();
    let second = tokio::spawn(mprism_storage::cold::run(
        cold_options(&engine.options),
        shutdown.clone(),
    ));
    write(4).await;
    drop(first);
    until("all of it is cold", async || {
        difference(&engine.store, &engine.store, cold::TRUTH, "trades").await
    })
    .await;
    shutdown.cancel();
    second.await.expect("no panic").expect("ends well");
}

/// Whoever may only read is told what a writer needs.
async fn who_may_not_write_is_told_what_to_grant(engine: &Engine) {
    let reader = Store::new(StoreOptions {
        user: "default".into(),
        password: String::new(),
        ..engine.options.clone()
    });
    let refused = reader.expect("prepared").fence(TABLE).await.expect_err("a reader");
    assert!(matches!(refused, StoreError::NotGranted { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(
        said.contains("GRANT CREATE DATABASE") && said.contains("TO default`"),
        "{said}"
    );
    assert!(!refused.is_retryable());
}
