//! `/health`, `/status` and `/metrics`, with the fields and names that MarketPrism's collector gave them.

mod metrics;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mprism_bus::Bus;
use mprism_model::{DataType, UnixMillis};
use mprism_runtime::clock;
use mprism_runtime::http::json_response;
use serde_json::{Map, Value, json};

use crate::LivenessOptions;
use crate::rest::Budget;
use crate::stats::{ExchangeStats, Stats};

/// An acknowledgement older than this, while messages wait, is trouble; in milliseconds.
const ACK_AGE_MS_MAX: i64 = 10_000;

/// An order book that is not valid for longer is trouble, in milliseconds.
const REJOINED_WITHIN_MS: i64 = 10_000;

#[derive(Clone)]
pub(crate) struct Source {
    stats: Arc<Stats>,
    bus: Arc<Bus>,
    liveness: LivenessOptions,
}

impl Source {
    pub(crate) fn new(stats: Arc<Stats>, bus: Arc<Bus>, liveness: LivenessOptions) -> Self {
        Self { stats, bus, liveness }
    }
}

pub(crate) fn health_router(source: Source) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/status", get(status))
        .route("/ping", get(|| async { "pong\n" }))
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .with_state(source)
}

pub(crate) fn metrics_router(source: Source) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .with_state(source)
}

fn time(ms: i64) -> String {
    UnixMillis(ms).to_rfc3339()
}

/// What one check found.
struct Check {
    name: &'static str,
    error: Option<String>,
    details: Value,
}

impl Check {
    fn document(&self, now_ms: i64) -> Value {
        json!({
            "name": self.name,
            "status": if self.error.is_none() { "healthy" } else { "unhealthy" },
            "last_check": time(now_ms),
            "response_time": 0.0,
            "error_message": self.error,
            "details": self.details,
        })
    }
}

/// The broker: not its own word, but whether what waits is acknowledged.
fn check_nats(source: &Source, now_ms: i64) -> Check {
    let connection = source.bus.connection().borrow().clone();
    let last_ack_ms = source.stats.last_ack_ms.load(Ordering::Relaxed);
    let backlog = source.stats.backlog.load(Ordering::Relaxed);
    let since_ms = if last_ack_ms == 0 {
        i64::try_from(source.stats.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    } else {
        now_ms - last_ack_ms
    };
    let error = if !connection.is_connected {
        Some("not connected".to_owned())
    } else if backlog > 0 && since_ms > ACK_AGE_MS_MAX {
        Some(format!(
            "{backlog} messages wait, nothing acknowledged for {since_ms} ms"
        ))
    } else {
        None
    };
    let server = json!({"server_id": connection.server_id, "version": connection.server_version});
    Check {
        name: "nats",
        error,
        details: json!({
            "connected": connection.is_connected,
            "server_info": server,
            "backlog": backlog,
            "last_ack": (last_ack_ms > 0).then(|| time(last_ack_ms)),
        }),
    }
}

/// A venue: connected, and every subscription speaks.
fn check_exchange(name: &'static str, exchange: &ExchangeStats, source: &Source, now_ms: i64) -> Check {
    let is_connected = exchange.is_connected();
    let is_young = source.stats.started.elapsed() < source.liveness.first_message;
    let mut ages = Map::new();
    let mut silent = Vec::new();
    let mut active = BTreeSet::new();
    for ((data_type, symbol), stream) in exchange.streams() {
        let last_ms = stream.last_ms.load(Ordering::Relaxed);
        let age_ms = (last_ms > 0).then_some(now_ms - last_ms);
        let label = format!("{data_type} {symbol}");
        let silence_ms = stream.silence_ms.load(Ordering::Relaxed);
        if silence_ms > 0 && age_ms.is_none_or(|age| age > silence_ms) {
            silent.push(label.clone());
        } else if age_ms.is_some() {
            active.insert(symbol);
        }
        ages.insert(label, age_ms.map_or(Value::Null, |age| json!(age as f64 / 1000.0)));
    }
    let error = if !is_connected && !is_young {
        let why = exchange.last_end().map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("not connected{why}"))
    } else if !silent.is_empty() && !is_young {
        Some(format!("silent: {}", silent.join(", ")))
    } else {
        None
    };
    let paused = exchange.budget().and_then(Budget::paused_for);
    Check {
        name,
        error,
        details: json!({
            "connected": is_connected,
            "active_symbols": active.len(),
            "stream_age_seconds": ages,
            "rest_paused_seconds": paused.map(|pause| pause.as_secs()),
        }),
    }
}

/// The order books: each is what its venue has, or is joined again soon.
fn check_books(source: &Source, now_ms: i64) -> Option<Check> {
    let is_young = source.stats.started.elapsed() < source.liveness.first_message;
    let streams = source.stats.exchanges().into_values().flat_map(|e| e.streams());
    let books: Vec<_> = streams.filter(|((kind, _), _)| *kind == DataType::OrderBook).collect();
    if books.is_empty() {
        return None;
    }
    let last_ms = books.iter().map(|(_, book)| book.last_ms.load(Ordering::Relaxed)).max();
    let last_ms = last_ms.filter(|last| *last > 0);
    let mut lost = Vec::new();
    let mut active = 0;
    for ((_, symbol), book) in &books {
        match book.live() {
            (true, _) => active += 1,
            (false, since_ms) if now_ms - since_ms > REJOINED_WITHIN_MS && !is_young => lost.push(symbol.as_str()),
            (false, _) => {}
        }
    }
    Some(Check {
        name: "orderbook_manager",
        error: (!lost.is_empty()).then(|| format!("not valid: {}", lost.join(", "))),
        details: json!({
            "active_symbols": active,
            "time_since_last_update": last_ms.map(|last| (now_ms - last) as f64 / 1000.0),
        }),
    })
}

fn checks(source: &Source, now_ms: i64) -> Vec<Check> {
    let mut checks = vec![check_nats(source, now_ms)];
    for (name, exchange) in source.stats.exchanges() {
        checks.push(check_exchange(name, &exchange, source, now_ms));
    }
    checks.extend(check_books(source, now_ms));
    checks
}

async fn health(State(source): State<Source>) -> Response {
    let began = Instant::now();
    let now_ms = clock::now_ms();
    let checks = checks(&source, now_ms);
    let healthy = checks.iter().filter(|check| check.error.is_none()).count();
    let is_healthy = healthy == checks.len();
    let documents: Map<String, Value> = checks.iter().map(|c| (c.name.to_owned(), c.document(now_ms))).collect();
    let body = json!({
        "status": if is_healthy { "healthy" } else { "unhealthy" },
        "timestamp": time(now_ms),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": source.stats.started.elapsed().as_secs_f64(),
        "checks": documents,
        "metrics": machine(source.stats.started.elapsed().as_secs_f64()),
        "summary": {
            "total_services": checks.len(),
            "healthy_services": healthy,
            "unhealthy_services": checks.len() - healthy,
            "check_duration": began.elapsed().as_secs_f64(),
        },
    });
    let status = if is_healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_response(status, &body)
}

/// Returns what the machine has and uses, in the original's units.
fn machine(uptime_s: f64) -> Value {
    const MB: f64 = 1_048_576.0;
    const GB: f64 = 1_073_741_824.0;
    // What the machine does not tell is zero: none of it is part of the verdict.
    let memory = sysinfo::System::new().map(|mut system| {
        system.refresh_memory();
        (system.total_memory() as f64, system.used_memory() as f64)
    });
    let (total, used) = memory.unwrap_or_default();
    let load = sysinfo::System::load_average().map_or(0.0, |load| load.one);
    let disk = rustix::fs::statvfs(".").ok();
    let disk_total = disk.as_ref().map_or(0.0, |d| (d.f_blocks * d.f_frsize) as f64);
    let disk_free = disk.as_ref().map_or(0.0, |d| (d.f_bavail * d.f_frsize) as f64);
    json!({
        "cpu_percent": load * 100.0,
        "memory_percent": percent(used, total),
        "memory_used_mb": (used / MB).round(),
        "memory_total_mb": (total / MB).round(),
        "disk_percent": percent(disk_total - disk_free, disk_total),
        "disk_used_gb": ((disk_total - disk_free) / GB).round(),
        "disk_total_gb": (disk_total / GB).round(),
        "uptime_seconds": uptime_s,
        "process_count": 1,
    })
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (part / whole * 1000.0).round() / 10.0
    } else {
        0.0
    }
}

async fn status(State(source): State<Source>) -> Response {
    let stats = &source.stats;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let mut exchanges = Map::new();
    for (name, exchange) in stats.exchanges() {
        exchanges.insert(
            name.to_owned(),
            json!({
                "connected": exchange.is_connected(),
                "renewals": load(&exchange.renewals),
                "observations": load(&exchange.observations),
                "repeats": load(&exchange.repeats),
                "thinned": load(&exchange.thinned),
                "polls": load(&exchange.polls),
                "connects": load(&exchange.connects),
                "frames": load(&exchange.frames),
                "trades": load(&exchange.trades),
                "replays": load(&exchange.replays),
                "gaps": load(&exchange.gaps),
                "shed": load(&exchange.shed),
                "backfilled": load(&exchange.backfilled),
                "books": load(&exchange.books),
                "diffs": load(&exchange.diffs),
                "resyncs": load(&exchange.resyncs),
                "confirmed": load(&exchange.confirmed),
                "doubted": load(&exchange.doubted),
                "corrected": load(&exchange.corrected),
                "snapshots": load(&exchange.snapshots),
                "rest_errors": exchange.rest_errors.counts(),
                "malformed": exchange.malformed.counts(),
                "skipped": exchange.skipped.counts(),
                "disconnects": exchange.disconnects.counts(),
            }),
        );
    }
    let body = json!({
        "timestamp": time(clock::now_ms()),
        "uptime": stats.started.elapsed().as_secs_f64(),
        "published": load(&stats.published),
        "publish_duplicates": load(&stats.publish_duplicates),
        "mirrored": load(&stats.mirrored),
        "publish_errors": stats.publish_troubles.counts(),
        "republishes": load(&stats.republishes),
        "backlog": load(&stats.backlog),
        "in_flight": load(&stats.in_flight),
        "exchanges": exchanges,
    });
    json_response(StatusCode::OK, &body)
}
