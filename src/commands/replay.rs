//! `mprism replay`: recorded frames through the collector's own code.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use mprism_collector::binance_spot::{Parsed, parse_frame};
use mprism_model::{Source, Trade};
use serde::Serialize;

use crate::cli::{ReplayArgs, ReplayTarget};
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::ui::Output;

/// `mprism replay`.
pub(crate) fn run(args: &ReplayArgs, context: &Context) -> Result<Exit, CliError> {
    let ReplayTarget::Stdout = args.to;
    let mut replay = Replay {
        context,
        trace: args.trace,
        printed: 0,
        skipped: BTreeMap::new(),
        malformed: 0,
    };
    let mut output = context.printer.output();
    for path in &args.paths {
        for file in files(path)? {
            if replay.is_collected(&file, args) {
                replay.file(&file, path, &mut output)?;
            } else {
                *replay.skipped.entry("file of another kind".into()).or_default() += 1;
            }
        }
    }
    for (kind, count) in &replay.skipped {
        context.printer.warn(&format!("skipped: {count} × {kind}"));
    }
    if replay.malformed > 0 {
        context.printer.warn(&format!("{} frames were not understood", replay.malformed));
    }
    if replay.printed == 0 {
        return Err(CliError::failed("nothing_read", anyhow::anyhow!("no frame of these paths could be read"))
            .hint("name a folder like binance/spot/trade, or say what it is: `--exchange binance --market spot`"));
    }
    Ok(Exit::Success)
}

struct Replay<'a> {
    context: &'a Context,
    trace: bool,
    printed: u64,
    skipped: BTreeMap<String, u64>,
    malformed: u64,
}

/// A message with where it comes from.
#[derive(Serialize)]
struct Traced<'a> {
    #[serde(flatten)]
    trade: &'a Trade,
    _file: &'a str,
    _line: u64,
    _item: u64,
}

impl Replay<'_> {
    /// Returns whether a file holds frames that this version collects: Binance spot.
    fn is_collected(&self, file: &Path, args: &ReplayArgs) -> bool {
        let parts: Vec<String> = file.iter().map(|part| part.to_string_lossy().to_lowercase()).collect();
        let has = |name: &str| parts.iter().any(|part| part == name);
        let exchange = args.exchange.as_deref().map_or_else(|| has("binance"), |exchange| exchange == "binance");
        let market = args.market.as_deref().map_or_else(|| has("spot"), |market| market == "spot");
        exchange && market
    }

    fn file(&mut self, file: &Path, root: &Path, output: &mut Output) -> Result<(), CliError> {
        let failed = |e: std::io::Error| {
            CliError::failed("unreadable", e).context(format!("cannot read {}", file.display()))
        };
        let name = file.strip_prefix(root).ok().filter(|rest| !rest.as_os_str().is_empty());
        let name = name.map_or_else(|| file.file_name().unwrap_or_default().to_string_lossy(), Path::to_string_lossy);
        let mut reader = BufReader::new(open(file).map_err(failed)?);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                return Ok(());
            }
            number += 1;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            match parse_frame(text, None, Source::Replay) {
                Ok(Parsed::Trade(trade, _)) => self.print(&trade, &name, number, output)?,
                Ok(Parsed::Skipped(kind)) => *self.skipped.entry(kind).or_default() += 1,
                Ok(Parsed::Accepted(_) | Parsed::Refused { .. } | Parsed::Shutdown) => {
                    *self.skipped.entry("answer or notice".into()).or_default() += 1;
                }
                Err(error) => {
                    self.malformed += 1;
                    let error = mprism_runtime::log::chain(&error);
                    self.context.printer.warn(&format!("{name}:{number}: {error}"));
                }
            }
        }
    }

    fn print(&mut self, trade: &Trade, file: &str, line: u64, output: &mut Output) -> Result<(), CliError> {
        let text = if self.trace {
            serde_json::to_string(&Traced {
                trade,
                _file: file,
                _line: line,
                _item: 0,
            })
        } else {
            serde_json::to_string(trade)
        };
        let text = text.map_err(|e| CliError::failed("report", e))?;
        self.printed += 1;
        writeln!(output, "{text}").map_err(|e| CliError::failed("output", e).context("cannot write the answer"))
    }
}

/// Opens a recording, packed or not.
fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    })
}

/// Returns the recordings of a path in order; receive times and expected values beside them are none.
fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |e: std::io::Error| CliError::usage("no_path", e).context(format!("cannot read {}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(entry.path());
            } else if is_recording(&name) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_recording(name: &str) -> bool {
    let plain = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".gz")).unwrap_or(name);
    let beside = [".meta.jsonl", ".rest.jsonl"].iter().any(|end| plain.ends_with(end));
    let about = ["expected.jsonl", "manifest.jsonl", "checks.jsonl"].contains(&plain);
    plain.ends_with(".jsonl") && !beside && !about
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_recordings_is_none() {
        for name in ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz"] {
            assert!(is_recording(name), "{name}");
        }
        for name in ["a.meta.jsonl", "a.meta.jsonl.zst", "a.rest.jsonl", "expected.jsonl", "README.md"] {
            assert!(!is_recording(name), "{name}");
        }
    }
}
