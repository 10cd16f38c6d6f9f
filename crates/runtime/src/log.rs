//! Logs for operators: one JSON object a line, capped by size, each cause told once.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry::LookupSpan};

use crate::clock;

/// How a process logs.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The service, as it stands in each line and in the file's name.
    pub service: String,
    /// Folder of `<service>.log`; `None` writes to standard error.
    pub folder: Option<PathBuf>,
    /// Least level, or `tracing_subscriber::EnvFilter` directives.
    pub level: String,
    /// A file larger than this is rotated, in bytes.
    pub file_bytes_max: u64,
    /// Rotated files kept (`.1` is the newest).
    pub files_max: u32,
    /// All files of the folder together, in bytes: the oldest rotated ones go first.
    pub total_bytes_max: u64,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not one.
    #[error("`{level}` is not a log level")]
    Level {
        /// What was asked for.
        level: String,
        /// Why not.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The file cannot be written.
    #[error("cannot write log {}", path.display())]
    Open {
        /// The log file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The process logs already.
    #[error("logging is already set up")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the whole process.
///
/// # Errors
/// Where the level is unknown, the file cannot be opened, or logging was set up before.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&options.level).map_err(|source| LogError::Level {
        level: options.level.clone(),
        source,
    })?;
    let sink = match &options.folder {
        None => Sink::Stderr,
        Some(folder) => {
            let path = folder.join(format!("{}.log", options.service));
            let (bytes_max, files_max) = (options.file_bytes_max, options.files_max);
            let file = RotatingFile::open(&path, bytes_max, files_max, options.total_bytes_max);
            Sink::File(file.map_err(|source| LogError::Open { path, source })?)
        }
    };
    let lines = JsonLines {
        service: options.service.clone(),
        sink: Mutex::new(sink),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(())
}

enum Sink {
    Stderr,
    File(RotatingFile),
}

/// Writes each event as one JSON line: `ts`, `level`, `service`, `message`, then the event's own fields.
struct JsonLines {
    service: String,
    sink: Mutex<Sink>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        let metadata = event.metadata();
        fields.0.insert("ts".into(), model_time(clock::now_ms()).into());
        fields
            .0
            .insert("level".into(), metadata.level().as_str().to_lowercase().into());
        fields.0.insert("service".into(), self.service.as_str().into());
        fields.0.insert("message".into(), Value::Null);
        event.record(&mut fields);
        fields.0.insert("target".into(), metadata.target().into());
        let mut line = Value::Object(fields.0).to_string();
        line.push('\n');
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not stop the data path, and there is nowhere left to tell of it.
        let _untellable = match &mut *sink {
            Sink::Stderr => io::stderr().write_all(line.as_bytes()),
            Sink::File(file) => file.write(line.as_bytes()),
        };
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.insert(field.name().to_owned(), chain(value).into());
    }
}

/// Returns an error and its causes on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn model_time(ms: i64) -> String {
    mprism_model::UnixMillis(ms).to_rfc3339()
}

/// A file that is renamed to `.1` once it is larger than its cap; the oldest of its past is removed.
///
/// It also notices when logrotate moved or truncated the file, so that the two never fight over it.
struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes_max: u64,
    files_max: u32,
    total_bytes_max: u64,
}

impl RotatingFile {
    fn open(path: &Path, bytes_max: u64, files_max: u32, total_bytes_max: u64) -> io::Result<Self> {
        let opened = Self {
            path: path.into(),
            file: append_to(path)?,
            bytes_max,
            files_max,
            total_bytes_max,
        };
        opened.keep_to_total();
        Ok(opened)
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.file.metadata()?;
        let moved = fs::metadata(&self.path).map_or(true, |there| there.ino() != written.ino());
        if moved {
            self.file = append_to(&self.path)?;
        } else if written.len() > 0 && written.len() + line.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(line)
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.files_max).rev() {
            let _missing = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        if self.files_max == 0 {
            self.file.set_len(0)?;
        } else {
            fs::rename(&self.path, self.numbered(1))?;
        }
        self.file = append_to(&self.path)?;
        self.keep_to_total();
        Ok(())
    }

    fn keep_to_total(&self) {
        if let Some(folder) = self.path.parent() {
            // What cannot be removed now is removed at the next rotation; a log must not fail for it.
            let _left = remove_oldest(folder, self.total_bytes_max);
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Removes rotated files of a folder, the oldest first, until all of its files together are no larger than `bytes_max`. Files
/// that are written to now (`*.log`, `*.out`) stay: their own cap holds them.
fn remove_oldest(folder: &Path, bytes_max: u64) -> io::Result<()> {
    let mut total = 0;
    let mut rotated = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have moved or removed it by now.
        let Ok(found) = entry.metadata() else { continue };
        if !found.is_file() {
            continue;
        }
        total += found.len();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_written = name.ends_with(".log") || name.ends_with(".out");
        let is_log = name.contains(".log") || name.contains(".out");
        if is_log && !is_written {
            rotated.push((found.modified()?, entry.path(), found.len()));
        }
    }
    rotated.sort();
    for (_, path, bytes) in rotated {
        if total <= bytes_max {
            break;
        }
        fs::remove_file(path)?;
        total -= bytes;
    }
    Ok(())
}

fn append_to(path: &Path) -> io::Result<File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(nofollow)
        .open(path)
}

/// Counts what goes wrong by cause, so that a log tells each cause once and a metric tells how often.
#[derive(Debug, Default)]
pub struct Causes {
    counts: Mutex<BTreeMap<String, u64>>,
}

/// Most different causes kept apart; what comes later is counted as `other`, so that hostile input cannot fill memory.
const CAUSES_MAX: usize = 256;

impl Causes {
    /// Starts with nothing counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one occurrence and returns whether it is the first of its cause: the one to log.
    pub fn first(&self, cause: &str) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.contains_key(cause) || counts.len() < CAUSES_MAX;
        let count = counts
            .entry(if known { cause } else { "other" }.to_owned())
            .or_insert(0);
        *count += 1;
        *count == 1
    }

    /// Returns how often each cause occurred.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how often anything occurred.
    pub fn total(&self) -> u64 {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_first_once_and_counted_always() {
        let causes = Causes::new();
        assert!(causes.first("truncated JSON"));
        assert!(!causes.first("truncated JSON"));
        assert!(causes.first("unknown event"));
        assert_eq!(causes.total(), 3);
        for number in 0..1_000 {
            causes.first(&format!("hostile {number}"));
        }
        assert_eq!(causes.total(), 1_003);
        assert!(causes.counts().len() <= CAUSES_MAX + 1);
    }

    #[test]
    fn all_logs_together_are_capped_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = |name: &str, age_s: u64| {
            let file = File::create(folder.path().join(name)).expect("made");
            file.set_len(100).expect("sized");
            let when = std::time::SystemTime::now() - std::time::Duration::from_secs(age_s);
            file.set_modified(when).expect("dated");
        };
        for (name, age_s) in [
            ("hot.log", 9),
            ("hot.log.1", 5),
            ("hot.log.2", 7),
            ("nats.log-20261120.gz", 6),
            ("notes.txt", 8),
        ] {
            file(name, age_s);
        }
        remove_oldest(folder.path(), 300).expect("removed");
        let entries = fs::read_dir(folder.path()).expect("there");
        let mut left: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        left.sort();
        assert_eq!(left, ["hot.log", "hot.log.1", "notes.txt"]);
    }

    #[test]
    fn a_log_is_capped_and_survives_logrotate() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("hot.log");
        let mut log = RotatingFile::open(&path, 100, 2, u64::MAX).expect("opened");
        for number in 0..50 {
            log.write(format!("{{\"line\":{number:04}}}\n").as_bytes())
                .expect("written");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 3);
        for entry in fs::read_dir(folder.path()).expect("there") {
            assert!(entry.expect("there").metadata().expect("there").len() <= 100);
        }
        remove_oldest(folder.path(), 0).expect("removed");
        assert_eq!(
            fs::read_dir(folder.path()).expect("there").count(),
            1,
            "the one that is written to stays"
        );
        fs::rename(&path, folder.path().join("moved")).expect("as logrotate does");
        log.write(b"after\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "after\n");
    }
}
