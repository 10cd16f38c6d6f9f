//! `mprism replay`: recorded frames through the collector's own code.

mod files;
mod venue;

use std::collections::BTreeMap;
use std::io::BufRead;

use std::sync::Arc;

use mprism_collector::recorded::{BooksAt, Place, Recorded, Recording, Unknown, event_time};
use mprism_collector::wire::Terms;
use mprism_model::{DataType, Exchange};
use serde_json::{Map, Value};

use crate::cli::{ReplayArgs, ReplayBooks, ReplayTarget};
use crate::commands::Context;
use crate::commands::worker::cadence;
use crate::error::{CliError, Exit};
use crate::ui::Output;
pub(crate) use files::{RecordedFile, find};
pub(crate) use venue::{of as venue_of, terms};

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
        books: books_at(args.books, context)?,
        output: context.printer.output(),
        understood: 0,
        unsized_count: 0,
        skipped: BTreeMap::new(),
        malformed: 0,
    };
    let mut streams: BTreeMap<_, Vec<RecordedFile>> = BTreeMap::new();
    for file in files {
        match venue::of(&file, args.exchange.as_deref(), args.market.as_deref()) {
            Some(exchange) => streams.entry((file.folder(), exchange)).or_default().push(file),
            None => replay.skip("file of an unknown exchange or market"),
        }
    }
    for ((folder, exchange), files) in streams {
        let terms = venue::terms(exchange, &folder, args.instruments.as_deref())?;
        replay.stream(exchange, terms, files)?;
    }
    replay.finish()
}

/// Returns when order books are told.
fn books_at(asked: ReplayBooks, context: &Context) -> Result<BooksAt, CliError> {
    Ok(match asked {
        ReplayBooks::Cadence => cadence(context.settings()?.collector.order_book.cadence).into(),
        ReplayBooks::Every => BooksAt::Every,
        ReplayBooks::Final => BooksAt::Final,
    })
}

struct Replay<'a> {
    context: &'a Context,
    trace: bool,
    books: BooksAt,
    output: Output,
    understood: u64,
    /// Messages whose instrument's contract size is not known.
    unsized_count: u64,
    skipped: BTreeMap<String, u64>,
    malformed: u64,
}

impl Replay<'_> {
    fn skip(&mut self, kind: &str) {
        *self.skipped.entry(kind.to_owned()).or_default() += 1;
    }

    /// Replays the files of one stream, the oldest first.
    fn stream(&mut self, exchange: Exchange, terms: Terms, files: Vec<RecordedFile>) -> Result<(), CliError> {
        let mut dated = Vec::new();
        for file in files {
            dated.push((first_time(exchange, &file)?, file));
        }
        // Files without any event stand first and print nothing.
        dated.sort_by(|(a, first), (b, second)| a.cmp(b).then_with(|| first.path.cmp(&second.path)));
        let mut recording = Recording::new(exchange, terms, self.books);
        // Snapshots first: diffs are joined with them.
        for (_, file) in &dated {
            if file.is_rest() {
                self.file(file, &mut recording, true)?;
            }
        }
        for (_, file) in &dated {
            recording.next_file();
            self.file(file, &mut recording, false)?;
        }
        for (place, event) in recording.end() {
            self.print(event, &place)?;
        }
        Ok(())
    }

    /// Replays a file, or only looks for the snapshots in it.
    fn file(&mut self, file: &RecordedFile, recording: &mut Recording, only_beside: bool) -> Result<(), CliError> {
        let mut about = file.circumstances()?;
        let name: Arc<str> = file.name.as_str().into();
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
            let about = about.remove(&number).unwrap_or_default();
            let place = Place {
                file: Arc::clone(&name),
                line: number,
            };
            if only_beside {
                match recording.beside(text, &about, &place) {
                    Ok(true) => self.understood += 1,
                    Ok(false) => {}
                    Err(error) => self.malformed(file, number, &error),
                }
                continue;
            }
            // What was taken as a snapshot is told when it is used, or at the end.
            if file.is_rest() && recording.has(&place) {
                continue;
            }
            let (content, result) = recording.frame(text, &about, &place);
            for event in content.events {
                self.print(event, &place)?;
            }
            content.skipped.iter().for_each(|kind| self.skip(kind));
            match result {
                Ok(()) => self.understood += 1,
                Err(error) => self.malformed(file, number, &error),
            }
        }
    }

    fn malformed(&mut self, file: &RecordedFile, line: u64, error: &dyn std::error::Error) {
        self.malformed += 1;
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        let place = file.path.display();
        self.context.printer.warn(&format!("{place}:{line}: {text}"));
    }

    fn print(&mut self, event: Recorded, place: &Place) -> Result<(), CliError> {
        let Recorded { event, item, unknown } = event;
        if unknown.quantity {
            self.unsized_count += 1;
        }
        let mut json = without(event.data_type(), event.to_json(), unknown);
        if self.trace {
            // Our own JSON is an object: the trace goes before its closing brace.
            json.pop();
            let (name, line) = (Value::from(&*place.file), place.line);
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
        if self.unsized_count > 0 {
            let count = self.unsized_count;
            let text = format!("without a quantity in base currency: {count} messages (see --instruments)");
            self.context.printer.warn(&text);
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

/// Says of a message what nobody recorded: null.
fn without(data_type: DataType, json: Vec<u8>, unknown: Unknown) -> Vec<u8> {
    if unknown == Unknown::default() {
        return json;
    }
    let Ok(Value::Object(mut message)) = serde_json::from_slice(&json) else {
        return json;
    };
    let forget = |message: &mut Map<String, Value>, name: &str| {
        if let Some(value) = message.get_mut(name) {
            *value = Value::Null;
        }
    };
    let message = &mut message;
    if unknown.instrument {
        let names = ["symbol", "normalized_symbol", "instrument_id", "currency"];
        names.into_iter().for_each(|name| forget(message, name));
    }
    if unknown.time {
        ["ts_ms", "ts_source"]
            .into_iter()
            .for_each(|name| forget(message, name));
    }
    if unknown.quantity {
        let names: &[&str] = match data_type {
            DataType::OrderBook => &[],
            DataType::OpenInterest => &["open_interest_value"],
            _ => &["quantity", "filled_quantity"],
        };
        names.iter().for_each(|name| forget(message, name));
        for side in ["bids", "asks"] {
            let levels = message.get_mut(side).and_then(Value::as_array_mut);
            for level in levels.into_iter().flatten().filter_map(Value::as_object_mut) {
                forget(level, "quantity");
            }
        }
    }
    Value::Object(std::mem::take(message)).to_string().into_bytes()
}

/// Returns the event time of a file's first event.
fn first_time(exchange: Exchange, file: &RecordedFile) -> Result<Option<i64>, CliError> {
    for line in file.open()?.split(b'\n') {
        let line = line.map_err(|e| file.unreadable(e))?;
        if let Some(ts) = event_time(exchange, String::from_utf8_lossy(&line).trim()) {
            return Ok(Some(ts.0));
        }
    }
    Ok(None)
}
