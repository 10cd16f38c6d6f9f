//! Whose frames a file holds, and what is known of that venue's instruments.

use std::io::BufRead;
use std::path::Path;

use mprism_collector::recorded::{Circumstances, learn};
use mprism_collector::wire::Terms;
use mprism_model::Exchange;

use super::files::{self, RecordedFile};
use crate::error::CliError;

/// The markets of each exchange, as folders name them.
const MARKETS: [(&str, &[&str], Exchange); 5] = [
    ("binance", &["spot"], Exchange::BinanceSpot),
    ("binance", &["usdm"], Exchange::BinanceDerivatives),
    ("okx", &["spot"], Exchange::OkxSpot),
    ("okx", &["swap", "futures", "option"], Exchange::OkxDerivatives),
    (
        "deribit",
        &["perpetual", "future", "option", "index"],
        Exchange::DeribitDerivatives,
    ),
];
/// The folder beside the types' that holds lists of instruments.
const INSTRUMENTS: &str = "instrument";

/// Returns whose frames a file holds, where its path or the arguments say it.
pub(crate) fn of(file: &RecordedFile, exchange: Option<&str>, market: Option<&str>) -> Option<Exchange> {
    let is = |given: Option<&str>, name: &str| given.map_or_else(|| file.lies_in(name), |given| given == name);
    let fits = |(name, markets, _): &&(&str, &[&str], Exchange)| {
        is(exchange, name) && markets.iter().any(|name| is(market, name))
    };
    MARKETS.iter().find(fits).map(|(_, _, exchange)| *exchange)
}

/// Reads the terms of instruments: from the given file, else from the folder beside the stream's.
pub(crate) fn terms(exchange: Exchange, folder: &Path, given: Option<&Path>) -> Result<Terms, CliError> {
    let beside = folder.with_file_name(INSTRUMENTS);
    let found = match given {
        Some(path) => files::find(path)?,
        None if beside.is_dir() => files::find(&beside)?,
        None => Vec::new(),
    };
    let mut terms = Terms::default();
    for file in found {
        for line in file.open()?.split(b'\n') {
            let line = line.map_err(|e| file.unreadable(e))?;
            let text = String::from_utf8_lossy(&line);
            if text.trim().is_empty() {
                continue;
            }
            let learnt = learn(exchange, text.trim(), &Circumstances::default(), &mut terms);
            if given.is_some() {
                let failed = |e| CliError::failed("instruments", e).context(file.path.display().to_string());
                learnt.map_err(failed)?;
            }
        }
    }
    Ok(terms)
}
