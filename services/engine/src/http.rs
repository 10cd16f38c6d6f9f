//! The HTTP face: connections and paths, as ClickHouse's server has them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Role;
use crate::answer::{Answer, plain, refusal};
use crate::exception::Exception;
use crate::execute::Executor;
use crate::query::{query, role_of};
use crate::request::Request;

const HEADER_BYTES_MAX: usize = 16 << 10;
/// How often idle sessions are looked for.
const SESSIONS_EVERY: Duration = Duration::from_secs(1);

/// Serves until `shutdown` is cancelled, then finishes what runs.
pub(crate) async fn serve(
    listener: TcpListener,
    executor: Arc<Executor>,
    tls: Option<TlsAcceptor>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let mut looks = tokio::time::interval(SESSIONS_EVERY);
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = looks.tick() => {
                close_idle_sessions(&executor);
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    // Out of descriptors: a short pause instead of a busy loop.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        let (executor, tls, shutdown) = (Arc::clone(&executor), tls.clone(), shutdown.clone());
        connections.spawn(async move {
            match tls {
                None => connection(stream, peer, executor, shutdown).await,
                Some(acceptor) => {
                    if let Some(stream) = mprism_runtime::guard::shake_hands(&acceptor, stream, peer).await {
                        connection(stream, peer, executor, shutdown).await;
                    }
                }
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    executor: Arc<Executor>,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request| {
        let executor = Arc::clone(&executor);
        async move { Ok::<_, Infallible>(answer(request, peer, executor).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    tokio::select! {
        biased;
        // A client that goes away in the middle is not our failure.
        _ended = served.as_mut() => {}
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ended = served.await;
        }
    }
}

async fn answer(request: hyper::Request<Incoming>, peer: SocketAddr, executor: Arc<Executor>) -> Answer {
    match (request.method().clone(), request.uri().path()) {
        (Method::GET | Method::HEAD, "/ping" | "/replicas_status") | (Method::HEAD, "/") => {
            plain(StatusCode::OK, "Ok.\n")
        }
        (Method::POST | Method::DELETE, "/mprism/fence") if executor.options.fences => {
            let fenced = fence(request, peer, &executor).await;
            fenced.unwrap_or_else(|exception| refusal(&exception))
        }
        (Method::GET | Method::POST, "/") => query(request, peer, executor).await,
        (Method::OPTIONS, _) => {
            let mut answer = plain(StatusCode::NO_CONTENT, "");
            let methods = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
            answer.headers_mut().insert(ALLOW, methods);
            answer
        }
        (_, path @ ("/play" | "/dashboard" | "/binary" | "/merges" | "/jemalloc")) => {
            let text = format!("There is no handle {path}: this engine has no web pages, only queries at /\n");
            plain(StatusCode::NOT_FOUND, &text)
        }
        (_, path) => {
            let path: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
            let text = format!(
                "There is no handle {path}\n\nUse / or /ping for health checks.\nOr /replicas_status for more sophisticated health checks.\n\nSend queries from your program with POST method or GET /?query=...\n"
            );
            plain(StatusCode::NOT_FOUND, &text)
        }
    }
}

/// Closes the sessions that nobody came back to, on a thread that may block.
fn close_idle_sessions(executor: &Executor) {
    let idle = executor.sessions.take_idle(Instant::now());
    if !idle.is_empty() {
        tracing::debug!(sessions = idle.len(), "idle sessions closed");
        tokio::task::spawn_blocking(move || drop(idle));
    }
}

/// `POST` raises a table's generation, `DELETE` gives the table up.
async fn fence(request: hyper::Request<Incoming>, peer: SocketAddr, executor: &Executor) -> Result<Answer, Exception> {
    let asked = Request::parse(request.uri().query().unwrap_or(""))?;
    if role_of(&request, &asked, peer, executor)? != Role::Writer {
        return Err(Exception::denied("Fences are for the writer"));
    }
    let table = asked.setting("table").filter(|t| t.split('.').count() == 2);
    let Some(table) = table else {
        return Err(Exception::new(
            36,
            "Name the table: table=database.table",
            "BAD_ARGUMENTS",
        ));
    };
    let generation = if request.method() == Method::DELETE {
        let generation = asked.setting("generation").and_then(|g| g.parse().ok()).unwrap_or(0);
        if !executor.fences.release(table, generation) {
            return Err(Exception::new(
                crate::exception::FENCED,
                "Not the newest generation",
                "FENCED",
            ));
        }
        generation
    } else {
        executor.fences.raise(table).await
    };
    let body = serde_json::json!({ "table": table, "generation": generation }).to_string();
    let mut answer = plain(StatusCode::OK, &body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
