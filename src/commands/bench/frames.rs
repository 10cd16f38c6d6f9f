//! Recorded frames to measure with, by exchange, market and type.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use mprism_collector::wire::Terms;
use mprism_collector::workload::Frame;
use mprism_model::Exchange;

use crate::commands::replay::{RecordedFile, find, terms, venue_of};
use crate::error::CliError;

/// Frames of one stream that are measured: enough that none is measured alone, few enough to stay in the cache.
const FRAMES_MAX: usize = 5_000;

/// Frames of one exchange, market and type.
pub(super) struct Stream {
    pub(super) exchange: Exchange,
    pub(super) terms: Terms,
    pub(super) frames: Vec<Frame>,
}

/// Returns the streams of a folder by their paths.
pub(super) fn of(folder: &Path) -> Result<BTreeMap<String, Stream>, CliError> {
    let mut streams: BTreeMap<String, Stream> = BTreeMap::new();
    for file in find(folder)? {
        let Some(exchange) = venue_of(&file, None, None).filter(|_| !file.is_rest()) else {
            continue;
        };
        let place = file.folder();
        let name = place.strip_prefix(folder).unwrap_or(&place).display().to_string();
        let stream = match streams.get_mut(&name) {
            Some(stream) => stream,
            None => streams.entry(name).or_insert(Stream {
                exchange,
                terms: terms(exchange, &place, None)?,
                frames: Vec::new(),
            }),
        };
        read(&file, &mut stream.frames)?;
    }
    Ok(streams)
}

fn read(file: &RecordedFile, frames: &mut Vec<Frame>) -> Result<(), CliError> {
    let mut noted = file.circumstances()?;
    for (at, line) in file
        .open()?
        .lines()
        .take(FRAMES_MAX.saturating_sub(frames.len()))
        .enumerate()
    {
        let about = noted.remove(&(at as u64 + 1)).unwrap_or_default();
        frames.push(Frame::new(line.map_err(|e| file.unreadable(e))?, about));
    }
    Ok(())
}
