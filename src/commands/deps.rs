//! `mprism deps`: what is pinned, whether it is there, and fetching it.

use std::fs;
use std::path::{Path, PathBuf};

use mprism_deps::{Dependency, DepsError, FetchOptions, Progress as Fetching, Provider, verify_full, verify_quick};
use serde::Serialize;

use crate::cli::{DepsArgs, DepsVerb};
use crate::commands::Context;
use crate::commands::prepare::{self, Planned};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, bytes};
use crate::ui::Progress;

/// Runs `deps list`, `deps install` or `deps verify`.
pub(crate) fn run(args: &DepsArgs, context: &Context) -> Result<Exit, CliError> {
    match &args.verb {
        DepsVerb::List => context.printer.report(&observe(context, verify_quick)?),
        DepsVerb::Verify => {
            let mut report = observe(context, verify_full)?;
            report.must_be_whole = true;
            context.printer.report(&report)
        }
        DepsVerb::Install {
            names,
            provider,
            offline,
        } => {
            let wanted = if names.is_empty() {
                Dependency::ALL.to_vec()
            } else {
                names.clone()
            };
            let options = fetch_options(context, *provider, *offline)?;
            install(&wanted, &options, context)
        }
    }
}

fn install(wanted: &[Dependency], options: &FetchOptions, context: &Context) -> Result<Exit, CliError> {
    let plan = prepare::plan_dependencies(&context.home, wanted, &options.cache);
    if context.globals.dry_run {
        prepare::check_providers(&plan, options)?;
        return context.printer.report(&Planned::new(&plan));
    }
    let progress = context.printer.progress();
    let interrupt = context.interrupt()?;
    interrupt.during(|| prepare::execute(&context.home, &plan, options, &|now| show_progress(&progress, now)))?;
    let mut report = observe(context, verify_quick)?;
    report.steps = plan;
    report.dependencies.retain(|found| wanted.contains(&found.name));
    context.printer.report(&report)
}

/// Returns how to fetch, as flags and environment say; SIGINT and SIGTERM end it.
///
/// # Errors
/// Where the environment names no place for a cache, or signals cannot be watched.
pub fn fetch_options(context: &Context, provider: Provider, offline: bool) -> Result<FetchOptions, CliError> {
    Ok(FetchOptions {
        cache: cache(context)?,
        provider,
        offline,
        search_path: context.environment.get("PATH").cloned().unwrap_or_default().into(),
        stall_max: mprism_deps::STALL_MAX,
        cancel: Some(context.interrupt()?.fetching()),
    })
}

/// Returns the place of the user's cache.
pub(super) fn cache(context: &Context) -> Result<PathBuf, CliError> {
    let path = |name: &str| {
        context
            .environment
            .get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let (xdg, home) = (path("XDG_CACHE_HOME"), path("HOME"));
    if xdg.is_none() && home.is_none() {
        let error = CliError::usage(
            "no_cache",
            anyhow::anyhow!("no cache folder: neither XDG_CACHE_HOME nor HOME is set"),
        );
        return Err(error.hint("set one of them"));
    }
    Ok(mprism_deps::cache_folder(
        xdg.as_deref(),
        home.as_deref().unwrap_or(Path::new("/")),
    ))
}

/// Shows what happens while something is fetched.
pub fn show_progress(progress: &Progress, now: Fetching) {
    match now {
        Fetching::Waiting(dependency) => {
            progress.step(&format!("waiting for another mprism that fetches {dependency}"), 0)
        }
        Fetching::Downloading(dependency, size) => {
            progress.step(&format!("downloading {dependency} ({})", bytes(size)), size);
        }
        Fetching::Unpacking(dependency, size) => {
            progress.step(&format!("unpacking {dependency} ({})", bytes(size)), size)
        }
        Fetching::Downloaded(_, bytes) | Fetching::Unpacked(_, bytes) => progress.reached(bytes),
        Fetching::Ready(dependency) => progress.done(&format!("{dependency} is in place")),
    }
}

fn observe(
    context: &Context,
    check: impl Fn(Dependency, &Path) -> Result<(), DepsError>,
) -> Result<DepsReport, CliError> {
    let cache = cache(context)?;
    let mut dependencies = Vec::new();
    for name in Dependency::ALL {
        let pin = name.pin()?;
        let cached = pin.cached(&cache);
        let (state, detail) = match check(name, &cached) {
            Ok(()) => (State::Whole, None),
            Err(DepsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                (State::Missing, Some(format!("{} is missing", cached.display())))
            }
            Err(error) => (State::Damaged, Some(in_one_line(&error))),
        };
        let link = prepare::link_of(&context.home, name);
        let linked = fs::read_link(&link).is_ok_and(|target| target == cached);
        dependencies.push(Found {
            name,
            version: pin.version,
            reports: pin.reports,
            sha256: pin.sha256,
            bytes: pin.size,
            path: cached,
            state,
            linked,
            detail,
        });
    }
    Ok(DepsReport {
        dependencies,
        steps: Vec::new(),
        must_be_whole: false,
    })
}

fn in_one_line(error: &DepsError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[derive(Serialize)]
struct DepsReport {
    dependencies: Vec<Found>,
    /// What was done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<prepare::Step>,
    #[serde(skip)]
    must_be_whole: bool,
}

/// One pinned file and what stands in its place.
#[derive(Serialize)]
struct Found {
    name: Dependency,
    version: String,
    reports: String,
    sha256: String,
    bytes: u64,
    path: PathBuf,
    state: State,
    /// Whether this home uses it.
    linked: bool,
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Whole,
    Missing,
    Damaged,
}

impl Report for DepsReport {
    fn exit(&self) -> Exit {
        let whole = self.dependencies.iter().all(|found| found.state == State::Whole);
        if self.must_be_whole && !whole {
            Exit::Failed
        } else {
            Exit::Success
        }
    }

    fn failure(&self) -> Option<Failure> {
        if self.exit() == Exit::Success {
            return None;
        }
        let broken: Vec<&Found> = self
            .dependencies
            .iter()
            .filter(|found| found.state != State::Whole)
            .collect();
        let damaged = broken.iter().any(|found| found.state == State::Damaged);
        let names: Vec<&str> = broken.iter().map(|found| found.name.as_str()).collect();
        Some(Failure {
            code: if damaged {
                "checksum_mismatch"
            } else {
                "dependency_missing"
            },
            message: format!("not as pinned: {}", names.join(", ")),
            causes: broken.iter().filter_map(|found| found.detail.clone()).collect(),
            hints: vec!["fetch again: `mprism deps install`".to_owned()],
        })
    }

    fn page(&self) -> Page {
        let row = |found: &Found| {
            let state = match found.state {
                State::Whole => Cell::toned("whole", Tone::Good),
                State::Missing => Cell::toned("missing", Tone::Warn),
                State::Damaged => Cell::toned("damaged", Tone::Bad),
            };
            vec![
                Cell::plain(found.name.as_str()),
                Cell::plain(&found.version),
                Cell::number(bytes(found.bytes)),
                state,
                Cell::plain(if found.linked { "yes" } else { "no" }),
                Cell::plain(found.sha256.get(..12).unwrap_or_default()),
                Cell::plain(found.path.display().to_string()),
            ]
        };
        let header = vec!["NAME", "VERSION", "SIZE", "STATE", "LINKED", "SHA-256", "PATH"];
        Page::new().table(header, self.dependencies.iter().map(row).collect())
    }
}
