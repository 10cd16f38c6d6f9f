//! Sizes and durations as people write them.

use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// In microseconds; `us` and `ms` before `s`, because each is tried as an ending.
const SPANS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// Reads a size in bytes: `4096`, `16MiB`, `2 GB`. Returns `None` for anything else.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    match SIZES
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))
    {
        Some((number, bytes)) => whole(number.trim_end())?.checked_mul(*bytes),
        None => whole(text),
    }
}

/// Reads a duration: `100ms`, `48h`, `2 m`. A number without a unit is not one. Returns `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, micros) = SPANS
        .iter()
        .find_map(|(unit, micros)| Some((text.strip_suffix(unit)?, micros)))?;
    Some(Duration::from_micros(whole(number.trim_end())?.checked_mul(*micros)?))
}

/// Writes a duration in the largest unit that needs no fraction.
pub fn format_duration(duration: Duration) -> String {
    let total = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let fitting = SPANS
        .iter()
        .rev()
        .find(|(_, micros)| total > 0 && total.is_multiple_of(*micros));
    match fitting {
        Some((unit, micros)) => format!("{}{unit}", total / micros),
        None => "0s".to_owned(),
    }
}

/// Writes a size in the largest unit that needs no fraction.
pub(crate) fn format_bytes(bytes: u64) -> String {
    let binary = [
        ("TiB", 1u64 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    match binary.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Digits only: no sign, no blanks, no underscores.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_are_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("2GiB", 2 << 30),
            ("2 GB", 2_000_000_000),
            ("7B", 7),
            (" 1kB ", 1000),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "2gib", "2G", "1_000", "99999999999TiB", "+5"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn durations_need_units() {
        for (text, ms) in [
            ("100ms", 100),
            ("48h", 172_800_000),
            ("2 m", 120_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "ms", "-1s", "1.5s", "1h30m", "1 week", "18446744073709551615d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["50ms", "2m", "48h", "7us", "0s", "36h", "2d"] {
            let duration = parse_duration(text).expect("valid");
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        assert_eq!(format_bytes(2 << 30), "2GiB");
        assert_eq!(format_bytes(1000), "1000");
    }
}
