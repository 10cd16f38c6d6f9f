//! What the venue allows an address: <https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info>.

use std::sync::Arc;
use std::time::Duration;

use crate::rest::Budget;

/// Request weight in a minute, together with COIN-M since June 2026.
const WEIGHT_PER_MINUTE: u32 = 2_400;
/// Requests for funding rates and their intervals in five minutes, beside the weight.
const FUNDING_REQUESTS: u32 = 500;
/// Requests for ratios and past open interest in five minutes, without any weight.
const DATA_REQUESTS: u32 = 1_000;
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Weights of what is asked for.
pub(super) const AGGREGATES_WEIGHT: u32 = 20;
pub(super) const INTEREST_WEIGHT: u32 = 1;
pub(super) const PREMIUM_WEIGHT: u32 = 1;
pub(super) const LIST_WEIGHT: u32 = 1;

/// Levels a side that a book can be asked for, and what that weighs.
const DEPTHS: [(usize, u32); 7] = [(5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1_000, 20)];

/// What may still be asked, of each kind; shared by everybody who asks from this address.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) weight: Arc<Budget>,
    pub(super) funding: Arc<Budget>,
    pub(super) data: Arc<Budget>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weight: Arc::new(Budget::new(WEIGHT_PER_MINUTE, Duration::from_secs(60))),
            funding: Arc::new(Budget::new(FUNDING_REQUESTS, FIVE_MINUTES)),
            data: Arc::new(Budget::new(DATA_REQUESTS, FIVE_MINUTES)),
        }
    }
}

impl Limits {
    /// Asks nothing of any kind for so long: a ban is of the address.
    pub(super) fn pause(&self, pause: Duration) {
        [&self.weight, &self.funding, &self.data]
            .into_iter()
            .for_each(|budget| budget.pause(pause));
    }
}

/// Returns the smallest depth that the venue offers and that has as many levels, else its largest, and what it weighs.
pub(super) fn depth(levels: usize) -> (usize, u32) {
    let offered = DEPTHS.into_iter().find(|(offered, _)| *offered >= levels);
    offered.unwrap_or(DEPTHS[DEPTHS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_depths_that_are_offered_are_asked_for() {
        assert_eq!(
            [1, 500, 501, 5_000].map(depth),
            [(5, 2), (500, 10), (1_000, 20), (1_000, 20)]
        );
    }
}
