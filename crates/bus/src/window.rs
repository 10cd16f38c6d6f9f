//! How long a stream remembers message ids, by how many come.
//!
//! nats-server keeps every id of its window in memory, and those that have left it until they are two thirds of all it holds: up to
//! three windows' worth, at about 110 bytes each, and as much again by half for its collector. At 40,000 messages a second and
//! 120 s that came to 3.1 GB. What an id is remembered for is a message sent again, which is a matter of seconds; that no row is
//! doubled does not depend on it. So a window is as long as the layout says where few messages come, and shorter where many do.

use std::time::{Duration, Instant};

use crate::{Bus, BusError, StreamSpec};

/// How many ids a stream is to remember, at most: 120 s at 12,500 a second.
const IDS_MAX: u64 = 1_500_000;
/// The shortest window, whatever comes: a collector whose connection broke sends again within seconds.
pub(crate) const WINDOW_MIN: Duration = Duration::from_secs(30);
/// In which steps a window is set, in seconds, so that it is not set with every change of the rate.
const STEP_S: u64 = 10;
/// How long a longer window has to fit before it is set: a lull between two bursts is none.
const LONGER_AFTER: Duration = Duration::from_secs(60);

/// Keeps one stream's window such that its ids fit.
#[derive(Debug, Default)]
pub struct WindowKeeper {
    /// The stream's last sequence when it was looked at, and when that was.
    seen: Option<(u64, Instant)>,
    /// Since when a longer window would do.
    longer_since: Option<Instant>,
}

impl WindowKeeper {
    /// Looks at the stream, and gives it another window where its ids call for one; returns the one that it has got then.
    ///
    /// # Errors
    /// Where the server does not answer or refuses.
    pub async fn keep(&mut self, bus: &Bus, spec: &StreamSpec) -> Result<Option<Duration>, BusError> {
        let stream = bus.context().get_stream(&spec.name).await;
        let stream = stream.map_err(|e| BusError::api("ask for stream", &spec.name, e))?;
        let info = stream.cached_info();
        let is = info.config.duplicate_window;
        let Some(wanted) = self.decide(info.state.last_sequence, Instant::now(), is, spec.duplicate_window) else {
            return Ok(None);
        };
        let mut config = info.config.clone();
        config.duplicate_window = wanted;
        let updated = bus.context().update_stream(&config).await;
        updated.map_err(|e| BusError::api("update stream", &spec.name, e))?;
        Ok(Some(wanted))
    }

    /// Decides on another window for a stream that has taken `last_seq` messages, whose window is `is` and may be `longest`.
    /// Shorter at once, since memory is taken at once; longer after a while.
    fn decide(&mut self, last_seq: u64, now: Instant, is: Duration, longest: Duration) -> Option<Duration> {
        let (seq, at) = self.seen.replace((last_seq, now))?;
        let ids_per_s = last_seq.saturating_sub(seq) as f64 / now.duration_since(at).as_secs_f64().max(0.001);
        let fits = fitting(ids_per_s, longest);
        if fits <= is {
            self.longer_since = None;
            return (fits < is).then_some(fits);
        }
        let since = *self.longer_since.get_or_insert(now);
        if now.duration_since(since) < LONGER_AFTER {
            return None;
        }
        self.longer_since = None;
        Some(fits)
    }
}

/// Returns the longest window whose ids fit, in whole steps where it is shorter than `longest`.
fn fitting(ids_per_s: f64, longest: Duration) -> Duration {
    let seconds = IDS_MAX as f64 / ids_per_s.max(1.0);
    if seconds >= longest.as_secs_f64() {
        return longest;
    }
    let steps = seconds as u64 / STEP_S;
    Duration::from_secs(steps * STEP_S).max(WINDOW_MIN.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(120);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_window_is_as_long_as_its_ids_allow() {
        let cases = [
            (0.0, 120),
            (125.0, 120),
            (12_500.0, 120),
            (12_600.0, 110),
            (25_000.0, 60),
            (40_000.0, 30),
            (200_000.0, 30),
        ];
        for (rate, window) in cases {
            assert_eq!(fitting(rate, LONGEST), seconds(window), "{rate} a second");
        }
        assert_eq!(
            fitting(200_000.0, seconds(20)),
            seconds(20),
            "never longer than it may be"
        );
    }

    #[test]
    fn it_is_shortened_at_once_and_made_longer_after_a_while() {
        let begin = Instant::now();
        let mut keeper = WindowKeeper::default();
        let mut last_seq = 0;
        let mut is = LONGEST;
        let mut at = |second: u64, rate: u64| {
            last_seq += rate * 5;
            if let Some(wanted) = keeper.decide(last_seq, begin + seconds(second), is, LONGEST) {
                is = wanted;
            }
            is.as_secs()
        };
        assert_eq!(at(0, 40_000), 120, "no rate is known from one look");
        assert_eq!(at(5, 40_000), 30);
        assert_eq!(at(10, 25_000), 30);
        assert_eq!(at(15, 40_000), 30, "the lull is over");
        let after: Vec<u64> = (4..=17).map(|round| at(round * 5, 100)).collect();
        assert_eq!(after.iter().position(|window| *window == 120), Some(12), "{after:?}");
    }

    #[test]
    fn a_stream_that_begins_again_is_no_reason_for_anything() {
        let begin = Instant::now();
        let mut keeper = WindowKeeper::default();
        assert_eq!(keeper.decide(9_000_000, begin, LONGEST, LONGEST), None);
        assert_eq!(keeper.decide(3, begin + seconds(5), LONGEST, LONGEST), None);
    }
}
