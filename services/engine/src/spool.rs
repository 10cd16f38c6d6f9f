//! Bytes that have to be held whole: in memory up to a bound, then in a file that has no name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::exception::Exception;

/// How much is held in memory, in bytes.
pub(crate) const MEMORY_MAX: usize = 8 << 20;

/// What was collected; it vanishes with this, whatever ends the process.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl Spool {
    /// Collects nothing yet; a file, if one is needed, takes its room in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            memory: Vec::new(),
            file: None,
            length: 0,
        }
    }

    /// Returns how many bytes were collected.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    fn stays_in_memory(&self, more: usize) -> bool {
        self.file.is_none() && self.memory.len() + more <= MEMORY_MAX
    }

    /// Appends. Blocks while a file is written.
    ///
    /// # Errors
    /// Where the file cannot be made or written: a full disk, mostly.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Exception> {
        self.length += bytes.len() as u64;
        if self.stays_in_memory(bytes.len()) {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.file_with_memory().and_then(|mut file| file.write_all(bytes));
        written.map_err(|e| cannot_write(&e))
    }

    /// Returns all of it as a file that can be opened through `/proc/self/fd`. Blocks.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub(crate) fn into_file(mut self) -> Result<File, Exception> {
        if self.file.is_none() {
            // Little data needs no disk.
            let made = rustix::fs::memfd_create("insert", rustix::fs::MemfdFlags::CLOEXEC);
            self.file = Some(made.map(File::from).map_err(|e| cannot_write(&e.into()))?);
        }
        self.file_with_memory().map_err(|e| cannot_write(&e))?;
        let file = self.file.take();
        file.ok_or_else(|| cannot_write(&io::Error::other("no file was made")))
    }

    /// Returns a reader of all of it. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn into_reader(self) -> io::Result<Box<dyn Read + Send>> {
        match self.file {
            Some(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Box::new(file))
            }
            None => Ok(Box::new(io::Cursor::new(self.memory))),
        }
    }

    /// Moves what is in memory to the file's end; makes the file where there is none.
    fn file_with_memory(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.folder)?,
        };
        let file = self.file.insert(file);
        file.write_all(&self.memory)?;
        self.memory = Vec::new();
        Ok(file)
    }
}

/// Appends on a thread that may block, and gives the spool back.
///
/// # Errors
/// As [`Spool::push`].
pub(crate) async fn hold(mut spool: Spool, bytes: Bytes) -> Result<Spool, Exception> {
    if spool.stays_in_memory(bytes.len()) {
        spool.push(&bytes)?;
        return Ok(spool);
    }
    let pushed = tokio::task::spawn_blocking(move || spool.push(&bytes).map(|()| spool)).await;
    pushed.unwrap_or_else(|e| Err(cannot_write(&io::Error::other(e))))
}

fn cannot_write(error: &io::Error) -> Exception {
    let message = format!("Cannot hold the data back: {error}");
    Exception::new(75, &message, "CANNOT_WRITE_TO_FILE_DESCRIPTOR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_back_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        for portions in [0_usize, 3, 20] {
            let portion: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
            let fill = || {
                let mut spool = Spool::new(folder.path());
                (0..portions).for_each(|_| spool.push(&portion).expect("room"));
                assert_eq!(spool.len(), (portions * portion.len()) as u64);
                spool
            };
            let mut read = Vec::new();
            fill()
                .into_reader()
                .expect("readable")
                .read_to_end(&mut read)
                .expect("read");
            assert_eq!(read, portion.repeat(portions));
            let mut file = fill().into_file().expect("room");
            file.seek(SeekFrom::Start(0)).expect("a file");
            let mut read = Vec::new();
            file.read_to_end(&mut read).expect("read");
            assert_eq!(read, portion.repeat(portions));
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            0,
            "it has no name"
        );
    }
}
