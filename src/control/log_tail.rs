//! The last words of a service: what is shown when it does not start.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

use super::paths::HomePaths;
use super::service::Service;

/// How much of the end of a log is looked at, in bytes.
const TAIL_BYTES: u64 = 32 * 1024;

/// Returns the last lines of a service's log and output, at most `lines_max`, made readable. A log that cannot be read has
/// no lines.
pub fn last_lines(paths: &HomePaths, service: Service, lines_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for path in [paths.log(service), paths.output(service)] {
        let text = tail(&path).unwrap_or_default();
        lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(readable));
    }
    let skip = lines.len().saturating_sub(lines_max);
    lines.split_off(skip)
}

/// Returns the last lines of any log file, made readable.
pub(super) fn tail_of(path: &Path, lines_max: usize) -> Vec<String> {
    let text = tail(path).unwrap_or_default();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(readable)
        .collect();
    lines[lines.len().saturating_sub(lines_max)..].to_vec()
}

/// Returns the last errors of a service's own log, at most `lines_max`: when each happened, and what it says.
pub fn last_errors(path: &Path, lines_max: usize) -> Vec<(String, String)> {
    let text = tail(path).unwrap_or_default();
    let error = |line: &str| {
        let fields: Value = serde_json::from_str(line).ok()?;
        let is_error = fields.get("level")?.as_str()? == "error";
        let ts = fields.get("ts")?.as_str()?.to_owned();
        let readable = readable(line);
        let words = readable.strip_prefix(&ts).unwrap_or(&readable).trim_start();
        is_error.then(|| (ts, words.trim_start_matches("error ").to_owned()))
    };
    let errors: Vec<(String, String)> = text.lines().filter_map(error).collect();
    errors[errors.len().saturating_sub(lines_max)..].to_vec()
}

/// Returns the end of a text file, at most `bytes_max` bytes of it.
///
/// # Errors
/// Where it cannot be read.
pub fn file_tail(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tail(path: &Path) -> io::Result<String> {
    file_tail(path, TAIL_BYTES)
}

/// Turns a JSON log line into `level message (field=value …)`; anything else stays as it is.
fn readable(line: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let rest: Vec<String> = fields
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "ts" | "level" | "service" | "message" | "target"))
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect();
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(" ({})", rest.join(" "))
    };
    format!("{} {} {}{rest}", text("ts"), text("level"), text("message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_readable() {
        let home = tempfile::tempdir().expect("temporary folder");
        let paths = HomePaths::new(home.path());
        paths.ensure().expect("made");
        let log = "{\"level\":\"info\",\"message\":\"old\",\"ts\":\"t0\"}\n\
                   {\"level\":\"error\",\"message\":\"cannot listen\",\"port\":8085,\"service\":\"hot\",\"ts\":\"t1\"}\n";
        std::fs::write(paths.log(Service::Hot), log).expect("written");
        std::fs::write(paths.output(Service::Hot), "thread 'main' panicked\n").expect("written");
        assert_eq!(
            last_lines(&paths, Service::Hot, 2),
            ["t1 error cannot listen (port=8085)", "thread 'main' panicked"]
        );
        assert_eq!(last_lines(&paths, Service::Nats, 2), Vec::<String>::new());
    }
}
