//! Waiting longer after each failure, with jitter, up to a cap.

use std::time::Duration;

/// Exponential backoff with full jitter: each wait is drawn between half of the current step and the step itself.
///
/// Full jitter spreads reconnects of many clients; the lower half keeps a lone client from spinning.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    step: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            step: first,
        }
    }

    /// Returns how long to wait before the next try, and doubles the step.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.step.min(self.max);
        self.step = (step * 2).min(self.max);
        step.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }

    /// Starts over: the last try succeeded.
    pub fn reset(&mut self) {
        self.step = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over() {
        let (first, max) = (Duration::from_millis(100), Duration::from_millis(450));
        let mut backoff = Backoff::new(first, max);
        for step in [100, 200, 400, 450, 450] {
            let wait = backoff.next_wait();
            let step = Duration::from_millis(step);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} for a step of {step:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= first);
    }
}
