//! The state of the dashboard: the last look, what came before, and what was chosen. Knows no terminal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::sample::{Sample, TypeFlow};
use crate::error::Exit;

/// Looks that are remembered: as many as a wide terminal has columns.
const HISTORY_MAX: usize = 300;

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `q`.
    Quit,
    /// Ctrl-C, which is a key while a dashboard is shown.
    Interrupt,
    /// `?` or `h`.
    Help,
    /// `s`.
    Sort,
    /// `p` or the space bar.
    Pause,
    /// Escape, or any key that means nothing.
    Close,
    /// The terminal has another size, or wants to be drawn again.
    Redraw,
}

/// The order of types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sorting {
    /// As everywhere.
    #[default]
    Type,
    /// The busiest first.
    Rate,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct Dashboard {
    /// Whose.
    pub home: String,
    /// Between two looks.
    pub interval: Duration,
    /// The last look; none before the first.
    pub last: Option<Sample>,
    /// The order of types.
    pub sorting: Sorting,
    /// Whether what is shown stays as it is.
    pub is_paused: bool,
    /// Whether the keys are explained.
    pub is_helping: bool,
    rates: BTreeMap<&'static str, VecDeque<f64>>,
    total: VecDeque<f64>,
    latency: VecDeque<f64>,
}

impl Dashboard {
    /// Starts with nothing seen.
    pub fn new(home: String, interval: Duration) -> Self {
        Self {
            home,
            interval,
            ..Self::default()
        }
    }

    /// Takes a look, unless what is shown is to stay.
    pub fn take(&mut self, sample: Sample) {
        if self.is_paused {
            return;
        }
        for flow in &sample.flow {
            remember(self.rates.entry(flow.r#type).or_default(), flow.rows_per_s);
        }
        remember(&mut self.total, sample.rows_per_s);
        remember(&mut self.latency, sample.latency_ms.p99);
        self.last = Some(sample);
    }

    /// Does what a person wants; returns how the dashboard ends, where it does.
    pub fn press(&mut self, input: Input) -> Option<Exit> {
        match input {
            Input::Quit => return Some(Exit::Success),
            Input::Interrupt => return Some(Exit::Interrupted),
            Input::Help => self.is_helping = !self.is_helping,
            Input::Close => self.is_helping = false,
            Input::Pause => self.is_paused = !self.is_paused,
            Input::Sort => {
                self.sorting = match self.sorting {
                    Sorting::Type => Sorting::Rate,
                    Sorting::Rate => Sorting::Type,
                };
            }
            Input::Redraw => {}
        }
        None
    }

    /// Returns the types in the order that was chosen.
    pub fn flow(&self) -> Vec<&TypeFlow> {
        let mut flow: Vec<&TypeFlow> = self.last.iter().flat_map(|sample| &sample.flow).collect();
        if self.sorting == Sorting::Rate {
            let rate = |flow: &TypeFlow| flow.rows_per_s.unwrap_or(0.0);
            flow.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
        }
        flow
    }

    /// Returns the rates of a type, the oldest first.
    pub fn rates(&self, data_type: &str) -> Vec<f64> {
        let found = self.rates.get(data_type);
        found.map(|rates| rates.iter().copied().collect()).unwrap_or_default()
    }

    /// Returns the rates of all types together, the oldest first.
    pub fn total(&self) -> Vec<f64> {
        self.total.iter().copied().collect()
    }

    /// Returns the 99th percentiles of the latency, the oldest first.
    pub fn latency(&self) -> Vec<f64> {
        self.latency.iter().copied().collect()
    }
}

fn remember(history: &mut VecDeque<f64>, value: Option<f64>) {
    let Some(value) = value else { return };
    if history.len() == HISTORY_MAX {
        history.pop_front();
    }
    history.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rates: [f64; 2]) -> Sample {
        let of = |r#type, rate| TypeFlow {
            r#type,
            rows_per_s: Some(rate),
            ..TypeFlow::default()
        };
        Sample {
            flow: vec![of("orderbook", rates[0]), of("trade", rates[1])],
            ..Sample::default()
        }
    }

    #[test]
    fn history_is_bounded_and_a_pause_keeps_what_is_shown() {
        let mut dashboard = Dashboard::new("x".into(), Duration::from_secs(1));
        for rate in 0..400 {
            dashboard.take(sample([f64::from(rate), 1.0]));
        }
        let rates = dashboard.rates("orderbook");
        assert_eq!(
            (rates.len(), rates.first(), rates.last()),
            (300, Some(&100.0), Some(&399.0))
        );
        assert_eq!(dashboard.press(Input::Pause), None);
        dashboard.take(sample([7.0, 7.0]));
        assert_eq!(
            dashboard.last.as_ref().map(|last| last.flow[0].rows_per_s),
            Some(Some(399.0))
        );
        assert_eq!(dashboard.press(Input::Pause), None);
        dashboard.take(sample([7.0, 7.0]));
        assert_eq!(dashboard.rates("orderbook").last(), Some(&7.0));
        assert_eq!(dashboard.rates("nothing"), [] as [f64; 0]);
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let mut dashboard = Dashboard::new("x".into(), Duration::from_secs(1));
        dashboard.take(sample([1.0, 9.0]));
        let order = |dashboard: &Dashboard| -> Vec<&str> { dashboard.flow().iter().map(|flow| flow.r#type).collect() };
        assert_eq!(order(&dashboard), ["orderbook", "trade"]);
        dashboard.press(Input::Sort);
        assert_eq!(order(&dashboard), ["trade", "orderbook"]);
        dashboard.press(Input::Help);
        assert!(dashboard.is_helping);
        dashboard.press(Input::Close);
        assert!(!dashboard.is_helping);
        assert_eq!(dashboard.press(Input::Quit), Some(Exit::Success));
        assert_eq!(dashboard.press(Input::Interrupt), Some(Exit::Interrupted));
    }
}
