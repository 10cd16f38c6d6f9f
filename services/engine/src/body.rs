//! A request's body: unpacked as it arrives, and bounded.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::compress::Unpacker;
use crate::exception::Exception;

/// Largest body that is held whole: a statement, and small data behind it.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// Longest pause within a body: a client that stopped does not keep others out for ever.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Reads a body portion by portion.
pub(crate) struct BodyReader {
    body: Incoming,
    unpacker: Option<Unpacker>,
    left: u64,
    done: bool,
}

impl BodyReader {
    /// Reads `body`, unpacking frames where `packed`; at most `bytes_max` bytes come out.
    pub(crate) fn new(body: Incoming, packed: bool, bytes_max: u64) -> Self {
        let done = hyper::body::Body::is_end_stream(&body);
        Self {
            body,
            unpacker: packed.then(Unpacker::default),
            left: bytes_max,
            done,
        }
    }

    /// Returns whether nothing more comes.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Returns the next portion, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Exception> {
        loop {
            if let Some(unpacker) = &mut self.unpacker
                && let Some(block) = unpacker.next()?
            {
                return self.admit(block).map(Some);
            }
            let Ok(frame) = tokio::time::timeout(IDLE_MAX, self.body.frame()).await else {
                return Err(Exception::new(209, "The body does not come", "SOCKET_TIMEOUT"));
            };
            let Some(frame) = frame else {
                self.done = true;
                return self.unpacker.as_ref().map_or(Ok(()), Unpacker::finish).map(|()| None);
            };
            let frame =
                frame.map_err(|e| Exception::new(210, &format!("The body ended early: {e}"), "NETWORK_ERROR"))?;
            let Ok(bytes) = frame.into_data() else { continue };
            match &mut self.unpacker {
                Some(unpacker) => unpacker.push(&bytes),
                None => return self.admit(bytes.into()).map(Some),
            }
        }
    }

    /// Returns all of it.
    pub(crate) async fn whole(&mut self) -> Result<Vec<u8>, Exception> {
        let mut whole = Vec::new();
        while let Some(portion) = self.next().await? {
            whole.extend_from_slice(&portion);
            if whole.len() > WHOLE_BYTES_MAX {
                let advice = "Send large data with the statement in the URL and the data in the body";
                return Err(Exception::new(307, advice, "TOO_MANY_BYTES"));
            }
        }
        Ok(whole)
    }

    fn admit(&mut self, portion: Vec<u8>) -> Result<Vec<u8>, Exception> {
        match self.left.checked_sub(portion.len() as u64) {
            Some(left) => {
                self.left = left;
                Ok(portion)
            }
            None => Err(Exception::new(307, "The body is too large", "TOO_MANY_BYTES")),
        }
    }
}
