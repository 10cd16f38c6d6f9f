//! What Deribit allows, and what it says where that is exceeded.
//!
//! Source: <https://docs.deribit.com/> (Rate limits, RPC error codes).

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::rest::{Budget, Throttle};

/// Requests a second and address without authentication, by REST: the venue guarantees no number, its own clients are allowed
/// four times as many.
const REQUESTS_PER_SECOND: u32 = 5;
/// Largest number of channels in one subscription.
pub(super) const CHANNELS_MAX: usize = 500;
/// Between two messages on a connection: a subscription costs 3,000 credits, of which 10,000 come back in a second.
pub(super) const SEND_EVERY: Duration = Duration::from_millis(350);
/// Seconds between two heartbeats of the venue; it takes 10 and more.
pub(super) const HEARTBEAT_S: u64 = 30;

/// Returns the budget of everything that is asked by REST.
pub(crate) fn budget() -> Arc<Budget> {
    Arc::new(Budget::new(REQUESTS_PER_SECOND, Duration::from_secs(1)))
}

/// Reads the venue's refusals.
#[derive(Debug)]
pub(super) struct Refusals;

impl Throttle for Refusals {
    /// The venue counts credits, and does not say how many are left.
    fn counted(_headers: &HeaderMap) -> Option<u32> {
        None
    }

    fn pause_in(text: &str, _now_ms: i64) -> Option<Duration> {
        pause_for(text)
    }
}

/// Returns the pause that a refusal asks for, by its error code.
pub(super) fn pause_for(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once("\"code\":")?;
    let code: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    let seconds = match code.as_str() {
        // too_many_requests, too_many_concurrent_requests, matching_engine_queue_full
        "10028" | "10066" | "10047" => 2,
        // system_maintenance: minutes, of which nobody knows how many.
        "11051" => 10,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_asks_for_a_pause_by_its_code() {
        let refusal = |code: i64| {
            format!(r#"{{"jsonrpc":"2.0","error":{{"message":"x","data":{{}},"code": {code}}},"testnet":false}}"#)
        };
        assert_eq!(pause_for(&refusal(10_028)), Some(Duration::from_secs(2)));
        assert_eq!(pause_for(&refusal(11_051)), Some(Duration::from_secs(10)));
        assert_eq!(pause_for(&refusal(-32_602)), None);
        assert_eq!(pause_for("no JSON"), None);
    }
}
