//! Reads a corpus: which files, which lines, and in which order they arrived.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::frame::{Frame, Kind, Line, classify};
use super::recording::{Segment, Tape};
use crate::SimulatorError;
use crate::symbol::Stream;

/// A recorded order book as a REST answer.
struct Snapshot {
    recording: String,
    /// The venue's symbol, where the recording says it.
    symbol: Option<String>,
    id: u64,
    text: String,
}

/// When a frame arrived.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    seq: Option<u64>,
    recv_ns: Option<u64>,
    /// The last event time in its file so far: stands in where nothing was noted.
    event_ms: i64,
}

#[derive(Deserialize)]
struct Meta {
    line: usize,
    seq: Option<u64>,
    recv_ns: Option<u64>,
    symbol: Option<String>,
    url: Option<String>,
}

/// Frames of one symbol in one recording: the same name in several folders.
type Pieces = BTreeMap<(String, String), Vec<(Arrival, Frame)>>;

/// Reads every Binance spot frame below `root`, by the venue's symbol.
///
/// A damaged line belongs to the symbol it names, to that of the frames around it, or to `fallback`.
pub(crate) fn load(root: &Path, fallback: &str) -> Result<BTreeMap<String, Tape>, SimulatorError> {
    let fail = |path: &Path, source| SimulatorError::Corpus {
        path: path.into(),
        source,
    };
    let root = &std::path::absolute(root).map_err(|source| fail(root, source))?;
    let mut files = Vec::new();
    find(root, &mut files).map_err(|source| fail(root, source))?;
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut pieces, mut snapshots, mut skipped) = (Pieces::new(), Vec::new(), 0_u64);
    for (path, stream) in &files {
        let mut file = FileReader {
            path,
            stream: *stream,
            fallback,
            pieces: &mut pieces,
            snapshots: &mut snapshots,
            skipped: &mut skipped,
        };
        file.read().map_err(|source| fail(path, source))?;
    }
    let frames = pieces.values().map(Vec::len).sum::<usize>();
    tracing::info!(
        files = files.len(),
        frames,
        snapshots = snapshots.len(),
        skipped,
        "corpus read"
    );
    if frames == 0 {
        let source = io::Error::new(io::ErrorKind::NotFound, "no frame of binance/spot in it");
        return Err(fail(root, source));
    }
    Ok(assemble(pieces, &snapshots))
}

fn find(folder: &Path, files: &mut Vec<(PathBuf, Stream)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if let Some(stream) = stream_of_file(&path) {
            files.push((path, stream));
        }
    }
    Ok(())
}

/// Returns what a file mainly holds, by its folders and its name; `None` for what is no recording of Binance spot.
fn stream_of_file(path: &Path) -> Option<Stream> {
    let stem = stem(path)?;
    if stem.ends_with(".meta") || ["expected", "checks", "manifest"].contains(&stem) {
        return None;
    }
    let folder = path.parent()?;
    [
        ("trade", Stream::Trade),
        ("orderbook", Stream::DEPTH),
        ("bbo", Stream::Ticker),
    ]
    .into_iter()
    .find(|(kind, _)| folder.ends_with(Path::new("binance/spot").join(kind)))
    .map(|(_, stream)| stream)
}

fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".jsonl")
}

fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<String>> + use<>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "zst") {
        true => Box::new(zstd::Decoder::new(file)?),
        false => Box::new(file),
    };
    Ok(BufReader::new(reader).lines())
}

struct FileReader<'a> {
    path: &'a Path,
    stream: Stream,
    fallback: &'a str,
    pieces: &'a mut Pieces,
    snapshots: &'a mut Vec<Snapshot>,
    skipped: &'a mut u64,
}

impl FileReader<'_> {
    fn read(&mut self) -> io::Result<()> {
        let stem = stem(self.path).unwrap_or_default();
        let recording = stem.strip_suffix(".rest").unwrap_or(stem).to_owned();
        let metas = self.metas(stem)?;
        let (mut current, mut event_ms) = (None::<String>, 0);
        let mut early = Vec::new();
        for (index, line) in lines(self.path)?.enumerate() {
            let (line, meta) = (line?, metas.get(&(index + 1)));
            let mut arrival = Arrival {
                seq: meta.and_then(|meta| meta.seq),
                recv_ns: meta.and_then(|meta| meta.recv_ns),
                event_ms,
            };
            match classify(&line) {
                Line::Other => *self.skipped += 1,
                Line::Snapshot(id) => self.snapshots.push(Snapshot {
                    recording: recording.clone(),
                    symbol: meta.and_then(symbol_of),
                    id,
                    text: line,
                }),
                Line::Malformed(named) => {
                    let frame = Frame::malformed(line, self.stream);
                    match named.or_else(|| current.clone()) {
                        Some(symbol) => self.push(&symbol, &recording, arrival, frame),
                        None => early.push((arrival, frame)),
                    }
                }
                Line::Frame(symbol, frame) => {
                    event_ms = frame.event_ms().unwrap_or(event_ms);
                    arrival.event_ms = event_ms;
                    for (arrival, frame) in early.drain(..) {
                        self.push(&symbol, &recording, arrival, frame);
                    }
                    self.push(&symbol, &recording, arrival, *frame);
                    current = Some(symbol);
                }
            }
        }
        for (arrival, frame) in early {
            self.push(self.fallback, &recording, arrival, frame);
        }
        Ok(())
    }

    fn push(&mut self, symbol: &str, recording: &str, arrival: Arrival, frame: Frame) {
        let piece = self.pieces.entry((symbol.to_owned(), recording.to_owned()));
        piece.or_default().push((arrival, frame));
    }

    /// Reads what was noted about each line, by its number.
    fn metas(&self, stem: &str) -> io::Result<HashMap<usize, Meta>> {
        let names = [format!("{stem}.meta.jsonl"), format!("{stem}.meta.jsonl.zst")];
        let beside = names.iter().map(|name| self.path.with_file_name(name));
        let Some(path) = beside.into_iter().find(|path| path.exists()) else {
            return Ok(HashMap::new());
        };
        let mut metas = HashMap::new();
        for line in lines(&path)? {
            if let Ok(meta) = serde_json::from_str::<Meta>(&line?) {
                metas.insert(meta.line, meta);
            }
        }
        Ok(metas)
    }
}

fn symbol_of(meta: &Meta) -> Option<String> {
    let in_url = || {
        let query = meta.url.as_ref()?.split_once('?')?.1;
        let symbol = query.split('&').find_map(|pair| pair.strip_prefix("symbol="))?;
        Some(symbol.to_uppercase())
    };
    meta.symbol.clone().or_else(in_url)
}

/// Puts each recording in the order of arrival, and a symbol's recordings in the order of their times.
fn assemble(pieces: Pieces, snapshots: &[Snapshot]) -> BTreeMap<String, Tape> {
    let mut symbols = BTreeMap::<String, Vec<(String, Vec<Frame>)>>::new();
    for ((symbol, recording), mut frames) in pieces {
        if frames.iter().all(|(arrival, _)| arrival.seq.is_some()) {
            frames.sort_by_key(|(arrival, _)| arrival.seq);
        } else if frames.iter().all(|(arrival, _)| arrival.recv_ns.is_some()) {
            frames.sort_by_key(|(arrival, _)| arrival.recv_ns);
        } else {
            frames.sort_by_key(|(arrival, _)| arrival.event_ms);
        }
        let frames = frames.into_iter().map(|(_, frame)| frame).collect();
        symbols.entry(symbol).or_default().push((recording, frames));
    }
    let taped = symbols.into_iter().map(|(symbol, mut recordings)| {
        recordings.sort_by_key(|(name, frames)| (frames.iter().find_map(Frame::event_ms), name.clone()));
        let tape = tape(&symbol, recordings, snapshots);
        (symbol, tape)
    });
    taped.collect()
}

fn tape(symbol: &str, recordings: Vec<(String, Vec<Frame>)>, snapshots: &[Snapshot]) -> Tape {
    let mut tape = Tape {
        frames: Vec::new(),
        segments: Vec::new(),
        segment_of: HashMap::new(),
    };
    // The recordings each segment runs through.
    let mut names = Vec::<Vec<String>>::new();
    for (name, frames) in recordings {
        for frame in frames {
            if let Kind::Depth { first, last } = frame.kind {
                match tape
                    .segments
                    .last_mut()
                    .filter(|segment| first <= segment.last + 1 && last >= segment.first)
                {
                    Some(segment) => segment.last = segment.last.max(last),
                    None => {
                        let snapshot = None;
                        tape.segments.push(Segment { first, last, snapshot });
                        names.push(Vec::new());
                    }
                }
                let index = u32::try_from(tape.frames.len()).unwrap_or(u32::MAX);
                let segment = u32::try_from(tape.segments.len() - 1).unwrap_or(u32::MAX);
                tape.segment_of.insert(index, segment);
                if let Some(names) = names.last_mut().filter(|names| names.last() != Some(&name)) {
                    names.push(name.clone());
                }
            }
            tape.frames.push(frame);
        }
    }
    for (segment, names) in tape.segments.iter_mut().zip(names) {
        let joins = |snapshot: &&Snapshot| {
            let named = snapshot.symbol.as_deref().map(|named| named == symbol);
            let meant = named.unwrap_or(snapshot.id <= segment.last);
            meant && names.contains(&snapshot.recording) && snapshot.id + 1 >= segment.first
        };
        let first = snapshots.iter().filter(joins).min_by_key(|snapshot| snapshot.id);
        segment.snapshot = first.map(|snapshot| (snapshot.id, snapshot.text.clone()));
    }
    tape
}
