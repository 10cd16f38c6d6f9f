//! `/health`, `/stats` and `/metrics`, with the fields and names that MarketPrism's hot storage gave them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mprism_bus::Bus;
use mprism_clickhouse::Store;
use mprism_model::{DataType, UnixMillis};
use mprism_runtime::clock;
use mprism_runtime::endpoint::Endpoint;
use mprism_runtime::http::{json_response, metrics_response};
use mprism_runtime::metrics::Exposition;
use serde_json::{Value, json};

use crate::process;
use crate::stats::Stats;

/// A batch that is not stored for longer is trouble, whatever the servers say of themselves.
const STORED_WITHIN: Duration = Duration::from_secs(10);
/// How long the cold worker may take to tell of its copying.
const COLD_WITHIN: Duration = Duration::from_millis(200);

#[derive(Clone)]
struct Source {
    stats: Arc<Stats>,
    bus: Arc<Bus>,
    store: Store,
    cold_worker: Endpoint,
    /// Where the last proof left its result.
    integrity: PathBuf,
}

pub(crate) fn router(
    stats: Arc<Stats>,
    bus: Arc<Bus>,
    store: Store,
    cold_worker: Endpoint,
    integrity: PathBuf,
) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/stats", get(statistics))
        .route("/metrics", get(metrics))
        .with_state(Source {
            stats,
            bus,
            store,
            cold_worker,
            integrity,
        })
}

/// Says why, where the last attempt met something.
fn not_connected(bus: &Bus) -> String {
    match &bus.connection().borrow().last_error {
        Some(error) => format!("nats is not connected ({error})"),
        None => "nats is not connected".to_owned(),
    }
}

fn now() -> String {
    UnixMillis(clock::now_ms()).to_rfc3339()
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn time(ms: &AtomicI64) -> Value {
    match ms.load(Ordering::Relaxed) {
        0 => Value::Null,
        ms => UnixMillis(ms).to_rfc3339().into(),
    }
}

/// Returns what the cold worker says of its copying. Without an answer nothing is copied: the fields say so.
async fn replication(cold_worker: &Endpoint) -> Value {
    let answer = mprism_runtime::probe::get(cold_worker, "/stats", COLD_WITHIN).await;
    let stats = answer
        .ok()
        .and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok());
    if let Some(Value::Object(said)) = stats.and_then(|mut stats| stats.get_mut("replication").map(Value::take)) {
        return said.into();
    }
    json!({
        "enabled": false,
        "interval_seconds": 0,
        "last_run_utc": null,
        "success_windows": 0,
        "failed_windows": 0,
        "lag_minutes": {},
        "cleanup_enabled": false,
    })
}

async fn health(State(source): State<Source>) -> Response {
    let connected = source.bus.connection().borrow().is_connected;
    let (store, replication) = tokio::join!(
        source.store.ping(Duration::from_secs(5)),
        replication(&source.cold_worker)
    );
    let consuming = source.stats.consumed();
    let stuck = source.stats.stuck(STORED_WITHIN);
    let other = source.stats.standing_by().into_iter().next();
    let other = other.map(|(table, holder)| format!("{table} is written by {holder}; this worker stands by"));
    let healthy = connected && store.is_ok() && consuming == source.stats.lanes && stuck.is_none();
    let reason = match (&store, connected) {
        (Err(error), _) => Some(mprism_runtime::log::chain(error)),
        (Ok(()), false) => Some(not_connected(&source.bus)),
        (Ok(()), true) if stuck.is_some() => stuck,
        (Ok(()), true) if other.is_some() => other,
        (Ok(()), true) if !healthy => Some(format!("{consuming} of {} durables are consumed", source.stats.lanes)),
        (Ok(()), true) => None,
    };
    let body = json!({
        "status": if healthy { "healthy" } else { "unhealthy" },
        "timestamp": now(),
        "service": "hot_storage",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": source.stats.uptime_s(),
        "nats_connected": connected,
        "clickhouse_connected": store.is_ok(),
        "subscriptions": source.stats.subscriptions(),
        "is_running": source.stats.running.load(Ordering::Relaxed),
        "replication": replication,
        "reason": reason,
    });
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_response(status, &body)
}

async fn statistics(State(source): State<Source>) -> Response {
    let stats = &source.stats;
    let connected = source.bus.connection().borrow().is_connected;
    let body = json!({
        "timestamp": now(),
        "service_status": {
            "is_running": stats.running.load(Ordering::Relaxed),
            "subscriptions_count": stats.subscriptions(),
            "nats_connected": connected,
        },
        "message_stats": {
            "messages_received": load(&stats.received),
            "messages_processed": load(&stats.processed),
            "messages_failed": load(&stats.failed),
            "validation_errors": load(&stats.dead_lettered),
            "retry_attempts": load(&stats.retries),
            "last_message_time": time(&stats.last_message_ms),
            "last_error_time": time(&stats.last_error_ms),
            "last_stored_time": time(&stats.last_stored_ms),
            "batch_inserts": load(&stats.inserts),
            "batch_size_total": load(&stats.inserted_rows),
            "tcp_driver_hits": 0,
            "http_fallback_hits": load(&stats.inserts),
            "held": load(&stats.held),
            "redelivered": load(&stats.redelivered),
            "natural_duplicates": load(&stats.natural_duplicates),
            "conflicts": load(&stats.conflicts),
            "identity_clashes": load(&stats.identity_clashes),
            "in_doubt": load(&stats.in_doubt),
        },
        "rows": stats.rows_by_table(),
        "standing_by": stats.standing_by(),
        "latency_ms": {
            "p50": stats.latency_ms(0.5),
            "p90": stats.latency_ms(0.9),
            "p99": stats.latency_ms(0.99),
        },
        "health_check": {
            "status": if connected { "healthy" } else { "unhealthy" },
            "nats_connected": connected,
            "subscriptions_active": stats.subscriptions(),
        },
        "replication": replication(&source.cold_worker).await,
    });
    json_response(StatusCode::OK, &body)
}

async fn metrics(State(source): State<Source>) -> Response {
    let stats = &source.stats;
    let mut text = Exposition::new();
    let (received, failed) = (load(&stats.received), load(&stats.failed));
    let (inserts, rows) = (load(&stats.inserts), load(&stats.inserted_rows));
    text.bare("hot_storage_messages_received_total", received)
        .bare("hot_storage_messages_processed_total", load(&stats.processed))
        .bare("hot_storage_messages_failed_total", failed)
        .bare("hot_storage_validation_errors_total", load(&stats.dead_lettered))
        .bare("hot_storage_subscriptions_active", stats.subscriptions())
        .bare(
            "hot_storage_is_running",
            u8::from(stats.running.load(Ordering::Relaxed)),
        )
        .bare("hot_storage_batch_inserts_total", inserts)
        .bare("hot_storage_batch_size_total", rows)
        .bare(
            "hot_storage_batch_size_avg",
            format!("{:.2}", rows as f64 / inserts.max(1) as f64),
        )
        .bare("hot_storage_clickhouse_tcp_hits_total", 0)
        .bare("hot_storage_clickhouse_http_fallback_total", inserts);
    if received > 0 {
        let percent = failed as f64 / received as f64 * 100.0;
        text.bare("hot_storage_error_rate_percent", format!("{percent:.2}"));
    }
    let times = [
        ("hot_storage_last_message_time_seconds", &stats.last_message_ms),
        ("hot_storage_last_error_time_seconds", &stats.last_error_ms),
        ("hot_storage_last_stored_time_seconds", &stats.last_stored_ms),
    ];
    for (name, ms) in times {
        let ms = ms.load(Ordering::Relaxed);
        if ms > 0 {
            text.bare(name, format!("{:.3}", ms as f64 / 1000.0));
        }
    }
    text.bare("hot_storage_redelivered_total", load(&stats.redelivered))
        .bare("hot_storage_natural_duplicates_total", load(&stats.natural_duplicates))
        .bare("hot_storage_conflicts_total", load(&stats.conflicts))
        .bare("hot_storage_identity_clashes_total", load(&stats.identity_clashes))
        .bare("hot_storage_in_doubt_total", load(&stats.in_doubt))
        .bare("hot_storage_messages_held", load(&stats.held));
    let help = "Messages whose rows are stored.";
    for ([data_type, exchange, market_type], messages) in stats.decided() {
        let labels = [
            ("data_type", data_type),
            ("exchange", exchange),
            ("market_type", market_type),
        ];
        text.counter("marketprism_storage_messages_processed_total", help, &labels, messages);
    }
    let help = "Messages of the batch that is being stored.";
    for data_type in DataType::ALL {
        let labels = [("data_type", data_type.as_str())];
        let held = stats.held_by(data_type.table());
        text.gauge("marketprism_storage_batch_queue_size", help, &labels, held);
    }
    let none: &[(&str, &str)] = &[];
    text.counter(
        "marketprism_storage_clickhouse_insert_errors_total",
        "Inserts that did not end well and were looked after.",
        none,
        load(&stats.retries),
    );
    if let Some(usage) = process::usage(stats.uptime_s()) {
        text.gauge(
            "marketprism_storage_process_rss_bytes",
            "Resident memory of the worker, in bytes.",
            none,
            usage.rss_bytes,
        )
        .gauge(
            "marketprism_storage_process_cpu_percent",
            "Share of one core that the worker took since it started.",
            none,
            format!("{:.2}", usage.cpu_percent),
        );
    }
    for (table, rows) in stats.rows_by_table() {
        let labels = [("table", table)];
        text.counter("marketprism_storage_rows_total", "Rows stored by table.", &labels, rows);
    }
    for (quantile, label) in [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")] {
        if let Some(ms) = stats.latency_ms(quantile) {
            let help = "Time from the venue's socket to readable, in milliseconds.";
            text.gauge("marketprism_storage_latency_ms", help, &[("quantile", label)], ms);
        }
    }
    integrity(&source.integrity, &mut text).await;
    metrics_response(text.finish())
}

/// Tells of the last proof; nothing where nobody asked for one yet.
async fn integrity(path: &Path, text: &mut Exposition) {
    let said = tokio::fs::read(path).await.ok();
    let said = said.and_then(|said| serde_json::from_slice::<Value>(&said).ok());
    let Some(said) = said else { return };
    if let (Some(score), Some(at_ms)) = (said["score_percent"].as_f64(), said["at_ms"].as_i64()) {
        let help = "Rows proven complete of rows expected, when mprism integrity last proved everything.";
        text.gauge("mprism_integrity_score_percent", help, &[], score);
        let help = "When that was, in seconds since the epoch.";
        let seconds = format!("{:.3}", at_ms as f64 / 1000.0);
        text.gauge("mprism_integrity_time_seconds", help, &[], seconds);
    }
}
