//! A support archive: everything that somebody who helps has to see, and no credential.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use mprism_runtime::files::write_atomic;
use mprism_runtime::redact::Redactor;
use mprism_settings::{NatsLogin, Settings};
use serde::Serialize;

use super::DiagnoseReport;
use crate::commands::{Context, config, status};
use crate::control::file_tail;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report, bytes};

/// The end of each log that goes into the archive, in bytes.
const TAIL_BYTES: u64 = 256 << 10;

/// Writes the archive and says what is in it.
pub(super) fn write(
    file: &Path,
    report: &DiagnoseReport,
    settings: &Settings,
    context: &Context,
) -> Result<Exit, CliError> {
    let redactor = Redactor::new(known(settings));
    let mut parts = documents(report, settings, context);
    parts.extend(logs(settings));
    let mut contents: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    contents.sort();
    if context.globals.dry_run {
        return context.printer.report(&BundleReport::new(file, 0, contents, true));
    }
    let refused =
        |e: io::Error| CliError::failed("bundle_not_written", e).context(format!("cannot write {}", file.display()));
    let archive = pack(&parts, &redactor).map_err(refused)?;
    // What is in it is for whoever gets it, and for nobody else on this machine.
    write_atomic(file, &archive, 0o600).map_err(refused)?;
    context
        .printer
        .report(&BundleReport::new(file, archive.len() as u64, contents, false))
}

struct Part {
    name: String,
    text: String,
}

fn documents(report: &DiagnoseReport, settings: &Settings, context: &Context) -> Vec<Part> {
    let mut parts = vec![document("diagnose.json", report)];
    match config::shown(context) {
        Ok(shown) => parts.push(document("config.json", &shown)),
        Err(error) => parts.push(Part {
            name: "config.json".into(),
            text: format!("{:#}", error.source),
        }),
    }
    let status = context.block_on_interruptible(status::look(settings, context));
    parts.push(match status {
        Ok(status) => document("status.json", &status),
        Err(error) => Part {
            name: "status.json".into(),
            text: format!("{:#}", error.source),
        },
    });
    parts.push(document("versions.json", &report.versions));
    parts
}

fn document(name: &str, document: &impl Serialize) -> Part {
    let text = serde_json::to_string_pretty(document).unwrap_or_else(|e| e.to_string());
    Part {
        name: name.to_owned(),
        text,
    }
}

/// The ends of logs, outputs and the history.
fn logs(settings: &Settings) -> Vec<Part> {
    let home = &settings.home;
    let entries = fs::read_dir(home.logs()).into_iter().flatten().filter_map(Result::ok);
    let files = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path());
    let is_text = |path: &PathBuf| path.extension().is_none_or(|e| e != "gz");
    let named = files.filter(is_text).map(|path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        (format!("logs/{name}"), path)
    });
    let history = [("history.jsonl".to_owned(), home.history())];
    let read = |(name, path): (String, PathBuf)| {
        let text = file_tail(&path, TAIL_BYTES).ok()?;
        Some(Part { name, text })
    };
    named.chain(history).filter_map(read).collect()
}

/// Returns the credentials' files that settings name.
fn named(settings: &Settings) -> Vec<PathBuf> {
    let login = match &settings.nats.login {
        NatsLogin::AsAddressed => Vec::new(),
        NatsLogin::Members(folder) => ["collector", "hot", "operator"]
            .map(|user| folder.join(format!("nats-{user}")))
            .to_vec(),
        NatsLogin::User {
            password_file: path, ..
        }
        | NatsLogin::Token(path)
        | NatsLogin::Nkey(path)
        | NatsLogin::Credentials(path) => vec![path.clone()],
    };
    let services = &settings.services;
    let workers = [&services.collector, &services.hot, &services.cold]
        .into_iter()
        .flatten();
    let workers = workers.filter_map(|remote| remote.password_file.clone());
    let stores = [&settings.clickhouse.password_file, &settings.cold.credential_file];
    let stores = stores.into_iter().flatten().cloned();
    login.into_iter().chain(workers).chain(stores).collect()
}

/// Returns every credential of the home: they may stand anywhere.
fn known(settings: &Settings) -> Vec<String> {
    let entries = fs::read_dir(settings.home.secrets())
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut known: Vec<String> = entries
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    // Of a file of several lines each may stand alone.
    let texts = named(settings)
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    known.extend(texts.flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()));
    let exchanges = settings.collector.exchanges.values();
    let urls = exchanges.flat_map(|exchange| [&exchange.websocket_url, &exchange.rest_url]);
    let urls = urls.chain([&settings.nats.url, &settings.clickhouse.url]);
    known.extend(urls.filter_map(|url| url.password()).map(str::to_owned));
    known
}

fn pack(parts: &[Part], redactor: &Redactor) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let now = u64::try_from(mprism_runtime::clock::now_ms() / 1_000).unwrap_or(0);
    for part in parts {
        let text = redactor.redact(&part.text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("mprism-support/{}", part.name), text.as_bytes())?;
    }
    let mut encoder = archive.into_inner()?;
    encoder.flush()?;
    encoder.finish()
}

#[derive(Serialize)]
struct BundleReport {
    bundle: PathBuf,
    bytes: u64,
    contents: Vec<String>,
    dry_run: bool,
}

impl BundleReport {
    fn new(file: &Path, bytes: u64, contents: Vec<String>, dry_run: bool) -> Self {
        Self {
            bundle: file.to_path_buf(),
            bytes,
            contents,
            dry_run,
        }
    }
}

impl Report for BundleReport {
    fn page(&self) -> Page {
        let line = if self.dry_run {
            format!("would write {}", self.bundle.display())
        } else {
            format!("{} ({}), credentials removed", self.bundle.display(), bytes(self.bytes))
        };
        self.contents
            .iter()
            .fold(Page::new().line(line), |page, name| page.line(format!("  {name}")))
    }
}
