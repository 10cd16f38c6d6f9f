//! A request's body: unpacked as it arrives, and bounded.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::compress::Unpacker;
use crate::encoding::Encoding;
use crate::exception::Exception;

/// Largest body that is held whole: a statement, and small data behind it.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// Longest pause within a body: a client that stopped does not keep others out for ever.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Portion of a body that is decoded at once, in bytes: however much a bomb would give.
const DECODED_MAX: usize = 256 << 10;

/// Reads a body portion by portion.
pub(crate) struct BodyReader {
    source: Source,
    unpacker: Option<Unpacker>,
    left: u64,
    done: bool,
}

enum Source {
    Plain(Incoming),
    Decoded(mpsc::Receiver<Result<Bytes, Exception>>),
}

impl BodyReader {
    /// Reads `body`, unpacking frames where `packed`; at most `bytes_max` unpacked bytes come out.
    pub(crate) fn new(body: Incoming, packed: bool, bytes_max: u64) -> Self {
        let done = hyper::body::Body::is_end_stream(&body);
        Self {
            source: Source::Plain(body),
            unpacker: packed.then(Unpacker::default),
            left: bytes_max,
            done,
        }
    }

    /// As [`new`](Self::new), undoing a content encoding first. `place` bounds how many bodies are decoded at once.
    pub(crate) fn encoded(
        body: Incoming,
        encoding: Encoding,
        place: OwnedSemaphorePermit,
        packed: bool,
        bytes_max: u64,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(2);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let packed = SyncIoBridge::new_with_handle(StreamReader::new(Box::pin(frames(body))), runtime);
            decode(packed, encoding, &sender);
        });
        Self {
            source: Source::Decoded(receiver),
            unpacker: packed.then(Unpacker::default),
            left: bytes_max,
            done: false,
        }
    }

    /// Returns whether nothing more comes.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Returns the next portion, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Exception> {
        loop {
            if let Some(unpacker) = &mut self.unpacker
                && let Some(block) = unpacker.next()?
            {
                return self.admit(block.into()).map(Some);
            }
            let portion = match &mut self.source {
                Source::Plain(body) => next_frame(body).await?,
                Source::Decoded(receiver) => receiver.recv().await.transpose()?,
            };
            let Some(bytes) = portion else {
                self.done = true;
                return self.unpacker.as_ref().map_or(Ok(()), Unpacker::finish).map(|()| None);
            };
            match &mut self.unpacker {
                Some(unpacker) => unpacker.push(&bytes),
                None => return self.admit(bytes).map(Some),
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

    fn admit(&mut self, portion: Bytes) -> Result<Bytes, Exception> {
        match self.left.checked_sub(portion.len() as u64) {
            Some(left) => {
                self.left = left;
                Ok(portion)
            }
            None => Err(Exception::new(307, "The body is too large", "TOO_MANY_BYTES")),
        }
    }
}

async fn next_frame(body: &mut Incoming) -> Result<Option<Bytes>, Exception> {
    loop {
        let Ok(frame) = tokio::time::timeout(IDLE_MAX, body.frame()).await else {
            return Err(Exception::new(209, "The body does not come", "SOCKET_TIMEOUT"));
        };
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|e| Exception::new(210, &format!("The body ended early: {e}"), "NETWORK_ERROR"))?;
        // What is not data is a trailer.
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
}

/// The frames of a body as a decoder reads them.
fn frames(body: Incoming) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some(body), |body| async {
        let mut body = body?;
        match next_frame(&mut body).await {
            Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(body))),
            Err(exception) => Some((Err(io::Error::other(Broken(exception))), None)),
        }
    })
}

/// Decodes until the end, an error, or until nobody reads any more. Blocks.
fn decode(packed: impl Read + Send, encoding: Encoding, sender: &mpsc::Sender<Result<Bytes, Exception>>) {
    let outcome = encoding.decoder(packed).and_then(|mut decoder| {
        let mut portion = vec![0; DECODED_MAX];
        loop {
            let read = decoder.read(&mut portion)?;
            if read == 0 {
                return Ok(());
            }
            if sender
                .blocking_send(Ok(Bytes::copy_from_slice(&portion[..read])))
                .is_err()
            {
                return Ok(());
            }
        }
    });
    if let Err(error) = outcome {
        let broken = error.get_ref().and_then(|inner| inner.downcast_ref::<Broken>());
        let exception = broken.map_or_else(
            || {
                let message = format!("The body is not {}: {error}", encoding.name());
                Exception::new(271, &message, "CANNOT_DECOMPRESS")
            },
            |broken| broken.0.clone(),
        );
        let _nobody_reads = sender.blocking_send(Err(exception));
    }
}

/// A body that ended early, on its way through a decoder.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early")]
struct Broken(Exception);
