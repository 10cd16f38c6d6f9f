//! The venues that are spoken to: one line each.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mprism_model::{Exchange, InstrumentId};

use crate::ExchangeOptions;
use crate::binance_spot::{self, BinanceSpot};
use crate::binance_usdm::{self, BinanceUsdm};
use crate::deribit::{self, Deribit};
use crate::following::{Surroundings, follow};
use crate::market::Instrument;
use crate::market::trades::{Piece, ask};
use crate::okx::{self, Okx};
use crate::rest::{Budget, History, RestError};
use crate::stats::ExchangeStats;
use crate::wire::{SharedTerms, Term, Wire};

/// Returns how a venue writes.
pub fn wire(exchange: Exchange) -> &'static dyn Wire {
    match exchange {
        Exchange::BinanceSpot => &BinanceSpot,
        Exchange::BinanceDerivatives => &BinanceUsdm,
        Exchange::OkxSpot => &Okx(Exchange::OkxSpot),
        Exchange::OkxDerivatives => &Okx(Exchange::OkxDerivatives),
        Exchange::DeribitDerivatives => &Deribit,
    }
}

/// Both of OKX's exchanges are asked from this address, which is what the venue counts by.
static LIMITS: LazyLock<Arc<okx::Limits>> = LazyLock::new(Arc::default);

/// Any venue's history.
#[derive(Debug)]
pub(crate) enum AnyHistory {
    BinanceSpot(binance_spot::Rest),
    BinanceUsdm(binance_usdm::Rest),
    Okx(okx::Rest),
    Deribit(deribit::Rest),
}

/// Returns a venue's history, to be asked for trades only.
pub(crate) fn history(exchange: Exchange, rest_url: String, terms: SharedTerms) -> Result<AnyHistory, RestError> {
    // Of a book nobody asks.
    let limit = 1;
    Ok(match exchange {
        Exchange::BinanceSpot => {
            let budget = Arc::new(Budget::new(binance_spot::WEIGHT_PER_MINUTE, Duration::from_secs(60)));
            AnyHistory::BinanceSpot(binance_spot::Rest::new(rest_url, limit, budget)?)
        }
        Exchange::BinanceDerivatives => {
            let limits = binance_usdm::Limits::default();
            AnyHistory::BinanceUsdm(binance_usdm::Rest::new(rest_url, limit, limits)?)
        }
        Exchange::OkxSpot | Exchange::OkxDerivatives => {
            AnyHistory::Okx(okx::Rest::new(rest_url, limit, Arc::clone(&LIMITS), terms)?)
        }
        Exchange::DeribitDerivatives => AnyHistory::Deribit(deribit::Rest::new(rest_url, limit, deribit::budget())?),
    })
}

impl AnyHistory {
    /// Asks for the beginning of a hole in an instrument's trades.
    pub(crate) async fn ask(
        &self,
        instrument: &InstrumentId,
        hole: (u64, u64),
        again: &[Duration],
    ) -> Result<Piece, RestError> {
        match self {
            Self::BinanceSpot(history) => ask(history, instrument, hole, again).await,
            Self::BinanceUsdm(history) => ask(history, instrument, hole, again).await,
            Self::Okx(history) => ask(history, instrument, hole, again).await,
            Self::Deribit(history) => ask(history, instrument, hole, again).await,
        }
    }

    /// Fetches what these instruments are.
    pub(crate) async fn terms(&self, instruments: &[InstrumentId]) -> Result<Vec<(InstrumentId, Term)>, RestError> {
        match self {
            Self::BinanceSpot(history) => history.terms(instruments).await,
            Self::BinanceUsdm(history) => history.terms(instruments).await,
            Self::Okx(history) => history.terms(instruments).await,
            Self::Deribit(history) => history.terms(instruments).await,
        }
    }
}

type Following = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns what follows an exchange until shutdown.
pub(crate) fn following(
    exchange: Exchange,
    options: &ExchangeOptions,
    instruments: Vec<Instrument>,
    stats: &Arc<ExchangeStats>,
    around: Surroundings,
) -> Result<Following, RestError> {
    let (terms, rest_url) = (SharedTerms::default(), options.rest_url.clone());
    let limit = around.order_book.snapshot_limit;
    let start = (options.websocket_url.clone(), terms.clone());
    let stats = Arc::clone(stats);
    Ok(match exchange {
        Exchange::BinanceSpot => {
            let budget = Arc::new(Budget::new(binance_spot::WEIGHT_PER_MINUTE, Duration::from_secs(60)));
            stats.budget_is(&budget);
            let rest = binance_spot::Rest::new(rest_url, limit, budget)?;
            Box::pin(follow((BinanceSpot, rest), start, instruments, stats, around))
        }
        Exchange::DeribitDerivatives => {
            let budget = deribit::budget();
            stats.budget_is(&budget);
            let rest = deribit::Rest::new(rest_url, limit, budget)?;
            Box::pin(follow((Deribit, rest), start, instruments, stats, around))
        }
        Exchange::OkxSpot | Exchange::OkxDerivatives => {
            stats.budget_is(&LIMITS.trades());
            let rest = okx::Rest::new(rest_url, limit, Arc::clone(&LIMITS), terms)?;
            Box::pin(follow((Okx(exchange), rest), start, instruments, stats, around))
        }
        Exchange::BinanceDerivatives => {
            let limits = binance_usdm::Limits::default();
            stats.budget_is(&limits.weight);
            let rest = binance_usdm::Rest::new(rest_url, limit, limits)?;
            Box::pin(follow((BinanceUsdm, rest), start, instruments, stats, around))
        }
    })
}
