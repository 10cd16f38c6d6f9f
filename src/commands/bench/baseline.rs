//! What changed since an earlier run: `--baseline FILE`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::measured::{Better, Measured, rounded};
use crate::error::CliError;

/// Two runs of the same thing on the same machine differ by so much for no reason that their samples show.
const NOISE_PERCENT_MIN: f64 = 10.0;

/// An earlier run's document, as far as it is compared.
#[derive(Debug, Deserialize)]
pub(super) struct Baseline {
    results: Vec<Earlier>,
}

#[derive(Debug, Deserialize)]
struct Earlier {
    id: String,
    value: f64,
    spread_percent: f64,
}

/// A measurement against that of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Change {
    /// What it was.
    pub(super) baseline: f64,
    /// By how much it is more now, of what it was; nothing where it was nothing.
    pub(super) change_percent: Option<f64>,
    /// What is no news: the spread of both runs together, or what runs differ by anyway.
    pub(super) noise_percent: f64,
    /// Whether it is worse by more than that.
    pub(super) is_regression: bool,
}

impl Baseline {
    /// Reads what `mprism bench … --json` printed.
    ///
    /// # Errors
    /// Where the file is not such a document.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let unusable = |error: anyhow::Error| {
            CliError::usage("no_baseline", error)
                .context(format!("cannot compare with {}", path.display()))
                .hint("make one: `mprism bench all --json > before.json`")
        };
        let text = fs::read_to_string(path).map_err(|e| unusable(e.into()))?;
        serde_json::from_str(&text).map_err(|e| unusable(e.into()))
    }

    /// Notes in each result what it was; what the earlier run did not measure stays without.
    pub(super) fn compare(&self, results: &mut [Measured]) {
        for now in results {
            let earlier = self.results.iter().find(|earlier| earlier.id == now.id);
            now.change = earlier.map(|earlier| change(earlier, now));
        }
    }
}

fn change(earlier: &Earlier, now: &Measured) -> Change {
    let noise = (earlier.spread_percent + now.spread_percent).max(NOISE_PERCENT_MIN);
    let more = (now.value - earlier.value) / earlier.value * 100.0;
    let worse = match now.better {
        Better::Lower => now.value - earlier.value,
        Better::Higher => earlier.value - now.value,
    };
    Change {
        baseline: earlier.value,
        change_percent: more.is_finite().then(|| rounded(more)),
        noise_percent: rounded(noise),
        // Of nothing, as of lost rows, anything is more than noise.
        is_regression: worse > earlier.value.abs() * noise / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(value: f64, spread_percent: f64) -> Baseline {
        let results = format!(r#"{{"results":[{{"id":"x","value":{value},"spread_percent":{spread_percent}}}]}}"#);
        serde_json::from_str(&results).expect("a document")
    }

    fn is_regression(before: &Baseline, better: Better, samples: &[f64]) -> bool {
        let mut now = [Measured::of("x", "ms", better, samples, None, None)];
        before.compare(&mut now);
        now[0].change.expect("compared").is_regression
    }

    #[test]
    fn worse_is_more_or_less_and_only_beyond_the_noise() {
        let before = earlier(100.0, 0.0);
        for (better, value, expected) in [
            (Better::Lower, 109.0, false),
            (Better::Lower, 112.0, true),
            (Better::Lower, 50.0, false),
            (Better::Higher, 91.0, false),
            (Better::Higher, 88.0, true),
            (Better::Higher, 200.0, false),
        ] {
            assert_eq!(is_regression(&before, better, &[value]), expected, "{better:?} {value}");
        }
    }

    #[test]
    fn the_spread_of_both_runs_is_noise() {
        // 120 is a fifth more than 100; the earlier run spread by 15 %, this one by (125 - 115) / 120.
        let samples = [115.0, 115.0, 120.0, 125.0, 125.0];
        assert!(is_regression(&earlier(100.0, 0.0), Better::Lower, &samples));
        assert!(!is_regression(&earlier(100.0, 15.0), Better::Lower, &samples));
    }

    #[test]
    fn anything_is_more_than_nothing_and_what_was_not_measured_is_not_compared() {
        let before = earlier(0.0, 0.0);
        assert!(is_regression(&before, Better::Lower, &[1.0]));
        assert!(!is_regression(&before, Better::Lower, &[0.0]));
        let mut other = [Measured::once("y", "ms", 1.0, None)];
        before.compare(&mut other);
        assert_eq!(other[0].change, None);
    }
}
