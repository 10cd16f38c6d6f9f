//! `mprism logs`: the logs of all services as one stream, ordered by time.

mod entry;
mod file;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::Duration;

use mprism_runtime::clock;
use serde::Serialize;

use crate::cli::{LogLevel, LogsArgs};
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::report::{Cell, Page, Report};
use crate::ui::{Output, Printer};

use entry::{Entry, since};
use file::{LogFile, files_of};

/// Between looks at files that are followed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Lines shown where nobody says how many.
const LINES: usize = 100;

/// Prints what was logged, then what is logged from now on, if asked to.
pub(crate) fn run(args: &LogsArgs, context: &Context) -> Result<Exit, CliError> {
    let wanted = Wanted {
        services: expand(&args.services),
        since: args
            .since
            .as_deref()
            .map(|text| since(text, clock::now_ms()))
            .transpose()?,
        level: args.level,
    };
    let folder = context.home.logs();
    let lines = args.lines.or(wanted.since.is_none().then_some(LINES));
    let printer = &context.printer;
    let mut last = Last::new(lines);
    // Nothing is kept where everything is shown as text anyway: a log may be larger than memory.
    let mut sink = Sink::new(printer);
    let streams = lines.is_none() && (args.follow || !printer.is_json());
    let mut open = read(&folder, &wanted, lines, &mut |entry| match streams {
        true => sink.write(&entry),
        false => Ok(last.push(entry)),
    })
    .map_err(|e| unreadable(e, &folder))?;
    if open.is_empty() && !args.follow {
        printer.note(&format!("no logs in {}", folder.display()));
    }
    if !args.follow && printer.is_json() {
        return printer.report(&LogsReport {
            lines: last.entries.into(),
        });
    }
    for entry in &last.entries {
        if !sink.write(entry).map_err(|e| unreadable(e, &folder))? {
            return Ok(Exit::Success);
        }
    }
    if !args.follow {
        return Ok(Exit::Success);
    }
    context.block_on_interruptible(async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let somebody_reads = follow(&folder, &wanted, &mut open, &mut sink).map_err(|e| unreadable(e, &folder))?;
            if !somebody_reads {
                return Ok(Exit::Success);
            }
        }
    })
}

struct Wanted {
    /// Empty means all.
    services: Vec<String>,
    /// RFC 3339 text, which sorts like time.
    since: Option<String>,
    level: LogLevel,
}

impl Wanted {
    fn service(&self, name: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|service| service == name)
    }

    fn entry(&self, entry: &Entry) -> bool {
        entry.level <= self.level && self.since.as_ref().is_none_or(|since| entry.ts >= *since)
    }
}

/// Returns whose logs are meant; none is all of them.
fn expand(names: &[String]) -> Vec<String> {
    let mut services = Vec::new();
    for name in names {
        match name.as_str() {
            "all" => return Vec::new(),
            "broker" => services.push("nats".to_owned()),
            "storage" => services.extend(["clickhouse", "hot", "cold"].map(str::to_owned)),
            name => services.push(name.to_owned()),
        }
    }
    services
}

/// Reads every log in order of time, each line once, and returns the newest file of each service, read to its end.
fn read(
    folder: &Path,
    wanted: &Wanted,
    lines: Option<usize>,
    each: &mut dyn FnMut(Entry) -> io::Result<bool>,
) -> io::Result<BTreeMap<String, LogFile>> {
    // Only the last lines count where every line does; a filter may need all of them.
    let tail = lines.filter(|_| wanted.level == LogLevel::Trace && wanted.since.is_none());
    let mut chains: Vec<VecDeque<LogFile>> = Vec::new();
    let mut open = BTreeMap::new();
    for (service, paths) in files_of(folder)? {
        if wanted.service(&service) {
            chains.push(file::chain(&service, &paths, tail)?);
        }
    }
    let mut heads = Vec::new();
    for chain in &mut chains {
        heads.push(next(chain, &mut open)?);
    }
    loop {
        let waiting = heads
            .iter()
            .enumerate()
            .filter_map(|(index, head)| Some((&head.as_ref()?.ts, index)));
        let Some(index) = waiting.min().map(|(_, index)| index) else {
            return Ok(open);
        };
        let entry = heads[index].take();
        heads[index] = next(&mut chains[index], &mut open)?;
        if let Some(entry) = entry.filter(|entry| wanted.entry(entry))
            && !each(entry)?
        {
            return Ok(open);
        }
    }
}

/// Returns the next line of a service's files, oldest file first; the newest is kept open.
fn next(chain: &mut VecDeque<LogFile>, open: &mut BTreeMap<String, LogFile>) -> io::Result<Option<Entry>> {
    while let Some(file) = chain.front_mut() {
        if let Some(entry) = file.next()? {
            return Ok(Some(entry));
        }
        if let Some(read) = chain.pop_front() {
            open.insert(read.service().to_owned(), read);
        }
    }
    Ok(None)
}

/// Prints what was added since the last look and returns whether anybody still reads.
fn follow(
    folder: &Path,
    wanted: &Wanted,
    open: &mut BTreeMap<String, LogFile>,
    sink: &mut Sink<'_>,
) -> io::Result<bool> {
    let mut entries = Vec::new();
    for (service, paths) in files_of(folder)? {
        let Some(newest) = paths.last().filter(|_| wanted.service(&service)) else {
            continue;
        };
        if let Some(file) = open.get_mut(&service) {
            file.drain(&mut entries)?;
            if file.is_still(newest) {
                continue;
            }
        }
        // The service is new, or its file was rotated away: what the old one held was read just now.
        let mut file = LogFile::open(&service, newest, 0)?;
        file.drain(&mut entries)?;
        open.insert(service, file);
    }
    entries.retain(|entry| wanted.entry(entry));
    entries.sort_by(|a: &Entry, b: &Entry| a.ts.cmp(&b.ts));
    for entry in &entries {
        if !sink.write(entry)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last so many lines.
struct Last {
    max: usize,
    entries: VecDeque<Entry>,
}

impl Last {
    fn new(max: Option<usize>) -> Self {
        Self {
            max: max.unwrap_or(usize::MAX),
            entries: VecDeque::new(),
        }
    }

    /// Always wants more.
    fn push(&mut self, entry: Entry) -> bool {
        self.entries.push_back(entry);
        if self.entries.len() > self.max {
            self.entries.pop_front();
        }
        true
    }
}

struct Sink<'a> {
    printer: &'a Printer,
    output: Output,
}

impl<'a> Sink<'a> {
    fn new(printer: &'a Printer) -> Self {
        let output = printer.output();
        Self { printer, output }
    }

    fn write(&mut self, entry: &Entry) -> io::Result<bool> {
        let line = if self.printer.is_json() {
            entry.json()
        } else {
            entry.text(self.printer)
        };
        self.output.write(line.as_bytes())
    }
}

fn unreadable(error: io::Error, folder: &Path) -> CliError {
    CliError::failed("logs_unreadable", error).context(format!("cannot read the logs in {}", folder.display()))
}

#[derive(Serialize)]
struct LogsReport {
    lines: Vec<Entry>,
}

impl Report for LogsReport {
    fn page(&self) -> Page {
        self.lines.iter().fold(Page::new(), |page, entry| {
            page.pieces(vec![Cell::plain(entry.message())])
        })
    }
}
