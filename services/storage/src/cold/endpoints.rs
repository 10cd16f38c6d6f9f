//! `/health`, `/stats` and `/metrics`, with the fields and names that MarketPrism's cold storage gave them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mprism_clickhouse::Store;
use mprism_model::UnixMillis;
use mprism_runtime::clock;
use mprism_runtime::http::{json_response, metrics_response};
use mprism_runtime::log::chain;
use mprism_runtime::metrics::Exposition;
use serde_json::{Map, Value, json};

use super::ColdOptions;
use super::copier::Stores;
use super::stats::{Inner, Stats};
use crate::process;

/// How long a store may take to say that it is there.
const PING_WITHIN: Duration = Duration::from_secs(5);
/// Errors that `/stats` shows.
const ERRORS_SHOWN: usize = 20;

#[derive(Clone)]
struct Source {
    stats: Arc<Stats>,
    stores: Stores,
    options: Arc<ColdOptions>,
}

pub(crate) fn router(stats: Arc<Stats>, stores: Stores, options: Arc<ColdOptions>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/stats", get(statistics))
        .route("/api/v1/status", get(statistics))
        .route("/metrics", get(metrics))
        .with_state(Source { stats, stores, options })
}

fn now() -> String {
    UnixMillis(clock::now_ms()).to_rfc3339()
}

fn time(ms: Option<i64>) -> Value {
    ms.map_or(Value::Null, |ms| UnixMillis(ms).to_rfc3339().into())
}

fn word(is_well: bool) -> &'static str {
    if is_well { "healthy" } else { "unhealthy" }
}

/// Returns whole minutes of lag by table; −1 before anything is known.
fn lag_minutes(now: &Inner) -> Map<String, Value> {
    let lag = now.tables.iter().map(|(table, stats)| {
        let minutes = stats.lag_ms().map_or(-1, |ms| ms / 60_000);
        ((*table).to_owned(), minutes.into())
    });
    lag.collect()
}

fn replication(options: &ColdOptions, now: &Inner) -> Value {
    json!({
        "enabled": true,
        "interval_seconds": options.interval.as_secs(),
        "last_run_utc": time(now.last_cycle_ms),
        "success_windows": now.sum(|table| table.proven),
        "failed_windows": now.sum(|table| table.failed),
        "lag_minutes": lag_minutes(now),
        "cleanup_enabled": options.leave.is_some(),
        "cleanup_delay_minutes": options.leave.map(|leave| leave.delay.as_secs() / 60),
        "impl": "fingerprint",
        "cross_instance": options.cold.is_some(),
        "dependency_warnings": [],
        "catching_up": now.is_catching_up,
        "backlog_rows": now.sum(|table| table.backlog),
    })
}

async fn unreachable(name: &str, store: &Store) -> Option<String> {
    let answer = store.ping(PING_WITHIN).await;
    answer.err().map(|error| format!("the {name} store: {}", chain(&error)))
}

async fn health(State(source): State<Source>) -> Response {
    let Source { stats, stores, options } = source;
    let (hot, cold) = tokio::join!(unreachable("hot", &stores.hot), unreachable("cold", &stores.cold));
    let now_stats = stats.now();
    let trouble = now_stats.trouble(options.lag_max);
    let is_well = hot.is_none() && cold.is_none() && trouble.is_none();
    let components = json!({
        "hot_storage": {"status": word(hot.is_none())},
        "cold_storage": {"status": word(cold.is_none())},
        "transfer_worker": {"status": word(trouble.is_none())},
    });
    let body = json!({
        "status": word(is_well),
        "timestamp": now(),
        "service": "cold_storage",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": stats.uptime_s(),
        "components": {
            "storage": {
                "status": word(hot.is_none() && cold.is_none()),
                "timestamp": now(),
                "components": components,
            },
            "sync_worker": {"status": word(trouble.is_none())},
        },
        "hot_clickhouse": hot.is_none(),
        "cold_clickhouse": cold.is_none(),
        "replication": replication(&options, &now_stats),
        "reason": hot.or(cold).or(trouble),
    });
    let status = if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_response(status, &body)
}

async fn statistics(State(source): State<Source>) -> Response {
    let now_stats = source.stats.now();
    let types = now_stats.tables.values().map(|table| {
        let counts = json!({"synced": table.copied, "failed": table.failed});
        (table.data_type.as_str().to_owned(), counts)
    });
    let types: Map<String, Value> = types.collect();
    let tables = now_stats.tables.iter().map(|(name, table)| {
        let state = json!({
            "lag_s": table.lag_ms().map(|ms| ms as f64 / 1000.0),
            "proven_to": time(table.proven_to),
            "backlog_rows": table.backlog,
            "copied": table.copied,
            "copying_s": table.copying.as_secs_f64(),
            "proven_windows": table.proven,
            "failed_windows": table.failed,
            "left": table.left,
            "doubled": table.doubled,
        });
        ((*name).to_owned(), state)
    });
    let tables: Map<String, Value> = tables.collect();
    let errors = now_stats.errors.iter().rev().take(ERRORS_SHOWN).map(|error| {
        json!({
            "time_utc": time(Some(error.at_ms)),
            "table": error.table,
            "message": error.why,
        })
    });
    let errors: Vec<Value> = errors.collect();
    let last = now_stats.errors.back();
    let leaves = source.options.leave.is_some();
    let body = json!({
        "timestamp": now(),
        "service_status": {"is_running": true, "sync_task_active": true, "cleanup_task_active": leaves},
        "sync_stats": {
            "sync_cycles": now_stats.cycles,
            "successful_syncs": now_stats.sum(|table| table.proven),
            "failed_syncs": now_stats.sum(|table| table.failed),
            "last_sync_time": time(now_stats.last_cycle_ms),
            "last_sync_duration": now_stats.last_cycle_took.as_secs_f64(),
            "total_records_synced": now_stats.sum(|table| table.copied),
            "cleanup_cycles": now_stats.sum(|table| table.departures),
            "last_cleanup_time": time(now_stats.last_left_ms),
            "total_records_cleaned": now_stats.sum(|table| table.left),
            "data_types": types,
            "last_success_utc": time(now_stats.last_success_ms),
            "last_error": last.map(|error| format!("{}: {}", error.table, error.why)),
            "last_error_utc": time(last.map(|error| error.at_ms)),
            "errors_count_1h": now_stats.recent_errors(),
            "recent_errors": errors,
        },
        "storage_stats": {"tables": tables},
        "replication": replication(&source.options, &now_stats),
        "stats_version": 2,
        "server_time_utc": now(),
    });
    json_response(StatusCode::OK, &body)
}

async fn metrics(State(source): State<Source>) -> Response {
    let now_stats = source.stats.now();
    let mut text = Exposition::new();
    let none: &[(&str, &str)] = &[];
    text.gauge(
        "marketprism_cold_replication_enabled",
        "Whether rows are copied.",
        none,
        1,
    )
    .counter(
        "marketprism_cold_success_windows_total",
        "Windows proven to be in the cold store.",
        none,
        now_stats.sum(|table| table.proven),
    )
    .counter(
        "marketprism_cold_failed_windows_total",
        "Windows that could not be proven.",
        none,
        now_stats.sum(|table| table.failed),
    )
    .gauge(
        "marketprism_cold_errors_count_1h_total",
        "Errors within the last hour.",
        none,
        now_stats.recent_errors(),
    );
    let tables = || now_stats.tables.iter();
    for (table, stats) in tables() {
        if let Some(ms) = stats.lag_ms() {
            let help = "Whole minutes by which the cold store is behind.";
            let labels = [("table", *table)];
            text.gauge("marketprism_cold_replication_lag_minutes", help, &labels, ms / 60_000);
        }
    }
    for (table, stats) in tables() {
        if let Some(ms) = stats.lag_ms() {
            let help = "Seconds by which the cold store is behind.";
            let labels = [("table", *table)];
            text.gauge(
                "marketprism_cold_replication_lag_seconds",
                help,
                &labels,
                ms as f64 / 1000.0,
            );
        }
    }
    for (table, stats) in tables() {
        let help = "Rows of past hours that are not proven to be in the cold store.";
        text.gauge(
            "marketprism_cold_backlog_rows",
            help,
            &[("table", *table)],
            stats.backlog,
        );
    }
    for (table, stats) in tables() {
        let help = "Rows copied to the cold store.";
        text.counter(
            "marketprism_cold_rows_copied_total",
            help,
            &[("table", *table)],
            stats.copied,
        );
    }
    for (table, stats) in tables() {
        let help = "Time that copying rows took.";
        let seconds = stats.copying.as_secs_f64();
        text.counter(
            "marketprism_cold_copying_seconds_total",
            help,
            &[("table", *table)],
            seconds,
        );
    }
    for (table, stats) in tables() {
        let help = "Rows that have left the hot store.";
        text.counter(
            "marketprism_cold_rows_left_total",
            help,
            &[("table", *table)],
            stats.left,
        );
    }
    for (table, stats) in tables() {
        let help = "Rows that the cold store was found to have more than once.";
        text.counter(
            "marketprism_cold_rows_doubled_total",
            help,
            &[("table", *table)],
            stats.doubled,
        );
    }
    let times = [
        (
            "marketprism_cold_last_success_timestamp_seconds",
            "When a window was last proven.",
            now_stats.last_success_ms,
        ),
        (
            "marketprism_cold_last_error_timestamp_seconds",
            "When something last went wrong.",
            now_stats.errors.back().map(|error| error.at_ms),
        ),
    ];
    for (name, help, ms) in times {
        if let Some(ms) = ms {
            text.gauge(name, help, none, format!("{:.3}", ms as f64 / 1000.0));
        }
    }
    if let Some(usage) = process::usage(source.stats.uptime_s()) {
        text.gauge(
            "marketprism_cold_process_rss_bytes",
            "Resident memory of the worker, in bytes.",
            none,
            usage.rss_bytes,
        )
        .gauge(
            "marketprism_cold_process_cpu_percent",
            "Share of one core that the worker took since it started.",
            none,
            format!("{:.2}", usage.cpu_percent),
        );
    }
    metrics_response(text.finish())
}
