//! The cold worker against a real engine: what it copies, what it finds, what it says.

mod common;
#[path = "common/cold.rs"]
mod support;

use std::time::Duration;

use common::Engine;
use mprism_storage::cold::{ColdOptions, run};
use mprism_testkit::{free_address, until};
use serde_json::Value;
use support::{AT_ONCE, DAY, MINUTE, Rows, content, difference, fill, get, now, options, tables};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HOT: &[&str] = &["marketprism_hot"];

struct Worker {
    options: ColdOptions,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Worker {
    fn start(options: ColdOptions) -> Self {
        let shutdown = CancellationToken::new();
        let ran = run(options.clone(), shutdown.clone());
        let running = tokio::spawn(async move { ran.await.expect("runs until it is told to end") });
        Self {
            options,
            shutdown,
            running,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.expect("ends");
    }

    /// Waits until `/health` answers this status and says this.
    async fn says(&self, status: u16, what: &str) -> Value {
        until(what, async || {
            let (found, body) = get(self.options.listen, "/health").await?;
            if found == status && body.contains(what) {
                Ok(serde_json::from_str(&body).expect("JSON"))
            } else {
                Err(format!("{found} {body}"))
            }
        })
        .await
    }
}

/// Waits until both stores have the same; tells what the worker says where they do not.
async fn are_alike(engine: &Engine, worker: &Worker) {
    for table in tables() {
        until(table, async || {
            let differs = difference(&engine.store, &engine.store, "marketprism_hot", table).await;
            let Err(differs) = differs else { return Ok(()) };
            let stats = get(worker.options.listen, "/stats").await;
            Err(format!("{differs}; {stats:?}"))
        })
        .await;
    }
}

/// Rows of three days ago, of the last hours and of the last minutes, in every table.
async fn fill_all(engine: &Engine) {
    let now = now();
    for table in tables() {
        let rows = |first, count, from, step| Rows {
            epoch: 7,
            first,
            count,
            from,
            step,
        };
        for rows in [
            rows(1, 3_000, now - 3 * DAY, 4_000),
            rows(5_000, 2_000, now - 150 * MINUTE, 4_000),
            rows(9_000, 500, now - 3 * MINUTE, 300),
        ] {
            fill(&engine.store, HOT, table, rows).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hot_store_has_the_cold_one_has_and_says_so() {
    let engine = Engine::start().await;
    fill_all(&engine).await;
    let worker = Worker::start(options(&engine.options, free_address()));
    are_alike(&engine, &worker).await;
    worker.says(200, r#""status": "healthy""#).await;
    tell(&worker).await;
    late_rows(&engine, &worker).await;
    worker.stop().await;
    let settings = || ColdOptions {
        look_back_interval: Duration::ZERO,
        lag_max: Duration::from_secs(2),
        // Every statement is cut: by rows, and by bytes where rows are large.
        rows_max: 700,
        bytes_max: 8 << 20,
        ..options(&engine.options, free_address())
    };
    let worker = Worker::start(settings());
    worker.says(200, r#""status": "healthy""#).await;
    lost_rows(&engine).await;
    other_content(&engine, &worker).await;
    worker.stop().await;
    another_version(&engine, settings()).await;
    another_worker(&engine, settings()).await;
    old_months(&engine, settings()).await;
    engine.stop().await;
}

/// Stats and metrics have the original's fields and names.
async fn tell(worker: &Worker) {
    let stats = until("everything is told", async || {
        let (status, body) = get(worker.options.listen, "/stats").await?;
        let stats: Value = serde_json::from_str(&body).expect("JSON");
        let is_done = stats["sync_stats"]["sync_cycles"]
            .as_u64()
            .is_some_and(|cycles| cycles > 1);
        if status == 200 && is_done { Ok(stats) } else { Err(body) }
    })
    .await;
    let sync = &stats["sync_stats"];
    assert_eq!(sync["data_types"]["trade"]["synced"], 5_500, "{stats}");
    assert_eq!(sync["total_records_synced"], 9 * 5_500, "{stats}");
    assert_eq!((&sync["failed_syncs"], &sync["last_error"]), (&0.into(), &Value::Null));
    assert_eq!(stats["service_status"]["sync_task_active"], true);
    let lag = stats["storage_stats"]["tables"]["gaps"]["lag_s"].as_f64();
    assert!(lag.is_some_and(|lag| lag < 10.0), "{stats}");
    let (_, metrics) = get(worker.options.listen, "/metrics").await.expect("answered");
    for line in [
        "marketprism_cold_replication_enabled 1",
        "marketprism_cold_failed_windows_total 0",
        "marketprism_cold_errors_count_1h_total 0",
        "marketprism_cold_replication_lag_minutes{table=\"trades\"} 0",
        "marketprism_cold_rows_copied_total{table=\"orderbooks\"} 5500",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

/// Rows that come long after their hour was proven, and into the newest minutes.
async fn late_rows(engine: &Engine, worker: &Worker) {
    let now = now();
    for (epoch, from) in [(8, now - 3 * DAY), (9, now - 2 * MINUTE)] {
        for table in tables() {
            let rows = Rows {
                epoch,
                first: 1,
                count: 20,
                from,
                step: 500,
            };
            fill(&engine.store, HOT, table, rows).await;
        }
    }
    are_alike(engine, worker).await;
}

/// Rows of hours that are over and that somebody takes out of the cold store are copied again.
async fn lost_rows(engine: &Engine) {
    let lose = "DELETE FROM marketprism_cold.trades WHERE producer_epoch = 7 AND producer_seq % 1000 = 0 \
                AND producer_seq < 9000";
    engine.store.execute(lose).await.expect("deleted");
    until("they are copied again", async || {
        difference(&engine.store, &engine.store, "marketprism_hot", "trades").await
    })
    .await;
}

/// The same row with other content is told and not made right by guessing.
async fn other_content(engine: &Engine, worker: &Worker) {
    let change = |price: &str| {
        format!(
            "ALTER TABLE marketprism_cold.trades UPDATE price = {price} WHERE producer_epoch = 7 AND producer_seq = 42 \
             SETTINGS mutations_sync = 1"
        )
    };
    engine.store.execute(&change("price + 1")).await.expect("changed");
    let told = worker.says(503, "say something else in the cold store").await;
    let reason = told["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("trades: 1 rows of ") && reason.ends_with("7-42"),
        "{reason}"
    );
    engine.store.execute(&change("price - 1")).await.expect("changed");
    worker.says(200, r#""status": "healthy""#).await;
    are_alike(engine, worker).await;
}

/// A cold store of another version is refused in words, and the other tables are copied.
async fn another_version(engine: &Engine, options: ColdOptions) {
    let alter =
        |kind: &str| format!("ALTER TABLE marketprism_cold.volatility_indices MODIFY COLUMN index_value {kind}");
    engine.store.execute(&alter("String")).await.expect("altered");
    let before = content(&engine.store, "marketprism_cold", "volatility_indices").await.0;
    let rows = |first| Rows {
        epoch: 10,
        first,
        count: 5,
        from: now() - DAY,
        step: 1,
    };
    for table in ["volatility_indices", "trades"] {
        fill(&engine.store, HOT, table, rows(1)).await;
    }
    let worker = Worker::start(options);
    let told = worker.says(503, "the cold store is of another version").await;
    let reason = told["reason"].as_str().expect("a reason");
    assert!(reason.contains("MODIFY COLUMN index_value Decimal(38, 18)"), "{reason}");
    until("the others are copied", async || {
        difference(&engine.store, &engine.store, "marketprism_hot", "trades").await
    })
    .await;
    let after = content(&engine.store, "marketprism_cold", "volatility_indices").await.0;
    assert_eq!(after, before, "nothing is copied that cannot be proven");
    engine.store.execute(&alter("Decimal(38, 18)")).await.expect("altered");
    worker.says(200, r#""status": "healthy""#).await;
    are_alike(engine, &worker).await;
    worker.stop().await;
}

/// Two workers on one store: each insert is of the one that has the table, so nothing is doubled.
async fn another_worker(engine: &Engine, options: ColdOptions) {
    let other = ColdOptions {
        listen: free_address(),
        ..options.clone()
    };
    let workers = [Worker::start(options), Worker::start(other)];
    for round in 0..2 {
        let rows = Rows {
            epoch: 11,
            first: 1 + round * 100,
            count: 100,
            from: now() - 90 * MINUTE,
            step: 10,
        };
        fill(&engine.store, HOT, "trades", rows).await;
        until("copied once", async || {
            difference(&engine.store, &engine.store, "marketprism_hot", "trades").await
        })
        .await;
    }
    are_alike(engine, &workers[0]).await;
    for worker in workers {
        worker.stop().await;
    }
}

/// What the cold store has kept for long enough is dropped by the month, once the hot store has nothing of it any more.
async fn old_months(engine: &Engine, options: ColdOptions) {
    let old = async |database: &str| {
        let query = format!("SELECT count() FROM {database}.liquidations WHERE producer_epoch = 12");
        engine.store.fetch_one::<u64>(&query).await.expect("a count")
    };
    let rows = Rows {
        epoch: 12,
        first: 1,
        count: 100,
        from: now() - 200 * DAY,
        step: 10,
    };
    fill(&engine.store, HOT, "liquidations", rows).await;
    let kept = ColdOptions {
        retention_days: Some(100),
        ..options
    };
    let worker = Worker::start(kept.clone());
    are_alike(engine, &worker).await;
    until("several looks", async || {
        let (_, body) = get(worker.options.listen, "/stats").await?;
        let stats: Value = serde_json::from_str(&body).expect("JSON");
        let cycles = stats["sync_stats"]["sync_cycles"].as_u64();
        if cycles.is_some_and(|cycles| cycles > 2) {
            Ok(())
        } else {
            Err(body)
        }
    })
    .await;
    assert_eq!(old("marketprism_cold").await, 100, "the hot store has them, too");
    worker.stop().await;
    let worker = Worker::start(ColdOptions {
        leave: AT_ONCE,
        listen: free_address(),
        ..kept
    });
    until("they are gone", async || {
        let counts = (old("marketprism_hot").await, old("marketprism_cold").await);
        if counts == (0, 0) {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await;
    let left = "SELECT sum(row_count) FROM marketprism_cold.departures FINAL WHERE table = 'liquidations' AND day < today() - 150";
    assert_eq!(
        engine.store.fetch_one::<u64>(left).await.expect("a sum"),
        100,
        "they were proven before"
    );
    // What is younger is kept, though it has left the hot store.
    let young = "SELECT count() FROM marketprism_cold.liquidations";
    assert!(engine.store.fetch_one::<u64>(young).await.expect("a count") > 5_000);
    worker.stop().await;
}
