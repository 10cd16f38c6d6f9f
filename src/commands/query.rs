//! `mprism query`: one statement to the store's HTTP interface, the answer streamed as it comes. An engine of ours that is
//! stopped runs for as long as that takes.

use std::io::Read;
use std::time::Duration;

use mprism_runtime::lock::{self, LockState};
use mprism_settings::{Mode, Settings};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::QueryArgs;
use crate::commands::Context;
use crate::commands::deployment::{deployment_with, paths};
use crate::commands::lifecycle::with_services;
use crate::commands::store::Reader;
use crate::commands::trouble;
use crate::control::{self, Service, Start};
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

/// A larger answer does not become one document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// What is read of an error's text, in bytes.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// How long an engine that runs may take to say so before it is waited for as one that starts.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Sends the statement and prints the answer.
pub(crate) fn run(args: &QueryArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    // The client is made before there is a runtime.
    crate::commands::install_crypto_provider();
    let sql = statement(&args.sql)?;
    if args.write && context.globals.dry_run {
        let to = settings.clickhouse.url.to_string();
        return context.printer.report(&WouldSend { dry_run: true, to, sql });
    }
    let request = Request {
        format: format(args, context),
        request: prepared(args, &settings)?,
        settings: &settings,
        write: args.write,
        sql,
    };
    let answer = async {
        let response = request.send().await?;
        if context.printer.is_json() {
            return document(response).await.map(Some);
        }
        stream(response, context).await.map(|()| None)
    };
    let document = context.block_on(async {
        match engine_to_start(&settings, context).await? {
            Some(start) => with_services(&settings, start, context, answer).await,
            None => context.interrupt()?.or(answer).await,
        }
    })?;
    document.map_or(Ok(Exit::Success), |document| context.printer.report(&document))
}

/// Returns what to start for this one statement: the engine, where it is ours and ready to run, and does not.
///
/// Whatever answers at its port then is somebody else's, and is asked nothing.
pub(super) async fn engine_to_start(settings: &Settings, context: &Context) -> Result<Option<Start>, CliError> {
    let home = &settings.home;
    let needed = [home.run(), home.libchdb(), home.secret("clickhouse-writer")];
    if settings.clickhouse.mode == Mode::External || !needed.iter().all(|path| path.exists()) {
        return Ok(None);
    }
    let deployment = deployment_with(context, settings, &[Service::Clickhouse])?;
    if let Some(unit) = deployment.unit(Service::Clickhouse)
        && matches!(lock::probe(&unit.lock), Ok(LockState::Held(_)))
        && control::ask(&unit.probe, READY_WITHIN).await.ready
        // It may run for another query only, and stop with that one.
        && !control::is_changing(&paths(settings))
    {
        return Ok(None);
    }
    // `infra up` runs it without anybody who would stop it again.
    if super::infra::runs(Service::Clickhouse, settings, context).await? {
        return Ok(None);
    }
    Ok(Some(Start {
        deployment,
        services: vec![Service::Clickhouse],
        wait: settings.supervisor.ready_timeout,
        force: false,
    }))
}

fn statement(text: &str) -> Result<String, CliError> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut sql = String::new();
    let read = std::io::stdin().read_to_string(&mut sql);
    read.map_err(|e| CliError::failed("input", e).context("cannot read the statement from standard input"))?;
    Ok(sql)
}

fn format(args: &QueryArgs, context: &Context) -> String {
    let chosen = match args.format.as_deref() {
        // What everybody calls them; the server's own names start with a capital letter.
        Some("table") => "PrettyCompact",
        Some("csv") => "CSVWithNames",
        Some("tsv") => "TabSeparatedWithNames",
        Some("json") => "JSON",
        Some("jsonl") => "JSONEachRow",
        Some("parquet") => "Parquet",
        Some(format) => format,
        None if context.printer.is_json() => "JSON",
        None if context.printer.answers_a_terminal() => "PrettyCompact",
        None => "TabSeparatedWithNames",
    };
    chosen.to_owned()
}

/// Returns the store as who asks reaches it; who writes says that it is an operator and no worker.
fn prepared(args: &QueryArgs, settings: &Settings) -> Result<reqwest::RequestBuilder, CliError> {
    if args.write {
        let writer = Reader::as_writer(settings)?;
        return Ok(writer.post().header("x-mprism-write", "operator"));
    }
    Ok(Reader::new(settings)?.post())
}

struct Request<'a> {
    settings: &'a Settings,
    format: String,
    request: reqwest::RequestBuilder,
    write: bool,
    sql: String,
}

impl Request<'_> {
    async fn send(self) -> Result<reqwest::Response, CliError> {
        let clickhouse = &self.settings.clickhouse;
        // No database is named: a statement says it, here as with every other client, and one may be missing or made.
        let mut query = vec![("default_format", self.format.as_str())];
        if !self.write {
            query.push(("readonly", "1"));
        }
        let request = self.request.query(&query).body(self.sql);
        let response = request.send().await.map_err(|e| {
            let advice = trouble::advice(&mprism_runtime::log::chain(&e), Service::Clickhouse);
            let unreachable = CliError::failed("clickhouse_unreachable", e.without_url());
            let hint = match clickhouse.mode {
                Mode::Managed => "start it: `mprism start clickhouse`",
                Mode::External => "look at clickhouse.url in the settings",
            };
            unreachable
                .context(format!("no answer from clickhouse at {}", clickhouse.url))
                .hint(advice.unwrap_or(hint.to_owned()))
        })?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refused(response).await)
        }
    }
}

/// Says what the server says, and its code.
pub(super) async fn refused(mut response: reqwest::Response) -> CliError {
    let status = response.status();
    let header = response.headers().get("x-clickhouse-exception-code");
    let code = header.and_then(|code| code.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    let cause = if text.is_empty() {
        format!("HTTP status {status}")
    } else {
        text
    };
    let message = match &code {
        Some(code) => format!("clickhouse refused the statement with code {code}"),
        None => format!("clickhouse refused the request with HTTP status {}", status.as_u16()),
    };
    let error = CliError::failed("query_failed", anyhow::Error::msg(cause)).context(message);
    match code.as_deref() {
        Some("164") => error.hint("let it write: `mprism query --write …`"),
        Some("202") => error.hint("all readers are busy: try again, or raise clickhouse.readers_max"),
        _ => error,
    }
}

async fn stream(mut response: reqwest::Response, context: &Context) -> Result<(), CliError> {
    let mut output = context.printer.output();
    let mut last = Vec::new();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(()),
            Err(error) => return Err(broken(error, &last)),
        };
        let written = output.write(&chunk);
        if !written.map_err(|e| CliError::failed("output", e).context("cannot write to standard output"))? {
            return Ok(());
        }
        last = chunk.to_vec();
    }
}

async fn document(mut response: reqwest::Response) -> Result<Document, CliError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(broken(error, &body)),
        }
        if body.len() > DOCUMENT_BYTES_MAX {
            let error = anyhow::anyhow!("the answer is larger than {DOCUMENT_BYTES_MAX} bytes");
            return Err(
                CliError::failed("answer_too_large", error).hint("stream it: `mprism query --format JSONEachRow …`")
            );
        }
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Document::default());
    }
    let answer = serde_json::from_slice(&body).map_err(|e| {
        let error = CliError::failed("answer_not_json", e).context("the answer is not a JSON document");
        error.hint("leave FORMAT out of the statement, or --json out of the command")
    })?;
    Ok(Document { answer })
}

/// A statement that fails while it is answered ends its text with the exception and breaks the transfer.
pub(super) fn broken(error: reqwest::Error, last: &[u8]) -> CliError {
    let text = String::from_utf8_lossy(last);
    let message = "the answer broke off: it is not whole";
    match text.rfind("Code: ").filter(|_| text.contains("DB::Exception")) {
        Some(start) => {
            CliError::failed("query_failed", anyhow::Error::msg(text[start..].trim().to_owned())).context(message)
        }
        None => CliError::failed("query_failed", error.without_url()).context(message),
    }
}

/// ClickHouse's own document, beside the keys of the envelope.
#[derive(Default, Serialize)]
struct Document {
    #[serde(flatten)]
    answer: Map<String, Value>,
}

impl Report for Document {
    fn page(&self) -> Page {
        Page::new()
    }
}

#[derive(Serialize)]
struct WouldSend {
    dry_run: bool,
    to: String,
    sql: String,
}

impl Report for WouldSend {
    fn page(&self) -> Page {
        Page::new().line(format!("would send to {} as the writer: {}", self.to, self.sql))
    }
}
