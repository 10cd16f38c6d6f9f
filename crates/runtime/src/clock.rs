//! The wall clock. Workers read it here and nowhere else; everything below takes time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns nanoseconds since the Unix epoch, UTC.
pub fn now_ns() -> i64 {
    // A clock before 1970 or after 2262 reads as the nearest representable time.
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

/// Returns milliseconds since the Unix epoch, UTC.
pub fn now_ms() -> i64 {
    now_ns() / 1_000_000
}
