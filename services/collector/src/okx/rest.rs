//! What OKX is asked over REST: <https://www.okx.com/docs-v5/en/#overview-rest-authentication>.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mprism_model::{DataType, InstrumentId, MarketType, Source, UnixMillis, UnixNanos};
use mprism_runtime::clock;
use reqwest::header::HeaderMap;

use super::instruments::{family, market_type};
use super::kept::Series;
use super::limits::{Endpoint, Limits};
use super::{answers, books, protocol};
use crate::orderbook::Snapshot;
use crate::rest::{Client, History, Poll, RestError, Throttle};
use crate::wire::{About, Said, SharedTerms, Term};

/// What the venue answers, with HTTP 200 or 429, when a limit is reached; it says no pause.
const LIMIT_REACHED: i64 = 50_011;
/// Answers of up to this many bytes are looked at for that: it comes without rows.
const REFUSAL_BYTES_MAX: usize = 1_024;
/// Length of a ratio's period.
const RATIO_PERIOD: Duration = Duration::from_secs(300);

/// OKX's history.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client,
    limits: Arc<Limits>,
    terms: SharedTerms,
    /// Levels a side of a snapshot.
    snapshot_limit: usize,
}

impl Rest {
    /// Prepares asking the venue at its base URL; `limits` are those of this address, `terms` what is known of the instruments.
    pub(crate) fn new(
        base: String,
        snapshot_limit: usize,
        limits: Arc<Limits>,
        terms: SharedTerms,
    ) -> Result<Self, RestError> {
        Ok(Self {
            client: Client::new(base)?,
            limits,
            terms,
            snapshot_limit: snapshot_limit.clamp(1, books::WINDOW),
        })
    }

    /// Asks one question; an answer that is a refusal for a limit pauses its endpoint.
    async fn ask(
        &self,
        endpoint: Endpoint,
        instrument: &InstrumentId,
        query: &[(&str, &str)],
    ) -> Result<String, RestError> {
        let limit = self.limits.of(endpoint, instrument);
        let answer = self.client.get::<Self>(&limit.budget, endpoint.path(), query, 1).await;
        let body = answer.map_err(|error| match error {
            RestError::Limited { status, pause } => RestError::Limited {
                status,
                pause: pause.max(limit.refused()),
            },
            other => other,
        })?;
        let text = String::from_utf8(body).map_err(|error| RestError::Answer(error.into()))?;
        if text.len() <= REFUSAL_BYTES_MAX && answers::refusal(&text) == Some(LIMIT_REACHED) {
            return Err(RestError::Limited {
                status: 200,
                pause: limit.refused(),
            });
        }
        limit.answered();
        Ok(text)
    }

    /// Asks for rows and reads them by their shape.
    pub(super) async fn rows(
        &self,
        endpoint: Endpoint,
        instrument: &InstrumentId,
        query: &[(&str, &str)],
    ) -> Result<Vec<Said>, RestError> {
        let text = self.ask(endpoint, instrument, query).await?;
        let terms = self.terms.now();
        let about = About {
            ts_recv: Some(UnixNanos(clock::now_ns())),
            source: Source::Rest,
            terms: &terms,
            instrument: Some(instrument),
            path: Some(endpoint.path()),
        };
        let mut said = Vec::new();
        answers::answer(&text, &about, &mut said)?;
        Ok(said)
    }
}

impl Throttle for Rest {
    fn counted(_headers: &HeaderMap) -> Option<u32> {
        None
    }

    fn pause_in(text: &str, _now_ms: i64) -> Option<Duration> {
        (answers::refusal(text) == Some(LIMIT_REACHED)).then_some(Duration::from_secs(2))
    }
}

impl History for Rest {
    const TRADES_MAX: usize = 100;
    const DIFFS_ARE_NET: bool = true;

    /// The venue's caches may answer with an older book than the one before.
    async fn snapshot(&self, instrument: &InstrumentId) -> Result<Snapshot, RestError> {
        let size = self.snapshot_limit.to_string();
        let query = [("instId", instrument.as_str()), ("sz", &size)];
        let text = self.ask(Endpoint::Books, instrument, &query).await?;
        let received = UnixNanos(clock::now_ns());
        Ok(answers::book(&text, self.snapshot_limit, received)?)
    }

    async fn trades(&self, instrument: &InstrumentId, from: u64, _to: u64) -> Result<Vec<Said>, RestError> {
        // The venue pages backwards: the newest before a number. Counted from the first that is asked for a page covers them
        // all, and what stands around holes in the numbers.
        let (after, limit) = (
            from.saturating_add(Self::TRADES_MAX as u64),
            Self::TRADES_MAX.to_string(),
        );
        let after = after.to_string();
        let query = [
            ("instId", instrument.as_str()),
            ("type", "1"),
            ("after", &after),
            ("limit", &limit),
        ];
        let text = self.ask(Endpoint::Trades, instrument, &query).await?;
        let terms = self.terms.now();
        let about = About {
            ts_recv: Some(UnixNanos(clock::now_ns())),
            source: Source::Backfill,
            terms: &terms,
            instrument: Some(instrument),
            path: Some(Endpoint::Trades.path()),
        };
        let mut said = Vec::new();
        answers::fills(&text, &about, &mut said)?;
        said.sort_by_key(|said| match said {
            Said::Trade { number, .. } => *number,
            _ => 0,
        });
        Ok(said)
    }

    /// What the running period would pay, and open interest, come by the stream.
    fn polls(&self) -> Vec<Poll> {
        let poll = |data_type, series, seconds, period| Poll {
            data_type,
            series,
            every: Duration::from_secs(seconds),
            period,
        };
        vec![
            poll(DataType::FundingRate, "funding-rate-history", 60, None),
            poll(
                DataType::LsrTopPosition,
                "long-short-position-ratio-contract-top-trader",
                20,
                Some(RATIO_PERIOD),
            ),
            poll(
                DataType::LsrAllAccount,
                "long-short-account-ratio-contract",
                20,
                Some(RATIO_PERIOD),
            ),
        ]
    }

    async fn poll(
        &self,
        poll: Poll,
        instrument: &InstrumentId,
        after: Option<UnixMillis>,
    ) -> Result<Vec<Said>, RestError> {
        match Series::of(poll.data_type) {
            Some(series) if market_type(instrument) != MarketType::Spot => {
                self.back_to(&series, instrument, after).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn terms(&self, instruments: &[InstrumentId]) -> Result<Vec<(InstrumentId, Term)>, RestError> {
        let mut lists = BTreeSet::new();
        for instrument in instruments {
            let market_type = market_type(instrument);
            // The venue lists options by family only.
            let family = (market_type == MarketType::Options).then(|| family(instrument));
            lists.insert((protocol::inst_type(market_type), family));
        }
        let mut found = Vec::new();
        for (inst_type, family) in lists {
            let mut query = vec![("instType", inst_type)];
            query.extend(family.map(|family| ("instFamily", family)));
            // The venue counts these by type; which instrument stands for it here is all the same.
            let Some(any) = instruments.first() else { break };
            let text = self.ask(Endpoint::Instruments, any, &query).await?;
            let mut terms = Vec::new();
            let result = answers::terms(&text, &mut terms);
            if terms.is_empty() {
                result?;
                continue;
            }
            found.extend(
                terms
                    .into_iter()
                    .filter(|(instrument, _)| instruments.contains(instrument)),
            );
            // Of hundreds, some that nobody asked for may have no terms yet.
            let is_of_list = |wanted: &&InstrumentId| protocol::inst_type(market_type(wanted)) == inst_type;
            let mut of_list = instruments.iter().filter(is_of_list);
            let missed = of_list.find(|wanted| !found.iter().any(|(known, _)| known == *wanted));
            if let (Err(error), Some(instrument)) = (result, missed) {
                let error = mprism_runtime::log::chain(&error);
                tracing::warn!(exchange = "okx", %instrument, error, "the venue says no terms of an instrument");
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
