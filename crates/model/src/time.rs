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
}
