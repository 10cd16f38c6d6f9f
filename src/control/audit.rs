//! What operators did to a home: one line a command, appended and written for good, never changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One command and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When it ended, RFC 3339 UTC with milliseconds.
    pub ts: String,
    /// Who ran it.
    pub user: String,
    /// Who had become that user, where `sudo` says so.
    pub sudo_user: Option<String>,
    /// The process.
    pub pid: u32,
    /// The words typed after the program's name, credentials hidden.
    pub command: Vec<String>,
    /// How it ended.
    pub exit_code: u8,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// What it was about to do, where it planned something.
    pub plan: Value,
}

/// Appends an entry and writes it to the disk for good.
///
/// # Errors
/// Where the file cannot be written, or something that is not a plain file of ours stands there.
pub fn append(path: &Path, entry: &AuditEntry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry).map_err(io::Error::other)?;
    line.push(b'\n');
    let is_new = !path.exists();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    // One write: two commands at once do not tear each other's lines.
    file.write_all(&line)?;
    file.sync_data()?;
    if is_new && let Some(folder) = path.parent() {
        mprism_runtime::files::sync_folder(folder)?;
    }
    Ok(())
}

/// Returns the last entries, the oldest first, and how many lines could not be read: a power cut may tear the last one.
///
/// # Errors
/// Where the file is there and cannot be read.
pub fn read(path: &Path, entries_max: usize) -> io::Result<(Vec<AuditEntry>, usize)> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut torn = 0;
    let mut entries: Vec<AuditEntry> = Vec::new();
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) => torn += 1,
        }
    }
    let skip = entries.len().saturating_sub(entries_max);
    Ok((entries.split_off(skip), torn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32) -> AuditEntry {
        AuditEntry {
            ts: "2026-11-20T12:00:00.000Z".into(),
            user: "bob".into(),
            sudo_user: None,
            pid,
            command: vec!["start".into()],
            exit_code: 0,
            elapsed_ms: 5,
            plan: Value::Null,
        }
    }

    #[test]
    fn entries_stay_in_order_and_a_torn_line_is_counted() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("history.jsonl");
        assert_eq!(read(&path, 5).expect("no file is no history"), (Vec::new(), 0));
        for pid in 1..=3 {
            append(&path, &entry(pid)).expect("written");
        }
        fs::write(&path, fs::read_to_string(&path).expect("there") + "{\"ts\": \"20").expect("torn");
        let (entries, torn) = read(&path, 2).expect("readable");
        assert_eq!((entries, torn), (vec![entry(2), entry(3)], 1));
    }

    #[test]
    fn a_link_is_never_followed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").expect("written");
        let link = folder.path().join("history.jsonl");
        std::os::unix::fs::symlink(&victim, &link).expect("linked");
        append(&link, &entry(1)).expect_err("a link");
        assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
    }
}
