//! Fixed work to measure: the trades of many instruments through one market. For `mprism bench`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mprism_model::{
    DecimalText, Exchange, InstrumentId, MarketType, Side, Source, Symbol, Trade, TsSource, UnixMillis, UnixNanos,
};
use tokio::sync::mpsc;

use super::{Cadence, Heard, Instrument, Market, MarketOptions, assemble};
use crate::admission::Admission;
use crate::orderbook::Snapshot;
use crate::registry;
use crate::rest::{History, RestError};
use crate::sequencer::Seen;
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;
use crate::wire::{Said, SharedTerms};
use crate::workload::on_core;

/// Trades that a connection hands over at once.
const PORTION: usize = 64;

/// A venue that is never asked.
struct Nobody;

impl History for Nobody {
    const TRADES_MAX: usize = 1;

    async fn snapshot(&self, _instrument: &InstrumentId) -> Result<Snapshot, RestError> {
        Err(RestError::Answer("nobody answers".into()))
    }

    async fn trades(&self, _instrument: &InstrumentId, _from: u64, _to: u64) -> Result<Vec<Said>, RestError> {
        Err(RestError::Answer("nobody answers".into()))
    }
}

/// A market of so many instruments, and the next trade of each.
pub(crate) struct Crowd {
    market: Market<Nobody>,
    trades: Vec<(Trade, u64)>,
    _batches: mpsc::Receiver<Vec<Outgoing>>,
}

impl Crowd {
    /// Makes a market of so many instruments.
    pub(crate) fn new(instruments: usize) -> Self {
        let trades: Vec<(Trade, u64)> = (0..instruments).map(|n| (trade(n), 1)).collect();
        let followed = trades.iter().map(|(trade, _)| Instrument {
            id: trade.instrument_id.clone(),
            symbol: trade.symbol.clone(),
            market_type: MarketType::Spot,
            trades: Some(Some(Seen {
                id: 0,
                ts: UnixMillis(0),
            })),
            books: None,
            series: Vec::new(),
        });
        let (sender, batches) = mpsc::channel(1);
        let options = MarketOptions {
            exchange: Exchange::BinanceSpot,
            wire: registry::wire(Exchange::BinanceSpot),
            terms: SharedTerms::default(),
            cadence: Cadence::Every,
            audit_every: None,
            polling: BTreeMap::new(),
            store: None,
        };
        let stats = Arc::new(ExchangeStats::default());
        let out = (stats, sender, Admission::new());
        Self {
            market: assemble(options, followed.collect(), Arc::new(Nobody), &|_| None, out),
            trades,
            _batches: batches,
        }
    }

    /// Takes trades of all instruments in turn for about `time`; returns how many, and the time that took on a core.
    pub(crate) fn measure(&mut self, time: Duration) -> (u64, Duration) {
        let (mut count, mut turn) = (0, 0);
        let (began, began_on_core) = (Instant::now(), on_core());
        while began.elapsed() < time {
            let portion = (0..PORTION).map(|_| {
                let at = turn % self.trades.len();
                turn += 1;
                let (trade, number) = &mut self.trades[at];
                let mut trade = trade.clone();
                trade.trade_id = number.to_string().into();
                *number += 1;
                Heard::Said(Said::Trade {
                    trade: Box::new(trade),
                    number: *number - 1,
                    is_sized: true,
                })
            });
            let portion = portion.collect();
            self.market.hear(portion);
            self.market.attend(false);
            self.market.publish_due();
            count += black_box(self.market.out.batch.len()) as u64;
            self.market.out.batch.clear();
        }
        (count, on_core() - began_on_core)
    }
}

fn trade(n: usize) -> Trade {
    let number = |text: &str| DecimalText::new(text).expect("digits and a point");
    Trade {
        exchange: Exchange::BinanceSpot,
        market_type: MarketType::Spot,
        symbol: Symbol::new(&format!("C{n}-USDT")).expect("a symbol"),
        instrument_id: InstrumentId::new(&format!("C{n}USDT")).expect("an instrument"),
        trade_id: "0".into(),
        price: number("64000.10000000"),
        quantity: number("0.01500000"),
        contracts: None,
        sequence: None,
        side: Side::Buy,
        is_maker: false,
        trade_ts: UnixMillis(1_795_176_000_121),
        ts: UnixMillis(1_795_176_000_123),
        ts_source: TsSource::Event,
        ts_recv: Some(UnixNanos(1_795_176_000_124_000_000)),
        source: Source::Ws,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trade_becomes_a_message() {
        let mut crowd = Crowd::new(3);
        let (count, _) = crowd.measure(Duration::from_millis(1));
        assert!(count > 0 && count.is_multiple_of(PORTION as u64), "{count}");
        let numbers: u64 = crowd.trades.iter().map(|(_, number)| number - 1).sum();
        assert_eq!(numbers, count);
    }
}
