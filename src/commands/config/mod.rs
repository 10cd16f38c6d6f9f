//! `mprism config`: every value with its origin, everything that is wrong, the files, an editor, a schema for editors.

mod edit;
mod validate;

use std::path::{Path, PathBuf};

use mprism_settings::{Explained, Ignored, Origin};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{ConfigArgs, ConfigVerb};
use crate::commands::Context;
use crate::error::{CliError, Exit};
use crate::report::{Cell, Page, Report, Tone};

use validate::Wrong;
pub(crate) use validate::readable_secrets;

/// `mprism config`.
pub(crate) fn run(args: &ConfigArgs, context: &Context) -> Result<Exit, CliError> {
    match &args.verb {
        ConfigVerb::Show { prefixes } => show(prefixes, context),
        ConfigVerb::Validate { file } => validate::run(file.as_deref(), context),
        ConfigVerb::Path => context.printer.report(&paths(context)?),
        ConfigVerb::Edit => edit::run(context),
        ConfigVerb::Schema => context.printer.report(&SchemaReport {
            schema: mprism_settings::json_schema(),
        }),
    }
}

fn show(prefixes: &[String], context: &Context) -> Result<Exit, CliError> {
    // What is wrong is wrong here as everywhere else.
    context.settings()?;
    let mut report = shown(context)?;
    if !prefixes.is_empty() {
        let is_wanted = |key: &str| {
            let below =
                |prefix: &String| key == prefix || key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
            prefixes.iter().any(below)
        };
        report.settings.retain(|setting| is_wanted(&setting.key));
        if report.settings.is_empty() {
            let text = format!("no setting starts with {}", prefixes.join(" or "));
            return Err(CliError::usage("unknown_setting", anyhow::Error::msg(text))
                .hint("see all of them: `mprism config show`"));
        }
    }
    context.printer.report(&report)
}

/// Returns every value and who said it.
pub(crate) fn shown(context: &Context) -> Result<ShowReport, CliError> {
    let explained = Explained::load(&context.sources(Vec::new()))?;
    let of_offset = Setting {
        key: "port_offset".to_owned(),
        value: explained.port_offset.into(),
        origin: if explained.port_offset == 0 {
            Said::default()
        } else {
            Said::of(&explained.port_offset_origin)
        },
        secret: false,
    };
    let settings = explained.entries.into_iter().map(|entry| Setting {
        key: entry.key.to_owned(),
        value: entry.value,
        origin: Said::of(&entry.origin),
        secret: entry.is_secret,
    });
    Ok(ShowReport {
        settings: settings.chain([of_offset]).collect(),
        files: explained.files,
        ignored: explained.ignored.iter().map(Vain::of).collect(),
    })
}

/// Every value and who said it.
#[derive(Serialize)]
pub(crate) struct ShowReport {
    settings: Vec<Setting>,
    files: Vec<PathBuf>,
    ignored: Vec<Vain>,
}

#[derive(Serialize)]
struct Setting {
    key: String,
    value: Value,
    origin: Said,
    /// Whether a credential within the value is hidden.
    secret: bool,
}

/// Who said something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Said {
    /// `default`, `file`, `environment` or `flag`.
    layer: &'static str,
    /// The file, where one said it.
    file: Option<PathBuf>,
    /// The line in it.
    line: Option<usize>,
    /// The variable or the flag.
    name: Option<&'static str>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            layer: "default",
            file: None,
            line: None,
            name: None,
        }
    }
}

impl Said {
    pub(crate) fn of(origin: &Origin) -> Self {
        let nobody = Self::default();
        match origin {
            Origin::BuiltIn(_) => nobody,
            Origin::File(file, line) => Self {
                layer: "file",
                file: Some(file.clone()),
                line: Some(*line),
                ..nobody
            },
            Origin::Environment(name) => Self {
                layer: "environment",
                name: Some(name),
                ..nobody
            },
            Origin::Flag(name) => Self {
                layer: "flag",
                name: Some(name),
                ..nobody
            },
        }
    }

    fn text(&self) -> String {
        match (&self.file, self.line, self.name) {
            (Some(file), Some(line), _) => format!("{}:{line}", file.display()),
            (_, _, Some(name)) => name.to_owned(),
            _ => "default".to_owned(),
        }
    }
}

/// What was said in vain.
#[derive(Serialize)]
struct Vain {
    /// The variable, or the key of a file.
    name: String,
    origin: Said,
    why: &'static str,
}

impl Vain {
    fn of(ignored: &Ignored) -> Self {
        let origin = Said::of(&ignored.origin);
        let variable = origin.name.unwrap_or_default().to_owned();
        Self {
            name: ignored.key.clone().unwrap_or(variable),
            origin,
            why: ignored.why,
        }
    }
}

impl Report for ShowReport {
    fn page(&self) -> Page {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rows = self.settings.iter().map(|setting| {
            let tone = if setting.origin.layer == "default" {
                Tone::Dim
            } else {
                Tone::Good
            };
            vec![
                Cell::plain(&setting.key),
                Cell::plain(text(&setting.value)),
                Cell::toned(setting.origin.text(), tone),
            ]
        });
        let page = Page::new().table(vec!["setting", "value", "said by"], rows.collect());
        if self.ignored.is_empty() {
            return page;
        }
        let rows = self.ignored.iter().map(|vain| {
            vec![
                Cell::plain(&vain.name),
                Cell::toned(vain.origin.text(), Tone::Dim),
                Cell::plain(vain.why),
            ]
        });
        page.table(vec!["without effect", "said by", "because"], rows.collect())
    }
}

fn paths(context: &Context) -> Result<PathReport, CliError> {
    let sources = context.sources(Vec::new());
    let own = own_file(&context.home.config());
    let mut files: Vec<SettingsFile> = sources.files()?.into_iter().map(SettingsFile::of).collect();
    if !files.iter().any(|file| file.path == own) {
        files.push(SettingsFile::of(own.clone()));
    }
    Ok(PathReport { edit: own, files })
}

/// Returns the file that `init` writes and `edit` changes.
fn own_file(folder: &Path) -> PathBuf {
    folder.join("mprism.yaml")
}

#[derive(Serialize)]
struct PathReport {
    /// The file that `config edit` changes.
    edit: PathBuf,
    /// The lowest layer first.
    files: Vec<SettingsFile>,
}

#[derive(Serialize)]
struct SettingsFile {
    path: PathBuf,
    exists: bool,
}

impl SettingsFile {
    fn of(path: PathBuf) -> Self {
        let exists = path.is_file();
        Self { path, exists }
    }
}

impl Report for PathReport {
    fn page(&self) -> Page {
        self.files.iter().fold(Page::new(), |page, file| {
            let missing = if file.exists { "" } else { " (not there yet)" };
            page.line(format!("{}{missing}", file.path.display()))
        })
    }
}

#[derive(Serialize)]
struct SchemaReport {
    schema: Value,
}

impl Report for SchemaReport {
    fn page(&self) -> Page {
        Page::new().line(format!("{:#}", self.schema))
    }
}
