//! Looking at everything, as cheaply as every second allows: the supervisor's own answer, the workers' metrics, the broker's
//! monitoring; the store itself and the logs only now and then.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use mprism_model::{DataType, UnixMillis};
use mprism_runtime::endpoint::Endpoint;
use mprism_runtime::redact::without_credentials;
use mprism_settings::Settings;
use serde::Deserialize;

use super::metrics::{value, values};
use crate::commands::health;
use crate::commands::reach;
use crate::commands::store::Reader;
use crate::commands::up;
use crate::control::{self, Deployment, Desired, HomePaths, Service, UnitState, UnitStatus};
use crate::report::{ColdLag, ExchangeLoad, Gaps, LoggedError, Percentiles, Sample, StreamLoad, TypeFlow};

/// How long one answer may take.
const ASK_WITHIN: Duration = Duration::from_secs(1);
/// The store counts gaps at most this often.
const GAPS_EVERY: Duration = Duration::from_secs(10);
/// Errors that are told, and how old they may be in milliseconds.
const ERRORS_MAX: usize = 20;
const ERRORS_WITHIN_MS: i64 = 86_400_000;

/// Looks again and again; rates are taken between two looks.
pub(super) struct Eyes {
    settings: Settings,
    paths: HomePaths,
    deployment: Deployment,
    before: Option<(Instant, BTreeMap<&'static str, u64>)>,
    gaps: Option<(Instant, Gaps)>,
    logs: BTreeMap<PathBuf, Log>,
}

/// A log as it was read last.
struct Log {
    changed: Option<SystemTime>,
    errors: Vec<LoggedError>,
}

impl Eyes {
    pub(super) fn new(settings: Settings, paths: HomePaths, deployment: Deployment) -> Self {
        Self {
            settings,
            paths,
            deployment,
            before: None,
            gaps: None,
            logs: BTreeMap::new(),
        }
    }

    /// Looks once.
    pub(super) async fn look(&mut self) -> Sample {
        // Its metrics have a port of their own beside its first endpoint.
        let collector = Endpoint {
            port: self.settings.collector.metrics_port,
            ..reach::worker(&self.settings, Service::Collector)
        };
        let (units, hot, collector, cold, streams) = tokio::join!(
            control::status(&self.paths, &self.deployment),
            metrics(reach::worker(&self.settings, Service::Hot)),
            metrics(collector),
            metrics(reach::worker(&self.settings, Service::Cold)),
            health::streams(&self.settings),
        );
        let (services, trouble) = match units {
            Ok(services) => (services, None),
            Err(error) => (Vec::new(), Some(mprism_runtime::log::chain(&error))),
        };
        let runs = |service: Service| {
            services
                .iter()
                .any(|unit| unit.name == service && unit.healthy == Some(true))
        };
        let gaps = self.gaps(runs(Service::Clickhouse)).await;
        let (flow, rows_per_s, interval_s) = self.flow(&hot);
        Sample {
            time: UnixMillis(mprism_runtime::clock::now_ms()).to_rfc3339(),
            interval_s,
            verdict: verdict(&services),
            rows_per_s,
            flow,
            latency_ms: latency(&hot),
            streams: streams.unwrap_or_default().into_iter().map(stream).collect(),
            spool_backlog: value(&collector, "marketprism_spool_backlog").map(|backlog| backlog as u64),
            cold: lag(&cold),
            exchanges: exchanges(&collector),
            gaps,
            errors: self.errors(),
            services,
            trouble,
        }
    }

    /// Returns rows by type, and what was stored since the last look.
    fn flow(&mut self, hot: &str) -> (Vec<TypeFlow>, Option<f64>, f64) {
        let rows: BTreeMap<&str, u64> = values(hot, "marketprism_storage_rows_total")
            .filter_map(|found| Some((found.label("table")?, found.value as u64)))
            .collect();
        let held: BTreeMap<&str, u64> = values(hot, "marketprism_storage_batch_queue_size")
            .filter_map(|found| Some((found.label("data_type")?, found.value as u64)))
            .collect();
        let now = Instant::now();
        let before = self.before.take();
        let elapsed = before
            .as_ref()
            .map_or(0.0, |(at, _)| now.duration_since(*at).as_secs_f64());
        let is_known = !hot.is_empty();
        // A worker that started anew counts from nothing.
        let rate = |name: &'static str, rows: u64| {
            let (_, known) = before.as_ref().filter(|_| is_known && elapsed > 0.0)?;
            let known = known.get(name).copied()?;
            Some(if rows >= known {
                (rows - known) as f64 / elapsed
            } else {
                rows as f64 / elapsed
            })
        };
        let flow: Vec<TypeFlow> = up::collected(&self.settings)
            .into_iter()
            .map(|data_type: DataType| {
                let name = data_type.as_str();
                let rows = rows.get(data_type.table()).copied().unwrap_or(0);
                TypeFlow {
                    r#type: name,
                    rows_per_s: rate(name, rows),
                    rows: is_known.then_some(rows),
                    held: held.get(name).copied(),
                }
            })
            .collect();
        let rates: Option<Vec<f64>> = flow.iter().map(|flow| flow.rows_per_s).collect();
        if is_known {
            let known = flow.iter().map(|flow| (flow.r#type, flow.rows.unwrap_or(0)));
            self.before = Some((now, known.collect()));
        }
        let total = rates.filter(|rates| !rates.is_empty()).map(|rates| rates.iter().sum());
        (flow, total, (elapsed * 1_000.0).round() / 1_000.0)
    }

    async fn gaps(&mut self, can_be_asked: bool) -> Gaps {
        if let Some((at, gaps)) = &self.gaps
            && at.elapsed() < GAPS_EVERY
        {
            return *gaps;
        }
        if !can_be_asked {
            return Gaps::default();
        }
        let gaps = self.count_gaps().await.unwrap_or_default();
        self.gaps = Some((Instant::now(), gaps));
        gaps
    }

    async fn count_gaps(&self) -> Option<Gaps> {
        #[derive(Deserialize)]
        struct State {
            state: String,
            gaps: u64,
        }
        let reader = Reader::new(&self.settings).ok()?;
        let query = "SELECT state, count() AS gaps FROM marketprism_hot.gaps_current GROUP BY state";
        let states: Vec<State> = reader.rows(query, ASK_WITHIN).await.ok()?;
        let of = |name: &str| {
            let found = states.iter().find(|state| state.state == name);
            Some(found.map_or(0, |state| state.gaps))
        };
        Some(Gaps {
            open: of("open"),
            unfillable: of("unfillable"),
            filled: of("filled"),
        })
    }

    /// Returns the newest errors; a log is read again only after it was written.
    fn errors(&mut self) -> Vec<LoggedError> {
        let since = UnixMillis(mprism_runtime::clock::now_ms() - ERRORS_WITHIN_MS).to_rfc3339();
        let logs = Service::ALL.map(|service| (service.name(), self.paths.log(service)));
        let supervisor = ("supervisor", self.paths.logs().join("supervisor.log"));
        for (service, path) in logs.into_iter().chain([supervisor]) {
            let changed = std::fs::metadata(&path).and_then(|found| found.modified()).ok();
            let is_known = self.logs.get(&path).is_some_and(|log| log.changed == changed);
            if is_known {
                continue;
            }
            let errors = control::last_errors(&path, ERRORS_MAX).into_iter();
            let errors = errors.map(|(time, message)| LoggedError {
                time,
                service,
                message: without_credentials(&message),
            });
            let errors = errors.collect();
            self.logs.insert(path, Log { changed, errors });
        }
        let all = self.logs.values().flat_map(|log| &log.errors);
        let mut errors: Vec<LoggedError> = all.filter(|error| error.time >= since).cloned().collect();
        errors.sort_by(|a, b| b.time.cmp(&a.time));
        errors.truncate(ERRORS_MAX);
        errors
    }
}

/// Returns what a worker's `/metrics` says; nothing where it does not answer.
async fn metrics(at: Endpoint) -> String {
    match mprism_runtime::probe::get(at, "/metrics", ASK_WITHIN).await {
        Ok((200, text)) => text,
        _ => String::new(),
    }
}

fn verdict(services: &[UnitStatus]) -> &'static str {
    let is_wanted = |unit: &&UnitStatus| unit.desired == Desired::Up || unit.pid.is_some();
    let is_sound = |unit: &UnitStatus| {
        matches!(unit.state, UnitState::Running | UnitState::External) && unit.healthy != Some(false)
    };
    let wanted: Vec<&UnitStatus> = services.iter().filter(is_wanted).collect();
    match wanted.is_empty() {
        true => "stopped",
        false if wanted.into_iter().all(is_sound) => "healthy",
        false => "unhealthy",
    }
}

fn latency(hot: &str) -> Percentiles {
    let of = |quantile: &str| {
        let mut found = values(hot, "marketprism_storage_latency_ms");
        found
            .find(|value| value.label("quantile") == Some(quantile))
            .map(|found| found.value)
    };
    Percentiles {
        p50: of("0.5"),
        p90: of("0.9"),
        p99: of("0.99"),
    }
}

fn stream(stream: health::StreamHealth) -> StreamLoad {
    StreamLoad {
        name: stream.name,
        messages: stream.messages,
        bytes: stream.bytes,
        pending: stream.pending,
    }
}

fn lag(cold: &str) -> ColdLag {
    let lags = values(cold, "marketprism_cold_replication_lag_seconds").map(|found| found.value);
    let mut rows = values(cold, "marketprism_cold_backlog_rows")
        .map(|found| found.value as u64)
        .peekable();
    ColdLag {
        lag_s: lags.max_by(f64::total_cmp),
        rows: rows.peek().is_some().then(|| rows.sum()),
    }
}

fn exchanges(collector: &str) -> Vec<ExchangeLoad> {
    let of = |metric: &'static str, exchange: &str| {
        let mut found = values(collector, metric);
        found
            .find(|value| value.label("exchange") == Some(exchange))
            .map(|found| found.value)
    };
    let connected = values(collector, "marketprism_websocket_connected");
    connected
        .filter_map(|found| {
            let name = found.label("exchange")?;
            Some(ExchangeLoad {
                name: name.to_owned(),
                connected: found.value > 0.0,
                latency_ms: of("marketprism_exchange_latency_ms", name),
                reconnections: of("marketprism_websocket_reconnections_total", name).unwrap_or(0.0) as u64,
            })
        })
        .collect()
}
