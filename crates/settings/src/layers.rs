//! The layers, lowest first, each said over the one below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Origin, Problem, SettingsError};
use crate::legacy;
use crate::schema::{self, Kind, nearest, printable};
use crate::settings::{COLD_DATABASE, HOT_DATABASE};
use crate::values::{Value, Values};
use crate::variables;
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
    /// A settings file, and the file whose text is read in its place: to try what is not there yet.
    pub draft: Option<(PathBuf, PathBuf)>,
}

impl Sources {
    /// Returns the file of `--config`, or the one that a variable names.
    pub fn config_file(&self) -> Option<PathBuf> {
        let named = || {
            variables::CONFIG_FILE
                .iter()
                .find_map(|name| non_empty(&self.environment, name))
        };
        self.config_file.clone().or_else(|| named().map(PathBuf::from))
    }

    /// Returns every settings file, in the order in which they are read.
    ///
    /// # Errors
    /// Where the home's folder of settings cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, SettingsError> {
        let mut found = files(&self.home.join("config"))?;
        if let Some((file, _)) = &self.draft
            && Some(file) != self.config_file().as_ref()
            && !found.contains(file)
        {
            found.push(file.clone());
            found.sort();
        }
        found.extend(self.config_file());
        Ok(found)
    }
}

/// Something that was said and sets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Where it was said.
    pub origin: Origin,
    /// The key of a file; a variable is named by its origin.
    pub key: Option<String>,
    /// Why it sets nothing.
    pub why: &'static str,
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
    pub(crate) ignored: Vec<Ignored>,
}

/// Reads every layer. Problems are gathered, not raised: all are told at once.
pub(crate) fn gather(sources: &Sources) -> Result<Gathered, SettingsError> {
    let mut layers = Layers::default();
    layers.text(DEFAULT_YAML, &Origin::BuiltIn);
    let given = sources.config_file();
    for path in sources.files()? {
        let draft = sources.draft.as_ref().filter(|(file, _)| *file == path);
        let text = read(draft.map_or(&path, |(_, draft)| draft))?;
        let origin = |line| Origin::File(path.clone(), line);
        match yaml::parse(&text) {
            Ok(root) if Some(&path) == given.as_ref() && legacy::is_marketprism(&root) => {
                layers.marketprism(&root, &origin);
            }
            Ok(root) => layers.section("", &root, &origin),
            Err((line, message)) => layers.problem(origin(line), None, message),
        }
    }
    let (port_offset, port_offset_origin) = layers.port_offset(sources);
    layers.environment(&sources.environment, port_offset);
    for said in &sources.overrides {
        layers.one(said.path, &said.value, Origin::Flag(said.flag));
    }
    Ok(Gathered {
        values: layers.values,
        port_offset,
        port_offset_origin,
        problems: layers.problems,
        ignored: layers.ignored,
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
    ignored: Vec<Ignored>,
}

impl Layers {
    fn problem(&mut self, origin: Origin, key: Option<String>, message: String) {
        self.problems.push(Problem { origin, key, message });
    }

    fn text(&mut self, text: &str, origin: &dyn Fn(usize) -> Origin) {
        match yaml::parse(text) {
            Ok(root) => self.section("", &root, origin),
            Err((line, message)) => self.problem(origin(line), None, message),
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
                    Some(path.to_owned()).filter(|path| !path.is_empty()),
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
                        let message = format!("{child}: expected {allowed}{said}");
                        self.problem(origin(value.line), Some(child), message);
                    }
                }
            } else if schema::children(&child).is_empty() {
                self.problem(origin(key.line), Some(child), unknown(path, &key.name));
            } else {
                self.section(&child, value, origin);
            }
        }
    }

    /// Reads one setting from one piece of text and returns whether it could be read.
    fn one(&mut self, path: &'static str, text: &str, origin: Origin) -> bool {
        let Some(field) = schema::find(path) else {
            self.problem(origin, Some(path.to_owned()), format!("there is no setting {path}"));
            return false;
        };
        // A list is written with commas where it stands in one piece of text.
        let read = match field.kind {
            _ if field.kind.is_list() => {
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
                let message = format!("expected {allowed}, not \"{}\"", printable(text));
                self.problem(origin, Some(path.to_owned()), message);
            }
            Err(allowed) => self.problem(origin, Some(path.to_owned()), format!("expected {allowed}")),
        }
        false
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>, port_offset: u16) {
        let first = |names: &[&'static str]| {
            let said = |name: &&'static str| Some((*name, non_empty(environment, name)?));
            names.iter().find_map(said)
        };
        let mut seen: Vec<&str> = Vec::new();
        for (name, path, reads) in variables::VARIABLES {
            if let Some(said) = non_empty(environment, name)
                && !seen.contains(path)
                && let Some(text) = reads.text(said)
            {
                seen.push(path);
                self.one(path, &text, Origin::Environment(name));
            }
        }
        if let Some((name, text)) = first(&variables::NATS_URL) {
            self.server("nats", text, &Origin::Environment(name), port_offset);
        }
        if let Some((name, url)) = first(&variables::CLICKHOUSE_URL) {
            let url = url.trim_end_matches('/');
            self.server("clickhouse", url, &Origin::Environment(name), port_offset);
        }
        if let Some((name, host)) = first(&variables::CLICKHOUSE_HOST) {
            self.clickhouse_host(host, &Origin::Environment(name), port_offset);
        }
        for name in variables::CLICKHOUSE_DATABASE {
            if let Some(database) = non_empty(environment, name) {
                self.database(database, HOT_DATABASE, Origin::Environment(name));
            }
        }
        if let Some(database) = non_empty(environment, variables::COLD_DATABASE) {
            self.database(database, COLD_DATABASE, Origin::Environment(variables::COLD_DATABASE));
        }
        for (name, why) in variables::WITHOUT_EFFECT {
            if non_empty(environment, name).is_some() {
                self.ignored.push(Ignored {
                    origin: Origin::Environment(name),
                    key: None,
                    why,
                });
            }
        }
    }

    /// Reads a configuration file of MarketPrism's: what has a meaning here sets it, the rest is told.
    fn marketprism(&mut self, root: &Node, origin: &dyn Fn(usize) -> Origin) {
        for said in legacy::read(root) {
            let origin = origin(said.line);
            match said.meaning {
                legacy::Meaning::Setting(path) => {
                    self.one(path, &said.text, origin);
                }
                legacy::Meaning::Server(service) => self.server(service, &said.text, &origin, 0),
                legacy::Meaning::ClickhouseHost => self.clickhouse_host(&said.text, &origin, 0),
                legacy::Meaning::Database(name) => self.database(&said.text, name, origin),
                legacy::Meaning::Nothing(why) => self.ignored.push(Ignored {
                    origin,
                    key: Some(said.key),
                    why,
                }),
            }
        }
    }

    fn database(&mut self, said: &str, name: &str, origin: Origin) {
        if said != name {
            let message = format!(
                "expected {name}, the database's fixed name, not \"{}\"",
                printable(said)
            );
            self.problem(origin, None, message);
        }
    }

    fn clickhouse_host(&mut self, host: &str, origin: &Origin, port_offset: u16) {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self.values.integer("clickhouse.port");
        let is_ours = matches!(&*host, "localhost" | "[::1]") || host.starts_with("127.");
        let port = if is_ours { port + u64::from(port_offset) } else { port };
        self.server("clickhouse", &format!("http://{host}:{port}"), origin, port_offset);
    }

    /// Takes a server that somebody named: as external, unless it is the one we run ourselves.
    fn server(&mut self, service: &str, text: &str, origin: &Origin, port_offset: u16) {
        let (mode, url, port, standard) = if service == "nats" {
            ("nats.mode", "nats.url", "nats.port", 4222)
        } else {
            ("clickhouse.mode", "clickhouse.url", "clickhouse.port", 8123)
        };
        if !self.one(url, text, origin.clone()) {
            return;
        }
        let ours = self.values.integer(port);
        let moved = ours + u64::from(port_offset);
        let is_ours = self.values.url(url).is_some_and(|url| {
            let port = url.port().map_or(standard, u64::from);
            url.is_loopback() && (port == ours || port == moved)
        });
        if is_ours && self.values.text(mode) == "managed" {
            self.values.set(url, Value::Nothing, origin.clone());
        } else {
            let external = Value::Text("external".to_owned());
            self.values.set(mode, external, origin.clone());
        }
    }

    fn port_offset(&mut self, sources: &Sources) -> (u16, Origin) {
        let (text, origin) = match (
            sources.port_offset,
            non_empty(&sources.environment, variables::PORT_OFFSET),
        ) {
            (Some(offset), _) => (offset.to_string(), Origin::Flag("--port-offset")),
            (None, Some(text)) => (text.to_owned(), Origin::Environment(variables::PORT_OFFSET)),
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
                self.problem(origin.clone(), Some("port_offset".to_owned()), message);
                (0, origin)
            }
        }
    }
}

pub(crate) fn non_empty<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
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
        Content::List(_) if kind.is_list() => String::new(),
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
