//! Predicates over time, the only way to write them.
//!
//! ClickHouse 26 answers a strict comparison of a DateTime64 key with a DateTime wrongly. The tables are laid out so that
//! users' own queries are right all the same; ours compare like with like, and name `day`, which prunes partitions.

use mprism_model::UnixMillis;

/// Returns a predicate for `from <= timestamp < to`.
pub fn between(from: UnixMillis, to: UnixMillis) -> String {
    format!(
        "day BETWEEN toDate({}) AND toDate({}) AND toUnixTimestamp64Milli(timestamp) >= {} AND toUnixTimestamp64Milli(timestamp) < {}",
        from.day(),
        to.day(),
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
        assert!(
            text.ends_with(">= 86400000 AND toUnixTimestamp64Milli(timestamp) < 172800001"),
            "{text}"
        );
    }
}
