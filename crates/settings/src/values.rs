//! What the layers said, one value a setting.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Origin;
use crate::url::ServerUrl;

/// A value of the right kind and within its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Nothing,
    Flag(bool),
    Integer(u64),
    Span(Duration),
    Text(String),
    List(Vec<String>),
    Url(ServerUrl),
}

/// The winning value of each setting, and who said it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    said: BTreeMap<&'static str, (Value, Origin)>,
}

/// The kinds are held by the schema, and every field has a default: a test proves that each of these can be read.
const HELD: &str = "the schema holds a default of this kind for every setting";

impl Values {
    pub(crate) fn set(&mut self, path: &'static str, value: Value, origin: Origin) {
        self.said.insert(path, (value, origin));
    }

    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.said.get(path).expect(HELD).1.clone()
    }

    /// Returns everything that was said, and by whom.
    pub(crate) fn get(&self, path: &str) -> (&Value, &Origin) {
        let (value, origin) = self.said.get(path).expect(HELD);
        (value, origin)
    }

    #[cfg(test)]
    pub(crate) fn has(&self, path: &str) -> bool {
        self.said.contains_key(path)
    }

    fn value(&self, path: &str) -> &Value {
        &self.said.get(path).expect(HELD).0
    }

    pub(crate) fn flag(&self, path: &str) -> bool {
        let Value::Flag(flag) = self.value(path) else {
            unreachable!("{HELD}: {path}")
        };
        *flag
    }

    pub(crate) fn integer(&self, path: &str) -> u64 {
        let Value::Integer(number) = self.value(path) else {
            unreachable!("{HELD}: {path}")
        };
        *number
    }

    /// Reads an integer whose range fits the smaller type.
    pub(crate) fn small<T: TryFrom<u64>>(&self, path: &str) -> T {
        let Ok(number) = T::try_from(self.integer(path)) else {
            unreachable!("the schema's range fits: {path}")
        };
        number
    }

    pub(crate) fn span(&self, path: &str) -> Duration {
        self.span_or_word(path)
            .unwrap_or_else(|| unreachable!("{HELD}: {path}"))
    }

    /// Returns `None` where the word stands in place of the duration.
    pub(crate) fn span_or_word(&self, path: &str) -> Option<Duration> {
        match self.value(path) {
            Value::Span(span) => Some(*span),
            _ => None,
        }
    }

    /// Returns `None` where the word stands in place of the number.
    pub(crate) fn integer_or_word(&self, path: &str) -> Option<u64> {
        match self.value(path) {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn text(&self, path: &str) -> &str {
        let Value::Text(text) = self.value(path) else {
            unreachable!("{HELD}: {path}")
        };
        text
    }

    /// Returns `None` where nothing stands in place of the path.
    pub(crate) fn folder(&self, path: &str) -> Option<PathBuf> {
        match self.value(path) {
            Value::Text(text) => Some(PathBuf::from(text)),
            _ => None,
        }
    }

    pub(crate) fn list(&self, path: &str) -> &[String] {
        let Value::List(list) = self.value(path) else {
            unreachable!("{HELD}: {path}")
        };
        list
    }

    pub(crate) fn url(&self, path: &str) -> Option<&ServerUrl> {
        match self.value(path) {
            Value::Url(url) => Some(url),
            _ => None,
        }
    }
}
