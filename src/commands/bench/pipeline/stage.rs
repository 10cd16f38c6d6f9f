//! One run: a home of its own, a simulated market of a given rate, a time to look on, and the proof that every row is there once.

use std::time::{Duration, Instant};

use mprism_settings::{Settings, loopback};
use serde_json::Value;

use super::processes::Processes;
use super::run::{Counts, Latency, Look, Run};
use crate::commands::bench::{flow, in_a_home_of};
use crate::commands::isolated::IsolatedHome;
use crate::commands::smoke::{reconcile, sent_trades, settle};
use crate::commands::{Context, health, up};
use crate::error::CliError;

/// Before anything is measured: connections, caches and the first inserts are no cost of a row.
const WARM_UP_MAX: Duration = Duration::from_secs(5);
/// How long rows may take to come evenly: what came before its market was subscribed is asked for at a venue's pace. Where they
/// still do not, that is what is measured.
const EVEN_WITHIN: Duration = Duration::from_secs(30);
const EVEN_EVERY: Duration = Duration::from_secs(2);
/// The least of what is asked for that has to be stored, where rows come evenly.
const EVEN_SHARE: f64 = 0.95;
/// Looks at processes and backlog in a run, and the least time between two.
const LOOKS: u32 = 100;
const LOOK_EVERY_MIN: Duration = Duration::from_millis(100);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);
/// How long what is on its way may take to arrive at the end.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    /// What is collected, as settings.
    pub(super) config: String,
    /// Trades a second.
    pub(super) rate: u32,
    pub(super) run_for: Duration,
    /// Whether every row is compared with what was sent.
    pub(super) is_proven: bool,
}

impl Stage {
    /// Runs it; whatever becomes of it, nothing is left running.
    pub(super) fn measure(&self, context: &Context) -> Result<Run, CliError> {
        let run = in_a_home_of(&self.config, context, async |home| self.within(home).await)?;
        context.printer.note(&run.line());
        Ok(run)
    }

    async fn within(&self, home: &IsolatedHome) -> Result<Run, CliError> {
        home.mprism(&["init"]).await?;
        let rate = self.rate.to_string();
        home.mprism(&["start", "--sim", "--sim-rate", &rate]).await?;
        let settings = home.settings()?;
        flow::until_rows(&settings).await?;
        self.until_even(&settings).await?;
        tokio::time::sleep(WARM_UP_MAX.min(self.run_for / 4)).await;
        let processes = Processes::of(home).await?;
        let before = counts(&settings).await?;
        let began = Instant::now();
        let looks = self.look_on(&processes, &settings).await?;
        let took = began.elapsed();
        let after = counts(&settings).await?;
        let mut run = Run::of(&self.name, self.rate, took, &looks, [before, after]);
        run.latency_ms = latency(&settings).await;
        if self.is_proven {
            settle(&settings, SETTLED_WITHIN).await?;
            let found = reconcile(loopback(settings.sim.port), settings.clickhouse.url.expose()).await?;
            run.rows = Some(found.rows.values().sum());
            (run.lost, run.duplicated) = (found.lost, found.duplicated + found.wrong_books);
            run.findings = found.findings;
        }
        Ok(run)
    }

    /// Waits until rows are stored as fast as they are sent and hardly any are on their way, or until it is too late for that.
    async fn until_even(&self, settings: &Settings) -> Result<(), CliError> {
        let end = Instant::now() + EVEN_WITHIN.min(self.run_for);
        let mut before = (counts(settings).await?.rows, Instant::now());
        while Instant::now() < end {
            tokio::time::sleep(EVEN_EVERY).await;
            let now = (counts(settings).await?.rows, Instant::now());
            let rate = now.0.saturating_sub(before.0) as f64 / (now.1 - before.1).as_secs_f64();
            let is_fast = rate >= EVEN_SHARE * f64::from(self.rate);
            if is_fast && backlog(settings).await? <= u64::from(self.rate / 2) {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Looks at everything again and again, the first time at the beginning and the last at the end.
    async fn look_on(&self, processes: &Processes, settings: &Settings) -> Result<Vec<Look>, CliError> {
        let every = (self.run_for / LOOKS).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        let end = tokio::time::Instant::now() + self.run_for;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = Vec::new();
        while tokio::time::Instant::now() < end {
            ticks.tick().await;
            looks.push(Look {
                usages: processes.look()?,
                backlog: backlog(settings).await?,
            });
        }
        tokio::time::sleep_until(end).await;
        Ok(looks)
    }
}

/// Returns what was sent and what is stored.
async fn counts(settings: &Settings) -> Result<Counts, CliError> {
    Ok(Counts {
        sent: sent_trades(settings).await?,
        rows: up::rows(settings).await?.values().sum(),
    })
}

/// Returns what waits in the collector's spool and on the bus.
async fn backlog(settings: &Settings) -> Result<u64, CliError> {
    let collector = loopback(settings.collector.port);
    let answer = mprism_runtime::probe::get(collector, "/status", ASK_WITHIN).await;
    let failed = |e| CliError::failed("bench", anyhow::Error::msg(e)).context("the collector does not answer");
    let (_, body) = answer.map_err(failed)?;
    let status: Value = serde_json::from_str(&body).map_err(|e| CliError::failed("bench", e))?;
    let streams = health::streams(settings).await;
    let streams = streams.ok_or_else(|| CliError::failed("bench", anyhow::anyhow!("the broker does not answer")))?;
    let on_the_bus: u64 = streams.iter().map(|stream| stream.pending).sum();
    Ok(status["backlog"].as_u64().unwrap_or(0) + on_the_bus)
}

/// Returns the time from the venue's socket to readable, as the hot worker measured it.
async fn latency(settings: &Settings) -> Latency {
    let stats = health::hot_stats(settings).await.unwrap_or_default();
    let of = |name: &str| {
        let latency = stats.get("latency_ms")?;
        latency.get(name)?.as_f64()
    };
    Latency {
        p50: of("p50"),
        p90: of("p90"),
        p99: of("p99"),
    }
}
