//! Where recorded frames lie: files and folders, packed or not, with their receive times beside them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use mprism_collector::recorded::Circumstances;
use mprism_model::UnixNanos;
use serde::Deserialize;

use crate::error::CliError;

/// One file of recorded frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedFile {
    pub(super) path: PathBuf,
    /// Its name relative to what was asked for.
    pub(super) name: String,
}

/// What a recorder noted about a frame.
#[derive(Deserialize)]
struct Meta {
    line: u64,
    recv_ns: Option<i64>,
    url: Option<String>,
    symbol: Option<String>,
}

/// Returns the recordings of a path in order; what lies beside them is none.
pub(crate) fn find(path: &Path) -> Result<Vec<RecordedFile>, CliError> {
    let failed = |e: io::Error| CliError::failed("no_path", e).context(format!("cannot read {}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        let name = path.file_name().unwrap_or(path.as_os_str());
        return Ok(vec![RecordedFile {
            path: path.to_path_buf(),
            name: name.to_string_lossy().into_owned(),
        }]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let place = entry.path();
            // A link to a folder is not followed: it could lead back.
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(place);
            } else if is_recording(&entry.file_name().to_string_lossy()) {
                let name = place.strip_prefix(path).unwrap_or(&place);
                found.push(RecordedFile {
                    name: name.to_string_lossy().into_owned(),
                    path: place,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_recording(name: &str) -> bool {
    let plain = unpacked(name);
    let about = ["expected.jsonl", "manifest.jsonl", "checks.jsonl"].contains(&plain);
    plain.ends_with(".jsonl") && !plain.ends_with(".meta.jsonl") && !about
}

fn unpacked(name: &str) -> &str {
    let without = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".gz"));
    without.unwrap_or(name)
}

impl RecordedFile {
    /// Returns the folder, which is the stream's.
    pub(crate) fn folder(&self) -> PathBuf {
        let whole = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        whole.parent().map_or(whole.clone(), Path::to_path_buf)
    }

    /// Returns whether the file holds answers to REST requests, beside a stream.
    pub(crate) fn is_rest(&self) -> bool {
        unpacked(&self.name).ends_with(".rest.jsonl")
    }

    /// Returns whether one of the folders above has this name.
    pub(super) fn lies_in(&self, name: &str) -> bool {
        self.folder().iter().any(|part| part.eq_ignore_ascii_case(name))
    }

    /// Returns the error that says which file cannot be read.
    pub(crate) fn unreadable(&self, error: io::Error) -> CliError {
        CliError::failed("unreadable", error).context(format!("cannot read {}", self.path.display()))
    }

    /// Opens the frames.
    pub(crate) fn open(&self) -> Result<BufReader<Box<dyn Read>>, CliError> {
        let reader = open(&self.path).map_err(|e| self.unreadable(e))?;
        Ok(BufReader::new(reader))
    }

    /// Reads what was noted about the frames, by line number; nothing where nothing lies beside.
    pub(crate) fn circumstances(&self) -> Result<BTreeMap<u64, Circumstances>, CliError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = unpacked(&name).strip_suffix(".jsonl").unwrap_or(&name);
        let beside = ["", ".zst", ".gz"].map(|end| self.path.with_file_name(format!("{stem}.meta.jsonl{end}")));
        let Some(path) = beside.iter().find(|path| path.is_file()) else {
            return Ok(BTreeMap::new());
        };
        let failed =
            |e: io::Error| CliError::failed("unreadable", e).context(format!("cannot read {}", path.display()));
        let mut found = BTreeMap::new();
        for line in BufReader::new(open(path).map_err(failed)?).lines() {
            let line = line.map_err(failed)?;
            if line.trim().is_empty() {
                continue;
            }
            let meta: Meta = serde_json::from_str(&line).map_err(|e| failed(e.into()))?;
            let about = Circumstances {
                ts_recv: meta.recv_ns.map(UnixNanos),
                instrument: meta.symbol.or_else(|| meta.url.as_deref().and_then(symbol_of)),
                url: meta.url,
            };
            found.insert(meta.line, about);
        }
        Ok(found)
    }
}

/// Opens a recording, packed or not.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    })
}

/// Returns the symbol that a request named.
fn symbol_of(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let named = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        matches!(key, "symbol" | "instId" | "instrument_name" | "currency").then(|| value.to_owned())
    };
    query.split('&').find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_recordings_is_none() {
        for name in ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz", "a.rest.jsonl"] {
            assert!(is_recording(name), "{name}");
        }
        for name in [
            "a.meta.jsonl",
            "a.meta.jsonl.zst",
            "a.rest.meta.jsonl",
            "expected.jsonl",
            "README.md",
        ] {
            assert!(!is_recording(name), "{name}");
        }
    }

    #[test]
    fn requests_name_their_symbol() {
        let symbol = symbol_of("/api/v3/trades?limit=1000&symbol=ETHBTC");
        assert_eq!(symbol.as_deref(), Some("ETHBTC"));
        assert_eq!(symbol_of("/api/v3/time"), None);
    }
}
