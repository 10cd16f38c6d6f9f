//! Asking a venue once more for trades that the store lacks: the collector's own questions, limits and normalisation, for who
//! mends a store while the collector runs or not.

use std::time::Duration;

use mprism_model::{
    Event, Exchange, Gap, GapCause, GapState, InstrumentId, MarketType, Source, Symbol, UnixMillis, UnknownName,
};
use mprism_runtime::clock;
use mprism_runtime::log::chain;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ExchangeOptions;
use crate::ledger::OpenGap;
use crate::market::trades::{ASK_AGAIN_AFTER, Piece};
use crate::registry::{self, AnyHistory};
use crate::rest::RestError;
use crate::sequencer::{Seen, Sequencer};
use crate::wire::{SharedTerms, Terms};

/// History lags behind the stream by seconds: what is older than this and not there does not come any more.
const LAGS_FOR_MS: i64 = 60_000;
/// How often a question without a good answer is asked, in all.
const ATTEMPTS: usize = 3;
/// How long a pause that a venue asks for is obeyed here; a longer one is the caller's to know.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Trades that are missing between two that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The venue's name of the instrument.
    pub instrument: InstrumentId,
    /// Ours.
    pub symbol: Symbol,
    /// The kind of market.
    pub market_type: MarketType,
    /// First missing number.
    pub from: u64,
    /// Last missing number.
    pub to: u64,
    /// Event time of the trade before the hole.
    pub from_ts: UnixMillis,
    /// Event time of the trade after the hole.
    pub to_ts: UnixMillis,
    /// Why they are missing.
    pub cause: GapCause,
    /// Version of the hole in the ledger; 0 where the ledger does not know it.
    pub version: u32,
}

/// What a venue said about the beginning of a hole.
#[derive(Clone, Debug, Default)]
pub struct Portion {
    /// Trades, and what the venue says with them.
    pub events: Vec<Event>,
    /// Numbers of the trades.
    pub numbers: Vec<u64>,
    /// What has become of the hole: to be written down after the events are stored.
    pub gaps: Vec<Gap>,
}

/// Why a venue cannot be asked for a hole.
#[derive(Debug, thiserror::Error)]
pub enum RefillError {
    /// The venue does not answer as it should.
    #[error("the venue was asked in vain: {0}")]
    Venue(String),
    /// The venue's history does not reach so far yet.
    #[error("the venue's history ends before trade {to}")]
    Ends {
        /// The last trade that was asked for.
        to: u64,
    },
}

/// One venue's history, with its limits.
#[derive(Debug)]
pub struct Venue {
    exchange: Exchange,
    history: AnyHistory,
    terms: SharedTerms,
    /// When it was asked last.
    asked: Mutex<Option<Instant>>,
}

/// A hole that is being filled.
#[derive(Debug)]
pub struct Refill {
    instrument: InstrumentId,
    sequencer: Sequencer,
    to_ts: UnixMillis,
}

/// Returns how a venue's instrument is called here.
///
/// # Errors
/// Where the name is not one of an instrument.
pub fn symbol_of(exchange: Exchange, instrument: &InstrumentId) -> Result<(Symbol, MarketType), UnknownName> {
    let known = registry::wire(exchange).known(instrument, &Terms::default())?;
    Ok((known.symbol, known.market_type))
}

/// Returns for how long a venue keeps its trades, where it says so.
///
/// OKX: "up to the last 3 months" (Get trades history); Binance futures: "only supports data from within the last one month"
/// (Old Trades Lookup).
pub fn kept_for(exchange: Exchange) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    match exchange {
        Exchange::OkxSpot | Exchange::OkxDerivatives => Some(DAY * 90),
        Exchange::BinanceDerivatives => Some(DAY * 30),
        Exchange::BinanceSpot | Exchange::DeribitDerivatives => None,
    }
}

/// Returns the least time between two questions. A running collector of this address takes up to 80 % of what the venue allows, so
/// that this takes a tenth of it; Binance says what was used, so that the budget itself knows.
fn pace(exchange: Exchange) -> Duration {
    match exchange {
        Exchange::BinanceSpot | Exchange::BinanceDerivatives => Duration::from_millis(100),
        // 10 questions a second.
        Exchange::OkxSpot | Exchange::OkxDerivatives => Duration::from_secs(1),
        // 20 questions a second.
        Exchange::DeribitDerivatives => Duration::from_millis(500),
    }
}

impl Venue {
    /// Prepares asking and learns what these instruments are.
    ///
    /// # Errors
    /// Where the process cannot make connections, or the venue does not say what its instruments are.
    pub async fn reach(
        exchange: Exchange,
        options: &ExchangeOptions,
        instruments: &[InstrumentId],
    ) -> Result<Self, RefillError> {
        let terms = SharedTerms::default();
        let venue = |error: RestError| RefillError::Venue(chain(&error));
        let history = registry::history(exchange, options.rest_url.clone(), terms.clone()).map_err(venue)?;
        let venue_here = Self {
            exchange,
            history,
            terms,
            asked: Mutex::default(),
        };
        let learnt = venue_here.history.terms(instruments).await.map_err(venue)?;
        venue_here.terms.learn(learnt);
        Ok(venue_here)
    }

    /// Waits for its turn and asks.
    async fn ask(&self, instrument: &InstrumentId, piece: (u64, u64), again: &[Duration]) -> Result<Piece, RestError> {
        let mut attempts = 0;
        loop {
            {
                let mut asked = self.asked.lock().await;
                if let Some(last) = *asked {
                    tokio::time::sleep_until(last + pace(self.exchange)).await;
                }
                *asked = Some(Instant::now());
            }
            attempts += 1;
            let error = match self.history.ask(instrument, piece, again).await {
                Err(error) if attempts < ATTEMPTS => error,
                outcome => return outcome,
            };
            match &error {
                RestError::Ends { .. } => return Err(error),
                // The budget itself waits as long as the venue asks for.
                RestError::Limited { pause, .. } if *pause > PAUSE_MAX => return Err(error),
                _ => tokio::time::sleep(Duration::from_secs(attempts as u64)).await,
            }
        }
    }
}

impl Refill {
    /// Begins with a hole.
    pub fn begin(exchange: Exchange, hole: &Hole) -> Self {
        let after = Seen {
            id: u64::MAX,
            ts: hole.to_ts,
        };
        let mut sequencer = Sequencer::new(exchange, hole.market_type, hole.symbol.clone(), Some(after));
        let is_taken = sequencer.adopt(&OpenGap {
            symbol: hole.symbol.as_str().to_owned(),
            from: hole.from,
            to: hole.to,
            from_ts: hole.from_ts,
            to_ts: hole.to_ts,
            cause: hole.cause,
            version: hole.version,
        });
        debug_assert!(is_taken, "a hole has a first and a last number");
        Self {
            instrument: hole.instrument.clone(),
            sequencer,
            to_ts: hole.to_ts,
        }
    }

    /// Asks for the next portion of the hole; `None` once all of it is accounted for.
    ///
    /// # Errors
    /// Where the venue does not answer as it should; asking again goes on where it stopped.
    pub async fn next(&mut self, venue: &Venue) -> Result<Option<Portion>, RefillError> {
        let Some((from, to)) = self.sequencer.hole() else {
            return Ok(None);
        };
        let now = clock::now_ms();
        let is_old = now - self.to_ts.0 > LAGS_FOR_MS;
        let again: &[Duration] = if is_old { &[] } else { &ASK_AGAIN_AFTER };
        let piece = match venue.ask(&self.instrument, (from, to), again).await {
            Ok(piece) => piece,
            // Nothing of it and nothing behind it on this page. The trade behind the hole was there once: where history begins only
            // after it, the hole is older than all that the venue still has.
            Err(RestError::Ends { to: asked }) if is_old => {
                let beyond = (to + 1, to + 1);
                match venue.ask(&self.instrument, beyond, &[]).await {
                    Ok(_) => Piece {
                        from,
                        to: asked,
                        trades: Vec::new(),
                    },
                    Err(RestError::Ends { .. }) => return Err(RefillError::Ends { to: asked }),
                    Err(error) => return Err(RefillError::Venue(chain(&error))),
                }
            }
            Err(RestError::Ends { to }) => return Err(RefillError::Ends { to }),
            Err(error) => return Err(RefillError::Venue(chain(&error))),
        };
        let seen: Vec<Seen> = piece
            .trades
            .iter()
            .map(|past| Seen {
                id: past.number,
                ts: past.trade.ts,
            })
            .collect();
        let (missing, gaps) = self.sequencer.fill((piece.from, piece.to), &seen, UnixMillis(now));
        let mut portion = Portion {
            gaps,
            ..Portion::default()
        };
        let mut trades: Vec<_> = piece.trades.into_iter().map(Some).collect();
        for at in missing {
            if let Some(past) = trades[at].take() {
                portion.numbers.push(past.number);
                portion.events.push(Event::Trade(past.trade));
                portion.events.extend(past.also);
            }
        }
        Ok(Some(portion))
    }
}

/// Returns the last word about a hole that nobody can fill, or that is filled: the version behind the one that the ledger has.
pub fn closed(exchange: Exchange, hole: &Hole, state: GapState) -> Gap {
    Gap {
        ts: UnixMillis(clock::now_ms()),
        exchange,
        market_type: hole.market_type,
        symbol: hole.symbol.clone(),
        data_type: mprism_model::DataType::Trade,
        from_id: hole.from.to_string().into(),
        to_id: hole.to.to_string().into(),
        from_ts: hole.from_ts,
        to_ts: hole.to_ts,
        cause: hole.cause,
        state,
        source: Source::Backfill,
        version: hole.version + 1,
    }
}
