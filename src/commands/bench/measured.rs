//! One measurement: the median of its samples against its budget, its ceiling, and an earlier run.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::baseline::Change;

/// One measurement.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) id: Cow<'static, str>,
    /// The median.
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// The best that could be had here, measured in the same run.
    pub(super) ceiling: Option<f64>,
    /// Of the value to the ceiling.
    pub(super) ratio: Option<f64>,
    pub(super) budget: Option<f64>,
    pub(super) ok: bool,
    pub(super) samples: usize,
    /// Between the first and the third quarter, of the median.
    pub(super) spread_percent: f64,
    /// Against an earlier run, where one was named that measured the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
}

impl Measured {
    /// A time: less is better.
    pub(super) fn new(id: &'static str, samples: &[Duration], budget: Option<f64>, ceiling: Option<f64>) -> Self {
        let samples: Vec<f64> = samples.iter().map(in_ms).collect();
        Self::of(id, "ms", Better::Lower, &samples, budget, ceiling)
    }

    pub(super) fn of(
        id: impl Into<Cow<'static, str>>,
        unit: &'static str,
        better: Better,
        samples: &[f64],
        budget: Option<f64>,
        ceiling: Option<f64>,
    ) -> Self {
        let value = median_of(samples);
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quarter = |n: usize| sorted.get(sorted.len() * n / 4).copied().unwrap_or(value);
        let between = quarter(3) - quarter(1);
        Self {
            id: id.into(),
            value: rounded(value),
            unit,
            better,
            ceiling: ceiling.map(rounded),
            ratio: ceiling.map(|ceiling| rounded(value / ceiling)),
            budget,
            ok: budget.is_none_or(|budget| match better {
                Better::Lower => value <= budget,
                Better::Higher => value >= budget,
            }),
            samples: samples.len(),
            // Nothing has no share of itself.
            spread_percent: if between == 0.0 {
                0.0
            } else {
                rounded(between / value * 100.0)
            },
            change: None,
        }
    }

    /// One value that is taken once: less is better.
    pub(super) fn once(id: impl Into<Cow<'static, str>>, unit: &'static str, value: f64, budget: Option<f64>) -> Self {
        Self::of(id, unit, Better::Lower, &[value], budget, None)
    }
}

/// Which way a measurement should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Better {
    Lower,
    Higher,
}

pub(super) fn in_ms(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

pub(super) fn median(samples: &[Duration]) -> f64 {
    median_of(&samples.iter().map(in_ms).collect::<Vec<f64>>())
}

pub(super) fn median_of(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_and_the_budget_decides() {
        let samples = [10, 30, 20, 1_000].map(Duration::from_millis);
        let measured = Measured::new("x", &samples, Some(25.0), Some(12.5));
        assert_eq!((measured.value, measured.ratio, measured.ok), (25.0, Some(2.0), true));
        assert!(!Measured::new("x", &samples, Some(24.0), None).ok);
        assert_eq!(median(&samples[..3]), 20.0);
    }

    #[test]
    fn nothing_lost_is_a_number() {
        let lost = Measured::once("lost", "rows", 0.0, Some(0.0));
        assert_eq!((lost.value, lost.spread_percent, lost.ok), (0.0, 0.0, true));
    }
}
