//! `mprism replay`: recorded frames through the collector's own code.

mod files;

use std::collections::BTreeMap;
use std::io::BufRead;

use mprism_collector::recorded::{Content, Recorded, Recording};
use mprism_model::Event;
use serde_json::Value;

use crate::cli::{ReplayArgs, ReplayTarget};
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::ui::Output;
use files::RecordedFile;

/// `mprism replay`.
pub(crate) fn run(args: &ReplayArgs, context: &Context) -> Result<Exit, CliError> {
    let ReplayTarget::Stdout = args.to;
    let mut files = Vec::new();
    for path in &args.paths {
        files.extend(files::find(path)?);
    }
    let mut replay = Replay {
        context,
        trace: args.trace,
        output: context.printer.output(),
        understood: 0,
        skipped: BTreeMap::new(),
        malformed: 0,
    };
    let (wanted, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| is_collected(file, args));
    for _ in others {
        replay.skip("file of a type that is not collected yet");
    }
    let mut streams: BTreeMap<_, Vec<RecordedFile>> = BTreeMap::new();
    for file in wanted {
        streams.entry(file.folder()).or_default().push(file);
    }
    for files in streams.into_values() {
        replay.stream(files)?;
    }
    replay.finish()
}

/// Returns whether a file holds what this version collects: trades of Binance spot.
fn is_collected(file: &RecordedFile, args: &ReplayArgs) -> bool {
    let exchange = args.exchange.as_deref();
    let market = args.market.as_deref();
    let is = |given: Option<&str>, name: &str| given.map_or_else(|| file.lies_in(name), |given| given == name);
    // A path that says its type says so after exchange and market; one that does not may hold anything.
    let is_other_type = exchange.is_none() && !file.lies_in("trade");
    is(exchange, "binance") && is(market, "spot") && !is_other_type
}

struct Replay<'a> {
    context: &'a Context,
    trace: bool,
    output: Output,
    understood: u64,
    skipped: BTreeMap<String, u64>,
    malformed: u64,
}

impl Replay<'_> {
    fn skip(&mut self, kind: &str) {
        *self.skipped.entry(kind.to_owned()).or_default() += 1;
    }

    /// Replays the files of one stream, the oldest first.
    fn stream(&mut self, files: Vec<RecordedFile>) -> Result<(), CliError> {
        let mut dated = Vec::new();
        for file in files {
            dated.push((first_time(&file)?, file));
        }
        // Files without any event stand first and print nothing.
        dated.sort_by(|(a, first), (b, second)| a.cmp(b).then_with(|| first.path.cmp(&second.path)));
        let mut recording = Recording::new();
        for (_, file) in dated {
            recording.next_file();
            self.file(&file, &mut recording)?;
        }
        Ok(())
    }

    fn file(&mut self, file: &RecordedFile, recording: &mut Recording) -> Result<(), CliError> {
        let mut about = file.circumstances()?;
        let mut reader = file.open()?;
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(|e| file.unreadable(e))? == 0 {
                return Ok(());
            }
            number += 1;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            match recording.frame(text, &about.remove(&number).unwrap_or_default()) {
                Ok(Content::Events(events)) => {
                    self.understood += 1;
                    for event in events {
                        self.print(event, &file.name, number)?;
                    }
                }
                Ok(Content::Skipped(kind)) => {
                    self.understood += 1;
                    self.skip(&kind);
                }
                Err(error) => {
                    self.malformed += 1;
                    let error = mprism_runtime::log::chain(&error);
                    let place = file.path.display();
                    self.context.printer.warn(&format!("{place}:{number}: {error}"));
                }
            }
        }
    }

    fn print(&mut self, event: Recorded, file: &str, line: u64) -> Result<(), CliError> {
        let (event, item) = match event {
            Recorded::Trade(trade, item) => (Event::Trade(*trade), item),
            Recorded::Gap(gap) => (Event::Gap(gap), 0),
        };
        let mut json = event.to_json();
        if self.trace {
            // Our own JSON is an object: the trace goes before its closing brace.
            json.pop();
            let name = Value::from(file);
            json.extend_from_slice(format!(",\"_file\":{name},\"_line\":{line},\"_item\":{item}}}").as_bytes());
        }
        json.push(b'\n');
        let written = self.output.write(&json);
        written.map_err(|e| CliError::failed("output", e).context("cannot write the messages"))?;
        Ok(())
    }

    fn finish(self) -> Result<Exit, CliError> {
        for (kind, count) in &self.skipped {
            self.context.printer.warn(&format!("skipped: {count} × {kind}"));
        }
        if self.malformed > 0 {
            let count = self.malformed;
            self.context.printer.warn(&format!("not understood: {count} frames"));
        }
        if self.understood > 0 {
            return Ok(Exit::Success);
        }
        Err(
            CliError::failed("nothing_read", anyhow::anyhow!("no frame of these paths could be read"))
                .hint("name a folder like binance/spot/trade, or say what it is: `--exchange binance --market spot`"),
        )
    }
}

/// Returns the event time of a file's first event.
fn first_time(file: &RecordedFile) -> Result<Option<i64>, CliError> {
    let about = file.circumstances()?;
    let mut recording = Recording::new();
    for (number, line) in (1..).zip(file.open()?.split(b'\n')) {
        let line = line.map_err(|e| file.unreadable(e))?;
        let about = about.get(&number).cloned().unwrap_or_default();
        let content = recording.frame(String::from_utf8_lossy(&line).trim(), &about);
        if let Ok(Content::Events(events)) = content
            && let Some(Recorded::Trade(trade, _)) = events.first()
        {
            return Ok(Some(trade.ts.0));
        }
    }
    Ok(None)
}
