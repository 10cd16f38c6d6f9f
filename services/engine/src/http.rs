//! The HTTP face: requests in, answers out, as ClickHouse's server does it.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Role;
use crate::body::BodyReader;
use crate::chdb::Summary;
use crate::compress::pack;
use crate::exception::Exception;
use crate::execute::{Executor, append, memory_file};
use crate::form;
use crate::request::Request;
use crate::statement::{self, Kind};
use crate::stream;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

/// Longest statement, in bytes; data of inserts is bounded by the options.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Serves until `shutdown` is cancelled, then finishes what runs.
pub(crate) async fn serve(listener: TcpListener, executor: Arc<Executor>, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
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
        connections.spawn(connection(stream, peer, Arc::clone(&executor), shutdown.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: tokio::net::TcpStream,
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
    let result = match (request.method().clone(), request.uri().path()) {
        (Method::GET | Method::HEAD, "/ping") => Ok(plain(StatusCode::OK, "Ok.\n")),
        (Method::POST | Method::DELETE, "/mprism/fence") => fence(request, peer, &executor).await,
        (Method::GET | Method::POST, "/") => query(request, peer, executor).await,
        (Method::HEAD, "/") => Ok(plain(StatusCode::OK, "Ok.\n")),
        (_, path) => {
            let text = format!(
                "There is no handle {}\n",
                path.chars().filter(|c| !c.is_control()).take(200).collect::<String>()
            );
            Ok(plain(StatusCode::NOT_FOUND, &text))
        }
    };
    result.unwrap_or_else(|exception| refusal(&exception))
}

fn role_of(
    request: &hyper::Request<Incoming>,
    asked: &Request,
    peer: SocketAddr,
    executor: &Executor,
) -> Result<Role, Exception> {
    let (user, password) = (asked.user.as_deref(), asked.password.as_deref());
    executor
        .access
        .role(request.headers(), user, password, peer.ip().is_loopback())
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

async fn query(
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    executor: Arc<Executor>,
) -> Result<Answer, Exception> {
    let mut asked = Request::parse(request.uri().query().unwrap_or(""))?;
    let role = role_of(&request, &asked, peer, &executor)?;
    header(&request, "x-clickhouse-database")
        .into_iter()
        .for_each(|v| asked.database = asked.database.take().or(Some(v)));
    header(&request, "x-clickhouse-format")
        .into_iter()
        .for_each(|v| asked.default_format = Some(v));
    asked.operator = role == Role::Writer && header(&request, "x-mprism-write").as_deref() == Some("operator");
    if request
        .headers()
        .get("content-encoding")
        .is_some_and(|v| v != "identity")
    {
        return Err(Exception::new(
            48,
            "Content-Encoding is not supported; use decompress=1",
            "NOT_IMPLEMENTED",
        ));
    }
    asked.settings_for(role)?;
    // GET never changes anything, whoever asks.
    let rights = if request.method() == Method::GET {
        Role::Reader
    } else {
        role
    };
    let bytes_max = match role {
        Role::Reader => STATEMENT_BYTES_MAX as u64,
        Role::Writer => executor.options.body_bytes_max,
    };
    let content_type = header(&request, "content-type").unwrap_or_default();
    let mut body = BodyReader::new(request.into_body(), asked.decompress, bytes_max);
    if let Some(boundary) = form::boundary(&content_type) {
        let text = body.whole().await?;
        for (name, value) in form::fields(&String::from_utf8_lossy(&text), boundary)? {
            asked.put(&name, value)?;
        }
    }
    let (text, data) = match asked.query.take() {
        Some(text) => {
            let (head, rest) = statement::split_data(&text);
            (head.to_owned(), rest.as_bytes().to_vec())
        }
        None => {
            let whole = body.whole().await?;
            // The data of an insert may be binary: only what stands before it has to be text.
            let lossy = String::from_utf8_lossy(&whole);
            let (head, rest) = statement::split_data(&lossy);
            let exact = match std::str::from_utf8(&whole) {
                Ok(_) => rest.as_bytes().to_vec(),
                Err(_) if rest.is_empty() => {
                    return Err(Exception::new(62, "The statement is not UTF-8", "SYNTAX_ERROR"));
                }
                // Replacement characters stand behind the head only, so the data begins where it does in the text.
                Err(_) => whole[lossy.len() - rest.len()..].to_vec(),
            };
            (head.to_owned(), exact)
        }
    };
    let mut text = text;
    let judged_insert = text
        .trim_start()
        .get(..6)
        .is_some_and(|w| w.eq_ignore_ascii_case("INSERT"));
    if !judged_insert && !body.is_done() {
        // As the server does: the URL's query and the body are one statement.
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&body.whole().await?));
    }
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Exception::new(396, "The statement is too long", "QUERY_IS_TOO_LARGE"));
    }
    let asked = Arc::new(asked);
    // After the statement came: who sends slowly keeps nobody out.
    let slot = slot(&executor, role).await?;
    let statement = blocking({
        let (executor, asked, text) = (Arc::clone(&executor), Arc::clone(&asked), text.trim().to_owned());
        move || executor.judge(&asked, rights, &text)
    })
    .await?;
    match statement.kind {
        Kind::Select => stream::select(executor, asked, rights, statement, slot).await,
        Kind::InsertData(_) => {
            let file = spool(body, data).await?;
            let summary = blocking(move || executor.insert(&asked, &statement, &file)).await?;
            Ok(decorate(plain(StatusCode::OK, ""), None, &summary))
        }
        Kind::Describe | Kind::InsertSelect(_) | Kind::Alter => {
            let format = statement::own_format(&statement.text).unwrap_or_else(|| executor.format(&asked));
            let packed = asked.compress;
            let (bytes, summary) = blocking(move || executor.small(&asked, rights, &statement)).await?;
            let bytes = if packed && !bytes.is_empty() {
                pack(&bytes)
            } else {
                bytes.into()
            };
            Ok(decorate(Response::new(whole(bytes)), Some(&format), &summary))
        }
    }
}

/// Waits for a reader's turn; writers have their own slots.
async fn slot(executor: &Executor, role: Role) -> Result<OwnedSemaphorePermit, Exception> {
    let (slots, wait) = match role {
        Role::Reader => (&executor.readers, executor.options.reader_wait),
        Role::Writer => (&executor.writers, Duration::from_secs(60)),
    };
    let busy = || Exception::new(202, "Too many simultaneous queries", "TOO_MANY_SIMULTANEOUS_QUERIES");
    match tokio::time::timeout(wait, Arc::clone(slots).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(busy()),
    }
}

/// Collects an insert's data in memory that the engine can open as a file.
async fn spool(mut body: BodyReader, head: Vec<u8>) -> Result<File, Exception> {
    let mut file = memory_file()?;
    append(&mut file, &head)?;
    while let Some(portion) = body.next().await? {
        append(&mut file, &portion)?;
    }
    Ok(file)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Exception> + Send + 'static,
) -> Result<T, Exception> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Exception::new(1001, &e.to_string(), "STD_EXCEPTION")))
}

fn header(request: &hyper::Request<Incoming>, name: &str) -> Option<String> {
    request
        .headers()
        .get(name)
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned)
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(whole(text.to_owned()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    answer
}

fn refusal(exception: &Exception) -> Answer {
    let mut answer = plain(exception.status(), &exception.body());
    answer
        .headers_mut()
        .insert("x-clickhouse-exception-code", HeaderValue::from(exception.code));
    answer
}

/// Adds what the server says beside an answer.
pub(crate) fn decorate(mut answer: Answer, format: Option<&str>, summary: &Summary) -> Answer {
    let headers = answer.headers_mut();
    if let Some(value) = format.and_then(|f| HeaderValue::from_str(f).ok()) {
        headers.insert("x-clickhouse-format", value);
    }
    let summary = format!(
        r#"{{"read_rows":"{}","read_bytes":"{}","written_rows":"{}","written_bytes":"{}"}}"#,
        summary.read_rows, summary.read_bytes, summary.written_rows, summary.written_bytes
    );
    if let Ok(value) = HeaderValue::from_str(&summary) {
        headers.insert("x-clickhouse-summary", value);
    }
    headers.insert("x-clickhouse-timezone", HeaderValue::from_static("UTC"));
    headers.insert("x-clickhouse-server-display-name", HeaderValue::from_static("mprism"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(format)));
    answer
}

fn content_type(format: Option<&str>) -> &'static str {
    match format.unwrap_or("") {
        f if f.starts_with("JSON") => "application/json; charset=UTF-8",
        f if f.starts_with("TabSeparated") || f.starts_with("TSV") => "text/tab-separated-values; charset=UTF-8",
        f if f.starts_with("CSV") => "text/csv; charset=UTF-8; header=absent",
        f if f.starts_with("RowBinary") || f.starts_with("Native") || f == "Parquet" => "application/octet-stream",
        _ => "text/plain; charset=UTF-8",
    }
}
