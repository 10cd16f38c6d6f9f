//! Log files on the disk: found, read from any place, followed.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::commands::logs::entry::Entry;

/// One file of a service, read line by line. A line that has no end yet is read later.
pub(crate) struct LogFile {
    service: String,
    reader: BufReader<File>,
    inode: u64,
    position: u64,
    last_ts: String,
}

impl LogFile {
    pub(crate) fn open(service: &str, path: &Path, position: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(position))?;
        Ok(Self {
            service: service.to_owned(),
            inode: file.metadata()?.ino(),
            reader: BufReader::new(file),
            position,
            last_ts: String::new(),
        })
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Returns the next whole line, if there is one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            self.reader.seek(SeekFrom::Start(self.position))?;
            return Ok(None);
        }
        self.position += read as u64;
        let entry = Entry::parse(&self.service, &String::from_utf8_lossy(&line), &self.last_ts);
        self.last_ts.clone_from(&entry.ts);
        Ok(Some(entry))
    }

    /// Reads what was added.
    pub(crate) fn drain(&mut self, entries: &mut Vec<Entry>) -> io::Result<()> {
        if self.reader.get_ref().metadata()?.len() < self.position {
            // Somebody emptied the file in place: it starts again.
            self.position = 0;
            self.reader.seek(SeekFrom::Start(0))?;
        }
        while let Some(entry) = self.next()? {
            entries.push(entry);
        }
        Ok(())
    }

    /// Returns whether the path still names this file.
    pub(crate) fn is_still(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.ino() == self.inode)
    }
}

/// Returns the log files of each service, the oldest first: `hot.log.2`, `hot.log.1`, `hot.log`.
pub(crate) fn files_of(folder: &Path) -> io::Result<BTreeMap<String, Vec<PathBuf>>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut numbered: BTreeMap<String, Vec<(u32, PathBuf)>> = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let parts = name.strip_suffix(".log").map(|service| (service, Some(0)));
        let parts = parts.or_else(|| {
            name.split_once(".log.")
                .map(|(service, number)| (service, number.parse().ok()))
        });
        if let Some((service, Some(number))) = parts {
            numbered
                .entry(service.to_owned())
                .or_default()
                .push((number, path.clone()));
        }
    }
    let oldest_first = |mut files: Vec<(u32, PathBuf)>| {
        files.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        files.into_iter().map(|(_, path)| path).collect()
    };
    Ok(numbered
        .into_iter()
        .map(|(service, files)| (service, oldest_first(files)))
        .collect())
}

/// Opens a service's files, given the oldest first; with `lines`, only as much of their end as holds so many.
pub(crate) fn chain(service: &str, paths: &[PathBuf], lines: Option<usize>) -> io::Result<VecDeque<LogFile>> {
    let mut chain = VecDeque::new();
    let mut missing = lines;
    for path in paths.iter().rev() {
        if missing == Some(0) && !chain.is_empty() {
            break;
        }
        let (position, found) = match missing {
            Some(lines) => last_lines(path, lines)?,
            None => (0, 0),
        };
        missing = missing.map(|lines| lines.saturating_sub(found));
        chain.push_front(LogFile::open(service, path, position)?);
    }
    Ok(chain)
}

/// Returns where the last `lines` lines of a file begin, and how many there are.
fn last_lines(path: &Path, lines: usize) -> io::Result<(u64, usize)> {
    const BLOCK: u64 = 64 << 10;
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    // The break at the very end closes the last line; it begins behind the one before.
    let mut breaks = 0;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&mut file).take(end - start).read_to_end(&mut block)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if breaks == lines {
                return Ok((start + index as u64 + 1, lines));
            }
            breaks += 1;
        }
        end = start;
    }
    Ok((0, breaks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_file_is_found_without_reading_it_all() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("hot.log");
        let text: String = (0..20_000).map(|number| format!("line {number:06}\n")).collect();
        fs::write(&path, &text).expect("written");
        let (position, found) = last_lines(&path, 3).expect("readable");
        assert_eq!(
            (&text[position as usize..], found),
            ("line 019997\nline 019998\nline 019999\n", 3)
        );
        assert_eq!(last_lines(&path, 20_000).expect("readable"), (0, 20_000));
        assert_eq!(last_lines(&path, 30_000).expect("readable"), (0, 20_000));
        assert_eq!(last_lines(&path, 0).expect("readable"), (text.len() as u64, 0));
    }

    #[test]
    fn files_are_read_from_the_oldest_to_the_newest() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, text) in [
            ("hot.log", "e\nf\n"),
            ("hot.log.1", "c\nd\n"),
            ("hot.log.2", "a\nb\n"),
            ("x.txt", ""),
        ] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let files = files_of(folder.path()).expect("readable");
        assert_eq!(files.keys().collect::<Vec<_>>(), ["hot"]);
        let read = |lines| {
            let chain = chain("hot", &files["hot"], lines).expect("opened");
            let mut entries = Vec::new();
            for mut file in chain {
                file.drain(&mut entries).expect("readable");
            }
            entries.iter().map(Entry::message).collect::<String>()
        };
        assert_eq!(
            (read(None), read(Some(3)), read(Some(0))),
            ("abcdef".into(), "def".into(), String::new())
        );
    }

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("hot.log");
        fs::write(&path, "one\ntw").expect("written");
        let mut file = LogFile::open("hot", &path, 0).expect("opened");
        let mut entries = Vec::new();
        file.drain(&mut entries).expect("readable");
        assert_eq!(entries.len(), 1);
        fs::write(&path, "one\ntwo\n").expect("written in place");
        file.drain(&mut entries).expect("readable");
        assert_eq!(entries.last().map(Entry::message).as_deref(), Some("two"));
        fs::write(&path, "new\n").expect("emptied and written");
        file.drain(&mut entries).expect("readable");
        assert_eq!(entries.last().map(Entry::message).as_deref(), Some("new"));
        assert!(file.is_still(&path));
    }
}
