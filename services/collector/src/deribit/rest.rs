//! What Deribit is asked over REST: <https://docs.deribit.com/> (Market data).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mprism_model::{DataType, InstrumentId, MarketType, Source, UnixMillis, UnixNanos};
use mprism_runtime::clock;

use super::answers::{parse_answer, result_of};
use super::books::parse_depth;
use super::limits::{Refusals, pause_for};
use super::terms::{by_name, currency_of};
use super::trades::{Numbering, parse_trades};
use super::volatility::{PERIOD_MS, asked_ms, parse_candles};
use crate::orderbook::Snapshot;
use crate::rest::{Budget, Client, History, Poll, RestError};
use crate::wire::{About, ParseError, Said, Term, Terms};

/// Depths of a book that can be asked for.
const DEPTHS: [usize; 8] = [1, 5, 10, 20, 50, 100, 1_000, 10_000];
/// The series of closed candles.
const CANDLES: &str = "volatility_index_data";
/// Candles on a page of the venue's, and pages that are asked for at once: a week.
const PAGES_MAX: usize = 10;
/// How far back the newest candle is looked for.
const LOOK_BACK_MS: i64 = 10 * PERIOD_MS;

/// Deribit's history.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client,
    budget: Arc<Budget>,
    /// Levels a side of a snapshot: one of the depths that can be asked for.
    depth: usize,
}

impl Rest {
    pub(crate) fn new(base: String, snapshot_limit: usize, budget: Arc<Budget>) -> Result<Self, RestError> {
        Ok(Self {
            client: Client::new(base)?,
            budget,
            depth: depth_of(snapshot_limit),
        })
    }

    /// Calls a public method, and returns the body and when it was received.
    async fn call(&self, method: &str, params: &[(&str, &str)]) -> Result<(String, UnixNanos), RestError> {
        let path = format!("/api/v2/public/{method}");
        let answer = self.client.get::<Refusals>(&self.budget, &path, params, 1).await;
        let received = UnixNanos(clock::now_ns());
        match answer {
            Ok(body) => {
                let text = String::from_utf8(body).map_err(|e| RestError::Answer(e.into()))?;
                Ok((text, received))
            }
            // A pause is asked for by the code of a refusal, whatever the HTTP status of that is.
            Err(RestError::Status { status, text }) => match pause_for(&text) {
                Some(pause) => {
                    self.budget.pause(pause);
                    Err(RestError::Limited { status, pause })
                }
                None => Err(RestError::Status { status, text }),
            },
            Err(other) => Err(other),
        }
    }

    /// Fetches the closed candles that begin after `after`, oldest first.
    async fn candles(&self, index: &InstrumentId, after: Option<UnixMillis>) -> Result<Vec<Said>, RestError> {
        let currency = InstrumentId::new(&currency_of(index.as_str())).map_err(ParseError::from)?;
        let now = clock::now_ms();
        let start = after.map_or(now - LOOK_BACK_MS, |after| after.0 + 1).to_string();
        let (mut end, mut pages) = (now, Vec::new());
        // Pages go backwards.
        while pages.len() < PAGES_MAX {
            let end_text = end.to_string();
            let params = [
                ("currency", currency.as_str()),
                ("start_timestamp", start.as_str()),
                ("end_timestamp", end_text.as_str()),
                ("resolution", "60"),
            ];
            let (body, received) = self.call("get_volatility_index_data", &params).await?;
            let (result, us_out) = result_of(&body)?;
            let terms = Terms::default();
            let about = about(received, Source::Backfill, &terms);
            let (mut said, asked) = (Vec::new(), asked_ms(us_out, about.ts_recv));
            let page = parse_candles(result.get(), &currency, PERIOD_MS, asked, &about, &mut said)?;
            pages.push(said);
            match page.before.filter(|before| *before < end) {
                Some(before) => end = before,
                None => break,
            }
        }
        let mut found: Vec<Said> = pages.into_iter().rev().flatten().collect();
        if after.is_none() {
            found.drain(..found.len().saturating_sub(1));
        }
        Ok(found)
    }
}

impl History for Rest {
    const TRADES_MAX: usize = 1_000;
    const DIFFS_ARE_NET: bool = true;

    async fn snapshot(&self, instrument: &InstrumentId) -> Result<Snapshot, RestError> {
        let depth = self.depth.to_string();
        let params = [("instrument_name", instrument.as_str()), ("depth", depth.as_str())];
        let (body, received) = self.call("get_order_book", &params).await?;
        let (result, _) = result_of(&body)?;
        let terms = Terms::default();
        match parse_depth(result.get(), Some(self.depth), &about(received, Source::Rest, &terms))? {
            Said::Depth(Some(named), snapshot) if named == *instrument => Ok(*snapshot),
            _ => Err(ParseError::Unknown.into()),
        }
    }

    async fn trades(&self, instrument: &InstrumentId, from: u64, to: u64) -> Result<Vec<Said>, RestError> {
        let (from, to, count) = (from.to_string(), to.to_string(), Self::TRADES_MAX.to_string());
        let params = [
            ("instrument_name", instrument.as_str()),
            ("start_seq", from.as_str()),
            ("end_seq", to.as_str()),
            ("count", count.as_str()),
            ("sorting", "asc"),
        ];
        let (body, received) = self.call("get_last_trades_by_instrument", &params).await?;
        let (result, _) = result_of(&body)?;
        let page: TradePage<'_> = super::messages::read("list of trades", result.get())?;
        let (mut said, terms) = (Vec::new(), Terms::default());
        let about = about(received, Source::Backfill, &terms);
        parse_trades(page.trades.get(), Numbering::Live, &about, &mut said)?;
        Ok(in_order(said))
    }

    fn polls(&self) -> Vec<Poll> {
        let every = Duration::from_secs(60);
        vec![Poll {
            data_type: DataType::VolatilityIndex,
            series: CANDLES,
            every,
            period: Some(every),
        }]
    }

    async fn poll(
        &self,
        poll: Poll,
        instrument: &InstrumentId,
        after: Option<UnixMillis>,
    ) -> Result<Vec<Said>, RestError> {
        match poll.series {
            CANDLES => self.candles(instrument, after).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Lists are had by currency and kind. A volatility index has no terms.
    async fn terms(&self, instruments: &[InstrumentId]) -> Result<Vec<(InstrumentId, Term)>, RestError> {
        let mut lists: BTreeMap<(String, &str), Vec<&InstrumentId>> = BTreeMap::new();
        for instrument in instruments {
            if let Some(list) = list_of(instrument) {
                lists.entry(list).or_default().push(instrument);
            }
        }
        let mut found = Vec::new();
        for ((currency, kind), asked) in lists {
            let params = [("currency", currency.as_str()), ("kind", kind), ("expired", "false")];
            let (body, received) = self.call("get_instruments", &params).await?;
            let (mut said, terms) = (Vec::new(), Terms::default());
            parse_answer(&body, &about(received, Source::Rest, &terms), &mut said)?;
            let listed = said.into_iter().flat_map(|said| match said {
                Said::Terms(terms) => terms,
                _ => Vec::new(),
            });
            found.extend(listed.filter(|(instrument, _)| asked.contains(&instrument)));
        }
        Ok(found)
    }
}

/// The result of `get_last_trades_by_instrument`.
#[derive(Debug, serde::Deserialize)]
struct TradePage<'a> {
    #[serde(borrow)]
    trades: &'a serde_json::value::RawValue,
}

/// Names are enough to know what a venue's sizes mean.
fn about(received: UnixNanos, source: Source, terms: &Terms) -> About<'_> {
    About {
        ts_recv: Some(received),
        source,
        terms,
        instrument: None,
        path: None,
    }
}

/// Returns trades by their numbers, each with what else it says behind it, whatever order the venue gave them in.
fn in_order(said: Vec<Said>) -> Vec<Said> {
    let mut rows: Vec<(u64, Vec<Said>)> = Vec::new();
    for said in said {
        match (&said, rows.last_mut()) {
            (Said::Trade { number, .. }, _) => rows.push((*number, vec![said])),
            (_, Some((_, row))) => row.push(said),
            (_, None) => {}
        }
    }
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().flat_map(|(_, row)| row).collect()
}

/// Returns the smallest depth that has so many levels, where there is one.
fn depth_of(levels: usize) -> usize {
    let depth = DEPTHS.into_iter().find(|depth| *depth >= levels);
    depth.unwrap_or(DEPTHS[DEPTHS.len() - 1])
}

/// Returns the currency and the kind of the list that names an instrument: linear ones are listed by their quote currency.
fn list_of(instrument: &InstrumentId) -> Option<(String, &'static str)> {
    let name = instrument.as_str();
    let known = by_name(name).ok()?;
    let kind = match known.market_type {
        MarketType::Perpetual | MarketType::Future => "future",
        MarketType::Options if name.contains('-') => "option",
        MarketType::Options => return None,
        MarketType::Spot => "spot",
    };
    let pair = name.split('-').next().unwrap_or(name);
    let currency = match pair.split_once('_') {
        Some((base, _)) if kind == "spot" => base,
        Some((_, quote)) => quote,
        None => pair,
    };
    Some((currency.to_owned(), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instrument_is_listed_by_currency_and_kind() {
        let list = |name: &str| list_of(&InstrumentId::new(name).expect("valid"));
        let named = |currency: &str, kind| Some((currency.to_owned(), kind));
        assert_eq!(list("BTC-PERPETUAL"), named("BTC", "future"));
        assert_eq!(list("SOL_USDC-PERPETUAL"), named("USDC", "future"));
        assert_eq!(list("ETH-25DEC26"), named("ETH", "future"));
        assert_eq!(list("ETH-25DEC26-4000-P"), named("ETH", "option"));
        assert_eq!(list("BTC_USDC"), named("BTC", "spot"));
        assert_eq!(list("BTC"), None, "a volatility index");
    }

    #[test]
    fn a_depth_is_one_that_can_be_asked_for() {
        let depths = [1, 400, 1_000, 5_000, 50_000].map(depth_of);
        assert_eq!(depths, [1, 1_000, 1_000, 10_000, 10_000]);
    }
}
