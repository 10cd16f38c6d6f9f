//! Why a side of an order book is a sorted vector: the same changes on a `BTreeMap`, in the same run.
//!
//! `cargo bench -p mprism-collector --bench orderbook`. Prints medians of ten runs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use mprism_collector::orderbook::Side;
use mprism_model::{Level, Written};

const RUNS: usize = 10;
const CHANGES: usize = 400_000;

/// Changes at prices around 64,000.00, near the best price or anywhere among 1,000 levels.
fn changes(is_near: bool) -> Vec<Level> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let change = |_| {
        let depth = if is_near {
            below(20) * below(20) / 4
        } else {
            below(1_000)
        };
        let text = |units: u64| format!("{}.{:02}000000", units / 100, units % 100);
        Level {
            price: Written::new(&text(6_400_000 - depth)).expect("valid"),
            quantity: Written::new(&text(below(4) * 50)).expect("valid"),
        }
    };
    (0..CHANGES).map(change).collect()
}

fn main() {
    for (name, is_near) in [("near the best price", true), ("anywhere", false)] {
        let changes = changes(is_near);
        let (mut vector, mut tree) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            vector.push(time(|| on_a_vector(&changes)));
            tree.push(time(|| on_a_tree(&changes)));
        }
        let (vector, tree) = (median(vector), median(tree));
        let per = |took: Duration| took.as_nanos() as f64 / CHANGES as f64;
        let line = format!(
            "{name}: sorted vector {:.1} ns a change, BTreeMap {:.1} ns, ratio {:.2}\n",
            per(vector),
            per(tree),
            per(tree) / per(vector)
        );
        std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("a terminal");
    }
}

/// Applies all changes, and reads the best 400 levels after every thousandth.
fn on_a_vector(changes: &[Level]) {
    let mut side = Side::bids();
    for (at, change) in changes.iter().enumerate() {
        side.set(*change);
        if at % 1_000 == 0 {
            black_box(side.top(400).copied().collect::<Vec<_>>());
        }
    }
}

fn on_a_tree(changes: &[Level]) {
    let mut side: BTreeMap<Written, Written> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        if change.quantity.is_zero() {
            side.remove(&change.price);
        } else {
            side.insert(change.price, change.quantity);
        }
        if at % 1_000 == 0 {
            let levels = side.iter().rev().take(400);
            black_box(levels.map(|(p, q)| (*p, *q)).collect::<Vec<_>>());
        }
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}
