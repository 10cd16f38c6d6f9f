//! One instrument's trades: which are new, which are missing, and getting these from the venue's history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_bus::SubjectText;
use mprism_model::{Event, GapCause, InstrumentId, Subject, Trade};
use mprism_runtime::backoff::Backoff;

use super::{Out, gap_subject, now};
use crate::ledger::OpenGap;
use crate::rest::{History, RestError};
use crate::sequencer::{Seen, Sequencer, Verdict};
use crate::stats::StreamStats;
use crate::wire::Said;

/// History lags behind the stream: before an id is believed not to exist, it is asked for again after each of these.
pub(crate) const ASK_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];

/// One instrument's trades.
pub(super) struct TradeState {
    symbol: String,
    subject: SubjectText,
    gap_subject: SubjectText,
    stats: Arc<StreamStats>,
    sequencer: Sequencer,
    is_asked: bool,
    backoff: Backoff,
    wait: Duration,
}

/// A hole, as it is asked for.
pub(super) struct Question {
    from: u64,
    to: u64,
    wait: Duration,
}

/// What history has of the ids `from..=to`: these trades, and nothing else.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) trades: Vec<Past>,
}

/// A trade of history, and what it says beside being one.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) number: u64,
    pub(crate) trade: Trade,
    pub(crate) also: Vec<Event>,
}

impl TradeState {
    pub(super) fn new(subject: &Subject, last: Option<Seen>, stats: Arc<StreamStats>) -> Self {
        Self {
            symbol: subject.symbol.as_str().to_owned(),
            subject: subject.to_string().into(),
            gap_subject: gap_subject(subject),
            stats,
            sequencer: Sequencer::new(subject.exchange, subject.market_type, subject.symbol.clone(), last),
            is_asked: false,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            wait: Duration::ZERO,
        }
    }

    pub(super) fn symbol(&self) -> &str {
        &self.symbol
    }

    pub(super) fn expect(&mut self, cause: GapCause) {
        self.sequencer.expect(cause);
    }

    pub(super) fn hear(&mut self, trade: &Trade, number: u64, out: &mut Out) {
        if !out.admission.admits() {
            // Not advanced: what is refused becomes a gap as soon as something is accepted again.
            self.sequencer.expect(GapCause::Shed);
            out.stats.shed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let received = trade.ts_recv.map_or_else(now, mprism_model::UnixNanos::to_millis);
        let seen = Seen {
            id: number,
            ts: trade.ts,
        };
        match self.sequencer.observe(seen, received) {
            Verdict::Replay => {
                out.stats.replays.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Pass(gaps) => {
                gaps.into_iter().for_each(|gap| out.gap(&self.gap_subject, gap));
                out.stats.trades.fetch_add(1, Ordering::Relaxed);
                self.stats.events.fetch_add(1, Ordering::Relaxed);
                self.stats.last_ms.store(received.0, Ordering::Relaxed);
                out.push_trade(&self.subject, trade);
            }
        }
    }

    /// Takes up a hole that an earlier life left open.
    pub(super) fn adopt(&mut self, gap: &OpenGap) {
        if self.sequencer.adopt(gap) {
            tracing::info!(
                symbol = self.symbol,
                from = gap.from,
                to = gap.to,
                "an older gap is filled now"
            );
        }
    }

    /// Returns what has to be asked now, if anything.
    pub(super) fn question(&mut self) -> Option<Question> {
        if self.is_asked {
            return None;
        }
        let (from, to) = self.sequencer.hole()?;
        self.is_asked = true;
        let wait = self.wait;
        Some(Question { from, to, wait })
    }

    /// Takes what history says.
    pub(super) fn found(&mut self, answer: Result<Piece, RestError>, out: &mut Out) {
        self.is_asked = false;
        match answer {
            Err(error) => {
                out.unanswered(&error);
                self.wait = self.backoff.next_wait();
            }
            Ok(piece) => {
                self.backoff.reset();
                self.wait = Duration::ZERO;
                let seen = |past: &Past| Seen {
                    id: past.number,
                    ts: past.trade.ts,
                };
                let numbered: Vec<Seen> = piece.trades.iter().map(seen).collect();
                let (missing, gaps) = self.sequencer.fill((piece.from, piece.to), &numbered, now());
                let mut trades: Vec<Option<Past>> = piece.trades.into_iter().map(Some).collect();
                // The trades first: a gap that says it is filled is.
                for at in missing {
                    if let Some(past) = trades[at].take() {
                        out.stats.backfilled.fetch_add(1, Ordering::Relaxed);
                        out.push_trade(&self.subject, &past.trade);
                        for event in past.also {
                            out.push(&event.subject().to_string().into(), &event);
                        }
                    }
                }
                gaps.into_iter().for_each(|gap| out.gap(&self.gap_subject, gap));
            }
        }
    }
}

impl Question {
    /// Asks the venue's history for a hole's beginning.
    pub(super) async fn ask<H: History>(self, history: &H, instrument: &InstrumentId) -> Result<Piece, RestError> {
        tokio::time::sleep(self.wait).await;
        ask(history, instrument, (self.from, self.to), &ASK_AGAIN_AFTER).await
    }
}

/// Asks the venue's history for the beginning of a hole, and again after each of these waits while something of it is missing.
pub(crate) async fn ask<H: History>(
    history: &H,
    instrument: &InstrumentId,
    (from, to): (u64, u64),
    again: &[Duration],
) -> Result<Piece, RestError> {
    let to = to.min(from + H::TRADES_MAX as u64 - 1);
    let mut again = again.iter();
    loop {
        let mut trades = past(history.trades(instrument, from, to).await?)?;
        // What comes after the hole tells that history has come so far.
        let reaches_beyond = trades.last().is_some_and(|past| past.number >= to);
        trades.retain(|past| (from..=to).contains(&past.number));
        let is_whole = trades.len() as u64 == to - from + 1;
        if is_whole {
            return Ok(Piece { from, to, trades });
        }
        match again.next() {
            Some(wait) => tokio::time::sleep(*wait).await,
            // The venue answers with ids around, but not with these: they do not exist.
            None if reaches_beyond => return Ok(Piece { from, to, trades }),
            None => return Err(RestError::Ends { to }),
        }
    }
}

/// Takes history's answer apart: trades, and behind each what else it says.
fn past(said: Vec<Said>) -> Result<Vec<Past>, RestError> {
    let mut trades: Vec<Past> = Vec::new();
    for said in said {
        match said {
            Said::Trade {
                is_sized: false, trade, ..
            } => {
                let text = format!("the contract size of {} is not known yet", trade.instrument_id);
                return Err(RestError::Answer(text.into()));
            }
            Said::Trade { trade, number, .. } => trades.push(Past {
                number,
                trade: *trade,
                also: Vec::new(),
            }),
            Said::Event { event, .. } => {
                if let Some(past) = trades.last_mut() {
                    past.also.push(*event);
                }
            }
            _ => {}
        }
    }
    Ok(trades)
}
