//! Streamed answers: out of the engine's pipe into HTTP, a portion at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::access::Role;
use crate::cancel;
use crate::chdb::Summary;
use crate::compress::pack;
use crate::exception::Exception;
use crate::execute::{Executor, Statement};
use crate::http::{Answer, decorate, whole};
use crate::request::Request;
use crate::statement;

/// Portion of an answer that is read, packed and sent at once.
const PORTION: usize = 1 << 20;
/// Longest time in which a client takes nothing of its answer.
const STALLED_MAX: Duration = Duration::from_secs(60);
/// Pause before a transfer is broken off, so that the exception's text gets through.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Streams a SELECT's answer. The status is decided by its first bytes: what fails before them is a clean refusal.
pub(crate) async fn select(
    executor: Arc<Executor>,
    asked: Arc<Request>,
    role: Role,
    statement: Statement,
    slot: OwnedSemaphorePermit,
) -> Result<Answer, Exception> {
    let failed = |e: io::Error| Exception::new(76, &e.to_string(), "CANNOT_OPEN_FILE");
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
    let mut pipe = Receiver::from_owned_fd(reading).map_err(failed)?;
    let format = statement::own_format(&statement.text).unwrap_or_else(|| executor.format(&asked));
    let packed = asked.compress;
    let (wanted, ending, mark) = cancel::wanted(&executor);
    let running = tokio::task::spawn_blocking(move || {
        // Freed when the statement has ended, not when its client has gone.
        let (_slot, _ending) = (slot, ending);
        executor.select(&asked, role, &statement, writing, &mark)
    });
    let mut buffer = vec![0; PORTION];
    let first = fill(&mut pipe, &mut buffer).await.map_err(failed)?;
    let finish = move || async move {
        running
            .await
            .unwrap_or_else(|e| Err(Exception::new(1001, &e.to_string(), "STD_EXCEPTION")))
    };
    if first < buffer.len() {
        // The whole answer fits: its outcome is known before anything is sent.
        finish().await?;
        let bytes = Bytes::copy_from_slice(&buffer[..first]);
        let bytes = if packed && first > 0 { pack(&bytes) } else { bytes };
        return Ok(decorate(
            Response::new(whole(bytes)),
            Some(&format),
            &Summary::default(),
        ));
    }
    // Two portions under way: a slow client slows the engine, and memory stays constant.
    let (sender, receiver) = mpsc::channel::<Bytes>(2);
    let done = Arc::new(AtomicBool::new(false));
    let came_whole = Arc::clone(&done);
    tokio::spawn(async move {
        // Dropped last, and early where the client is gone or stands still: the statement is cancelled then.
        let _wanted = wanted;
        let wrap = |bytes: &[u8]| {
            if packed {
                pack(bytes)
            } else {
                Bytes::copy_from_slice(bytes)
            }
        };
        let mut length = first;
        while length > 0 {
            match sender.send_timeout(wrap(&buffer[..length]), STALLED_MAX).await {
                Ok(()) => {}
                Err(_gone_or_stalled) => return,
            }
            length = tokio::select! {
                () = sender.closed() => return,
                filled = fill(&mut pipe, &mut buffer) => match filled {
                    Ok(length) => length,
                    Err(error) => {
                        tracing::warn!(%error, "answer not read from the engine");
                        return;
                    }
                },
            };
        }
        match finish().await {
            Ok(()) => done.store(true, Ordering::Release),
            // As the server does: the text ends the answer, and the broken transfer says that it is not whole.
            Err(exception) => {
                let text = wrap(exception.body().as_bytes());
                let _gone = sender.send_timeout(text, STALLED_MAX).await;
            }
        }
    });
    let stream = stream::unfold(Some(receiver), move |receiver| {
        let came_whole = Arc::clone(&came_whole);
        async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(bytes) => Some((Ok(Frame::data(bytes)), Some(receiver))),
                None if came_whole.load(Ordering::Acquire) => None,
                None => {
                    // An error drops what is not written yet, and nothing tells when it is: whoever reads has it by then.
                    tokio::time::sleep(LAST_WORDS).await;
                    Some((Err(io::Error::other("the answer is not whole")), None))
                }
            }
        }
    });
    Ok(decorate(
        Response::new(StreamBody::new(stream).boxed_unsync()),
        Some(&format),
        &Summary::default(),
    ))
}

/// Reads until the buffer is full or the pipe ends.
async fn fill(pipe: &mut Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pipe.read(&mut buffer[filled..]).await? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
