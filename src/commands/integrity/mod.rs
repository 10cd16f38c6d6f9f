//! `mprism integrity`: proves completeness and consistency by arithmetic.

mod fix;
mod last;
mod markdown;
pub(crate) mod observe;
mod prove;
mod report;
mod shape;

use std::path::Path;
use std::time::{Duration, Instant};

use mprism_settings::Settings;

use crate::cli::{IntegrityArgs, IntegrityScope};
use crate::commands::Context;
use crate::error::{CliError, Exit};

pub(crate) use prove::{Compared, compared, data_type_of};
pub(crate) use report::{IntegrityReport, Level};

/// What is to be proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Which stores; both by default.
    pub(crate) scope: Option<IntegrityScope>,
    /// From when to when, the latter not included, in milliseconds since the epoch; all of time by default.
    pub(crate) window: Option<(i64, i64)>,
}

impl Ask {
    pub(crate) fn looks_at_hot(&self) -> bool {
        self.scope != Some(IntegrityScope::Cold)
    }

    pub(crate) fn looks_at_cold(&self) -> bool {
        self.scope != Some(IntegrityScope::Hot)
    }

    /// Returns whether it is about all that the cold store has, and not only about what the hot one has, too.
    pub(crate) fn is_of_cold(&self) -> bool {
        self.scope == Some(IntegrityScope::Cold)
    }
}

/// `mprism integrity`.
pub(crate) fn run(args: &IntegrityArgs, context: &Context) -> Result<Exit, CliError> {
    let ask = Ask {
        scope: args.scope,
        window: window(args.since, args.from.as_deref(), args.to.as_deref())?,
    };
    if let Some(path) = &args.report {
        check_extension(path)?;
    }
    let settings = context.settings()?;
    let module_codes = args.scope == Some(IntegrityScope::Storage);
    let examined = context.block_on_interruptible(examine_what(&settings, &ask));
    let mut report = examined.map_err(|error| match error.kind {
        // MarketPrism's module rule: what could not be looked at is an error, and an error is 2.
        Exit::Failed if module_codes => CliError {
            kind: Exit::Usage,
            ..error
        },
        _ => error,
    })?;
    report.strict = args.strict;
    report.module_codes = module_codes;
    if let Some(path) = &args.report {
        if context.globals.dry_run {
            context.printer.note(&format!("would write {}", path.display()));
        } else {
            write(path, &report)?;
        }
    }
    if ask.window.is_none() && ask.looks_at_hot() && ask.looks_at_cold() {
        last::note(&settings, &report, context);
    }
    context.printer.report(&report)
}

/// How long what is on its way may take to arrive before what it leaves open is called missing.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Observes and proves both stores; no window is everything.
pub(crate) async fn examine(settings: &Settings, window: Option<(i64, i64)>) -> Result<IntegrityReport, CliError> {
    examine_what(settings, &Ask { scope: None, window }).await
}

/// Observes and proves.
///
/// A worker that was restarted stores new messages before those that come again: what lies between is not missing. A copy that was
/// killed is finished by the next life of its worker, and a partition that leaves is in none of the places for a moment.
async fn examine_what(settings: &Settings, ask: &Ask) -> Result<IntegrityReport, CliError> {
    let began = Instant::now();
    loop {
        let observed = observe::observe(settings, ask).await?;
        let report = prove::prove(&observed);
        let is_on_its_way =
            (observed.has_unacked() && report.has_holes()) || (report.has_differences() && is_copying(settings).await);
        if !is_on_its_way || began.elapsed() >= ARRIVES_WITHIN {
            return Ok(report);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns whether the cold worker runs: then differences may be its work in progress.
async fn is_copying(settings: &Settings) -> bool {
    let worker = crate::commands::reach::worker(settings, crate::control::Service::Cold);
    mprism_runtime::probe::get(worker, "/health", LOOK_AGAIN).await.is_ok()
}

/// Returns the window in milliseconds since the Unix epoch.
///
/// # Errors
/// Usage: what is no time, and an end that is not after its beginning.
pub(crate) fn window(
    since: Option<Duration>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Option<(i64, i64)>, CliError> {
    if let Some(since) = since {
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        return Ok(Some((mprism_runtime::clock::now_ms().saturating_sub(ms), i64::MAX)));
    }
    let (Some(from_text), Some(to_text)) = (from, to) else {
        return Ok(None);
    };
    let (from, to) = (time(from_text)?, time(to_text)?);
    if from >= to {
        let error = anyhow::anyhow!("--from {from_text} is not before --to {to_text}");
        return Err(CliError::usage("bad_window", error).hint("swap them: the window ends right before --to"));
    }
    Ok(Some((from, to)))
}

fn time(text: &str) -> Result<i64, CliError> {
    let time: mprism_model::UnixMillis = text
        .parse()
        .map_err(|e| CliError::usage("bad_time", anyhow::Error::new(e)))?;
    Ok(time.0)
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

fn check_extension(path: &Path) -> Result<(), CliError> {
    if is_markdown(path) || path.extension().is_some_and(|extension| extension == "json") {
        return Ok(());
    }
    let error = anyhow::anyhow!("{} ends neither with .json nor with .md", path.display());
    Err(CliError::usage("bad_report", error)
        .hint("write JSON to a file that ends with .json, Markdown to one with .md"))
}

fn write(path: &Path, report: &IntegrityReport) -> Result<(), CliError> {
    let text = match is_markdown(path) {
        true => markdown::of(report).into_bytes(),
        false => serde_json::to_vec_pretty(report).map_err(|e| CliError::failed("report", e))?,
    };
    mprism_runtime::files::write_atomic(path, &text, 0o644)
        .map_err(|e| CliError::failed("report", e).context(format!("cannot write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_after_it_began() {
        let at = |from, to| window(None, Some(from), Some(to));
        let (day, next) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        assert_eq!(
            at(day, next).expect("valid"),
            Some((1_767_225_600_000, 1_767_312_000_000))
        );
        for (from, to) in [(next, day), (day, day), ("yesterday", day)] {
            let error = at(from, to).expect_err("refused");
            assert_eq!(error.kind, Exit::Usage, "{from} {to}");
        }
        assert_eq!(window(None, None, None).expect("valid"), None);
    }

    #[test]
    fn a_report_is_json_or_markdown() {
        for good in ["a.json", "/x/b.md"] {
            check_extension(Path::new(good)).expect(good);
        }
        for bad in ["a", "a.txt", "json", "a.JSON"] {
            let error = check_extension(Path::new(bad)).expect_err(bad);
            assert_eq!(error.kind, Exit::Usage);
            assert!(error.hints[0].contains(".json") && error.hints[0].contains(".md"));
        }
    }
}
