//! `/health`, `/status` and `/metrics`, with the fields and names that MarketPrism's collector gave them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use mprism_bus::Bus;
use mprism_model::UnixMillis;
use mprism_runtime::clock;
use mprism_runtime::http::{json_response, metrics_response};
use mprism_runtime::metrics::Exposition;
use serde_json::{Map, Value, json};

use crate::LivenessOptions;
use crate::stats::{ExchangeStats, Stats};

/// An acknowledgement older than this, while messages wait, is trouble; in milliseconds.
const ACK_AGE_MS_MAX: i64 = 10_000;

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
    Router::new().route("/metrics", get(metrics)).with_state(source)
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
    let is_connected = exchange.is_connected.load(Ordering::Relaxed);
    let silence_ms = i64::try_from(source.liveness.silence.as_millis()).unwrap_or(i64::MAX);
    let is_young = source.stats.started.elapsed() < source.liveness.first_message;
    let mut symbols = Map::new();
    let mut silent = Vec::new();
    for (symbol, last_ms) in exchange.symbol_times() {
        let age_ms = (last_ms > 0).then_some(now_ms - last_ms);
        if age_ms.is_none_or(|age| age > silence_ms) {
            silent.push(symbol.clone());
        }
        symbols.insert(symbol, age_ms.map_or(Value::Null, |age| json!(age as f64 / 1000.0)));
    }
    let error = if !is_connected && !is_young {
        let why = exchange.last_end().map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("not connected{why}"))
    } else if !silent.is_empty() && !is_young {
        Some(format!("silent: {}", silent.join(", ")))
    } else {
        None
    };
    Check {
        name,
        error,
        details: json!({
            "connected": is_connected,
            "active_symbols": symbols.len() - silent.len(),
            "symbol_age_seconds": symbols,
        }),
    }
}

fn checks(source: &Source, now_ms: i64) -> Vec<Check> {
    let mut checks = vec![check_nats(source, now_ms)];
    for (name, exchange) in source.stats.exchanges() {
        checks.push(check_exchange(name, &exchange, source, now_ms));
    }
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
                "connected": exchange.is_connected.load(Ordering::Relaxed),
                "connects": load(&exchange.connects),
                "frames": load(&exchange.frames),
                "trades": load(&exchange.trades),
                "replays": load(&exchange.replays),
                "gaps": load(&exchange.gaps),
                "shed": load(&exchange.shed),
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
        "publish_errors": stats.publish_troubles.counts(),
        "republishes": load(&stats.republishes),
        "backlog": load(&stats.backlog),
        "in_flight": load(&stats.in_flight),
        "exchanges": exchanges,
    });
    json_response(StatusCode::OK, &body)
}

async fn metrics(State(source): State<Source>) -> Response {
    let stats = &source.stats;
    let mut text = Exposition::new();
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let uptime = format!("{:.3}", stats.started.elapsed().as_secs_f64());
    text.gauge(
        "marketprism_uptime_seconds",
        "Time since the collector started.",
        &[],
        uptime,
    );
    let is_connected = u8::from(source.bus.connection().borrow().is_connected);
    text.gauge(
        "marketprism_nats_connected",
        "Whether the broker answers.",
        &[],
        is_connected,
    );
    text.counter(
        "marketprism_nats_messages_published_total",
        "Messages the broker acknowledged.",
        &[],
        load(&stats.published),
    );
    text.counter(
        "marketprism_nats_publish_duplicates_total",
        "Messages the broker had already.",
        &[],
        load(&stats.publish_duplicates),
    );
    for (error_type, count) in stats.publish_troubles.counts() {
        let help = "Messages the broker did not take, by cause; they are sent again.";
        text.counter(
            "marketprism_nats_publish_errors_total",
            help,
            &[("error_type", &error_type)],
            count,
        );
    }
    text.counter(
        "marketprism_unpublishable_total",
        "Messages no broker would take.",
        &[],
        load(&stats.unpublishable),
    );
    text.gauge(
        "marketprism_spool_backlog",
        "Events not acknowledged yet.",
        &[],
        load(&stats.backlog),
    );
    let exchanges = stats.exchanges();
    let symbols: usize = exchanges
        .values()
        .map(|e| e.symbol_times().values().filter(|t| **t > 0).count())
        .sum();
    text.gauge("marketprism_active_symbols_count", "Symbols with events.", &[], symbols);
    type Value = fn(&ExchangeStats) -> u64;
    let per_exchange: [(&str, &str, Value); 8] = [
        (
            "marketprism_websocket_reconnections_total",
            "Connections after the first.",
            |e| e.connects.load(Ordering::Relaxed).saturating_sub(1),
        ),
        ("marketprism_websocket_frames_total", "Frames received.", |e| {
            e.frames.load(Ordering::Relaxed)
        }),
        ("marketprism_trades_total", "Trades accepted.", |e| {
            e.trades.load(Ordering::Relaxed)
        }),
        ("marketprism_replayed_total", "Trades seen before and dropped.", |e| {
            e.replays.load(Ordering::Relaxed)
        }),
        ("marketprism_gaps_total", "Gap rows written.", |e| {
            e.gaps.load(Ordering::Relaxed)
        }),
        ("marketprism_shed_total", "Events refused for lack of room.", |e| {
            e.shed.load(Ordering::Relaxed)
        }),
        ("marketprism_ws_pings_total", "Pings of the venue.", |e| {
            e.pings.load(Ordering::Relaxed)
        }),
        (
            "marketprism_skipped_total",
            "Valid events that are not collected.",
            |e| e.skipped.total(),
        ),
    ];
    for (name, exchange) in &exchanges {
        let help = "Whether the venue's connection is up.";
        let value = u8::from(exchange.is_connected.load(Ordering::Relaxed));
        text.gauge("marketprism_websocket_connected", help, &[("exchange", name)], value);
    }
    for (metric, help, value) in per_exchange {
        for (name, exchange) in &exchanges {
            text.counter(metric, help, &[("exchange", name)], value(exchange));
        }
    }
    for (name, exchange) in &exchanges {
        for (cause, count) in exchange.malformed.counts() {
            let labels = [("exchange", *name), ("validation_type", cause.as_str())];
            text.counter(
                "marketprism_data_validation_errors_total",
                "Frames not understood.",
                &labels,
                count,
            );
        }
    }
    for (name, exchange) in &exchanges {
        for (cause, count) in exchange.disconnects.counts() {
            let labels = [("component", *name), ("error_type", cause.as_str())];
            text.counter(
                "marketprism_errors_total",
                "Connections that ended, by cause.",
                &labels,
                count,
            );
        }
    }
    metrics_response(text.finish())
}
