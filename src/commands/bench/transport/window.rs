//! What came in a time by which way, and how late it was.

use std::collections::HashMap;

use mprism_model::{ProducerId, Subject, UnixMillis};
use mprism_runtime::clock;
use serde::Serialize;

use super::listen::{Came, Way};
use super::samples::{Percentiles, Samples};
use crate::report::Cell;

/// A message that came by one way only is no pair any more after this time.
const PAIRED_WITHIN_NS: i64 = 10_000_000_000;

/// The two ways side by side in a span of time.
#[derive(Debug, Serialize)]
pub(in super::super) struct Window {
    from: String,
    to: String,
    window_s: f64,
    subjects: Vec<Compared>,
}

/// One subject in it; times in milliseconds, from the venue's socket to here.
#[derive(Debug, Serialize)]
struct Compared {
    subject: String,
    jetstream: Percentiles,
    core: Percentiles,
    /// How much later the same message came by JetStream; below zero, earlier.
    jetstream_later: Percentiles,
    /// What came by one way and not by the other.
    only_jetstream: u64,
    only_core: u64,
}

impl Window {
    /// Of a table.
    pub(in super::super) const HEADER: [&'static str; 8] = [
        "window", "subject", "way", "messages", "p50 ms", "p90 ms", "p95 ms", "p99 ms",
    ];

    /// Returns its rows of a table.
    pub(in super::super) fn rows(&self) -> Vec<Vec<Cell>> {
        let ways = |compared: &Compared| {
            [
                ("JetStream", compared.jetstream),
                ("core NATS", compared.core),
                ("JetStream later by", compared.jetstream_later),
            ]
            .map(|(way, percentiles)| {
                let ms = |value: Option<f64>| Cell::number(value.map_or("–".to_owned(), |ms| format!("{ms:.2}")));
                let Percentiles {
                    count,
                    p50,
                    p90,
                    p95,
                    p99,
                } = percentiles;
                let mut cells = vec![
                    Cell::plain(self.to.clone()),
                    Cell::plain(compared.subject.clone()),
                    Cell::plain(way),
                    Cell::number(count),
                ];
                cells.extend([p50, p90, p95, p99].map(ms));
                cells
            })
        };
        self.subjects.iter().flat_map(ways).collect()
    }

    /// Returns it in one line.
    pub(super) fn line(&self) -> String {
        let of = |compared: &Compared| {
            let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.2}"));
            let pair = |way: &Percentiles| format!("p50 {} ms, p99 {} ms", ms(way.p50), ms(way.p99));
            format!(
                "{}: JetStream {}; core NATS {}",
                compared.subject,
                pair(&compared.jetstream),
                pair(&compared.core)
            )
        };
        let subjects: Vec<String> = self.subjects.iter().map(of).collect();
        format!("until {}: {}", self.to, subjects.join(" | "))
    }

    /// Returns a percentile of a subject by one way.
    pub(super) fn quantile(&self, subject: &str, way: &str, quantile: &str) -> Option<f64> {
        let compared = self.subjects.iter().find(|compared| compared.subject == subject)?;
        let percentiles = match way {
            "core" => compared.core,
            _ => compared.jetstream,
        };
        percentiles.named(quantile)
    }
}

/// What came since the last window was closed.
#[derive(Debug)]
pub(super) struct Comparison {
    from_ms: i64,
    subjects: Vec<Side>,
}

#[derive(Debug)]
struct Side {
    subject: String,
    jetstream: Samples,
    core: Samples,
    later: Samples,
    /// What came by one way so far, and when.
    alone: HashMap<ProducerId, (Way, i64)>,
    only_jetstream: u64,
    only_core: u64,
}

impl Comparison {
    pub(super) fn new(subjects: &[Subject]) -> Self {
        let side = |subject: &Subject| Side {
            subject: subject.to_string(),
            jetstream: Samples::default(),
            core: Samples::default(),
            later: Samples::default(),
            alone: HashMap::new(),
            only_jetstream: 0,
            only_core: 0,
        };
        Self {
            from_ms: clock::now_ms(),
            subjects: subjects.iter().map(side).collect(),
        }
    }

    /// Takes what came.
    pub(super) fn note(&mut self, came: &Came) {
        let Some(side) = self.subjects.get_mut(came.subject) else {
            return;
        };
        if let Some(sent_ns) = came.ts_recv_ns {
            let samples = match came.way {
                Way::Jetstream => &mut side.jetstream,
                Way::Core => &mut side.core,
            };
            samples.push((came.at_ns - sent_ns) / 1_000);
        }
        let Some(identity) = came.identity else { return };
        match side.alone.remove(&identity) {
            Some((way, at_ns)) if way != came.way => {
                let later_ns = match came.way {
                    Way::Jetstream => came.at_ns - at_ns,
                    Way::Core => at_ns - came.at_ns,
                };
                side.later.push(later_ns / 1_000);
            }
            // The first of the two; or the same way again, after a reconnect: the first time counts.
            earlier => {
                side.alone.insert(identity, earlier.unwrap_or((came.way, came.at_ns)));
            }
        }
    }

    /// Gives up waiting for the other one of what came alone long ago.
    pub(super) fn give_up(&mut self, now_ns: i64) {
        for side in &mut self.subjects {
            let (mut only_jetstream, mut only_core) = (0, 0);
            side.alone.retain(|_, (way, at_ns)| {
                let is_waiting = now_ns - *at_ns < PAIRED_WITHIN_NS;
                match way {
                    _ if is_waiting => {}
                    Way::Jetstream => only_jetstream += 1,
                    Way::Core => only_core += 1,
                }
                is_waiting
            });
            side.only_jetstream += only_jetstream;
            side.only_core += only_core;
        }
    }

    /// Ends a window and begins the next.
    pub(super) fn close(&mut self) -> Window {
        let to_ms = clock::now_ms();
        let from_ms = std::mem::replace(&mut self.from_ms, to_ms);
        let compared = |side: &mut Side| Compared {
            subject: side.subject.clone(),
            jetstream: side.jetstream.take(),
            core: side.core.take(),
            jetstream_later: side.later.take(),
            only_jetstream: std::mem::take(&mut side.only_jetstream),
            only_core: std::mem::take(&mut side.only_core),
        };
        Window {
            from: UnixMillis(from_ms).to_rfc3339(),
            to: UnixMillis(to_ms).to_rfc3339(),
            window_s: (to_ms - from_ms) as f64 / 1_000.0,
            subjects: self.subjects.iter_mut().map(compared).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mprism_model::Epoch;

    const MS: i64 = 1_000_000;

    fn came(way: Way, seq: u64, at_ms: i64) -> Came {
        Came {
            subject: 0,
            way,
            identity: Some(ProducerId { epoch: Epoch(1), seq }),
            ts_recv_ns: Some(0),
            at_ns: at_ms * MS,
        }
    }

    fn comparison() -> Comparison {
        Comparison::new(&["trade.binance_spot.spot.BTC-USDT".parse().expect("a subject")])
    }

    #[test]
    fn the_same_message_by_both_ways_is_a_pair_in_whichever_order_it_comes() {
        let mut comparison = comparison();
        for (way, seq, at_ms) in [
            (Way::Core, 1, 10),
            (Way::Jetstream, 1, 13),
            (Way::Jetstream, 2, 20),
            (Way::Core, 2, 21),
        ] {
            comparison.note(&came(way, seq, at_ms));
        }
        let window = comparison.close();
        let compared = &window.subjects[0];
        assert_eq!((compared.jetstream.count, compared.core.count), (2, 2));
        assert_eq!((compared.jetstream.p50, compared.core.p99), (Some(13.0), Some(21.0)));
        let later = compared.jetstream_later;
        assert_eq!((later.p50, later.p99), (Some(-1.0), Some(3.0)));
        assert!(comparison.subjects[0].alone.is_empty());
    }

    #[test]
    fn what_comes_by_one_way_is_told_once_it_is_late_and_only_in_one_window() {
        let mut comparison = comparison();
        comparison.note(&came(Way::Jetstream, 1, 0));
        comparison.note(&came(Way::Core, 2, 9_000));
        comparison.give_up(10_000 * MS);
        let first = comparison.close();
        assert_eq!((first.subjects[0].only_jetstream, first.subjects[0].only_core), (1, 0));
        comparison.give_up(19_000 * MS);
        let second = comparison.close();
        assert_eq!(
            (second.subjects[0].only_jetstream, second.subjects[0].only_core),
            (0, 1)
        );
    }
}
