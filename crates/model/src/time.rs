//! Points in time. Always UTC; the unit is in the type.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC: the unit of every venue's clock and of every `timestamp` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// Nanoseconds since the Unix epoch, UTC: the unit of local receive times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub i64);

impl UnixMillis {
    /// Returns the number of whole days since 1970-01-01 UTC (ClickHouse's `Date`).
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }

    /// Returns RFC 3339 text with milliseconds, for example `2026-11-20T12:00:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        let (year, month, day) = civil_from_days(self.day());
        let ms = self.0.rem_euclid(86_400_000);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1_000 % 60,
            ms % 1_000
        )
    }
}

impl std::str::FromStr for UnixMillis {
    type Err = TimeError;

    /// Reads RFC 3339 text in UTC: `2026-11-20T12:00:00Z`, with any number of decimals; beyond milliseconds they are cut.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        parse_rfc3339(text).ok_or_else(|| TimeError(text.chars().take(64).collect()))
    }
}

/// A text that is not a time in UTC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time like 2026-11-20T12:00:00Z")]
pub struct TimeError(String);

fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    let text = text.strip_suffix(['Z', 'z'])?;
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let number = |text: &str, digits: usize, max: i64| {
        let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| fits && *n <= max)
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (number(year, 4, 9999)?, number(month, 2, 12)?, number(day, 2, 31)?);
    let mut parts = time.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (number(hour, 2, 23)?, number(minute, 2, 59)?, number(second, 2, 59)?);
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let days = days_from_civil(year, month, day);
    // A day that its month does not have comes back as another one.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(UnixMillis(
        ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + millis.parse::<i64>().ok()?,
    ))
}

/// Converts a date of the proleptic Gregorian calendar into days since 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

impl UnixNanos {
    /// Returns the time in whole milliseconds, rounded down.
    pub fn to_millis(self) -> UnixMillis {
        UnixMillis(self.0.div_euclid(1_000_000))
    }
}

impl From<UnixMillis> for UnixNanos {
    fn from(ms: UnixMillis) -> Self {
        UnixNanos(ms.0.saturating_mul(1_000_000))
    }
}

/// Converts days since 1970-01-01 into (year, month, day) of the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_read_as_rfc_3339() {
        assert_eq!(UnixMillis(1_795_176_000_000).to_rfc3339(), "2026-11-20T12:00:00.000Z");
        assert_eq!(UnixMillis(951_782_399_999).to_rfc3339(), "2000-02-28T23:59:59.999Z");
        assert_eq!(UnixMillis(951_868_799_999).to_rfc3339(), "2000-02-29T23:59:59.999Z");
        assert_eq!(UnixMillis(-1).to_rfc3339(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn the_day_changes_at_midnight_utc() {
        assert_eq!(UnixMillis(86_399_999).day(), 0);
        assert_eq!(UnixMillis(86_400_000).day(), 1);
    }

    #[test]
    fn times_read_back_and_impossible_ones_do_not() {
        for ms in [0, 1, 951_782_400_000, 1_760_054_400_077, 4_107_542_399_999] {
            assert_eq!(UnixMillis(ms).to_rfc3339().parse(), Ok(UnixMillis(ms)));
        }
        assert_eq!("2026-11-20T12:00:00Z".parse(), Ok(UnixMillis(1_795_176_000_000)));
        assert_eq!("2026-11-20T12:00:00.12345Z".parse(), Ok(UnixMillis(1_795_176_000_123)));
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T24:00:00Z",
            "x",
            "2026-01-01T00:00:00",
        ] {
            assert!(text.parse::<UnixMillis>().is_err(), "{text}");
        }
    }
}
