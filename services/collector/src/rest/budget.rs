//! How much a venue may still be asked, shared by everybody who asks it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mprism_runtime::clock;
use tokio::time::Instant;

/// What a venue allows in each window, of which we take a part.
#[derive(Debug)]
pub(crate) struct Budget {
    allowed: u32,
    window: Duration,
    /// Where the venue does not say when its windows begin: how many may be asked at once, of those that are left to others.
    at_once: Option<u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The window, counted from the Unix epoch, and what was used of it.
    window: i64,
    used: u32,
    paused_until: Option<Instant>,
    /// When all that was asked would be through, were it asked at an even pace.
    through: Option<Instant>,
}

impl Budget {
    /// Takes at most 80 % of what the venue allows in windows of its clock: others on this address may ask it, too.
    pub(crate) fn new(allowed: u32, window: Duration) -> Self {
        Self {
            allowed: (u64::from(allowed) * 4 / 5) as u32,
            window,
            at_once: None,
            state: Mutex::default(),
        }
    }

    /// As [`Budget::new`], where windows may begin at any moment: asked is at an even pace, so that no window has more than the
    /// venue allows, wherever it begins. Two bursts side by side are within our windows, and not within the venue's.
    ///
    /// Source: the generic cell rate algorithm of ITU-T I.371.
    pub(crate) fn even(allowed: u32, window: Duration) -> Self {
        let budget = Self::new(allowed, window);
        Self {
            at_once: Some((allowed - budget.allowed).max(1)),
            ..budget
        }
    }

    /// Waits until a request of this weight may be made, and takes the weight.
    pub(crate) async fn take(&self, weight: u32) {
        while let Some(wait) = self.try_take(weight, clock::now_ms()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the weight, or returns how long to wait before the next try.
    fn try_take(&self, weight: u32, now_ms: i64) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(until) = state.paused_until {
            if until > now {
                return Some(until - now);
            }
            state.paused_until = None;
        }
        let length = self.window_ms();
        let window = now_ms.div_euclid(length);
        if state.window != window {
            (state.window, state.used) = (window, 0);
        }
        if let Some(at_once) = self.at_once {
            let interval = self.window / self.allowed.max(1);
            let through = state.through.map_or(now, |through| through.max(now));
            let may_ask = through - interval * (at_once - 1);
            if may_ask > now {
                return Some(may_ask - now);
            }
            state.through = Some(through + interval * weight);
            state.used += weight;
            return None;
        }
        // One request is always possible, however heavy it is.
        if state.used > 0 && state.used + weight > self.allowed {
            let left = length - now_ms.rem_euclid(length);
            return Some(Duration::from_millis(u64::try_from(left).unwrap_or(1_000)));
        }
        state.used += weight;
        None
    }

    fn window_ms(&self) -> i64 {
        i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// Learns what the venue counted in this window: others may have asked, too.
    pub(crate) fn counted(&self, used: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.window == clock::now_ms().div_euclid(self.window_ms()) {
            state.used = state.used.max(used);
        }
    }

    /// Asks nothing for so long.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paused_until = Some(state.paused_until.map_or(until, |before| before.max(until)));
    }

    /// Returns how much longer nothing is asked.
    pub(crate) fn paused_for(&self) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paused_until?.checked_duration_since(Instant::now())
    }

    /// Returns what was used of this window.
    pub(crate) fn used(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_weight_and_no_more() {
        let budget = Budget::new(1_000, Duration::from_secs(60));
        assert_eq!(budget.try_take(700, 60_000), None);
        assert_eq!(budget.try_take(200, 61_000), Some(Duration::from_secs(59)));
        assert_eq!(budget.try_take(100, 61_000), None);
        assert_eq!(budget.try_take(200, 120_000), None, "the next minute");
        assert_eq!(
            Budget::new(10, Duration::from_secs(60)).try_take(5_000, 0),
            None,
            "too heavy for any"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_has_more_than_the_venue_allows_wherever_it_begins() {
        for allowed in [5, 10, 20, 40] {
            let (budget, window) = (Budget::even(allowed, Duration::from_secs(2)), Duration::from_secs(2));
            let mut asked = Vec::new();
            for request in 0..200 {
                // Now and then nobody asks for a while, and then many do.
                if request % 50 == 0 {
                    tokio::time::sleep(Duration::from_secs(7)).await;
                }
                budget.take(1).await;
                asked.push(Instant::now());
            }
            let within = |from: &Instant| asked.iter().filter(|at| **at >= *from && **at < *from + window).count();
            let most = asked.iter().map(within).max().unwrap_or(0);
            assert!(most <= allowed as usize, "{most} of {allowed}");
            let (first, last) = (asked[1], asked[49]);
            let rate = 48.0 / (last - first).as_secs_f64();
            assert!(rate >= f64::from(allowed) / 2.0 * 0.75, "{rate}/s of {allowed} in 2 s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_in_a_pause() {
        let budget = Budget::new(1_000, Duration::from_secs(60));
        budget.pause(Duration::from_secs(30));
        budget.pause(Duration::from_secs(10));
        let began = Instant::now();
        budget.take(1).await;
        assert_eq!(began.elapsed(), Duration::from_secs(30));
        assert_eq!(budget.paused_for(), None);
    }
}
