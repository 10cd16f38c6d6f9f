//! Values that are typed in more than one place.

use std::time::Duration;

use mprism_deps::{Dependency, Provider};

/// The data types that have a table of market data, as in subjects.
pub(super) const DATA_TYPES: [&str; 8] = [
    "orderbook",
    "trade",
    "funding_rate",
    "open_interest",
    "liquidation",
    "lsr_top_position",
    "lsr_all_account",
    "volatility_index",
];

/// Looking more often than this tells nobody more.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

pub(super) fn dependency(text: &str) -> Result<Dependency, String> {
    let names = Dependency::ALL.map(Dependency::as_str);
    let found = Dependency::ALL
        .into_iter()
        .find(|dependency| dependency.as_str() == text);
    found.ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

pub(super) fn provider(text: &str) -> Result<Provider, String> {
    match text {
        "auto" => Ok(Provider::Auto),
        "path" => Ok(Provider::Path),
        "pip" => Ok(Provider::Pip),
        "npm" => Ok(Provider::Npm),
        _ => Err("expected one of auto, path, pip, npm".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    mprism_settings::parse_duration(text).ok_or_else(|| "expected a duration like 30s, 5m or 2h".to_owned())
}

/// As [`duration`], of what is done again and again.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < INTERVAL_MIN => Err(format!("expected at least {} ms", INTERVAL_MIN.as_millis())),
        interval => Ok(interval),
    }
}
