//! The answer of a SELECT: out of the engine's pipe into HTTP, a portion at a time.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use rand::distr::SampleString;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::answer::{Answer, Body, decorate, tell_progress, tell_tag, whole};
use crate::cancel::Wanted;
use crate::chdb::Summary;
use crate::clause;
use crate::encoding::{Encoder, Packing};
use crate::exception::Exception;
use crate::execute::{Executor, Job};
use crate::progress::Watch;
use crate::queries::Query;
use crate::spool::{MEMORY_MAX, Spool, hold};

/// Portion of an answer that is read, packed and sent at once, in bytes.
const PORTION: usize = 1 << 20;
/// Most of an answer that `buffer_size` holds back, in bytes.
const BUFFER_MAX: u64 = 64 << 20;
/// Longest time in which a client takes nothing of its answer.
const STALLED_MAX: Duration = Duration::from_secs(60);
/// Pause before a transfer is broken off, so that the exception's text gets through.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Length of the tag that frames an exception within an answer, as the server's.
const TAG_LENGTH: usize = 16;

/// Runs a SELECT. The status is decided by what is held back of its answer: what fails within that is a clean refusal.
pub(crate) async fn select(
    executor: Arc<Executor>,
    job: Job,
    query: Query,
    packing: Packing,
) -> Result<Answer, Exception> {
    let asked = Arc::clone(&job.asked);
    let format = clause::own_format(&job.statement.text).unwrap_or_else(|| executor.format(&asked));
    let (reading, writing) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| no_pipe(&e.into()))?;
    let mut source = Source {
        pipe: Receiver::from_owned_fd(reading).map_err(|e| no_pipe(&e))?,
        running: tokio::task::spawn_blocking({
            let executor = Arc::clone(&executor);
            move || executor.select(job, writing)
        }),
        _wanted: Wanted::new(Arc::clone(&executor), query.clone()),
    };
    let mut watch = Watch::new(Arc::clone(&executor), query.mark, &asked);
    // What waits for the end is bounded as a body is.
    let held_max = match asked.wait_end_of_query {
        true => executor.options.body_bytes_max,
        false => asked.buffer_size.clamp(PORTION as u64, BUFFER_MAX),
    };
    let mut held = Spool::new(&executor.options.data);
    let mut ended = false;
    while !ended && held.len() < held_max {
        let portion = watch.during(source.portion()).await?;
        ended = portion.len() < PORTION;
        held = hold(held, portion).await?;
    }
    if asked.wait_end_of_query && !ended {
        let message = format!("The answer has more than {held_max} bytes: too many to wait for its end");
        return Err(Exception::new(307, &message, "TOO_MANY_BYTES"));
    }
    let (summary, source) = match ended {
        true => (source.end().await?, None),
        false => (watch.look().await, Some(source)),
    };
    let mut answer = Response::new(whole(Bytes::new()));
    *answer.body_mut() = match source {
        None if held.len() <= MEMORY_MAX as u64 => {
            let mut bytes = Vec::new();
            held.into_reader()
                .and_then(|mut reader| reader.read_to_end(&mut bytes))
                .map_err(|e| no_pipe(&e))?;
            whole(packing.pack_whole(bytes, &mut answer).map_err(not_packed)?)
        }
        source => {
            let tag = rand::distr::Alphanumeric
                .sample_string(&mut rand::rng(), TAG_LENGTH)
                .to_lowercase();
            tell_tag(&mut answer, &tag);
            let encoder = packing.encoder(&mut answer).map_err(not_packed)?;
            streamed(held, source, encoder, tag)
        }
    };
    decorate(&mut answer, Some(&format), &summary);
    tell_progress(&mut answer, watch.seen());
    Ok(answer)
}

/// A running SELECT. Dropped before its end, it cancels it.
struct Source {
    pipe: Receiver,
    running: JoinHandle<Result<Summary, Exception>>,
    _wanted: Wanted,
}

impl Source {
    /// Reads until a portion is full or the answer ends.
    async fn portion(&mut self) -> Result<Bytes, Exception> {
        let mut portion = vec![0; PORTION];
        let mut filled = 0;
        while filled < portion.len() {
            match self.pipe.read(&mut portion[filled..]).await.map_err(|e| no_pipe(&e))? {
                0 => break,
                read => filled += read,
            }
        }
        portion.truncate(filled);
        Ok(portion.into())
    }

    /// Returns the statement's outcome, once the pipe has ended.
    async fn end(self) -> Result<Summary, Exception> {
        let outcome = self.running.await;
        outcome.unwrap_or_else(|e| Err(Exception::new(1001, &e.to_string(), "STD_EXCEPTION")))
    }
}

/// Sends what was held back, then what is still to come; without a source nothing is.
fn streamed(held: Spool, source: Option<Source>, encoder: Encoder, tag: String) -> Body {
    // Two portions under way: a slow client slows the engine, and memory stays constant.
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let mut sink = Sink { encoder, sender };
        match pump(held, source, &mut sink).await {
            Ok(()) => {
                let _gone = sink.end().await;
            }
            // As the server does: the text ends the answer, and the broken transfer says that it is not whole.
            Err(Lost::Failed(exception)) => {
                let _gone = sink.send(exception.late(&tag).into()).await;
            }
            Err(Lost::Client) => {}
        }
    });
    let stream = stream::unfold(
        Some(receiver),
        move |receiver: Option<mpsc::Receiver<Piece>>| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Piece::Bytes(bytes)) => Some((Ok(Frame::data(bytes)), Some(receiver))),
                Some(Piece::Whole) => None,
                None => {
                    // An error drops what is not written yet, and nothing tells when it is: whoever reads has it by then.
                    tokio::time::sleep(LAST_WORDS).await;
                    Some((Err(io::Error::other("the answer is not whole")), None))
                }
            }
        },
    );
    StreamBody::new(stream).boxed_unsync()
}

/// What is on its way to the client. That all came is said in its order: that nothing more comes is also how an answer ends that
/// is not whole.
enum Piece {
    Bytes(Bytes),
    Whole,
}

/// Why an answer does not come whole.
enum Lost {
    /// The client is gone, or takes nothing.
    Client,
    /// The statement failed, or we did.
    Failed(Exception),
}

impl From<Exception> for Lost {
    fn from(exception: Exception) -> Self {
        Self::Failed(exception)
    }
}

async fn pump(held: Spool, source: Option<Source>, sink: &mut Sink) -> Result<(), Lost> {
    let mut reader = held.into_reader().map_err(|e| no_pipe(&e))?;
    loop {
        let (rest, portion) = tokio::task::spawn_blocking(move || {
            let mut portion = Vec::with_capacity(PORTION);
            let read = reader.by_ref().take(PORTION as u64).read_to_end(&mut portion);
            (reader, read.map(|_| portion))
        })
        .await
        .map_err(|e| no_pipe(&io::Error::other(e)))?;
        reader = rest;
        let portion = portion.map_err(|e| no_pipe(&e))?;
        if portion.is_empty() {
            break;
        }
        sink.send(portion.into()).await?;
    }
    let Some(mut source) = source else { return Ok(()) };
    loop {
        let portion = tokio::select! {
            () = sink.sender.closed() => return Err(Lost::Client),
            portion = source.portion() => portion?,
        };
        let is_last = portion.len() < PORTION;
        if !portion.is_empty() {
            sink.send(portion).await?;
        }
        if is_last {
            source.end().await?;
            return Ok(());
        }
    }
}

/// Packs and sends.
struct Sink {
    encoder: Encoder,
    sender: mpsc::Sender<Piece>,
}

impl Sink {
    async fn send(&mut self, portion: Bytes) -> Result<(), Lost> {
        let packed = match std::mem::replace(&mut self.encoder, Encoder::Plain) {
            Encoder::Plain => portion,
            mut encoder => {
                let packed = tokio::task::spawn_blocking(move || {
                    let packed = encoder.portion(&portion);
                    (encoder, packed)
                });
                let (encoder, packed) = packed.await.map_err(|e| not_packed(io::Error::other(e)))?;
                self.encoder = encoder;
                packed.map_err(not_packed)?
            }
        };
        let sent = self.sender.send_timeout(Piece::Bytes(packed), STALLED_MAX).await;
        sent.map_err(|_gone_or_stalled| Lost::Client)
    }

    /// Says that all came.
    async fn end(self) -> Result<(), Lost> {
        let last = self.encoder.finish().map_err(not_packed)?;
        let last = Some(last).filter(|last| !last.is_empty());
        let pieces = last.map(Piece::Bytes).into_iter().chain([Piece::Whole]);
        for piece in pieces {
            let sent = self.sender.send_timeout(piece, STALLED_MAX).await;
            sent.map_err(|_gone_or_stalled| Lost::Client)?;
        }
        Ok(())
    }
}

fn no_pipe(error: &io::Error) -> Exception {
    Exception::new(
        74,
        &format!("The answer cannot be read: {error}"),
        "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    )
}

/// What is said where an encoding fails.
pub(crate) fn not_packed(error: io::Error) -> Exception {
    Exception::new(270, &format!("The answer cannot be packed: {error}"), "CANNOT_COMPRESS")
}
