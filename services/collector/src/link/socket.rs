//! The socket: connecting, taking what has arrived, and why it ended.

use std::time::Duration;

use futures_util::StreamExt;
use mprism_runtime::clock;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Larger frames and messages are not market data, in bytes.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// TCP, TLS and the upgrade together.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Frames that are taken together, if they are there already.
pub(super) const FRAMES_MAX: usize = 512;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("told to stop")]
    Stopped,
    #[error("nobody takes events any more")]
    Closed,
    #[error("cannot connect")]
    Connect(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("no answer to a {what} within {within:?}")]
    NoAnswer { what: &'static str, within: Duration },
    #[error("the venue refused a subscription: {message} (code {code})")]
    Refused { code: i64, message: String },
    #[error("the connection failed")]
    Socket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the venue closed the connection")]
    ClosedByVenue,
    #[error("nothing at all was heard for {0:?}")]
    Dead(Duration),
}

impl Ended {
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Stopped | Self::Closed => "stopped",
            Self::Connect(_) => "connect",
            Self::NoAnswer { .. } => "no_answer",
            Self::Refused { .. } => "refused",
            Self::Socket(_) => "socket",
            Self::ClosedByVenue => "closed_by_venue",
            Self::Dead(_) => "dead",
        }
    }
}

/// When it was received, in nanoseconds since the Unix epoch, and what.
pub(super) type Received = (i64, Option<Result<Message, tokio_tungstenite::tungstenite::Error>>);

pub(super) async fn connect(url: &str) -> Result<Socket, Ended> {
    let config = WebSocketConfig::default()
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .max_message_size(Some(FRAME_BYTES_MAX));
    let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
    match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(Ended::Connect(Box::new(error))),
        Err(_) => Err(Ended::NoAnswer {
            what: "connection",
            within: CONNECT_WITHIN,
        }),
    }
}

/// Adds what has arrived already, without waiting for more.
pub(super) async fn take_ready(socket: &mut Socket, frames: &mut Vec<Received>) {
    while frames.len() < FRAMES_MAX && matches!(frames.last(), Some((_, Some(Ok(_))))) {
        let ready = tokio::select! {
            biased;
            message = socket.next() => Some(message),
            () = std::future::ready(()) => None,
        };
        match ready {
            Some(message) => frames.push((clock::now_ns(), message)),
            None => return,
        }
    }
}
