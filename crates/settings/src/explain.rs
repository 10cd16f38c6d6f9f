//! Every value and who said it, for whoever wants to see them; nothing is decided here.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::error::{Origin, Problem, SettingsError};
use crate::home::HomeFolders;
use crate::layers::{Ignored, Sources, gather};
use crate::schema::FIELDS;
use crate::units::{format_bytes, format_duration};
use crate::values::Value;

/// One setting, its value and who said it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The setting's path, for example `nats.port`.
    pub key: &'static str,
    /// The value as a settings file would say it; credentials within it are hidden.
    pub value: Json,
    /// Who said it.
    pub origin: Origin,
    /// Whether something in it is hidden.
    pub is_secret: bool,
}

/// What all layers say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Every setting, in the order of the reference; ports are not moved by the offset.
    pub entries: Vec<Entry>,
    /// By how much every port is moved.
    pub port_offset: u16,
    /// Who said that.
    pub port_offset_origin: Origin,
    /// The files that were read, the lowest layer first.
    pub files: Vec<PathBuf>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// What was said in vain.
    pub ignored: Vec<Ignored>,
}

impl Explained {
    /// Reads every layer and keeps going where something is wrong.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let gathered = gather(sources)?;
        let entries = FIELDS.iter().map(|field| {
            let (value, origin) = gathered.values.get(field.path);
            let (value, is_secret) = shown(value, field.kind.is_size());
            Entry {
                key: field.path,
                value,
                origin: origin.clone(),
                is_secret,
            }
        });
        let (entries, ignored) = (entries.collect(), gathered.ignored.clone());
        let (port_offset, port_offset_origin) = (gathered.port_offset, gathered.port_offset_origin.clone());
        let problems = match crate::decide::decide(HomeFolders::new(&sources.home), gathered) {
            Ok(_) => Vec::new(),
            Err(SettingsError::Invalid { problems }) => problems,
            Err(error) => return Err(error),
        };
        Ok(Self {
            entries,
            port_offset,
            port_offset_origin,
            files: sources.files()?,
            problems,
            ignored,
        })
    }
}

/// Returns a value as a file would say it, and whether a credential is hidden in it.
pub(crate) fn shown(value: &Value, is_size: bool) -> (Json, bool) {
    let plain = match value {
        Value::Nothing => Json::Null,
        Value::Flag(flag) => json!(flag),
        Value::Integer(bytes) if is_size => json!(format_bytes(*bytes)),
        Value::Integer(number) => json!(number),
        Value::Span(span) => json!(format_duration(*span)),
        Value::Text(text) => json!(text),
        Value::List(list) => json!(list),
        Value::Url(url) => {
            let text = url.to_string();
            let is_secret = text != url.expose();
            return (json!(text), is_secret);
        }
    };
    (plain, false)
}
