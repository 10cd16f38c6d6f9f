//! A worker's own HTTP endpoints: `/health`, `/stats`, `/metrics`.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::guard::{Guard, GuardError, TlsListener};

/// Why endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {listen}")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The listener failed.
    #[error("the listener on {listen} failed")]
    Serve {
        /// The address served.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// What stands before the endpoints cannot be set up.
    #[error("endpoints on {listen} cannot be guarded")]
    Guard {
        /// The address asked for.
        listen: SocketAddr,
        /// Why not.
        source: GuardError,
    },
}

/// Serves `router` until `shutdown` is cancelled; requests that run then are finished.
///
/// # Errors
/// Where the address cannot be had, or the listener fails.
pub async fn serve(listen: SocketAddr, router: Router, shutdown: CancellationToken) -> Result<(), ServeError> {
    serve_on(bind(listen).await?, router, shutdown).await
}

/// Takes the address: for callers that must know that they have it before they do anything else.
///
/// # Errors
/// Where the address cannot be had.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen)
        .await
        .map_err(|source| ServeError::Bind { listen, source })
}

/// As [`serve`], on a listener that [`bind`] gave.
///
/// # Errors
/// Where the listener fails.
pub async fn serve_on(listener: TcpListener, router: Router, shutdown: CancellationToken) -> Result<(), ServeError> {
    let listen = listener.local_addr().map_err(|source| ServeError::Serve {
        listen: ([0, 0, 0, 0], 0).into(),
        source,
    })?;
    // Without TCP_NODELAY every small answer waits 40 ms for the client's delayed ack.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(|source| ServeError::Serve { listen, source })
}

/// As [`serve_on`], behind a guard where there is one.
///
/// # Errors
/// Where the guard's files cannot be used, or the listener fails.
pub async fn serve_guarded(
    listener: TcpListener,
    guard: Option<Guard>,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let Some(guard) = guard else {
        return serve_on(listener, router, shutdown).await;
    };
    let listen = listener.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
    let refused = |source| ServeError::Guard { listen, source };
    let router = guard.before(router).map_err(refused)?;
    let listener = TlsListener::new(listener, &guard.identity).map_err(refused)?;
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(|source| ServeError::Serve { listen, source })
}

/// Answers with a JSON document whose separators are `", "` and `": "`: scripts grep for `"status": "healthy"`.
pub fn json_response(status: StatusCode, document: &impl Serialize) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        spaced_json(document),
    )
        .into_response()
}

/// Answers with metrics in the Prometheus text format.
pub fn metrics_response(body: String) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        body,
    )
        .into_response()
}

/// Returns JSON text with one blank after each comma and colon, as MarketPrism's services wrote it.
///
/// # Panics
/// Where the value cannot be JSON (a map whose keys are not strings): a mistake in the type, not in the data.
pub fn spaced_json(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, Spaced))
        .expect("the document has a JSON form");
    String::from_utf8(bytes).expect("serde_json writes UTF-8")
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;

    #[test]
    fn separators_are_those_that_scripts_grep_for() {
        let document = serde_json::json!({"status": "healthy", "list": [1, {"a": null}], "text": "a,b:c"});
        let text = spaced_json(&document);
        assert!(text.contains(r#""status": "healthy""#), "{text}");
        assert!(text.contains(r#"[1, {"a": null}]"#), "{text}");
        assert!(text.contains(r#""a,b:c""#), "{text}");
    }

    #[tokio::test]
    async fn endpoints_answer_until_they_are_told_to_stop() {
        let shutdown = CancellationToken::new();
        let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().route("/health", get(|| async { json_response(StatusCode::OK, &"fine") }));
        let server = tokio::spawn(serve_on(listener, router, shutdown.clone()));
        let taken = bind(address).await.expect_err("one listener per port");
        assert!(taken.to_string().contains(&address.to_string()), "{taken}");
        // One provider in the process, as in the binary; a second call in the same process is refused and harmless.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{address}/health");
        let answer = reqwest::get(url).await.expect("answers").text().await.expect("a body");
        assert_eq!(answer, "\"fine\"");
        shutdown.cancel();
        server.await.expect("no panic").expect("served to the end");
    }
}
