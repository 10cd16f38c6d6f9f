//! Asking an HTTP endpoint once, without keeping anything: for probes and small documents of our own services.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::endpoint::{Endpoint, FileLogin};
use crate::files;

/// An answer larger than this is no answer of ours, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Returns status and body of a `GET` of `path`, or on one line why there is none `within` the time.
///
/// # Errors
/// Where nobody listens, is believed, or knows us, or what answers does not speak HTTP or not in time.
pub async fn get(at: impl Into<Endpoint>, path: &str, within: Duration) -> Result<(u16, String), String> {
    let answered = tokio::time::timeout(within, exchange(&at.into(), path)).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {} ms", within.as_millis())))
}

async fn exchange(at: &Endpoint, path: &str) -> Result<(u16, String), String> {
    let mut request = Request::get(path).header(HOST, at.authority());
    if let Some((user, password)) = &at.shown {
        request = request.header(AUTHORIZATION, basic(user, password)?);
    } else if let Some(login) = &at.login {
        request = request.header(AUTHORIZATION, basic(&login.user, &password(login)?)?);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let stream = TcpStream::connect((&*at.host, at.port))
        .await
        .map_err(|e| e.to_string())?;
    // Small answers must not wait for a delayed ack.
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let Some(tls) = &at.tls else {
        return send(stream, request).await;
    };
    let config = tls.config().map_err(|e| crate::log::chain(&e))?;
    let name = ServerName::try_from(at.host.clone()).map_err(|e| e.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    send(stream.map_err(|e| e.to_string())?, request).await
}

fn password(login: &FileLogin) -> Result<String, String> {
    let path = &login.password_file;
    let password = files::read_secret(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok(password.trim().to_owned())
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let coded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {coded}")).map_err(|e| e.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(u16, String), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
    let exchange = async {
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
