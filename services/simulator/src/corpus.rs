//! Recorded frames: found, read and cut up so that only their times can change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::SimulatorError;

/// One recorded line.
#[derive(Debug)]
pub(crate) enum Recorded {
    Trade(RecordedTrade),
    /// Damaged: sent as it is, and no trade.
    Malformed(String),
}

/// A recorded trade frame; the text is the payload without the combined stream's wrapper.
#[derive(Debug)]
pub(crate) struct RecordedTrade {
    pub(crate) text: String,
    event_time: Range<usize>,
    trade_time: Range<usize>,
    pub(crate) event_ms: i64,
    pub(crate) trade_ms: i64,
    pub(crate) id: u64,
    price: Range<usize>,
    quantity: Range<usize>,
    pub(crate) buyer_is_maker: bool,
}

impl RecordedTrade {
    pub(crate) fn price(&self) -> &str {
        &self.text[self.price.clone()]
    }

    pub(crate) fn quantity(&self) -> &str {
        &self.text[self.quantity.clone()]
    }

    /// Appends the frame with both times moved by `shift_ms`, every other byte as recorded.
    pub(crate) fn write(&self, out: &mut Vec<u8>, shift_ms: i64, micros: bool) {
        let mut times = [
            (self.event_time.clone(), self.event_ms),
            (self.trade_time.clone(), self.trade_ms),
        ];
        times.sort_by_key(|(range, _)| range.start);
        let mut from = 0;
        for (range, ms) in times {
            out.extend_from_slice(&self.text.as_bytes()[from..range.start]);
            let scale = if micros { 1_000 } else { 1 };
            out.extend_from_slice(((ms + shift_ms) * scale).to_string().as_bytes());
            from = range.end;
        }
        out.extend_from_slice(&self.text.as_bytes()[from..]);
    }
}

/// Reads every Binance spot trade frame below `root`, in file order, by the venue's symbol.
///
/// A damaged line belongs to the symbol of the frames around it, or to `fallback`.
pub(crate) fn load(root: &Path, fallback: &str) -> Result<BTreeMap<String, Vec<Recorded>>, SimulatorError> {
    let fail = |path: &Path, source| SimulatorError::Corpus {
        path: path.into(),
        source,
    };
    let root = &std::path::absolute(root).map_err(|source| fail(root, source))?;
    let mut files = Vec::new();
    find(root, &mut files).map_err(|source| fail(root, source))?;
    files.sort();
    let mut symbols = BTreeMap::<String, Vec<Recorded>>::new();
    let mut skipped = 0_u64;
    for path in &files {
        read(path, fallback, &mut symbols, &mut skipped).map_err(|source| fail(path, source))?;
    }
    let frames = symbols.values().map(Vec::len).sum::<usize>();
    tracing::info!(files = files.len(), frames, skipped, "corpus read");
    if frames == 0 {
        let source = io::Error::new(io::ErrorKind::NotFound, "no frame of binance/spot/trade in it");
        return Err(fail(root, source));
    }
    Ok(symbols)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if is_trade_file(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether a file holds stream frames of Binance spot trades: by its folders and its name.
fn is_trade_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".jsonl") else {
        return false;
    };
    let beside = stem.ends_with(".meta") || stem.ends_with(".rest");
    let about = ["expected", "checks", "manifest"].contains(&stem);
    let folder = path
        .parent()
        .is_some_and(|folder| folder.ends_with("binance/spot/trade"));
    folder && !beside && !about
}

fn read(
    path: &Path,
    fallback: &str,
    symbols: &mut BTreeMap<String, Vec<Recorded>>,
    skipped: &mut u64,
) -> io::Result<()> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "zst") {
        true => Box::new(zstd::Decoder::new(file)?),
        false => Box::new(file),
    };
    let mut current = None::<String>;
    let mut early = Vec::new();
    for line in BufReader::new(reader).lines() {
        let line = line?;
        match classify(&line) {
            Line::Other => *skipped += 1,
            Line::Malformed => match &current {
                Some(symbol) => symbols
                    .entry(symbol.clone())
                    .or_default()
                    .push(Recorded::Malformed(line)),
                None => early.push(Recorded::Malformed(line)),
            },
            Line::Trade(symbol, trade) => {
                let frames = symbols.entry(symbol.clone()).or_default();
                frames.append(&mut early);
                frames.push(Recorded::Trade(*trade));
                current = Some(symbol);
            }
        }
    }
    if !early.is_empty() {
        symbols.entry(fallback.into()).or_default().append(&mut early);
    }
    Ok(())
}

enum Line {
    Trade(String, Box<RecordedTrade>),
    Malformed,
    /// Sound, but of another stream, or a REST body.
    Other,
}

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    e: &'a str,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "E", borrow)]
    event_time: &'a RawValue,
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T", borrow)]
    trade_time: &'a RawValue,
    m: bool,
}

fn classify(line: &str) -> Line {
    if line.trim().is_empty() || line.starts_with('[') {
        return Line::Other;
    }
    let payload = serde_json::from_str::<Wrapper<'_>>(line).map_or(line, |wrapper| wrapper.data.get());
    if serde_json::from_str::<Head<'_>>(payload).is_ok_and(|head| head.e != "trade") {
        return Line::Other;
    }
    let Ok(frame) = serde_json::from_str::<Frame<'_>>(payload) else {
        return Line::Malformed;
    };
    let times = (
        frame.event_time.get().parse::<i64>(),
        frame.trade_time.get().parse::<i64>(),
    );
    let (Ok(event_ms), Ok(trade_ms)) = times else {
        return Line::Malformed;
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty();
    if !number(frame.p) || !number(frame.q) {
        return Line::Malformed;
    }
    let within = |part: &str| {
        let start = part.as_ptr() as usize - payload.as_ptr() as usize;
        start..start + part.len()
    };
    Line::Trade(
        frame.s.to_owned(),
        Box::new(RecordedTrade {
            event_time: within(frame.event_time.get()),
            trade_time: within(frame.trade_time.get()),
            event_ms,
            trade_ms,
            id: frame.t,
            price: within(frame.p),
            quantity: within(frame.q),
            buyer_is_maker: frame.m,
            text: payload.to_owned(),
        }),
    )
}
