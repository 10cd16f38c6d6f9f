//! A worker that watches itself: what it uses too much of it says, and where that is wanted it finishes what it holds and
//! starts over within its process, as MarketPrism's launcher promised.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mprism_settings::SelfHealSettings;
use tokio_util::sync::CancellationToken;

use crate::control;
use crate::error::CliError;

/// The variable that tells a life how many there were before it.
const LIVES: &str = "MPRISM_SELF_HEALED";
/// Looks that count for the CPU, and how many of them have to be over: one spike is none of them.
const CPU_LOOKS: usize = 5;
const CPU_OVER: usize = 3;

/// One look at ourselves.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    rss_bytes: u64,
    /// 100 is one core.
    cpu_percent: f64,
    uptime: Duration,
}

/// What there is too much of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    Memory { bytes: u64, bytes_max: u64 },
    MemoryShare { percent: f64, percent_max: u64 },
    Cpu { percent: f64, percent_max: u64 },
    Uptime { uptime: Duration, uptime_max: Duration },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { bytes, bytes_max } => {
                let [now, most] = [bytes, bytes_max].map(|bytes| crate::report::bytes(*bytes));
                write!(
                    f,
                    "{now} of memory, more than {most} (collector.self_heal.memory_bytes_max)"
                )
            }
            Self::MemoryShare { percent, percent_max } => write!(
                f,
                "{percent:.0} % of the machine's memory, more than {percent_max} % (collector.self_heal.memory_percent_max)"
            ),
            Self::Cpu { percent, percent_max } => {
                write!(
                    f,
                    "{percent:.0} % CPU, more than {percent_max} % (collector.self_heal.cpu_percent_max)"
                )
            }
            Self::Uptime { uptime, uptime_max } => {
                let [now, most] = [uptime, uptime_max].map(|time| crate::report::duration_text(*time));
                write!(
                    f,
                    "running for {now}, longer than {most} (collector.self_heal.uptime_max)"
                )
            }
        }
    }
}

/// Decides about the last looks, the newest last.
fn judge(looks: &VecDeque<Look>, machine_bytes: u64, limits: &SelfHealSettings) -> Option<Cause> {
    let now = looks.back()?;
    if now.rss_bytes > limits.memory_bytes_max {
        return Some(Cause::Memory {
            bytes: now.rss_bytes,
            bytes_max: limits.memory_bytes_max,
        });
    }
    let share = now.rss_bytes as f64 / machine_bytes.max(1) as f64 * 100.0;
    if share > limits.memory_percent_max as f64 {
        return Some(Cause::MemoryShare {
            percent: share,
            percent_max: limits.memory_percent_max,
        });
    }
    let over = |look: &&Look| look.cpu_percent > limits.cpu_percent_max as f64;
    if looks.iter().rev().take(CPU_LOOKS).filter(over).count() >= CPU_OVER && over(&now) {
        return Some(Cause::Cpu {
            percent: now.cpu_percent,
            percent_max: limits.cpu_percent_max,
        });
    }
    (now.uptime > limits.uptime_max).then_some(Cause::Uptime {
        uptime: now.uptime,
        uptime_max: limits.uptime_max,
    })
}

/// Looks at intervals until `shutdown` is cancelled, or this life has to end: then the worker is told to finish what it holds,
/// and the cause is returned.
pub(super) async fn watch(limits: SelfHealSettings, life: CancellationToken) -> Option<Cause> {
    let began = Instant::now();
    let machine_bytes = control::machine_memory("MemTotal").unwrap_or(u64::MAX);
    let lives = lives_before();
    let mut looks: VecDeque<Look> = VecDeque::new();
    let mut last = (Instant::now(), control::own_usage());
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            () = life.cancelled() => return None,
            () = tokio::time::sleep(limits.interval) => {}
        }
        let now = (Instant::now(), control::own_usage());
        let (Some(before), Some(usage)) = (last.1, now.1) else {
            continue;
        };
        let seconds = (now.0 - last.0).as_secs_f64().max(f64::EPSILON);
        // The kernel counts in hundredths of a second.
        let cpu_percent = usage.cpu_ticks.saturating_sub(before.cpu_ticks) as f64 / seconds;
        last = now;
        looks.push_back(Look {
            rss_bytes: usage.rss_bytes,
            cpu_percent,
            uptime: began.elapsed(),
        });
        if looks.len() > CPU_LOOKS {
            looks.pop_front();
        }
        let Some(cause) = judge(&looks, machine_bytes, &limits) else {
            is_told = false;
            continue;
        };
        let may_heal = limits.enabled && lives < limits.restarts_max;
        if may_heal {
            tracing::warn!(%cause, lives = lives + 1, "the worker starts over because it uses too much");
            life.cancel();
            return Some(cause);
        }
        // Told once for as long as it lasts.
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(%cause, starts_over = limits.enabled, lives, "the worker uses too much");
        }
    }
}

fn lives_before() -> u32 {
    std::env::var(LIVES)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Becomes the same command again, in the same process: who watches it sees no end. Returns only where that does not work.
pub(super) fn begin_again() -> CliError {
    let failed = |error: std::io::Error| CliError::failed("self_heal", error).context("the worker cannot start over");
    let program = match std::env::current_exe() {
        Ok(program) => still_there(program),
        Err(error) => return failed(error),
    };
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env(LIVES, (lives_before() + 1).to_string());
    failed(command.exec())
}

/// A program that was replaced while it ran goes on as the new one.
fn still_there(program: PathBuf) -> PathBuf {
    let bytes = program.as_os_str().as_bytes();
    match bytes.strip_suffix(b" (deleted)") {
        Some(path) => PathBuf::from(OsString::from_vec(path.to_vec())),
        None => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> SelfHealSettings {
        SelfHealSettings {
            enabled: true,
            interval: Duration::from_secs(60),
            memory_bytes_max: 800,
            memory_percent_max: 85,
            cpu_percent_max: 90,
            uptime_max: Duration::from_secs(3_600),
            cooldown: Duration::ZERO,
            restarts_max: 3,
        }
    }

    fn look(rss_bytes: u64, cpu_percent: f64, seconds: u64) -> Look {
        Look {
            rss_bytes,
            cpu_percent,
            uptime: Duration::from_secs(seconds),
        }
    }

    fn judged(looks: &[Look]) -> Option<Cause> {
        judge(&looks.iter().copied().collect(), 1_000, &limits())
    }

    #[test]
    fn each_limit_counts_by_itself() {
        assert_eq!(judged(&[]), None);
        assert_eq!(judged(&[look(800, 90.0, 3_600)]), None, "at a limit is not over it");
        assert!(matches!(judged(&[look(801, 0.0, 1)]), Some(Cause::Memory { .. })));
        assert!(matches!(judged(&[look(0, 0.0, 3_601)]), Some(Cause::Uptime { .. })));
        let big = SelfHealSettings {
            memory_bytes_max: u64::MAX,
            ..limits()
        };
        let share = judge(&VecDeque::from([look(900, 0.0, 1)]), 1_000, &big);
        assert!(matches!(share, Some(Cause::MemoryShare { .. })));
    }

    #[test]
    fn one_spike_is_no_load() {
        let (busy, idle) = (look(0, 95.0, 1), look(0, 5.0, 1));
        assert_eq!(judged(&[busy, busy]), None);
        assert_eq!(judged(&[busy, busy, busy, idle]), None, "it is over");
        assert!(matches!(
            judged(&[busy, idle, busy, idle, busy]),
            Some(Cause::Cpu { .. })
        ));
    }

    #[test]
    fn a_replaced_program_goes_on_as_the_new_one() {
        assert_eq!(
            still_there("/opt/mprism (deleted)".into()),
            PathBuf::from("/opt/mprism")
        );
        assert_eq!(still_there("/opt/mprism".into()), PathBuf::from("/opt/mprism"));
    }
}
