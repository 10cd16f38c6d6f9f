//! `mprism health`: every endpoint and the data flow, in one verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use mprism_bus::Bus;
use mprism_model::DataType;
use mprism_settings::{ExchangeSettings, Mode, Settings, loopback};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::ServiceName;
use crate::commands::Context;
use crate::commands::deployment::{observed, paths, selected};
use crate::commands::store::Reader;
use crate::commands::up;
use crate::commands::worker::bus_layout;
use crate::commands::{reach, trouble};
use crate::control::{self, Service, UnitState, UnitStatus};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, bytes, duration_text};

/// The window of the data flow, in seconds.
const WINDOW_S: u32 = 300;
/// How far back a type's newest event is looked for, in seconds.
const NEWEST_WITHIN_S: u32 = 1_800;
/// How old the newest row of what may never happen has to be where it is not collected, before it is off; in seconds.
const OFF_AFTER_S: f64 = 60.0;
/// How long one endpoint may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Returns the time in seconds after which a type without an event has stalled; `None` of what may never happen.
fn stalled_after_s(data_type: DataType) -> Option<f64> {
    match data_type {
        DataType::Liquidation | DataType::Gap => None,
        // OKX tells a funding rate every 30 to 90 s.
        DataType::FundingRate => Some(180.0),
        // One value in five minutes, which comes minutes late.
        DataType::LsrTopPosition | DataType::LsrAllAccount => Some(900.0),
        _ => Some(60.0),
    }
}

/// `mprism health`.
pub(crate) fn run(services: &[ServiceName], context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let report = context.block_on_interruptible(examine(&settings, services, context))?;
    context.printer.report(&report)
}

/// Asks everything.
pub(crate) async fn examine(
    settings: &Settings,
    services: &[ServiceName],
    context: &Context,
) -> Result<HealthReport, CliError> {
    let deployment = observed(context, settings)?;
    let statuses = control::status(&paths(settings), &deployment).await?;
    let wanted = selected(services, &deployment.services());
    let mut asked = Vec::new();
    for unit in deployment.units.iter().filter(|unit| wanted.contains(&unit.service)) {
        let answer = control::ask(&unit.probe, ASK_WITHIN).await;
        let status = statuses.iter().find(|status| status.name == unit.service);
        asked.push(ServiceHealth {
            name: unit.service,
            healthy: answer.ready,
            detail: detail(&answer, status),
            latency_ms: (answer.took.as_secs_f64() * 10_000.0).round() / 10.0,
        });
    }
    let is_up = |service: Service| asked.iter().all(|health| health.name != service || health.healthy);
    let flow = if is_up(Service::Clickhouse) {
        flow(settings).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    let streams = streams(settings).await.unwrap_or_default();
    let throughput = throughput(settings, &flow).await;
    Ok(HealthReport::new(asked, flow, streams, throughput))
}

fn detail(answer: &control::Answer, status: Option<&UnitStatus>) -> String {
    if answer.ready {
        return "ok".into();
    }
    let is_ours_and_gone = status.is_some_and(|status| status.pid.is_none() && status.state != UnitState::External);
    if is_ours_and_gone {
        let why = status.and_then(|status| status.last_error.as_ref());
        return why.map_or_else(|| "not running".to_owned(), |why| format!("not running; {why}"));
    }
    match status.and_then(|status| status.last_error.as_ref()) {
        Some(error) if !answer.detail.contains(error.as_str()) => format!("{}; {error}", answer.detail),
        _ => answer.detail.clone(),
    }
}

#[derive(Deserialize)]
struct FlowRow {
    r#type: String,
    exchange: String,
    rows_window: u64,
    age_ms: i64,
}

/// Returns what was stored in the last window.
async fn flow(settings: &Settings) -> Result<Vec<Flow>, CliError> {
    let reader = Reader::new(settings)?;
    let now = mprism_model::UnixMillis(mprism_runtime::clock::now_ms());
    let from_ms = now.0 - i64::from(WINDOW_S) * 1_000;
    // The newest one may be older than the window, and yet be in time: ratios come every five minutes.
    let from = mprism_model::UnixMillis(now.0 - i64::from(NEWEST_WITHIN_S) * 1_000);
    let window = mprism_clickhouse::time::between(from, mprism_model::UnixMillis(now.0 + 86_400_000));
    let collected = up::collected(settings);
    let of_type = |data_type: &DataType| {
        format!(
            "SELECT '{data_type}' AS type, exchange, countIf(toUnixTimestamp64Milli(timestamp) >= {from_ms}) AS rows_window, \
             {} - max(toUnixTimestamp64Milli(ts_insert)) \
             AS age_ms FROM marketprism_hot.{} WHERE {window} GROUP BY exchange",
            now.0,
            data_type.table()
        )
    };
    let queries: Vec<String> = collected.iter().map(of_type).collect();
    let rows: Vec<FlowRow> = reader.rows(&queries.join(" UNION ALL "), ASK_WITHIN).await?;
    let mut flow = Vec::new();
    for data_type in collected {
        let name = data_type.as_str();
        let mut found: Vec<&FlowRow> = rows.iter().filter(|row| row.r#type == name).collect();
        found.sort_by(|a, b| a.exchange.cmp(&b.exchange));
        let expected = expected(settings, data_type);
        let quiet = expected.iter().copied();
        let quiet: Vec<_> = quiet
            .filter(|(id, _)| !found.iter().any(|row| row.exchange == *id))
            .collect();
        flow.extend(found.into_iter().map(|row| {
            let age_s = row.age_ms.max(0) as f64 / 1_000.0;
            Flow {
                r#type: name,
                exchange: row.exchange.clone(),
                rows_window: row.rows_window,
                window_s: WINDOW_S,
                last_event_age_s: Some(age_s),
                state: state(data_type, age_s, is_collected(settings, &expected, &row.exchange)),
            }
        }));
        flow.extend(quiet.into_iter().map(|(id, is_on)| Flow {
            r#type: name,
            exchange: id.to_owned(),
            rows_window: 0,
            window_s: WINDOW_S,
            last_event_age_s: None,
            state: if is_on { "waiting" } else { "off" },
        }));
    }
    Ok(flow)
}

/// Returns whether an exchange of which rows are there is collected. One that the settings do not know is somebody else's to collect.
fn is_collected(settings: &Settings, expected: &[(&str, bool)], exchange: &str) -> bool {
    match expected.iter().find(|(id, _)| *id == exchange) {
        Some((_, is_on)) => *is_on,
        None => !settings.collector.exchanges.contains_key(exchange),
    }
}

/// Decides how a type of an exchange is whose newest row is `age_s` old. What is not collected any more did not stall: its rows are
/// of before.
fn state(data_type: DataType, age_s: f64, is_collected: bool) -> &'static str {
    let limit_s = stalled_after_s(data_type);
    match (is_collected, limit_s) {
        (false, _) if age_s > limit_s.unwrap_or(OFF_AFTER_S) => "off",
        (true, Some(limit_s)) if age_s > limit_s => "stalled",
        _ => "flowing",
    }
}

/// Returns the exchanges that should have a type, and whether they are collected.
fn expected(settings: &Settings, data_type: DataType) -> Vec<(&'static str, bool)> {
    let has = |exchange: &ExchangeSettings| exchange.data_types.iter().any(|name| name == data_type.as_str());
    // An index has nothing but itself, and nothing else has one.
    let is_offered = |id: &str, exchange: &ExchangeSettings| {
        let is_index = data_type == DataType::VolatilityIndex;
        id != "deribit_derivatives" || exchange.symbols.iter().any(|symbol| symbol.contains('-') != is_index)
    };
    let exchanges = settings.collector.exchanges.iter();
    exchanges
        .filter(|(id, exchange)| has(exchange) && is_offered(id, exchange))
        .map(|(id, exchange)| (*id, exchange.enabled))
        .collect()
}

/// Returns what the broker says of its streams.
pub(crate) async fn streams(settings: &Settings) -> Option<Vec<StreamHealth>> {
    if settings.nats.mode == Mode::External {
        return streams_elsewhere(settings).await;
    }
    let monitor = loopback(settings.nats.monitor_port);
    let path = "/jsz?streams=true&consumers=true";
    let (_, body) = mprism_runtime::probe::get(monitor, path, ASK_WITHIN).await.ok()?;
    let document: Value = serde_json::from_str(&body).ok()?;
    let accounts = document.get("account_details")?.as_array()?;
    let details = accounts
        .iter()
        .filter_map(|account| account.get("stream_detail")?.as_array());
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
    let streams = details.flatten().map(|stream| {
        let state = stream.get("state");
        StreamHealth {
            name: stream
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            messages: number(state.and_then(|state| state.get("messages"))),
            bytes: number(state.and_then(|state| state.get("bytes"))),
            consumers: number(state.and_then(|state| state.get("consumer_count"))),
            pending: stream
                .get("consumer_detail")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|consumer| number(consumer.get("num_pending")) + number(consumer.get("num_ack_pending")))
                .sum(),
        }
    });
    let mut streams: Vec<StreamHealth> = streams.collect();
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    Some(streams)
}

/// Asks a broker whose monitoring is on another host: over the bus, as whoever may.
async fn streams_elsewhere(settings: &Settings) -> Option<Vec<StreamHealth>> {
    let options = reach::broker(settings).options("mprism-health").ok()?;
    let bus = Bus::connect(options).await.ok()?;
    bus.ready(ASK_WITHIN).await.ok()?;
    let layout = bus_layout(settings);
    let mut streams = Vec::new();
    for spec in &layout.streams {
        let Ok(found) = bus.context().get_stream(&spec.name).await else {
            continue;
        };
        let state = &found.cached_info().state;
        let mut pending = 0;
        for durable in layout.durables.iter().filter(|durable| durable.stream == spec.name) {
            // Who may not ask about durables knows nothing of what is pending.
            if let Ok(info) = found.consumer_info(&durable.name).await {
                pending += info.num_pending + info.num_ack_pending as u64;
            }
        }
        streams.push(StreamHealth {
            name: spec.name.clone(),
            messages: state.messages,
            bytes: state.bytes,
            consumers: state.consumer_count as u64,
            pending,
        });
    }
    streams.sort_by(|a, b| a.name.cmp(&b.name));
    (!streams.is_empty()).then_some(streams)
}

async fn throughput(settings: &Settings, flow: &[Flow]) -> Throughput {
    let stats = hot_stats(settings).await.unwrap_or_default();
    let number = |name: &str| {
        let found = stats.get("message_stats").and_then(|stats| stats.get(name));
        found.and_then(Value::as_u64).unwrap_or(0)
    };
    let (processed, failed) = (number("messages_processed"), number("messages_failed"));
    let rows: u64 = flow.iter().map(|flow| flow.rows_window).sum();
    Throughput {
        rows_per_s: (rows as f64 / f64::from(WINDOW_S) * 10.0).round() / 10.0,
        processed,
        failed,
        error_rate_percent: failed as f64 / (processed + failed).max(1) as f64 * 100.0,
    }
}

/// Returns the hot worker's own statistics.
pub(crate) async fn hot_stats(settings: &Settings) -> Option<BTreeMap<String, Value>> {
    let (_, body) = mprism_runtime::probe::get(reach::worker(settings, Service::Hot), "/stats", ASK_WITHIN)
        .await
        .ok()?;
    serde_json::from_str(&body).ok()
}

/// Everything that `health` found.
#[derive(Clone, Serialize)]
pub(crate) struct HealthReport {
    pub(crate) verdict: &'static str,
    services: Vec<ServiceHealth>,
    flow: Vec<Flow>,
    streams: Vec<StreamHealth>,
    throughput: Throughput,
    coverage: Coverage,
}

#[derive(Clone, Serialize)]
struct ServiceHealth {
    name: Service,
    healthy: bool,
    detail: String,
    latency_ms: f64,
}

#[derive(Clone, Serialize)]
struct Flow {
    r#type: &'static str,
    exchange: String,
    rows_window: u64,
    window_s: u32,
    last_event_age_s: Option<f64>,
    state: &'static str,
}

/// One stream as the broker describes it.
#[derive(Clone, Serialize)]
pub(crate) struct StreamHealth {
    pub(crate) name: String,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) consumers: u64,
    /// Messages that are not stored yet.
    pub(crate) pending: u64,
}

#[derive(Clone, Serialize)]
struct Throughput {
    rows_per_s: f64,
    processed: u64,
    failed: u64,
    error_rate_percent: f64,
}

#[derive(Clone, Serialize)]
struct Coverage {
    types: usize,
    of: usize,
    percent: f64,
}

impl HealthReport {
    fn new(services: Vec<ServiceHealth>, flow: Vec<Flow>, streams: Vec<StreamHealth>, throughput: Throughput) -> Self {
        let flowing = flow.iter().filter(|flow| flow.state == "flowing").count();
        let of = flow.iter().filter(|flow| flow.state != "off").count();
        Self {
            verdict: verdict(&services, &flow),
            coverage: Coverage {
                types: flowing,
                of,
                percent: if of == 0 {
                    0.0
                } else {
                    flowing as f64 / of as f64 * 100.0
                },
            },
            services,
            flow,
            streams,
            throughput,
        }
    }
}

impl HealthReport {
    /// Says what to type: what mends a stranger's distrust, or ours, before anything else.
    fn hints(&self, ill: &[&ServiceHealth], first: &ServiceHealth) -> Vec<String> {
        let advice = ill
            .iter()
            .filter_map(|service| trouble::advice(&service.detail, service.name));
        let mut hints: Vec<String> = advice.collect();
        hints.dedup();
        if hints.is_empty() {
            hints.push("start what is stopped: `mprism start`".to_owned());
        }
        hints.push(format!("see what it wrote: `mprism logs {}`", first.name));
        hints
    }

    /// Adds which exchanges fell silent, and what to type then; nothing where none did.
    fn page_of_silence(&self, page: Page) -> Page {
        let mut silent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for flow in self.flow.iter().filter(|flow| flow.state == "stalled") {
            silent.entry(&flow.exchange).or_default().push(flow.r#type);
        }
        if silent.is_empty() {
            return page;
        }
        let page = silent.into_iter().fold(page, |page, (exchange, types)| {
            let text = format!("nothing new from {exchange}: {}", types.join(", "));
            page.pieces(vec![Cell::toned(text, Tone::Bad)])
        });
        let todo = [
            "see what the collector says of it: `mprism logs collector --level warn`",
            "connect anew: `mprism restart collector`",
        ];
        todo.into_iter().fold(page, |page, todo| {
            page.pieces(vec![Cell::plain("to do: "), Cell::toned(todo, Tone::Good)])
        })
    }
}

fn verdict(services: &[ServiceHealth], flow: &[Flow]) -> &'static str {
    if services.iter().any(|service| !service.healthy) {
        "unhealthy"
    } else if flow.iter().any(|flow| flow.state == "stalled") {
        "degraded"
    } else {
        "healthy"
    }
}

impl Report for HealthReport {
    fn exit(&self) -> Exit {
        if self.verdict == "unhealthy" {
            Exit::Failed
        } else {
            Exit::Success
        }
    }

    fn failure(&self) -> Option<Failure> {
        let ill: Vec<&ServiceHealth> = self.services.iter().filter(|service| !service.healthy).collect();
        let first = ill.first()?;
        Some(Failure {
            code: "unhealthy",
            message: format!("{} of {} services are not healthy", ill.len(), self.services.len()),
            causes: ill
                .iter()
                .map(|service| format!("{}: {}", service.name, service.detail))
                .collect(),
            hints: self.hints(&ill, first),
        })
    }

    fn page(&self) -> Page {
        let tone = match self.verdict {
            "healthy" => Tone::Good,
            "degraded" => Tone::Warn,
            _ => Tone::Bad,
        };
        let services = self.services.iter().map(|service| {
            let tone = if service.healthy { Tone::Good } else { Tone::Bad };
            vec![
                Cell::plain(service.name.name()),
                Cell::toned(if service.healthy { "healthy" } else { "unhealthy" }, tone),
                Cell::number(format!("{:.1} ms", service.latency_ms)),
                Cell::toned(service.detail.clone(), Tone::Dim),
            ]
        });
        let flow = self.flow.iter().map(|flow| {
            let tone = match flow.state {
                "flowing" => Tone::Good,
                "stalled" => Tone::Bad,
                _ => Tone::Dim,
            };
            let age = flow
                .last_event_age_s
                .map(|age| duration_text(Duration::from_secs_f64(age)));
            vec![
                Cell::plain(flow.r#type),
                Cell::plain(flow.exchange.clone()),
                Cell::number(flow.rows_window),
                Cell::number(age.unwrap_or_else(|| "–".into())),
                Cell::toned(flow.state, tone),
            ]
        });
        let streams = self.streams.iter().map(|stream| {
            vec![
                Cell::plain(stream.name.clone()),
                Cell::number(stream.messages),
                Cell::number(bytes(stream.bytes)),
                Cell::number(stream.pending),
            ]
        });
        let page = Page::new().pieces(vec![Cell::plain("health: "), Cell::toned(self.verdict, tone)]);
        self.page_of_silence(page)
            .table(vec!["service", "state", "answered in", ""], services.collect())
            .table(
                vec!["type", "exchange", "rows in 5 min", "last", "state"],
                flow.collect(),
            )
            .table(vec!["stream", "messages", "bytes", "not stored yet"], streams.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_collected_any_more_did_not_stall() {
        assert_eq!(state(DataType::Trade, 59.0, true), "flowing");
        assert_eq!(state(DataType::Trade, 61.0, true), "stalled");
        assert_eq!(state(DataType::Trade, 61.0, false), "off");
        assert_eq!(
            state(DataType::Trade, 1.0, false),
            "flowing",
            "it is collected until the restart"
        );
        assert_eq!(state(DataType::Liquidation, 1_000.0, true), "flowing");
        assert_eq!(state(DataType::Liquidation, 1_000.0, false), "off");
    }
}
