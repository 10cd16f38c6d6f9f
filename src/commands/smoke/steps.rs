//! The steps of the smoke test, each a real command or a look from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use mprism_settings::loopback;
use serde::Serialize;
use serde_json::Value;

use super::settle::settle;
use super::{RATE, SmokeReport, reconcile};
use crate::cli::SmokeArgs;
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::error::CliError;
use crate::report::{Cell, duration_text};

/// How long everything on its way may take to arrive once nothing more is sent.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// How long a killed worker may take to be back.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// Between looks at something that changes elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// From this duration on there have to be so many rows of each type, with the default instruments.
const AMOUNTS_AFTER: Duration = Duration::from_secs(360);
const AMOUNTS: [(&str, u64); 7] = [
    ("trade", 900),
    ("orderbook", 2_200),
    ("funding_rate", 20),
    ("open_interest", 40),
    ("lsr_top_position", 1),
    ("lsr_all_account", 1),
    ("volatility_index", 1),
];

/// One step.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) ms: u64,
    pub(crate) detail: String,
}

/// Rows of each type at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    /// Seconds since everything was healthy.
    at_s: f64,
    rows: BTreeMap<&'static str, u64>,
}

impl Sample {
    /// Returns the types that it counts.
    pub(super) fn types(&self) -> Vec<&'static str> {
        self.rows.keys().copied().collect()
    }

    /// Returns when it was taken, and its rows of each of these types.
    pub(super) fn cells(&self, types: &[&'static str]) -> Vec<Cell> {
        let at = Cell::plain(duration_text(Duration::from_secs_f64(self.at_s)));
        let rows = types
            .iter()
            .map(|name| Cell::number(self.rows.get(name).copied().unwrap_or(0)));
        std::iter::once(at).chain(rows).collect()
    }

    /// Returns it in one line.
    fn line(&self) -> String {
        let rows = self.rows.iter().map(|(name, rows)| format!("{name} {rows}"));
        let rows: Vec<String> = rows.collect();
        let at = duration_text(Duration::from_secs_f64(self.at_s));
        format!("{at}: {}", rows.join(", "))
    }
}

/// A run of the smoke test.
pub(super) struct Run<'a> {
    pub(super) home: &'a IsolatedHome,
    args: &'a SmokeArgs,
    context: &'a Context,
    pub(super) report: SmokeReport,
}

impl<'a> Run<'a> {
    pub(super) fn new(home: &'a IsolatedHome, args: &'a SmokeArgs, context: &'a Context) -> Self {
        Self {
            home,
            args,
            context,
            report: SmokeReport::default(),
        }
    }

    pub(super) fn into_report(self) -> SmokeReport {
        self.report
    }

    /// Takes every step until one fails. Stopping is not among them.
    pub(super) async fn all(&mut self) {
        let _failed_step_is_in_the_report = self.try_all().await;
    }

    async fn try_all(&mut self) -> Option<()> {
        let began = Instant::now();
        let init = self.home.mprism(&["init"]).await.map(|_| "the home is made".to_owned());
        self.took("init", began, init)?;
        let (began, rate) = (Instant::now(), RATE.to_string());
        let start: &[&str] = match self.args.live {
            true => &["start"],
            false => &["start", "--sim", "--sim-rate", &rate],
        };
        let start = self.home.mprism(start).await;
        self.took("start", began, start.map(|answer| started(&answer.document)))?;
        if self.args.live {
            let began = Instant::now();
            let reached = self.reach().await;
            self.took("reach", began, reached)?;
        }
        let healthy = Instant::now();
        // The worker is killed while there is still a while of data to come.
        let first = self.args.duration.mul_f64(0.75);
        let flow = self.flow(healthy, first).await;
        self.took("data", healthy, flow)?;
        self.command("health").await?;
        self.command("integrity").await?;
        let began = Instant::now();
        let killed = self.kill_hot().await;
        self.took("kill hot", began, killed)?;
        let began = Instant::now();
        let rest = self.flow(healthy, self.args.duration).await;
        self.took("data again", began, rest)?;
        if self.args.live {
            self.command("health").await?;
            let began = Instant::now();
            let proven = self.prove().await;
            return self.took("integrity", began, proven);
        }
        let began = Instant::now();
        let settled = self.settled().await;
        self.took("drain", began, settled)?;
        self.command("integrity").await?;
        let began = Instant::now();
        let reconciled = self.reconcile().await;
        self.took("reconcile", began, reconciled)?;
        if self.args.duration < AMOUNTS_AFTER {
            return Some(());
        }
        let (began, amounts) = (Instant::now(), self.amounts());
        self.took("amounts", began, amounts)
    }

    /// Holds the rows against what MarketPrism's documents expect of so long a run.
    fn amounts(&self) -> Result<String, CliError> {
        let rows = |name: &str| self.report.rows.get(name).copied().unwrap_or(0);
        let few = AMOUNTS.iter().filter(|(name, least)| rows(name) < *least);
        let few: Vec<String> = few
            .map(|(name, least)| format!("{} {name} rows where {least} are expected", rows(name)))
            .collect();
        if few.is_empty() {
            return Ok("as many rows as MarketPrism's documents expect, or more".into());
        }
        Err(CliError::failed("amounts", anyhow::anyhow!(few.join(", "))))
    }

    /// Stops everything; also after a step that failed.
    pub(super) async fn stop(&mut self) {
        let began = Instant::now();
        let down = self
            .home
            .mprism(&["down"])
            .await
            .map(|_| "everything is stopped".to_owned());
        let _told = self.took("stop", began, down);
    }

    async fn command(&mut self, verb: &'static str) -> Option<()> {
        let began = Instant::now();
        let answer = self.home.mprism(&[verb]).await;
        let verdict = answer.map(|answer| answer.document["verdict"].as_str().unwrap_or_default().to_owned());
        self.took(verb, began, verdict)
    }

    /// Notes what came of a step; `None` where it failed.
    fn took(&mut self, name: &'static str, began: Instant, result: Result<String, CliError>) -> Option<()> {
        let ok = result.is_ok();
        let detail = result.unwrap_or_else(|error| format!("{:#}", error.source));
        let took = began.elapsed();
        let word = if ok { "" } else { "failed: " };
        let note = format!("{name}: {word}{detail} ({})", duration_text(took));
        self.context.printer.note(&note);
        self.report.steps.push(Step {
            name,
            ok,
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            detail,
        });
        ok.then_some(())
    }

    /// Lets data flow until `until` after everything was healthy.
    async fn flow(&mut self, healthy: Instant, until: Duration) -> Result<String, CliError> {
        let end = healthy + until;
        loop {
            let next = match self.args.sample {
                Some(every) => (Instant::now() + every).min(end),
                None => end,
            };
            tokio::time::sleep_until(next.into()).await;
            let rows = crate::commands::up::rows(&self.home.settings()?).await?;
            let sum: u64 = rows.values().sum();
            if let Some(every) = self.args.sample {
                let at_s = (healthy.elapsed().as_secs_f64() * 1_000.0).round() / 1_000.0;
                let sample = Sample { at_s, rows };
                self.context.printer.note(&sample.line());
                self.report.samples.push(sample);
                if Instant::now() + every < end {
                    continue;
                }
            }
            if Instant::now() >= end {
                return Ok(format!("{sum} rows"));
            }
        }
    }

    /// Kills the hot worker and waits until another one serves.
    async fn kill_hot(&self) -> Result<String, CliError> {
        let failed = |e: std::io::Error| CliError::failed("kill", e).context("cannot kill the hot worker");
        let before = self.hot().await?;
        let identity = before.pid.and_then(ProcessIdentity::of);
        let process = identity
            .as_ref()
            .map(PidFd::open)
            .transpose()
            .map_err(failed)?
            .flatten();
        let process =
            process.ok_or_else(|| CliError::failed("kill", anyhow::anyhow!("the hot worker does not run")))?;
        process.signal(Signal::KILL).map_err(failed)?;
        let began = Instant::now();
        while began.elapsed() < BACK_WITHIN {
            let now = self.hot().await?;
            if now.is_healthy && now.pid != before.pid {
                return Ok(format!("back after {}", duration_text(began.elapsed())));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let text = format!("the hot worker is not back after {BACK_WITHIN:?}");
        Err(CliError::failed("kill", anyhow::anyhow!(text)))
    }

    async fn hot(&self) -> Result<Hot, CliError> {
        let answer = self.home.mprism(&["status", "hot"]).await?;
        let hot = &answer.document["services"][0];
        Ok(Hot {
            pid: hot["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
            is_healthy: hot["healthy"] == Value::Bool(true),
        })
    }

    async fn settled(&self) -> Result<String, CliError> {
        let settled = settle(&self.home.settings()?, DRAIN_WITHIN).await?;
        Ok(format!("{} trades of {} sent", settled.rows, settled.sent))
    }

    async fn reconcile(&mut self) -> Result<String, CliError> {
        let settings = self.home.settings()?;
        let store = settings.clickhouse.url.expose();
        let found = reconcile(loopback(settings.sim.port), store).await?;
        self.report.rows = found.rows;
        (self.report.lost, self.report.duplicated) = (found.lost, found.duplicated);
        self.report.wrong_books = found.wrong_books;
        self.report.findings = found.findings;
        let (lost, doubled, wrong) = (found.lost, found.duplicated, found.wrong_books);
        Ok(format!("{lost} lost, {doubled} doubled, {wrong} wrong order books"))
    }
}

struct Hot {
    pid: Option<u32>,
    is_healthy: bool,
}

fn started(document: &Value) -> String {
    let services = document["services"].as_array().into_iter().flatten();
    let names: Vec<&str> = services.filter_map(|service| service["name"].as_str()).collect();
    names.join(", ")
}
