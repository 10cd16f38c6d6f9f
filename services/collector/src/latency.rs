//! The time from a venue's event to our socket, and whether it rises.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::LatencyOptions;
use crate::stats::ExchangeStats;

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The newer half of the samples against the older one: from here on the rise is a fast one.
const FAST: f64 = 2.0;

/// Looks at a venue's latency once a second, and says once when it rises fast. High and steady is the distance to the venue, or
/// a clock: it is in the metrics, and no news.
pub(crate) async fn watch(exchange: &'static str, options: LatencyOptions, stats: Arc<ExchangeStats>) {
    let mut trend = Trend::new(options);
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    let mut seen = 0;
    loop {
        ticks.tick().await;
        let frames = stats.frames.load(Ordering::Relaxed);
        if frames == seen {
            // Nothing came: the last value is no new one.
            continue;
        }
        seen = frames;
        let latency_ms = stats.latency_ms.load(Ordering::Relaxed);
        if trend.sample(latency_ms as f64) {
            stats.latency_warnings.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                exchange,
                latency_ms,
                "events arrive later and later: the network, the venue, or this machine is slow"
            );
        }
    }
}

/// The last samples.
struct Trend {
    options: LatencyOptions,
    samples: VecDeque<f64>,
    is_rising: bool,
}

impl Trend {
    fn new(options: LatencyOptions) -> Self {
        Self {
            options,
            samples: VecDeque::new(),
            is_rising: false,
        }
    }

    /// Takes a sample in milliseconds; returns whether a fast rise begins with it.
    fn sample(&mut self, latency_ms: f64) -> bool {
        self.samples.push_back(latency_ms);
        if self.samples.len() <= self.options.samples {
            return false;
        }
        self.samples.pop_front();
        let half = self.samples.len() / 2;
        let mean = |samples: &mut dyn Iterator<Item = &f64>| samples.sum::<f64>() / half as f64;
        let older = mean(&mut self.samples.iter().take(half));
        let newer = mean(&mut self.samples.iter().rev().take(half));
        let is_rising = newer > self.options.warn_above.as_secs_f64() * 1_000.0 && newer > older.max(1.0) * FAST;
        let begins = is_rising && !self.is_rising;
        self.is_rising = is_rising;
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(samples: impl IntoIterator<Item = f64>) -> usize {
        let mut trend = Trend::new(LatencyOptions {
            warn_above: Duration::from_millis(500),
            samples: 10,
        });
        samples.into_iter().filter(|sample| trend.sample(*sample)).count()
    }

    #[test]
    fn only_a_fast_rise_above_the_limit_is_told_and_once() {
        assert_eq!(warnings([2_000.0; 40]), 0, "high and steady");
        assert_eq!(
            warnings((0..40).map(|n| f64::from(n) * 5.0)),
            0,
            "rising, and still low"
        );
        assert_eq!(warnings((0..200).map(|n| 450.0 + f64::from(n) * 2.0)), 0, "slowly");
        let jump = || [[40.0; 15], [1_500.0; 15]].concat();
        assert_eq!(warnings(jump()), 1);
        assert_eq!(warnings([jump(), jump()].concat()), 2, "again after it was good");
        assert_eq!(warnings([-3_600_000.0; 20]), 0, "a clock that is wrong");
    }
}
