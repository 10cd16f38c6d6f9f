//! What a venue counts for each address: connection attempts, request weight, bans.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Requests after a 429 that are forgiven before the address is banned.
const FORGIVEN: u64 = 10;
const FIRST_BAN: Duration = Duration::from_secs(120);
const LONGEST_BAN: Duration = Duration::from_secs(3 * 86_400);

/// One address at one venue.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    attempts: VecDeque<Instant>,
    /// Requests that are counted by endpoint.
    asked: HashMap<String, VecDeque<Instant>>,
    minute: i64,
    weight: u64,
    /// Requests of this minute that were over the limit.
    ignored: u64,
    banned_until_ms: i64,
    bans: u32,
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Served,
    /// HTTP 429.
    TooMuch,
    /// HTTP 418 until then, in Unix milliseconds.
    Banned(i64),
}

impl Limits {
    /// Whether one more connection may be tried: `count` within `span`.
    pub(crate) fn may_connect(&mut self, count: usize, span: Duration) -> bool {
        within(&mut self.attempts, count, span)
    }

    /// Whether one more request to an endpoint may be made: `count` within `span`.
    pub(crate) fn may_ask(&mut self, endpoint: &str, count: usize, span: Duration) -> bool {
        within(self.asked.entry(endpoint.to_owned()).or_default(), count, span)
    }

    /// Counts a request of this weight and returns what was used in this minute.
    pub(crate) fn request(&mut self, weight: u64, weight_max: u64, now_ms: i64) -> (Verdict, u64) {
        let minute = now_ms.div_euclid(60_000);
        if self.minute != minute {
            (self.minute, self.weight, self.ignored) = (minute, 0, 0);
        }
        if now_ms < self.banned_until_ms {
            return (Verdict::Banned(self.banned_until_ms), self.weight);
        }
        self.weight += weight;
        if self.weight <= weight_max {
            return (Verdict::Served, self.weight);
        }
        self.ignored += 1;
        if self.ignored <= FORGIVEN {
            return (Verdict::TooMuch, self.weight);
        }
        // Two minutes at first, up to three days for who does not learn.
        let ban = (FIRST_BAN * 2_u32.saturating_pow(self.bans)).min(LONGEST_BAN);
        self.bans += 1;
        self.banned_until_ms = now_ms + i64::try_from(ban.as_millis()).unwrap_or(i64::MAX / 2);
        (Verdict::Banned(self.banned_until_ms), self.weight)
    }

    /// Bans the address.
    pub(crate) fn ban(&mut self, until_ms: i64) {
        self.banned_until_ms = self.banned_until_ms.max(until_ms);
    }
}

/// Counts one more where there are not `count` within `span` already.
fn within(times: &mut VecDeque<Instant>, count: usize, span: Duration) -> bool {
    let now = Instant::now();
    while times.front().is_some_and(|at| now.duration_since(*at) >= span) {
        times.pop_front();
    }
    let may = times.len() < count;
    if may {
        times.push_back(now);
    }
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ignores_a_429_is_banned_for_longer_each_time() {
        let mut limits = Limits::default();
        let start = 60_000_000;
        assert_eq!(limits.request(6_000, 6_000, start), (Verdict::Served, 6_000));
        for _ in 0..FORGIVEN {
            assert_eq!(limits.request(1, 6_000, start).0, Verdict::TooMuch);
        }
        let until = start + 120_000;
        assert_eq!(limits.request(1, 6_000, start).0, Verdict::Banned(until));
        assert_eq!(limits.request(1, 6_000, until - 1).0, Verdict::Banned(until));
        assert_eq!(limits.request(1, 6_000, until).0, Verdict::Served);
        limits.request(6_000, 6_000, until);
        for _ in 1..FORGIVEN {
            assert_eq!(limits.request(1, 6_000, until).0, Verdict::TooMuch);
        }
        assert_eq!(limits.request(1, 6_000, until).0, Verdict::Banned(until + 240_000));
    }
}
