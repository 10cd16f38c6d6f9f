//! One statement over HTTP: read, judged, run, answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::access::Role;
use crate::answer::{Answer, decorate, identify, plain, refusal, whole};
use crate::body::BodyReader;
use crate::cancel;
use crate::chdb::Summary;
use crate::clause;
use crate::directive::{Kill, KillMode};
use crate::encoding::{Encoding, Packing};
use crate::exception::Exception;
use crate::execute::{Executor, Job};
use crate::form;
use crate::queries::{Query, new_id};
use crate::request::Request;
use crate::spool::{Spool, hold};
use crate::statement::Kind;
use crate::stream;

/// Longest statement, in bytes; data of inserts is bounded by the options.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// How long `KILL QUERY … SYNC` waits.
const KILL_WAIT_MAX: Duration = Duration::from_secs(60);

/// Answers a request for `/`.
pub(crate) async fn query(request: hyper::Request<Incoming>, peer: SocketAddr, executor: Arc<Executor>) -> Answer {
    let mut query_id = new_id();
    let mut answer = match attempt(request, peer, executor, &mut query_id).await {
        Ok(answer) => answer,
        Err(exception) => refusal(&exception),
    };
    identify(&mut answer, &query_id);
    answer
}

/// Decides who asks.
pub(crate) fn role_of(
    request: &hyper::Request<Incoming>,
    asked: &Request,
    peer: SocketAddr,
    executor: &Executor,
) -> Result<Role, Exception> {
    let (user, password) = (asked.user.as_deref(), asked.password.as_deref());
    let is_near = peer.ip().is_loopback() || executor.options.readers_from_anywhere;
    executor.access.role(request.headers(), user, password, is_near)
}

async fn attempt(
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    executor: Arc<Executor>,
    query_id: &mut String,
) -> Result<Answer, Exception> {
    let mut asked = Request::parse(request.uri().query().unwrap_or(""))?;
    take_id(&mut asked, query_id);
    let role = role_of(&request, &asked, peer, &executor)?;
    read_headers(&request, role, &mut asked);
    asked.settings_for(role)?;
    // GET never changes anything, whoever asks.
    let rights = if request.method() == Method::GET {
        Role::Reader
    } else {
        role
    };
    let accepted = header(&request, "accept-encoding");
    let is_get = request.method() == Method::GET;
    let (text, data, body) = statement_of(request, role, &executor, &mut asked).await?;
    // A form may name it, too.
    take_id(&mut asked, query_id);
    if is_get && text.is_empty() {
        return Ok(plain(StatusCode::OK, "Ok.\n"));
    }
    asked.settings_for(role)?;
    let session = match asked.session_asked() {
        Some(session) => Some(executor.sessions.enter(role, session)?),
        None => None,
    };
    asked.database = asked
        .database
        .take()
        .or_else(|| session.as_ref()?.session.database.clone());
    let packing = Packing::choose(&asked, accepted.as_deref());
    let asked = Arc::new(asked);
    // After the statement came: who sends slowly keeps nobody out.
    let slot = slot(&executor, role).await?;
    let statement = blocking({
        let (executor, asked) = (Arc::clone(&executor), Arc::clone(&asked));
        let bound = session
            .as_ref()
            .map_or(Vec::new(), |entered| entered.session.parameters());
        move || executor.judge(&asked, rights, &text, &bound)
    })
    .await?;
    let user = match role {
        Role::Reader => "default",
        Role::Writer => executor.access.user.as_str(),
    };
    let comment = asked.setting("log_comment").unwrap_or_default();
    let (running, query) = executor.queries.begin(query_id, (user, comment), &statement.text)?;
    let job = Job {
        asked,
        rights,
        statement,
        mark: query.mark.clone(),
        session,
        _running: running,
        _slot: slot,
    };
    run(executor, job, query, packing, data, body).await
}

async fn run(
    executor: Arc<Executor>,
    job: Job,
    query: Query,
    packing: Packing,
    data: Bytes,
    body: BodyReader,
) -> Result<Answer, Exception> {
    match &job.statement.kind {
        Kind::Select => stream::select(executor, job, query, packing).await,
        Kind::InsertData(_) | Kind::InsertInput(_) => {
            let spool = spool(&executor, body, data).await?;
            let summary = blocking(move || {
                let length = spool.len();
                let file = spool.into_file()?;
                executor.insert(job, &file, length)
            })
            .await?;
            let mut answer = plain(StatusCode::OK, "");
            decorate(&mut answer, None, &summary);
            Ok(answer)
        }
        Kind::Kill(kill) => {
            let kill = kill.clone();
            let format = clause::own_format(&job.statement.text).unwrap_or_else(|| executor.format(&job.asked));
            let bytes = kill_queries(executor, &kill, &query.id, Arc::clone(&job.asked), &format).await?;
            small_answer(bytes, &format, &Summary::default(), packing)
        }
        _ => {
            let format = clause::own_format(&job.statement.text).unwrap_or_else(|| executor.format(&job.asked));
            let (bytes, summary) = blocking(move || executor.small(job)).await?;
            small_answer(bytes, &format, &summary, packing)
        }
    }
}

fn small_answer(bytes: Vec<u8>, format: &str, summary: &Summary, packing: Packing) -> Result<Answer, Exception> {
    let mut answer = Response::new(whole(Bytes::new()));
    *answer.body_mut() = whole(packing.pack_whole(bytes, &mut answer).map_err(stream::not_packed)?);
    decorate(&mut answer, Some(format), summary);
    Ok(answer)
}

/// Cancels statements and says which.
async fn kill_queries(
    executor: Arc<Executor>,
    kill: &Kill,
    own_id: &str,
    asked: Arc<Request>,
    format: &str,
) -> Result<Vec<u8>, Exception> {
    let mut queries = executor.queries.find(&kill.which);
    // It would wait for its own end.
    queries.retain(|query| query.id != own_id);
    let status = match kill.mode {
        KillMode::Test => None,
        KillMode::Async => {
            for query in queries.clone() {
                tokio::spawn(cancel::cancel(Arc::clone(&executor), query));
            }
            Some("waiting")
        }
        KillMode::Sync => {
            let all = futures_util::future::join_all(
                queries
                    .clone()
                    .into_iter()
                    .map(|query| cancel::cancel(Arc::clone(&executor), query)),
            );
            match tokio::time::timeout(KILL_WAIT_MAX, all).await {
                Ok(_) => Some("finished"),
                Err(_) => Some("waiting"),
            }
        }
    };
    let format = format.to_owned();
    blocking(move || executor.killed(&asked, &format, &queries, status)).await
}

/// Takes the id that the client gave, if it did.
fn take_id(asked: &mut Request, query_id: &mut String) {
    if let Some(id) = asked.query_id.take().filter(|id| !id.is_empty()) {
        *query_id = id;
    }
}

/// Takes what headers say beside the URL.
fn read_headers(request: &hyper::Request<Incoming>, role: Role, asked: &mut Request) {
    if let Some(database) = header(request, "x-clickhouse-database") {
        asked.database.get_or_insert(database);
    }
    if let Some(format) = header(request, "x-clickhouse-format") {
        asked.default_format = Some(format);
    }
    asked.operator = role == Role::Writer && header(request, "x-mprism-write").as_deref() == Some("operator");
}

/// Reads the statement, and the data that stands in the same place; what is left of the body is data, too.
async fn statement_of(
    request: hyper::Request<Incoming>,
    role: Role,
    executor: &Executor,
    asked: &mut Request,
) -> Result<(String, Bytes, BodyReader), Exception> {
    let bytes_max = match role {
        Role::Reader => STATEMENT_BYTES_MAX as u64,
        Role::Writer => executor.options.body_bytes_max,
    };
    let content_type = header(&request, "content-type").unwrap_or_default();
    let mut body = match Encoding::of_body(header(&request, "content-encoding").as_deref())? {
        None => BodyReader::new(request.into_body(), asked.decompress, bytes_max),
        Some(encoding) => {
            let places = match role {
                Role::Reader => &executor.reader_decoders,
                Role::Writer => &executor.writer_decoders,
            };
            let place = turn(places, executor.options.reader_wait).await?;
            BodyReader::encoded(request.into_body(), encoding, place, asked.decompress, bytes_max)
        }
    };
    if let Some(boundary) = form::boundary(&content_type) {
        let text = body.whole().await?;
        for (name, value) in form::fields(&String::from_utf8_lossy(&text), boundary)? {
            asked.put(&name, value)?;
        }
    }
    let (mut text, data) = match asked.query.take() {
        Some(text) => {
            let (head, rest) = clause::split_data(&text);
            (head.to_owned(), Bytes::copy_from_slice(rest.as_bytes()))
        }
        None => split(body.whole().await?.into())?,
    };
    let is_insert = text
        .trim_start()
        .get(..6)
        .is_some_and(|w| w.eq_ignore_ascii_case("INSERT"));
    if !is_insert && !body.is_done() {
        // As the server does: the URL's query and the body are one statement.
        let rest = body.whole().await?;
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&rest));
    }
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(Exception::new(229, "The statement is too long", "QUERY_IS_TOO_LARGE"));
    }
    Ok((text.trim().to_owned(), data, body))
}

/// Splits a body into a statement and the data of its insert, which may be binary: only what stands before it has to be
/// text.
fn split(body: Bytes) -> Result<(String, Bytes), Exception> {
    let lossy = String::from_utf8_lossy(&body);
    let (head, rest) = clause::split_data(&lossy);
    let is_text = matches!(lossy, std::borrow::Cow::Borrowed(_));
    if !is_text && rest.is_empty() {
        return Err(Exception::new(62, "The statement is not UTF-8", "SYNTAX_ERROR"));
    }
    // Replacement characters stand behind the head only, so the data begins where it does in the text.
    Ok((head.to_owned(), body.slice(lossy.len() - rest.len()..)))
}

/// Waits for a reader's turn; writers have their own slots.
async fn slot(executor: &Executor, role: Role) -> Result<OwnedSemaphorePermit, Exception> {
    match role {
        Role::Reader => turn(&executor.readers, executor.options.reader_wait).await,
        Role::Writer => turn(&executor.writers, Duration::from_secs(60)).await,
    }
}

async fn turn(slots: &Arc<tokio::sync::Semaphore>, wait: Duration) -> Result<OwnedSemaphorePermit, Exception> {
    match tokio::time::timeout(wait, Arc::clone(slots).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Exception::new(
            202,
            "Too many simultaneous queries",
            "TOO_MANY_SIMULTANEOUS_QUERIES",
        )),
    }
}

/// Collects an insert's data: the engine reads it as a file.
async fn spool(executor: &Executor, mut body: BodyReader, head: Bytes) -> Result<Spool, Exception> {
    let mut spool = hold(Spool::new(&executor.options.data), head).await?;
    while let Some(portion) = body.next().await? {
        spool = hold(spool, portion).await?;
    }
    Ok(spool)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Exception> + Send + 'static,
) -> Result<T, Exception> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Exception::new(1001, &e.to_string(), "STD_EXCEPTION")))
}

fn header(request: &hyper::Request<Incoming>, name: &str) -> Option<String> {
    let value = request.headers().get(name).and_then(|v| v.to_str().ok());
    value.map(str::to_owned)
}
