//! The layers, lowest first, each said over the one below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Origin, Problem, SettingsError};
use crate::schema::{self, Kind, nearest, printable};
use crate::settings::HOT_DATABASE;
use crate::values::{Value, Values};
use crate::yaml::{self, Content, Node};

/// The built-in defaults: the commented reference of every setting.
pub const DEFAULT_YAML: &str = include_str!("../../../config/default.yaml");

/// A larger configuration file is refused, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where settings come from. Nothing else is read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The home.
    pub home: PathBuf,
    /// The file of `--config`.
    pub config_file: Option<PathBuf>,
    /// The value of `--port-offset`.
    pub port_offset: Option<u32>,
    /// The process environment.
    pub environment: BTreeMap<String, String>,
    /// What other flags say, the last one wins.
    pub overrides: Vec<Override>,
}

/// One setting that a flag says.
#[derive(Clone, Debug)]
pub struct Override {
    /// The setting's path, for example `sim.rate`.
    pub path: &'static str,
    /// The value as typed.
    pub value: String,
    /// The flag with its dashes, for errors.
    pub flag: &'static str,
}

/// What the layers say together, before it is decided.
pub(crate) struct Gathered {
    pub(crate) values: Values,
    pub(crate) port_offset: u16,
    pub(crate) port_offset_origin: Origin,
    pub(crate) problems: Vec<Problem>,
}

/// Reads every layer. Problems are gathered, not raised: all are told at once.
pub(crate) fn gather(sources: &Sources) -> Result<Gathered, SettingsError> {
    let mut layers = Layers::default();
    layers.text(DEFAULT_YAML, &Origin::BuiltIn);
    for path in files(&sources.home.join("config"))?
        .into_iter()
        .chain(sources.config_file.clone())
    {
        let text = read(&path)?;
        layers.text(&text, &|line| Origin::File(path.clone(), line));
    }
    layers.environment(&sources.environment);
    for said in &sources.overrides {
        layers.one(said.path, &said.value, Origin::Flag(said.flag));
    }
    let (port_offset, port_offset_origin) = layers.port_offset(sources);
    Ok(Gathered {
        values: layers.values,
        port_offset,
        port_offset_origin,
        problems: layers.problems,
    })
}

/// Returns the YAML files of a folder by name; no folder is no files.
fn files(folder: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: folder.to_path_buf(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Editors leave hidden copies beside a file; those are nobody's settings.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, SettingsError> {
    let load = || {
        let found = fs::metadata(path)?;
        if !found.is_file() {
            return Err(std::io::Error::other("not a plain file"));
        }
        if found.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        fs::read_to_string(path)
    };
    load().map_err(|source| SettingsError::Read {
        path: path.to_path_buf(),
        source,
    })
}

#[derive(Default)]
struct Layers {
    values: Values,
    problems: Vec<Problem>,
}

impl Layers {
    fn problem(&mut self, origin: Origin, message: String) {
        self.problems.push(Problem { origin, message });
    }

    fn text(&mut self, text: &str, origin: &dyn Fn(usize) -> Origin) {
        match yaml::parse(text) {
            Ok(root) => self.section("", &root, origin),
            Err((line, message)) => self.problem(origin(line), message),
        }
    }

    fn section(&mut self, path: &str, node: &Node, origin: &dyn Fn(usize) -> Origin) {
        let entries = match &node.content {
            Content::Map(entries) => entries,
            // A section whose lines are all commented out says nothing.
            Content::Null => return,
            _ => {
                let place = if path.is_empty() { "a settings file" } else { path };
                let known = schema::children(path).join(", ");
                return self.problem(
                    origin(node.line),
                    format!("{place} must hold keys and values; known keys: {known}"),
                );
            }
        };
        for (key, value) in entries {
            let child = if path.is_empty() {
                key.name.clone()
            } else {
                format!("{path}.{}", key.name)
            };
            if let Some(field) = schema::find(&child) {
                match field.kind.read(value) {
                    Ok(read) => self.values.set(field.path, read, origin(value.line)),
                    Err(allowed) => {
                        let said = describe(&field.kind, value);
                        self.problem(origin(value.line), format!("{child}: expected {allowed}{said}"));
                    }
                }
            } else if schema::children(&child).is_empty() {
                self.problem(origin(key.line), unknown(path, &key.name));
            } else {
                self.section(&child, value, origin);
            }
        }
    }

    /// Reads one setting from one piece of text and returns whether it could be read.
    fn one(&mut self, path: &'static str, text: &str, origin: Origin) -> bool {
        let Some(field) = schema::find(path) else {
            self.problem(origin, format!("there is no setting {path}"));
            return false;
        };
        // A list is written with commas where it stands in one piece of text.
        let read = match field.kind {
            Kind::Symbols => {
                let scalar = |text: &str| Node {
                    line: 0,
                    content: Content::Scalar(text.trim().to_owned()),
                };
                let list = Content::List(text.split(',').map(scalar).collect());
                field.kind.read(&Node { line: 0, content: list })
            }
            _ => field.kind.read_text(text),
        };
        match read {
            Ok(value) => {
                self.values.set(field.path, value, origin);
                return true;
            }
            Err(allowed) if field.kind.is_printable() => {
                self.problem(origin, format!("expected {allowed}, not \"{}\"", printable(text)));
            }
            Err(allowed) => self.problem(origin, format!("expected {allowed}")),
        }
        false
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) {
        let first = |names: &[&'static str]| {
            let said = |name: &&'static str| Some((*name, non_empty(environment, name)?));
            names.iter().find_map(said)
        };
        let mut seen: Vec<&str> = Vec::new();
        for (name, path) in schema::VARIABLES {
            if let Some(text) = non_empty(environment, name)
                && !seen.contains(path)
            {
                seen.push(path);
                self.one(path, text, Origin::Environment(name));
            }
        }
        if let Some((name, text)) = first(&schema::NATS_URL) {
            let read = self.one("nats.url", text, Origin::Environment(name));
            let ours = self.values.url("nats.url").is_some_and(|url| {
                url.is_loopback() && url.port().map_or(4222, u64::from) == self.values.integer("nats.port")
            });
            if read {
                self.adopt("nats", ours, name);
            }
        }
        if let Some((name, host)) = first(&schema::CLICKHOUSE_HOST) {
            let port = self.values.integer("clickhouse.port");
            let bracketed = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            };
            let read = self.one(
                "clickhouse.url",
                &format!("http://{bracketed}:{port}"),
                Origin::Environment(name),
            );
            let ours = self
                .values
                .url("clickhouse.url")
                .is_some_and(super::ServerUrl::is_loopback);
            if read {
                self.adopt("clickhouse", ours, name);
            }
        }
        if let Some((name, database)) = first(&schema::CLICKHOUSE_DATABASE)
            && database != HOT_DATABASE
        {
            let message = format!(
                "expected {HOT_DATABASE}, the hot database's fixed name, not \"{}\"",
                printable(database)
            );
            self.problem(Origin::Environment(name), message);
        }
    }

    /// Takes a server that a variable names: as external, unless it is the one we run ourselves.
    fn adopt(&mut self, service: &str, ours: bool, name: &'static str) {
        let (mode, url) = if service == "nats" {
            ("nats.mode", "nats.url")
        } else {
            ("clickhouse.mode", "clickhouse.url")
        };
        if ours && self.values.text(mode) == "managed" {
            self.values.set(url, Value::Nothing, Origin::Environment(name));
        } else {
            self.values
                .set(mode, Value::Text("external".to_owned()), Origin::Environment(name));
        }
    }

    fn port_offset(&mut self, sources: &Sources) -> (u16, Origin) {
        let (text, origin) = match (
            sources.port_offset,
            non_empty(&sources.environment, schema::PORT_OFFSET),
        ) {
            (Some(offset), _) => (offset.to_string(), Origin::Flag("--port-offset")),
            (None, Some(text)) => (text.to_owned(), Origin::Environment(schema::PORT_OFFSET)),
            (None, None) => return (0, Origin::Flag("--port-offset")),
        };
        let fits = |offset: &u16| offset.is_multiple_of(100);
        match text.parse().ok().filter(fits) {
            Some(offset) => (offset, origin),
            None => {
                let message = format!(
                    "expected 0 or a multiple of 100 up to 65500, not \"{}\"",
                    printable(&text)
                );
                self.problem(origin.clone(), message);
                (0, origin)
            }
        }
    }
}

fn non_empty<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment
        .get(name)
        .map(String::as_str)
        .filter(|text| !text.is_empty())
}

/// Says what stood there instead, if that may be repeated.
fn describe(kind: &Kind, node: &Node) -> String {
    match &node.content {
        Content::Scalar(text) if kind.is_printable() => format!(", not \"{}\"", printable(text)),
        Content::Scalar(_) => String::new(),
        Content::Null => ", not nothing".to_owned(),
        Content::List(_) if matches!(kind, Kind::Symbols) => String::new(),
        Content::List(_) => ", not a list".to_owned(),
        Content::Map(_) => ", not a section".to_owned(),
    }
}

fn unknown(section: &str, name: &str) -> String {
    let known = schema::children(section);
    let place = if section.is_empty() {
        String::new()
    } else {
        format!(" in {section}")
    };
    let name_shown = printable(name);
    if let Some(near) = nearest(name, &known) {
        return format!("unknown key \"{name_shown}\"{place}, did you mean \"{near}\"?");
    }
    let elsewhere = schema::FIELDS
        .iter()
        .find(|field| field.path.rsplit('.').next() == Some(name));
    match elsewhere {
        Some(field) => format!("unknown key \"{name_shown}\"{place}, did you mean \"{}\"?", field.path),
        None => format!("unknown key \"{name_shown}\"{place}; known keys: {}", known.join(", ")),
    }
}
