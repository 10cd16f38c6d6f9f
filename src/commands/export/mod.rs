//! `mprism export`: rows of the hot and the cold store in one file, each row once, in order of time.
//!
//! Time is cut into windows that a bounded amount of memory holds. Each is one query, whose answer is written as it comes; the
//! next one is asked meanwhile.

mod select;
mod sink;
mod source;
mod target;
mod windows;

use mprism_model::{DataType, UnixMillis};
use mprism_settings::Settings;
use serde::Serialize;

use crate::cli::{ExportArgs, ExportFormat};
use crate::commands::Context;
use crate::commands::lifecycle::with_services;
use crate::commands::query::{broken, engine_to_start};
use crate::commands::store::Reader;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report, bytes};
use select::Wanted;
use sink::{Sink, SinkError};
use source::Source;
use target::{Compression, Form, Target};
use windows::Span;

/// `mprism export`.
pub(crate) fn run(args: &ExportArgs, context: &Context) -> Result<Exit, CliError> {
    let wanted = wanted(args)?;
    let form = Form::of(&args.output, args.format)?;
    let is_stream = args.output.as_os_str() == "-";
    if is_stream && context.printer.is_json() {
        let error = anyhow::anyhow!("rows and the JSON document cannot both go to standard output");
        return Err(CliError::usage("two_answers", error).hint("name a file, or leave --json out"));
    }
    let settings = context.settings()?;
    let report = ExportReport::new(args, &wanted, form);
    if context.globals.dry_run {
        return context.printer.report(&PlannedExport { dry_run: true, report });
    }
    // From here on a signal leaves nothing half behind.
    context.interrupt()?;
    // Before anything is asked: a file that is there may be an hour's work.
    let target = Target::open(&args.output, args.force)?;
    warn_of_another_store(&settings, context);
    let work = export(&settings, wanted, form, target, context);
    let done = context.block_on(async {
        match engine_to_start(&settings, context).await? {
            Some(start) => with_services(&settings, start, context, work).await,
            None => context.interrupt()?.or(work).await,
        }
    })?;
    let report = ExportReport {
        rows: done.rows,
        bytes: done.bytes,
        ..report
    };
    if is_stream {
        return Ok(Exit::Success);
    }
    context.printer.report(&report)
}

/// Decides what is wanted; the type is one that clap knows.
fn wanted(args: &ExportArgs) -> Result<Wanted, CliError> {
    let data_type: DataType = args
        .data_type
        .parse()
        .map_err(|e| CliError::usage("unknown_type", anyhow::Error::new(e)))?;
    let time = |text: &str, flag: &str| -> Result<i64, CliError> {
        let time: Result<UnixMillis, _> = text.parse();
        time.map(|time| time.0).map_err(|e| {
            CliError::usage(
                "bad_time",
                anyhow::Error::new(e).context(format!("{flag} is not a time")),
            )
        })
    };
    let span = Span {
        from: time(&args.from, "--from")?,
        to: time(&args.to, "--to")?,
    };
    if span.from >= span.to {
        let error = anyhow::anyhow!("--from {} is not before --to {}", args.from, args.to);
        return Err(CliError::usage("bad_range", error).hint("rows at --from are exported, rows at --to are not"));
    }
    Ok(Wanted {
        data_type,
        span,
        exchanges: args.exchange.clone(),
        symbols: args.symbol.clone(),
    })
}

/// What another server keeps is not within reach of one query.
fn warn_of_another_store(settings: &Settings, context: &Context) {
    if let Some(url) = &settings.cold.url {
        context.printer.warn(&format!(
            "the cold store is at {url}: rows that have left the hot store are exported in its home"
        ));
    }
}

/// What was written.
struct Written {
    rows: u64,
    bytes: u64,
}

async fn export(
    settings: &Settings,
    wanted: Wanted,
    form: Form,
    target: Target,
    context: &Context,
) -> Result<Written, CliError> {
    let named = wanted.data_type.as_str();
    let source = Source::open(Reader::new(settings)?, wanted).await?;
    let windows = source.windows().await?;
    if windows.is_empty() {
        return Err(no_rows(&source, named).await?);
    }
    let progress = context.printer.progress();
    let about = windows.iter().map(|window| window.rows).sum();
    progress.rows(&format!("export {named}: about {about} rows"), about);
    let mut sink = Sink::new(form, target).map_err(unwritable)?;
    let mut answers = windows.iter().enumerate().map(|(at, window)| {
        let asked = source.ask(window, form.format, at == 0);
        // Asked while the one before is written.
        tokio::spawn(asked)
    });
    let mut next = answers.next();
    let mut heads = u64::from(form.format == ExportFormat::Csv);
    let mut done = 0;
    for window in &windows {
        let Some(asked) = std::mem::replace(&mut next, answers.next()) else {
            break;
        };
        let answer = asked
            .await
            .map_err(|e| CliError::failed("export", e).context("a question to the store was given up"))??;
        match write_window(answer, &mut sink, heads).await {
            Ok(()) => {}
            // Who reads has what it wanted.
            Err(Stop::Closed) => {
                next.iter().for_each(tokio::task::JoinHandle::abort);
                return Ok(Written {
                    rows: sink.rows,
                    bytes: 0,
                });
            }
            Err(Stop::Failed(error)) => {
                next.iter().for_each(tokio::task::JoinHandle::abort);
                return Err(error);
            }
        }
        heads = 0;
        done += window.rows;
        progress.reached(done);
    }
    let rows = sink.rows;
    let bytes = sink.finish().map_err(unwritable)?.commit()?;
    progress.done(&format!("export {named}: {rows} rows"));
    Ok(Written { rows, bytes })
}

/// Why a window is not written.
enum Stop {
    /// Nobody reads standard output any more.
    Closed,
    Failed(CliError),
}

impl From<SinkError> for Stop {
    fn from(error: SinkError) -> Self {
        match error.is_closed_pipe() {
            true => Self::Closed,
            false => Self::Failed(unwritable(error)),
        }
    }
}

async fn write_window(mut answer: reqwest::Response, sink: &mut Sink, heads: u64) -> Result<(), Stop> {
    let mut last = bytes::Bytes::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                sink.write(&chunk)?;
                last = chunk;
            }
            Ok(None) => return Ok(sink.end_window(heads)?),
            Err(error) => return Err(Stop::Failed(broken(error, &last))),
        }
    }
}

fn unwritable(error: SinkError) -> CliError {
    let hint = match &error {
        SinkError::Write(_) => "look at the disk: `mprism diagnose`",
        SinkError::Parquet(_) => "export again",
    };
    CliError::failed("output", error).hint(hint)
}

/// Says that there is nothing, and when there is something.
async fn no_rows(source: &Source, named: &str) -> Result<CliError, CliError> {
    let extent = source.extent().await?;
    let error = CliError::failed("no_rows", anyhow::anyhow!("no {named} rows in this time"));
    Ok(match extent.rows {
        0 => error.hint("there are none at any time of these exchanges and symbols: `mprism health` shows what flows"),
        _ => {
            let [first, last] = [extent.first, extent.last].map(|ms| UnixMillis(ms).to_rfc3339());
            error.hint(format!("there are rows from {first} to {last}"))
        }
    })
}

/// What was exported, and where to.
#[derive(Debug, Serialize)]
struct ExportReport {
    r#type: &'static str,
    file: String,
    format: &'static str,
    compression: Option<&'static str>,
    from: String,
    to: String,
    exchanges: Vec<String>,
    symbols: Vec<String>,
    rows: u64,
    bytes: u64,
}

impl ExportReport {
    fn new(args: &ExportArgs, wanted: &Wanted, form: Form) -> Self {
        Self {
            r#type: wanted.data_type.as_str(),
            file: args.output.display().to_string(),
            format: match form.format {
                ExportFormat::Parquet => "parquet",
                ExportFormat::Csv => "csv",
                ExportFormat::Jsonl => "jsonl",
            },
            compression: form.compression.map(|compression| match compression {
                Compression::Gzip => "gzip",
                Compression::Zstd => "zstd",
            }),
            from: UnixMillis(wanted.span.from).to_rfc3339(),
            to: UnixMillis(wanted.span.to).to_rfc3339(),
            exchanges: wanted.exchanges.clone(),
            symbols: wanted.symbols.clone(),
            rows: 0,
            bytes: 0,
        }
    }
}

impl Report for ExportReport {
    fn page(&self) -> Page {
        Page::new().line(format!("{}: {} rows, {}", self.file, self.rows, bytes(self.bytes)))
    }
}

#[derive(Serialize)]
struct PlannedExport {
    dry_run: bool,
    #[serde(flatten)]
    report: ExportReport,
}

impl Report for PlannedExport {
    fn page(&self) -> Page {
        let ExportReport {
            r#type, from, to, file, ..
        } = &self.report;
        Page::new().line(format!("would write {type} rows from {from} to {to} to {file}"))
    }
}
