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

/// What the kernel knows about how right its clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockQuality {
    /// Whether something keeps the clock right (NTP, for example).
    pub is_synchronised: bool,
    /// The largest error that the clock may have, in microseconds.
    pub error_us_max: i64,
}

/// Asks the kernel about its clock (`adjtimex(2)` with no mode set: nothing is changed).
///
/// # Errors
/// Where the kernel refuses, as in some containers.
pub fn quality() -> std::io::Result<ClockQuality> {
    let found = read_timex()?;
    Ok(ClockQuality {
        is_synchronised: found.status & libc::STA_UNSYNC == 0,
        error_us_max: found.maxerror,
    })
}

#[expect(
    unsafe_code,
    reason = "no safe crate asks the kernel for the error of its clock without setting it"
)]
fn read_timex() -> std::io::Result<libc::timex> {
    // SAFETY: `timex` is plain integers, for which zero is a value; its zero `modes` asks for a look only, and the pointer is
    // to a whole value of ours that lives longer than the call.
    let (code, found) = unsafe {
        let mut found: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut found), found)
    };
    if code < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_right_its_clock_is() {
        // A sandbox may refuse; an answer has to make sense.
        if let Ok(quality) = quality() {
            assert!(quality.error_us_max >= 0, "{quality:?}");
        }
    }
}
