//! What commands take, from the shell's point of view, and the program itself.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::measured::{Measured, median};
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::error::CliError;

/// How often each thing is measured; the median counts.
pub(super) const SAMPLES: usize = 10;
/// From stopped to all healthy.
const START_BUDGET_MS: f64 = 2_000.0;
const STOP_BUDGET_MS: f64 = 2_000.0;
const STATUS_BUDGET_MS: f64 = 100.0;
const HEALTH_BUDGET_MS: f64 = 300.0;
const VERSION_BUDGET_MS: f64 = 10.0;

/// Measures everything of it.
pub(super) async fn measure(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    let mut results = program(context).await?;
    results.extend(start(home, context).await?);
    results.extend(status(home, context).await?);
    results.push(health(home, context).await?);
    Ok(results)
}

/// Measures whole commands.
pub(super) async fn start(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["init"]).await?;
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for round in 1..=SAMPLES {
        let started = home.mprism(&["start", "--sim"]).await?;
        let stopped = home.mprism(&["stop"]).await?;
        context.printer.note(&format!(
            "{round}/{SAMPLES}: start {:?}, stop {:?}",
            started.took, stopped.took
        ));
        starts.push(started.took);
        stops.push(stopped.took);
    }
    Ok(vec![
        Measured::new("start", &starts, Some(START_BUDGET_MS), None),
        Measured::new("stop", &stops, Some(STOP_BUDGET_MS), None),
    ])
}

pub(super) async fn status(home: &IsolatedHome, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["start", "--sim"]).await?;
    let (mut answers, mut floor) = (Vec::new(), Vec::new());
    for round in 1..=SAMPLES {
        let answer = home.mprism(&["status"]).await?;
        context
            .printer
            .note(&format!("{round}/{SAMPLES}: status {:?}", answer.took));
        answers.push(answer.took);
        // What any command of this binary costs: its own start, and reading the settings.
        floor.push(home.mprism(&["env"]).await?.took);
    }
    let floor = median(&floor);
    Ok(vec![Measured::new(
        "status",
        &answers,
        Some(STATUS_BUDGET_MS),
        Some(floor),
    )])
}

/// Measures `mprism health` of what runs; rows flow by then.
async fn health(home: &IsolatedHome, context: &Context) -> Result<Measured, CliError> {
    super::flow::until_rows(&home.settings()?).await?;
    let mut answers = Vec::new();
    for round in 1..=SAMPLES {
        let answer = home.mprism(&["health"]).await?;
        context
            .printer
            .note(&format!("{round}/{SAMPLES}: health {:?}", answer.took));
        answers.push(answer.took);
    }
    Ok(Measured::new("health", &answers, Some(HEALTH_BUDGET_MS), None))
}

/// Measures the program's start and its size.
async fn program(context: &Context) -> Result<Vec<Measured>, CliError> {
    let failed = |e: std::io::Error| CliError::failed("bench", e).context("cannot look at the program");
    let program = std::env::current_exe().map_err(failed)?;
    let mut answers: Vec<Duration> = Vec::new();
    // Its pages are in memory after the first time.
    for _ in 0..=SAMPLES {
        let began = Instant::now();
        let ended = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .map_err(failed)?;
        answers.push(began.elapsed());
        if !ended.success() {
            let text = format!("`mprism --version` ended with {ended}");
            return Err(CliError::failed("bench", anyhow::Error::msg(text)));
        }
    }
    let size = fs::metadata(&program).map_err(failed)?.len();
    context
        .printer
        .note(&format!("--version {:?}, {size} bytes", answers[SAMPLES]));
    Ok(vec![
        Measured::new("version", &answers[1..], Some(VERSION_BUDGET_MS), None),
        Measured::once("binary", "bytes", size as f64, None),
    ])
}
