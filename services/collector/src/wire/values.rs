//! Values as every venue writes them.

use mprism_model::{DecimalText, UnixMillis};

use super::ParseError;

/// Times from here on are microseconds: as milliseconds they would lie in the year 5138.
const MICROSECONDS_FROM: i64 = 100_000_000_000_000;

/// Reads a price or quantity that has to be above zero.
pub(crate) fn positive(field: &'static str, text: &str) -> Result<DecimalText, ParseError> {
    let value = number(field, text)?;
    if value.value().is_positive() {
        return Ok(value);
    }
    Err(ParseError::NotPositive { field })
}

/// Reads a decimal.
pub(crate) fn number(field: &'static str, text: &str) -> Result<DecimalText, ParseError> {
    DecimalText::new(text).map_err(|source| ParseError::Decimal {
        field,
        text: text.to_owned(),
        source,
    })
}

/// Takes a venue's time, in milliseconds or microseconds since the Unix epoch.
pub(crate) fn time(value: i64) -> Result<UnixMillis, ParseError> {
    let ms = if value >= MICROSECONDS_FROM {
        value / 1_000
    } else {
        value
    };
    // Before the venues existed, or after what the tables' type holds (2299-12-31).
    if (1_400_000_000_000..10_413_791_999_000).contains(&ms) {
        return Ok(UnixMillis(ms));
    }
    Err(ParseError::Time(value))
}
