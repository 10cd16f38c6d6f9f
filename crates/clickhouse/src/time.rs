//! Predicates over time, the only way to write them.
//!
//! ClickHouse 26 answers a strict comparison of a DateTime64 key with a DateTime wrongly. The tables are laid out so that
//! users' own queries are right all the same; ours compare like with like, and name `day`, which prunes partitions.

use mprism_model::UnixMillis;

/// The last day of ClickHouse's Date, 2149-06-06. `toDate` takes a larger number for seconds.
const LAST_DAY: i64 = 65_535;

/// Returns a predicate for `from <= timestamp < to`.
pub fn between(from: UnixMillis, to: UnixMillis) -> String {
    let day = |time: UnixMillis| time.day().clamp(0, LAST_DAY);
    format!(
        "day BETWEEN toDate({}) AND toDate({}) AND toUnixTimestamp64Milli(timestamp) >= {} AND toUnixTimestamp64Milli(timestamp) < {}",
        day(from),
        day(to),
        from.0,
        to.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_numbers_and_days() {
        let text = between(UnixMillis(86_400_000), UnixMillis(172_800_001));
        assert!(text.starts_with("day BETWEEN toDate(1) AND toDate(2) AND"), "{text}");
        let open = between(UnixMillis(-1), UnixMillis(i64::MAX));
        assert!(
            open.starts_with("day BETWEEN toDate(0) AND toDate(65535) AND"),
            "{open}"
        );
        assert!(
            text.ends_with(">= 86400000 AND toUnixTimestamp64Milli(timestamp) < 172800001"),
            "{text}"
        );
    }
}
