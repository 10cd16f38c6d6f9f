//! When a service that ended is started again. Pure: time is an argument.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When and how often something is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Readiness that lasted this long was a success: the next restart happens at once.
    pub stable_after: Duration,
    /// The first wait between two restarts; each further one is twice as long.
    pub backoff_min: Duration,
    /// The longest wait between two restarts.
    pub backoff_max: Duration,
    /// Starts in a row that never became ready, after which a service is given up.
    pub failures_max: u32,
}

/// What happened so far to one service that should be up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RestartHistory {
    /// Restarts since the service was last started by a command.
    pub restarts: u32,
    short_runs: u32,
    never_ready: u32,
}

/// What to do about a service that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// Start it again after this long; zero is at once.
    After(Duration),
    /// Leave it: it never becomes ready.
    GiveUp,
}

impl RestartHistory {
    /// Decides about a service that ended after having been ready for `ready_for` (`None`: it never was).
    pub(super) fn ended(&mut self, ready_for: Option<Duration>, policy: &RestartPolicy) -> Restart {
        match ready_for {
            Some(ready_for) if ready_for >= policy.stable_after => {
                self.short_runs = 0;
                self.never_ready = 0;
            }
            Some(_) => {
                self.short_runs += 1;
                self.never_ready = 0;
            }
            None => {
                self.short_runs += 1;
                self.never_ready += 1;
            }
        }
        if self.never_ready >= policy.failures_max {
            return Restart::GiveUp;
        }
        self.restarts += 1;
        Restart::After(match self.short_runs {
            0 => Duration::ZERO,
            runs => policy
                .backoff_max
                .min(policy.backoff_min.saturating_mul(1 << (runs - 1).min(16))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RestartPolicy {
        RestartPolicy {
            stable_after: 5 * SECOND,
            backoff_min: SECOND,
            backoff_max: 60 * SECOND,
            failures_max: 5,
        }
    }

    #[test]
    fn a_good_run_restarts_at_once_and_forgives_everything() {
        let mut history = RestartHistory::default();
        for _ in 0..3 {
            history.ended(None, &policy());
        }
        for _ in 0..20 {
            assert_eq!(
                history.ended(Some(5 * SECOND), &policy()),
                Restart::After(Duration::ZERO)
            );
        }
        assert_eq!(history.ended(None, &policy()), Restart::After(SECOND));
        assert_eq!(history.restarts, 24);
    }

    #[test]
    fn short_runs_wait_longer_each_time_but_are_never_given_up() {
        let mut history = RestartHistory::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(
                history.ended(Some(4 * SECOND), &policy()),
                Restart::After(seconds * SECOND)
            );
        }
    }

    #[test]
    fn five_starts_in_a_row_that_never_became_ready_are_enough() {
        let mut history = RestartHistory::default();
        for seconds in [1, 2, 4, 8] {
            assert_eq!(history.ended(None, &policy()), Restart::After(seconds * SECOND));
        }
        assert_eq!(history.ended(None, &policy()), Restart::GiveUp);
    }
}
