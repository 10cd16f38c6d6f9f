//! What the two storage workers answer, name by name, as MarketPrism's did: scripts, dashboards and alerts rely on it.

use serde_json::Value;

use crate::support::{Home, get};

/// Walks a path of keys; the last has to be there, whatever it says.
fn has(document: &Value, path: &str) -> bool {
    let mut at = document;
    for key in path.split('.') {
        match at.get(key) {
            Some(found) => at = found,
            None => return false,
        }
    }
    true
}

fn has_all(document: &Value, paths: &[&str]) {
    for path in paths {
        assert!(has(document, path), "{path} is missing: {document}");
    }
}

async fn document(home: &Home, port: u16, path: &str) -> (String, Value) {
    let body = get(&format!("http://{}{path}", home.address(port))).await;
    let document = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
    (body, document)
}

/// Returns a metric's value by its name and labels, as the line begins.
fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn the_stores_answer_with_the_names_that_marketprism_gave() {
    let home = Home::new();
    home.configure("cold: {interval: 200ms, window: 1s, safety_lag: 0s}\n");
    home.good(&["start", "--sim", "--sim-rate", "500"]);
    home.flows().await;
    hot(&home).await;
    cold(&home).await;
    // A store that is away: unhealthy, with 503 and the exact words.
    home.good(&["stop", "clickhouse"]);
    for port in [8085, 8086] {
        let url = format!("http://{}/health", home.address(port));
        let answer = reqwest::get(&url).await.expect("answers");
        assert_eq!(answer.status(), 503, "{url}");
        let body = answer.text().await.expect("text");
        assert!(body.contains(r#""status": "unhealthy""#), "{body}");
    }
}

async fn hot(home: &Home) {
    // What the cold worker says of itself is there as soon as it answers in time.
    let (body, health) = mprism_testkit::until("the cold worker is heard", async || {
        let (body, health) = document(home, 8085, "/health").await;
        match has(&health, "replication.lag_minutes.trades") {
            true => Ok((body, health)),
            false => Err(body),
        }
    })
    .await;
    // The separators are the original's: scripts look for these bytes.
    assert!(body.contains(r#""status": "healthy""#), "{body}");
    has_all(
        &health,
        &[
            "timestamp",
            "version",
            "uptime",
            "nats_connected",
            "is_running",
            "replication.enabled",
            "replication.interval_seconds",
            "replication.last_run_utc",
            "replication.success_windows",
            "replication.failed_windows",
            "replication.lag_minutes.trades",
            "replication.cleanup_enabled",
        ],
    );
    assert_eq!(
        (&health["service"], &health["subscriptions"], &health["nats_connected"]),
        (&"hot_storage".into(), &8.into(), &true.into()),
        "{health}"
    );
    let (_, stats) = document(home, 8085, "/stats").await;
    let messages = [
        "messages_received",
        "messages_processed",
        "messages_failed",
        "validation_errors",
        "retry_attempts",
        "last_message_time",
        "last_error_time",
        "batch_inserts",
        "batch_size_total",
        "tcp_driver_hits",
        "http_fallback_hits",
    ];
    for name in messages {
        assert!(has(&stats, &format!("message_stats.{name}")), "{name}: {stats}");
    }
    has_all(
        &stats,
        &[
            "timestamp",
            "service_status.is_running",
            "service_status.subscriptions_count",
            "service_status.nats_connected",
            "health_check.status",
            "health_check.nats_connected",
            "health_check.subscriptions_active",
            "replication.lag_minutes",
        ],
    );
    assert_eq!(stats["service_status"]["subscriptions_count"], 8, "{stats}");
    let text = get(&format!("http://{}/metrics", home.address(8085))).await;
    for name in [
        "messages_received_total",
        "messages_processed_total",
        "messages_failed_total",
        "validation_errors_total",
        "subscriptions_active",
        "is_running",
        "batch_inserts_total",
        "batch_size_total",
        "batch_size_avg",
        "clickhouse_tcp_hits_total",
        "clickhouse_http_fallback_total",
        "error_rate_percent",
        "last_message_time_seconds",
    ] {
        let name = format!("hot_storage_{name}");
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        assert!(line.is_some(), "{name} has no line without labels: {text}");
        assert!(!text.contains(&format!("# HELP {name} ")), "{name}");
    }
    let value = |name: &str| metric(&text, name).unwrap_or_else(|| panic!("{name}: {text}"));
    assert_eq!(value("hot_storage_subscriptions_active"), 8.0);
    assert!(value("hot_storage_messages_received_total") >= value("hot_storage_messages_processed_total"));
    assert!(value("hot_storage_messages_processed_total") > 0.0);
    assert_eq!(value("hot_storage_error_rate_percent"), 0.0);
    let labels =
        r#"marketprism_storage_messages_processed_total{data_type="trade",exchange="binance_spot",market_type="spot"}"#;
    assert!(text.contains(labels), "{text}");
    for name in [
        "batch_queue_size",
        "clickhouse_insert_errors_total",
        "process_rss_bytes",
        "process_cpu_percent",
    ] {
        value(&format!("marketprism_storage_{name}"));
    }
    assert!(value("marketprism_storage_process_rss_bytes") > 1e6);
}

async fn cold(home: &Home) {
    home.until("something is copied", || {
        match home.query("SELECT count() FROM marketprism_cold.trades").as_str() {
            "0" => Err("nothing".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let (body, health) = document(home, 8086, "/health").await;
    assert!(body.contains(r#""status": "healthy""#), "{body}");
    has_all(
        &health,
        &[
            "timestamp",
            "components.storage.status",
            "components.storage.timestamp",
            "components.storage.components.hot_storage",
            "components.storage.components.cold_storage",
            "components.storage.components.transfer_worker",
            "components.sync_worker.status",
            "hot_clickhouse",
            "cold_clickhouse",
            "replication.enabled",
            "replication.cleanup_enabled",
            "replication.impl",
            "replication.cross_instance",
            "replication.dependency_warnings",
        ],
    );
    let (_, stats) = document(home, 8086, "/stats").await;
    has_all(
        &stats,
        &[
            "timestamp",
            "service_status.is_running",
            "service_status.sync_task_active",
            "service_status.cleanup_task_active",
            "sync_stats.sync_cycles",
            "sync_stats.successful_syncs",
            "sync_stats.failed_syncs",
            "sync_stats.last_sync_time",
            "sync_stats.last_sync_duration",
            "sync_stats.total_records_synced",
            "sync_stats.cleanup_cycles",
            "sync_stats.last_cleanup_time",
            "sync_stats.total_records_cleaned",
            "sync_stats.last_success_utc",
            "sync_stats.last_error",
            "sync_stats.last_error_utc",
            "sync_stats.errors_count_1h",
            "sync_stats.recent_errors",
            "storage_stats",
            "stats_version",
            "server_time_utc",
        ],
    );
    for data_type in [
        "orderbook",
        "trade",
        "funding_rate",
        "open_interest",
        "liquidation",
        "lsr_top_position",
        "lsr_all_account",
        "volatility_index",
    ] {
        for count in ["synced", "failed"] {
            let path = format!("sync_stats.data_types.{data_type}.{count}");
            assert!(has(&stats, &path), "{path}: {stats}");
        }
    }
    assert!(
        stats["sync_stats"]["total_records_synced"].as_u64() > Some(0),
        "{stats}"
    );
    let (_, status) = document(home, 8086, "/api/v1/status").await;
    assert_eq!(status["stats_version"], 2, "{status}");
    // How far it is behind is known once a table was looked at as a whole.
    let url = format!("http://{}/metrics", home.address(8086));
    let text = mprism_testkit::until("the lag of trades is told", async || {
        let text = get(&url).await;
        match text.contains(r#"marketprism_cold_replication_lag_minutes{table="trades"}"#) {
            true => Ok(text),
            false => Err(text),
        }
    })
    .await;
    for name in [
        "replication_enabled",
        "success_windows_total",
        "failed_windows_total",
        "errors_count_1h_total",
        "last_success_timestamp_seconds",
        "process_rss_bytes",
        "process_cpu_percent",
    ] {
        let name = format!("marketprism_cold_{name}");
        assert!(metric(&text, &name).is_some(), "{name}: {text}");
    }
    assert!(
        text.contains(r#"marketprism_cold_replication_lag_minutes{table="trades"}"#),
        "{text}"
    );
}
