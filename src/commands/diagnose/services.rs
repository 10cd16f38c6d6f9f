//! What runs and what stands in its way: processes, ports, locks, versions, streams, tables.

use std::collections::BTreeMap;
use std::time::Duration;

use mprism_deps::Dependency;
use mprism_runtime::lock::LockState;
use mprism_settings::{Mode, Settings, loopback};
use serde::Serialize;
use serde_json::Value;

use super::Findings;
use crate::commands::{integrity, reach};
use crate::control::{Rebuilding, Service, Survey, SurveyedLock, SurveyedPort, UnitState};

/// How long the broker may take to tell its version.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// The window of the proofs of tables and streams: nothing of what is stored matters here.
const WINDOW_MS: i64 = 1_000;

/// What is pinned and what runs.
#[derive(Serialize)]
pub(super) struct Versions {
    mprism: &'static str,
    pinned: BTreeMap<&'static str, String>,
    running: BTreeMap<&'static str, String>,
}

pub(super) async fn versions(settings: &Settings, survey: &Survey) -> Versions {
    let pins = Dependency::ALL
        .into_iter()
        .filter_map(|name| Some((name.as_str(), name.pin().ok()?.reports)));
    let units = survey.units.iter().filter(|unit| unit.pid.is_some());
    let mut running: BTreeMap<&'static str, String> = units
        .filter_map(|unit| Some((unit.name.name(), unit.version.clone()?)))
        .collect();
    if let Some(version) = broker_version(settings).await {
        running.insert("nats", version);
    }
    Versions {
        mprism: env!("CARGO_PKG_VERSION"),
        pinned: pins.collect(),
        running,
    }
}

/// Asks the broker itself: somebody else's is not the pinned one.
async fn broker_version(settings: &Settings) -> Option<String> {
    if settings.nats.mode == Mode::External {
        let options = reach::broker(settings).options("mprism-diagnose").ok()?;
        let connection = mprism_bus::try_out(options, ASK_WITHIN).await.ok()?;
        return Some(connection.server_version);
    }
    let monitor = loopback(settings.nats.monitor_port);
    let (_, body) = mprism_runtime::probe::get(monitor, "/varz", ASK_WITHIN).await.ok()?;
    let document: Value = serde_json::from_str(&body).ok()?;
    document.get("version")?.as_str().map(str::to_owned)
}

pub(super) async fn examine(survey: &Survey, settings: &Settings, findings: &mut Findings) {
    survey.ports.iter().for_each(|port| judge_port(port, findings));
    judge_locks(&survey.locks, findings);
    for found in &survey.marketprism {
        let (pid, proof, what) = (found.process.pid, found.proof.display(), found.part.text());
        let text = format!("a MarketPrism runs: its {what}, pid {pid}, holds {proof}");
        findings.error("marketprism", "processes", text, "mprism start --take-over");
    }
    judge_rebuilding(survey, findings);
    judge_units(survey, findings);
    judge_programs(survey, findings);
    judge_broker(settings, findings).await;
    judge_data(survey, settings, findings).await;
}

fn judge_port(port: &SurveyedPort, findings: &mut Findings) {
    let Some((told, remedy)) = port.told() else { return };
    let subject = format!("port {}", port.address.port());
    if !port.is_ours {
        let remedy = remedy
            .as_deref()
            .and_then(|text| text.split('`').nth(1))
            .unwrap_or("mprism clean --ports --force");
        findings.error("port_taken", subject, told, remedy);
    } else if !port.is_running {
        findings.warn("port_leftover", subject, told, "mprism clean --ports");
    }
}

/// A lock keeps the name of its last holder: that is told once for all of them, what cannot be used for each.
fn judge_locks(locks: &[SurveyedLock], findings: &mut Findings) {
    for lock in locks {
        if let Err(reason) = &lock.state {
            let path = lock.path.display().to_string();
            findings.error("lock_unusable", &path, reason.clone(), format!("ls -l {path}"));
        }
    }
    // Every command leaves its name in the lock of commands.
    let is_stale =
        |lock: &&SurveyedLock| matches!(lock.state, Ok(LockState::Stale(_))) && !lock.path.ends_with("operation.lock");
    let stale = locks.iter().filter(is_stale).count();
    if stale > 0 {
        let text = format!("{stale} name processes that have ended, which is harmless");
        findings.add(
            "lock_stale",
            super::Level::Info,
            "locks",
            text,
            Some("mprism clean".to_owned()),
        );
    }
}

fn judge_rebuilding(survey: &Survey, findings: &mut Findings) {
    match survey.rebuilding {
        Some(Rebuilding::CutShort) => findings.warn(
            "schema_repair",
            "tables",
            "a rebuild of tables was cut short; nothing is lost, and it goes on where it was",
            "mprism repair --schema",
        ),
        Some(Rebuilding::AtWork { .. }) => findings.info(
            "schema_repair",
            "tables",
            "tables are rebuilt; hot and cold come back after it",
        ),
        None => {}
    }
}

fn judge_units(survey: &Survey, findings: &mut Findings) {
    if survey.supervisor.is_none() && !survey.desired.is_empty() {
        let names: Vec<&str> = survey.desired.iter().map(|service| service.name()).collect();
        let text = format!("{} should be up and nobody supervises them", names.join(", "));
        findings.error("no_supervisor", "supervisor", text, "mprism status");
    }
    for unit in &survey.units {
        let name = unit.name;
        let why = unit.last_error.clone().unwrap_or_default();
        // Of what runs elsewhere there are no logs here.
        let logs = match unit.state {
            UnitState::External => format!("mprism health {name}"),
            _ => format!("mprism logs {name}"),
        };
        match unit.state {
            UnitState::Failed => findings.error("service_failed", name, format!("given up: {why}"), logs),
            UnitState::Backoff => findings.error("service_ends", name, format!("ends again and again: {why}"), logs),
            UnitState::Running | UnitState::External if unit.healthy == Some(false) => {
                findings.error("service_unhealthy", name, format!("not healthy: {why}"), logs);
            }
            UnitState::Running | UnitState::Starting | UnitState::Stopped | UnitState::External => {}
        }
        if unit.restarts > 0 {
            let text = format!("started again {} times; last {why}", unit.restarts);
            findings.warn(
                "service_restarts",
                name,
                text,
                format!("mprism logs {name} --level warn"),
            );
        }
    }
}

/// A program that was replaced while it runs goes on as it was.
fn judge_programs(survey: &Survey, findings: &mut Findings) {
    let is_replaced = |program: &std::path::PathBuf| program.to_string_lossy().ends_with(" (deleted)");
    for (service, program) in survey.programs.iter().filter(|(_, program)| is_replaced(program)) {
        let text = format!("runs a program that has been replaced: {}", program.display());
        findings.warn("program_replaced", service, text, "mprism restart --one-by-one");
    }
}

async fn judge_broker(settings: &Settings, findings: &mut Findings) {
    if settings.nats.mode == Mode::Managed {
        return;
    }
    // A server of somebody else's answers where we may not look: its acknowledgements cannot be shown to be durable.
    findings.warn(
        "acks_unproven",
        "nats",
        "it cannot be shown that acknowledgements of somebody else's server survive a power cut",
        "mprism config edit",
    );
}

/// Differences between what exists and what this version makes: streams, durables, fsync policy, tables.
async fn judge_data(survey: &Survey, settings: &Settings, findings: &mut Findings) {
    let runs = |service: Service| {
        let unit = survey.units.iter().find(|unit| unit.name == service);
        unit.is_some_and(|unit| unit.healthy == Some(true))
    };
    if !runs(Service::Clickhouse) || !runs(Service::Nats) {
        let text = "streams and tables are compared only while nats and clickhouse run";
        findings.info("drift_unknown", "data", text);
        return;
    }
    let now = mprism_runtime::clock::now_ms();
    match integrity::examine(settings, Some((now - WINDOW_MS, now))).await {
        Err(error) => findings.error(
            "data_unreadable",
            "data",
            format!("{:#}", error.source),
            "mprism health",
        ),
        Ok(report) => {
            for check in report.checks {
                let (id, fix) = match (check.id, check.cause.as_str()) {
                    ("schema", _) => ("table_drift", "mprism init"),
                    ("transport", _) => ("stream_drift", "mprism init"),
                    ("presence", "broken_part") => ("broken_part", "mprism repair --accept-broken-parts"),
                    _ => continue,
                };
                match check.level {
                    integrity::Level::Ok => {}
                    integrity::Level::Warn => findings.warn(id, "data", check.message, fix),
                    integrity::Level::Error => findings.error(id, "data", check.message, fix),
                }
            }
        }
    }
}
