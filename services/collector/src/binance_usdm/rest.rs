//! What this market is asked over REST: <https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data>.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mprism_model::{DataType, InstrumentId, Source, UnixMillis, UnixNanos};
use mprism_runtime::clock;

use super::answer::parse_answer;
use super::instruments::{USUAL_FUNDING_HOURS, expiry};
use super::limits::{AGGREGATES_WEIGHT, LIST_WEIGHT, Limits, depth};
use super::polls;
use crate::binance::{Counted, Depth, Weighed};
use crate::orderbook::Snapshot;
use crate::rest::{Budget, Client, History, Poll, RestError, Throttle};
use crate::wire::{About, Said, Term, Terms};

/// Binance USDⓈ-M futures' history.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client,
    limits: Limits,
    /// Levels a side of a snapshot.
    snapshot_limit: usize,
    /// Why parts of answers were not understood so far.
    complained: Mutex<HashSet<&'static str>>,
}

impl Rest {
    pub(crate) fn new(base: String, snapshot_limit: usize, limits: Limits) -> Result<Self, RestError> {
        Ok(Self {
            client: Client::new(base)?,
            limits,
            snapshot_limit,
            complained: Mutex::default(),
        })
    }

    /// Asks for something that is weighed.
    pub(super) async fn weighed(&self, path: &str, query: &[(&str, &str)], weight: u32) -> Result<String, RestError> {
        self.ask::<Weighed>(&self.limits.weight, path, query, weight).await
    }

    /// Asks for funding, which is counted apart.
    pub(super) async fn funding(&self, path: &str, query: &[(&str, &str)]) -> Result<String, RestError> {
        self.ask::<Counted>(&self.limits.funding, path, query, 1).await
    }

    /// Asks for what is only counted.
    pub(super) async fn data(&self, path: &str, query: &[(&str, &str)]) -> Result<String, RestError> {
        self.ask::<Counted>(&self.limits.data, path, query, 1).await
    }

    /// Reads an answer that was received just now; `path` has the question's parameters where the answer does not repeat them.
    /// Of several rows those that are understood count: a bad one is never understood, however often it is asked for.
    pub(super) fn read(
        &self,
        text: &str,
        source: Source,
        about: (&Terms, Option<&InstrumentId>),
        path: &str,
    ) -> Result<Vec<Said>, RestError> {
        let (terms, instrument) = about;
        let about = About {
            ts_recv: Some(UnixNanos(clock::now_ns())),
            source,
            terms,
            instrument,
            path: Some(path),
        };
        let mut said = Vec::new();
        match parse_answer(text, &about, &mut said) {
            Err(error) if said.is_empty() => return Err(error.into()),
            Err(error) => {
                let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
                if complained.insert(error.cause()) {
                    let (cause, error) = (error.cause(), mprism_runtime::log::chain(&error));
                    tracing::warn!(path, cause, error, "a part of an answer is not understood");
                }
            }
            Ok(()) => {}
        }
        Ok(said)
    }

    async fn ask<T: Throttle>(
        &self,
        budget: &Budget,
        path: &str,
        query: &[(&str, &str)],
        weight: u32,
    ) -> Result<String, RestError> {
        let answer = self.client.get::<T>(budget, path, query, weight).await;
        if let Err(RestError::Limited { pause, .. }) = &answer {
            self.limits.pause(*pause);
        }
        String::from_utf8(answer?).map_err(|e| RestError::Answer(e.into()))
    }
}

impl History for Rest {
    const TRADES_MAX: usize = 1_000;

    async fn snapshot(&self, instrument: &InstrumentId) -> Result<Snapshot, RestError> {
        let (levels, weight) = depth(self.snapshot_limit);
        let limit = levels.to_string();
        let query = [("symbol", instrument.as_str()), ("limit", &limit)];
        let body = self.weighed("/fapi/v1/depth", &query, weight).await?;
        Ok(Depth::read(body.as_bytes(), levels, Some(UnixNanos(clock::now_ns())))?)
    }

    /// The venue answers about a day back; what is older stays missing.
    async fn trades(&self, instrument: &InstrumentId, from: u64, to: u64) -> Result<Vec<Said>, RestError> {
        let count = to.saturating_sub(from).saturating_add(1).min(Self::TRADES_MAX as u64);
        let (first, limit) = (from.to_string(), count.to_string());
        let query = [("symbol", instrument.as_str()), ("fromId", &first), ("limit", &limit)];
        let path = "/fapi/v1/aggTrades";
        let body = self.weighed(path, &query, AGGREGATES_WEIGHT).await?;
        let said = self.read(&body, Source::Backfill, (&Terms::default(), Some(instrument)), path)?;
        let numbered = said.into_iter().filter_map(|said| match said {
            Said::Aggregate { trade, is_sized, .. } => Some(trade.trade_id.parse().map(|number| Said::Trade {
                trade,
                number,
                is_sized,
            })),
            _ => None,
        });
        numbered
            .collect::<Result<_, std::num::ParseIntError>>()
            .map_err(|e| RestError::Answer(e.into()))
    }

    fn polls(&self) -> Vec<Poll> {
        polls::all()
    }

    async fn poll(
        &self,
        poll: Poll,
        instrument: &InstrumentId,
        after: Option<UnixMillis>,
    ) -> Result<Vec<Said>, RestError> {
        match poll.data_type {
            DataType::FundingRate => polls::settled(self, instrument, after).await,
            DataType::OpenInterest => polls::open_interest(self, instrument, after).await,
            _ => polls::ratios(self, poll, instrument, after).await,
        }
    }

    async fn terms(&self, instruments: &[InstrumentId]) -> Result<Vec<(InstrumentId, Term)>, RestError> {
        let path = "/fapi/v1/exchangeInfo";
        let list = self.weighed(path, &[], LIST_WEIGHT).await?;
        let mut terms = Terms::default();
        learn(
            self.read(&list, Source::Rest, (&Terms::default(), None), path)?,
            &mut terms,
        );
        let path = "/fapi/v1/fundingInfo";
        let unusual = self.funding(path, &[]).await?;
        let listed = terms.clone();
        learn(self.read(&unusual, Source::Rest, (&listed, None), path)?, &mut terms);
        let term = |instrument: &InstrumentId| {
            let mut term = terms.get(instrument)?.clone();
            if expiry(instrument.as_str()).is_none() {
                term.funding_hours.get_or_insert(USUAL_FUNDING_HOURS);
            }
            Some((instrument.clone(), term))
        };
        Ok(instruments.iter().filter_map(term).collect())
    }
}

fn learn(said: Vec<Said>, terms: &mut Terms) {
    for said in said {
        if let Said::Terms(learnt) = said {
            learnt
                .into_iter()
                .for_each(|(instrument, term)| terms.set(instrument, term));
        }
    }
}

/// Milliseconds of a duration of ours.
pub(super) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
