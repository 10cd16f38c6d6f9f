//! Decimals as a venue wrote them.

use std::fmt;

use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Decimal, DecimalError};

/// A decimal together with the text the venue sent: the text goes on the bus, the value into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalText {
    text: CompactString,
    value: Decimal,
}

impl DecimalText {
    /// Reads a venue's text.
    ///
    /// # Errors
    /// Where the text is not a decimal, or one that could not be stored exactly.
    pub fn new(text: &str) -> Result<Self, DecimalError> {
        Ok(Self {
            value: text.parse()?,
            text: text.into(),
        })
    }

    /// Writes a value that was calculated, as short as it is.
    pub fn shortest(value: Decimal) -> Self {
        Self {
            text: value.to_compact_string(),
            value,
        }
    }

    /// Returns the venue's text, unchanged.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the exact value.
    pub fn value(&self) -> Decimal {
        self.value
    }
}

impl fmt::Display for DecimalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for DecimalText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
