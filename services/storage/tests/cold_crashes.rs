//! The cold worker killed between any two of its steps, and at any moment: nothing is doubled, nothing is missing.

mod common;
#[path = "common/cold.rs"]
mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Engine;
use mprism_clickhouse::StoreOptions;
use mprism_model::DataType;
use mprism_storage::cold::{ColdOptions, Step, StepObserver, run};
use mprism_testkit::{free_address, until};
use serde::{Deserialize, Serialize};
use support::{AT_ONCE, DAY, MINUTE, Rows, content, difference, fill, make_truth, now, options};
use tokio_util::sync::CancellationToken;

/// Carries the child's orders; without it the child's test returns at once.
const ORDERS: &str = "MPRISM_TEST_COLD";
/// What is copied here: one with NULLs, and the one with most rows.
const TABLES: [DataType; 2] = [DataType::Trade, DataType::FundingRate];
const STEPS: [Step; 7] = [
    Step::Copied,
    Step::Proven,
    Step::Noted,
    Step::Moved,
    Step::LeavingProven,
    Step::DepartureNoted,
    Step::Dropped,
];
/// Where each row goes that is written.
const EVERYWHERE: &[&str] = &["marketprism_hot", "truth"];

#[derive(Clone, Serialize, Deserialize)]
struct Orders {
    url: String,
    listen: SocketAddr,
    /// Where to crash, and how often the step may be done before.
    crash_at: Option<(Step, u64)>,
}

fn child(engine: &Engine, crash_at: Option<(Step, u64)>) -> Child {
    let orders = Orders {
        url: engine.options.url.clone(),
        listen: free_address(),
        crash_at,
    };
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "worker_child", "--nocapture"])
        .env(ORDERS, serde_json::to_string(&orders).expect("plain data"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this program starts")
}

fn of(engine: &StoreOptions, listen: SocketAddr) -> ColdOptions {
    ColdOptions {
        data_types: TABLES.to_vec(),
        leave: AT_ONCE,
        // Several statements for what there is.
        rows_max: 300,
        ..options(engine, listen)
    }
}

/// The worker itself, in a process of its own that can be killed.
#[test]
fn worker_child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).expect("our own text");
    let _there_already = rustls::crypto::ring::default_provider().install_default();
    let store = common::store_options(&orders.url);
    let mut options = of(&store, orders.listen);
    if let Some((step, times)) = orders.crash_at {
        let done = AtomicU64::new(0);
        options.observer = StepObserver::new(move |found, _| {
            if found == step && done.fetch_add(1, Ordering::Relaxed) == times {
                std::process::abort();
            }
        });
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(run(options, CancellationToken::new()))
        .expect("runs until it is killed");
}

/// Writes rows that have left at the end, rows that are proven by the hour, and rows of the head.
async fn write(engine: &Engine, epoch: u64) {
    let now = now();
    for data_type in TABLES {
        let table = data_type.table();
        for (first, count, from) in [
            (1, 700, now - 5 * DAY),
            (1_001, 300, now - 90 * MINUTE),
            (2_001, 100, now - MINUTE),
        ] {
            let step = 100;
            let rows = Rows {
                epoch,
                first,
                count,
                from,
                step,
            };
            fill(&engine.store, EVERYWHERE, table, rows).await;
        }
    }
}

/// Waits until all is where it belongs: everything is cold, and the old days have left.
async fn settled(engine: &Engine) {
    for data_type in TABLES {
        let table = data_type.table();
        until(table, async || {
            difference(&engine.store, &engine.store, "truth", table).await?;
            let old = format!("SELECT count() FROM marketprism_hot.{table} WHERE day < today() - 2");
            let old: u64 = engine.store.fetch_one(&old).await.expect("a count");
            let leaving = content(&engine.store, "marketprism_leaving", table).await.0;
            if old + leaving == 0 {
                Ok(())
            } else {
                Err(format!("{old} old rows in the hot store, {leaving} leaving"))
            }
        })
        .await;
        // The ledger of departures adds up to what has left.
        let noted = format!("SELECT sum(row_count) FROM marketprism_cold.departures FINAL WHERE table = '{table}'");
        let noted: u64 = engine.store.fetch_one(&noted).await.expect("a sum");
        let hot = content(&engine.store, "marketprism_hot", table).await.0;
        let cold = content(&engine.store, "marketprism_cold", table).await.0;
        assert_eq!(noted + hot, cold, "{table}");
    }
}

async fn ended(child: &mut Child) {
    let status = until("it crashes", async || {
        child.try_wait().expect("our child").ok_or_else(|| "it runs".to_owned())
    })
    .await;
    // SIGABRT.
    assert_eq!(status.signal(), Some(6), "{status}");
}

fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("our child");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_is_killed_between_nothing_is_doubled_or_missing() {
    let engine = Engine::start().await;
    make_truth(&engine.store).await;
    let mut epoch = 1;
    for step in STEPS {
        // At the first time, and once more after it did what it had begun.
        for times in [0, 2] {
            write(&engine, epoch).await;
            epoch += 1;
            ended(&mut child(&engine, Some((step, times)))).await;
        }
    }
    let worker = child(&engine, None);
    settled(&engine).await;
    kill(worker);
    at_any_moment(&engine, epoch).await;
    while_a_partition_leaves(&engine).await;
    engine.stop().await;
}

/// Killed at random, while rows come.
async fn at_any_moment(engine: &Engine, mut epoch: u64) {
    for _ in 0..6 {
        let worker = child(engine, None);
        let killed = async {
            tokio::time::sleep(Duration::from_millis(rand::random_range(100..700))).await;
            kill(worker);
        };
        tokio::join!(write(engine, epoch), killed);
        epoch += 1;
    }
    let worker = child(engine, None);
    settled(engine).await;
    kill(worker);
}

/// Rows of the day that is leaving come at each of its steps.
async fn while_a_partition_leaves(engine: &Engine) {
    let (asked, mut asks) = tokio::sync::mpsc::channel::<(Step, std::sync::mpsc::Sender<()>)>(1);
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let observer = StepObserver::new({
        let seen = Arc::clone(&seen);
        move |step, table| {
            // Each step waits until the rows are written, the first time that it is done.
            let is_new = table == "trades" && seen.lock().expect("not poisoned").insert(format!("{step:?}"));
            if is_new {
                let (written, waits) = std::sync::mpsc::channel();
                tokio::task::block_in_place(|| {
                    asked.blocking_send((step, written)).expect("somebody writes");
                    waits.recv().expect("written");
                });
            }
        }
    });
    let worker_options = ColdOptions {
        observer,
        ..of(&engine.options, free_address())
    };
    write(engine, 5_000).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(worker_options, shutdown.clone()));
    let mut first = 10_001;
    for _ in STEPS {
        let (_, written) = asks.recv().await.expect("every step is done");
        let rows = Rows {
            epoch: 5_000,
            first,
            count: 50,
            from: now() - 5 * DAY,
            step: 1,
        };
        fill(&engine.store, EVERYWHERE, "trades", rows).await;
        first += 50;
        written.send(()).expect("it waits");
    }
    settled(engine).await;
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");
    assert_eq!(seen.lock().expect("not poisoned").len(), STEPS.len());
}
