//! Standard output as a stream whose reader may leave.

use std::io::{self, Write};

/// Standard output. A reader that closes the pipe has what it wanted: that is an end, not an error.
#[derive(Debug)]
pub struct Output {
    stdout: io::Stdout,
    closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            stdout: io::stdout(),
            closed: false,
        }
    }

    /// Writes bytes and returns whether anybody still reads.
    ///
    /// # Errors
    /// Where writing fails for another reason than a closed pipe: a full disk, for example.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.closed {
            return Ok(false);
        }
        let mut stdout = self.stdout.lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
