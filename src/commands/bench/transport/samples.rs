//! Times, and where most of them lie.

use serde::Serialize;

/// So many are kept; of more, every second, fourth … one.
const KEPT_MAX: usize = 1 << 19;

/// Times in microseconds, evenly thinned where there are very many.
#[derive(Debug)]
pub(super) struct Samples {
    kept: Vec<i64>,
    count: u64,
    every: u64,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            count: 0,
            every: 1,
        }
    }
}

/// Percentiles in milliseconds; nothing where nothing came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(in super::super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: Option<f64>,
    pub(super) p90: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Percentiles {
    pub(super) fn named(&self, quantile: &str) -> Option<f64> {
        match quantile {
            "p50" => self.p50,
            "p90" => self.p90,
            "p95" => self.p95,
            _ => self.p99,
        }
    }
}

impl Samples {
    pub(super) fn push(&mut self, us: i64) {
        self.count += 1;
        if !self.count.is_multiple_of(self.every) {
            return;
        }
        self.kept.push(us);
        if self.kept.len() == KEPT_MAX {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.every *= 2;
        }
    }

    /// Returns the percentiles (nearest rank), and begins anew.
    pub(super) fn take(&mut self) -> Percentiles {
        let Self { mut kept, count, .. } = std::mem::take(self);
        kept.sort_unstable();
        let at = |quantile: f64| {
            let rank = (kept.len() as f64 * quantile).ceil() as usize;
            kept.get(rank.max(1) - 1).map(|us| *us as f64 / 1_000.0)
        };
        Percentiles {
            count,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks_and_a_window_begins_with_none() {
        let mut samples = Samples::default();
        (1..=200).rev().for_each(|n| samples.push(n * 1_000));
        let found = samples.take();
        assert_eq!((found.count, found.p50, found.p90), (200, Some(100.0), Some(180.0)));
        assert_eq!((found.p95, found.p99), (Some(190.0), Some(198.0)));
        assert_eq!(samples.take(), Percentiles::default());
    }

    #[test]
    fn very_many_are_thinned_evenly() {
        let mut samples = Samples::default();
        let many = KEPT_MAX as i64 * 3;
        (0..many).for_each(|n| samples.push(n));
        assert!(samples.kept.len() < KEPT_MAX);
        let found = samples.take();
        assert_eq!(found.count, KEPT_MAX as u64 * 3);
        let middle = many as f64 / 2_000.0;
        assert!((found.p50.expect("some") - middle).abs() < middle / 100.0, "{found:?}");
    }
}
