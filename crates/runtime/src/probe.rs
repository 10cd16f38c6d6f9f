//! Asking an HTTP endpoint once, without keeping anything: for probes and small documents of our own services.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer larger than this is no answer of ours, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Returns status and body of `GET http://{address}{path}`, or on one line why there is none `within` the time.
///
/// # Errors
/// Where nobody listens, or what answers does not speak HTTP or not in time.
pub async fn get(address: SocketAddr, path: &str, within: Duration) -> Result<(u16, String), String> {
    let answered = tokio::time::timeout(within, exchange(address, path)).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {} ms", within.as_millis())))
}

async fn exchange(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    // Small answers must not wait for a delayed ack.
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
    let exchange = async {
        let request = Request::get(path)
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let bytes = body.map_err(|e| e.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    };
    // The connection is driven here and ends with the exchange: no task is left behind.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = connection => match ended {
            // The server closed first, which it may do as soon as its answer is on the way.
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}
