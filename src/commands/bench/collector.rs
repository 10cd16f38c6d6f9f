//! What the collector does with frames, on one core, without a socket, a spool or a broker.

use std::path::Path;
use std::time::Duration;

use mprism_collector::recorded::Circumstances;
use mprism_collector::wire::Terms;
use mprism_collector::workload::{BookWorkload, Frame, FrameCosts, crowd, read};
use mprism_model::Exchange;

use super::report::Found;
use super::{Better, Measured, SAMPLES};
use super::{frames, plot};
use crate::cli::BenchArgs;
use crate::commands::Context;
use crate::error::CliError;

/// How long each thing is done for one sample.
const EACH: Duration = Duration::from_millis(200);
/// Trade frames a second, from their text to a message's text and id, on one core.
const TRADES_BUDGET: f64 = 1_800_000.0;
/// Diffs applied a second, on one core.
const DIFFS_BUDGET: f64 = 400_000.0;
/// Of a core: eight books of 400 levels a side, ten times a second.
const PUBLISHING_BUDGET_PERCENT: f64 = 10.0;
const PUBLISHED_A_SECOND: f64 = 80.0;
/// Bytes of a book in memory, and of its message on the wire.
const BOOK_BYTES_BUDGET: f64 = 100_000.0;
const MESSAGE_BYTES_BUDGET: f64 = 44_000.0;

/// Measures everything of it, and what recorded frames cost where there are some.
pub(super) fn all(args: &BenchArgs, context: &Context) -> Result<Found, CliError> {
    let mut results = measure(context);
    results.extend(recorded(args.frames.as_deref(), context)?);
    if let Some(folder) = &args.plot {
        let path = plot::draw_into(
            folder,
            "collector-by-symbols.svg",
            "CPU per trade in the collector, by symbols",
            "ns",
            &growth(context),
        )?;
        context.printer.note(&format!("{} is written", path.display()));
    }
    Ok(results.into())
}

/// Measures parsing trades, and following and publishing order books.
fn measure(context: &Context) -> Vec<Measured> {
    let work = BookWorkload::synthetic();
    let frames = trade_frames();
    let (mut diffs, mut changes, mut publishing, mut parsed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut book_bytes, mut message_bytes) = (0.0, 0.0);
    for round in 1..=SAMPLES {
        let costs = work.measure(EACH);
        let applying = costs.applying.as_secs_f64();
        diffs.push(costs.diffs as f64 / applying);
        changes.push(costs.changes as f64 / applying);
        publishing.push(costs.publishing.as_secs_f64() * PUBLISHED_A_SECOND * 100.0);
        (book_bytes, message_bytes) = (costs.book_bytes as f64, costs.message_bytes as f64);
        parsed.push(rate(read(Exchange::BinanceSpot, &Terms::default(), &frames, EACH)));
        context.printer.note(&format!("{round}/{SAMPLES}"));
    }
    vec![
        Measured::of(
            "orderbook_diffs",
            "diffs/s",
            Better::Higher,
            &diffs,
            Some(DIFFS_BUDGET),
            None,
        ),
        Measured::of("orderbook_changes", "levels/s", Better::Higher, &changes, None, None),
        Measured::of(
            "orderbook_publishing",
            "% of a core",
            Better::Lower,
            &publishing,
            Some(PUBLISHING_BUDGET_PERCENT),
            None,
        ),
        Measured::of(
            "orderbook_memory",
            "bytes",
            Better::Lower,
            &[book_bytes],
            Some(BOOK_BYTES_BUDGET),
            None,
        ),
        Measured::of(
            "orderbook_message",
            "bytes",
            Better::Lower,
            &[message_bytes],
            Some(MESSAGE_BYTES_BUDGET),
            None,
        ),
        Measured::of(
            "trade_frames",
            "frames/s",
            Better::Higher,
            &parsed,
            Some(TRADES_BUDGET),
            None,
        ),
        Measured::of(
            "row_of_500_instruments",
            "× that of 2",
            Better::Lower,
            &crowding(),
            Some(CROWD_BUDGET),
            None,
        ),
    ]
}

/// Instruments of which trades come in turn, few and many.
const FEW: usize = 2;
const MANY: usize = 500;
/// What a row of many instruments may cost, in those of few.
const CROWD_BUDGET: f64 = 1.2;

/// Measures parsing recorded frames, by exchange, market and type.
fn recorded(folder: Option<&Path>, context: &Context) -> Result<Vec<Measured>, CliError> {
    let mut results = Vec::new();
    let Some(folder) = folder else {
        return Ok(results);
    };
    for (name, stream) in frames::of(folder)? {
        let rate = |_| rate(read(stream.exchange, &stream.terms, &stream.frames, EACH));
        let rates: Vec<f64> = (0..SAMPLES).map(rate).collect();
        context.printer.note(&name);
        results.push(Measured::of(name, "frames/s", Better::Higher, &rates, None, None));
    }
    Ok(results)
}

/// Returns how many frames were read a second.
fn rate(costs: FrameCosts) -> f64 {
    costs.frames as f64 / costs.took.as_secs_f64()
}

/// Returns what a row of many instruments costs, in those of few; both measured in turn.
fn crowding() -> Vec<f64> {
    let cost = |instruments| {
        let (count, took) = crowd(instruments, EACH);
        took.as_secs_f64() / count as f64
    };
    (0..SAMPLES).map(|_| cost(MANY) / cost(FEW)).collect()
}

/// Symbols of which trades come in turn, for the plot.
const SYMBOLS: [usize; 8] = [2, 5, 10, 20, 50, 100, 200, 500];
const GROWTH_SAMPLES: usize = 5;

/// Returns what a row costs by the number of symbols, in nanoseconds: the median of samples that are taken in turn.
fn growth(context: &Context) -> Vec<(usize, f64)> {
    let mut samples = SYMBOLS.map(|_| Vec::new());
    for round in 1..=GROWTH_SAMPLES {
        for (symbols, samples) in SYMBOLS.iter().zip(&mut samples) {
            let (count, took) = crowd(*symbols, EACH);
            samples.push(took.as_secs_f64() * 1e9 / count as f64);
        }
        context.printer.note(&format!("by symbols: {round}/{GROWTH_SAMPLES}"));
    }
    let medians = samples.iter().map(|samples| super::median_of(samples));
    SYMBOLS.into_iter().zip(medians).collect()
}

/// Frames as the venue sends them, from a combined stream.
fn trade_frames() -> Vec<Frame> {
    let frame = |n: u64| {
        let (id, cents) = (5_601_234_567 + n, n % 100);
        let text = format!(
            r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1795176000123,"s":"BTCUSDT","t":{id},"p":"64000.{cents:02}000000","q":"0.01500000","T":1795176000121,"m":true,"M":true}}}}"#
        );
        Frame::new(text, Circumstances::default())
    };
    (0..1_000).map(frame).collect()
}
