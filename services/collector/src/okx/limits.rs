//! What the venue allows to be asked, endpoint by endpoint: <https://www.okx.com/docs-v5/en/#overview-rate-limits>.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mprism_model::InstrumentId;

use crate::rest::Budget;

/// The venue counts in windows of this length, and does not say when they begin.
const WINDOW: Duration = Duration::from_secs(2);
/// The first pause after the venue said that its limit is reached, and the longest.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Something that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Books,
    Trades,
    FundingHistory,
    TopPositions,
    AllAccounts,
    Instruments,
}

impl Endpoint {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Books => "/api/v5/market/books",
            Self::Trades => "/api/v5/market/history-trades",
            Self::FundingHistory => "/api/v5/public/funding-rate-history",
            Self::TopPositions => "/api/v5/rubik/stat/contracts/long-short-position-ratio-contract-top-trader",
            Self::AllAccounts => "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract",
            Self::Instruments => "/api/v5/public/instruments",
        }
    }

    /// Returns how many requests a window has, and whether they are counted for each instrument by itself.
    fn allowed(self) -> (u32, bool) {
        match self {
            Self::Books => (40, false),
            Self::Trades => (20, false),
            Self::FundingHistory => (10, false),
            Self::TopPositions | Self::AllAccounts => (5, true),
            // By type of instruments, of which there are few.
            Self::Instruments => (20, false),
        }
    }
}

/// What is left of an endpoint's requests, and how often in a row the venue said that nothing is.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) budget: Arc<Budget>,
    refusals: AtomicU32,
}

impl Limit {
    fn new(allowed: u32) -> Self {
        Self {
            budget: Arc::new(Budget::even(allowed, WINDOW)),
            refusals: AtomicU32::new(0),
        }
    }

    /// Takes note that the venue refused for its limit; returns how long nothing is asked now: each time twice as long, and up
    /// to a tenth more, so that not all come back at once. What was asked beside it and is refused with it is one refusal.
    pub(super) fn refused(&self) -> Duration {
        if let Some(left) = self.budget.paused_for().filter(|left| !left.is_zero()) {
            return left;
        }
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        let doubled = PAUSE.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        let pause = doubled.min(PAUSE_MAX).mul_f64(1.0 + rand::random::<f64>() / 10.0);
        self.budget.pause(pause);
        pause
    }

    /// Takes note that the venue answered.
    pub(super) fn answered(&self) {
        self.refusals.store(0, Ordering::Relaxed);
    }
}

/// The limits of all endpoints, from one address: shared by everybody who asks, on whichever of the venue's markets.
#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<HashMap<Counted, Arc<Limit>>>);

/// What the venue counts by itself: an endpoint, or what is asked there of one instrument.
type Counted = (Endpoint, Option<InstrumentId>);

impl Limits {
    /// Returns what is left of asking for trades, of which much may have to be had at once.
    pub(crate) fn trades(&self) -> Arc<Budget> {
        Arc::clone(&self.counted((Endpoint::Trades, None)).budget)
    }

    /// Returns the limit of asking an endpoint about an instrument.
    pub(super) fn of(&self, endpoint: Endpoint, instrument: &InstrumentId) -> Arc<Limit> {
        let (_, by_instrument) = endpoint.allowed();
        self.counted((endpoint, by_instrument.then(|| instrument.clone())))
    }

    fn counted(&self, counted: Counted) -> Arc<Limit> {
        let (allowed, _) = counted.0.allowed();
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = limits.entry(counted).or_insert_with(|| Arc::new(Limit::new(allowed)));
        Arc::clone(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(name: &str) -> InstrumentId {
        InstrumentId::new(name).expect("valid")
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_until_the_venue_answers() {
        let limits = Limits::default();
        let limit = limits.of(Endpoint::Trades, &instrument("BTC-USDT"));
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            let pause = limit.refused().as_secs_f64();
            assert!(
                (f64::from(seconds)..=1.1 * f64::from(seconds)).contains(&pause),
                "{pause}"
            );
            assert!(limit.refused().as_secs_f64() <= pause, "asked beside it");
            tokio::time::advance(Duration::from_secs_f64(pause)).await;
        }
        limit.answered();
        assert!(limit.refused() < Duration::from_secs(3));
    }

    #[test]
    fn endpoints_are_counted_as_the_venue_counts_them() {
        let limits = Limits::default();
        let (btc, eth) = (instrument("BTC-USDT-SWAP"), instrument("ETH-USDT-SWAP"));
        let same = |endpoint| Arc::ptr_eq(&limits.of(endpoint, &btc), &limits.of(endpoint, &eth));
        assert!(same(Endpoint::Trades) && same(Endpoint::Books));
        assert!(!same(Endpoint::AllAccounts));
        let books = limits.of(Endpoint::Books, &btc);
        assert!(!Arc::ptr_eq(&books, &limits.of(Endpoint::Trades, &btc)));
    }
}
