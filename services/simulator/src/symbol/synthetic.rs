//! A synthetic instrument: its market, the log of it, and the windows in which its book goes out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    Aggregate, Body, Derivative, Diff, Interval, Item, Levels, Mask, Numbering, Prices, Quote, Stream, Top, Turn, View,
};
use crate::market::{ChangeLog, Market, Place, Scale, Side, TradeLog};

/// Ends of windows that are remembered: a snapshot can be so many windows old.
const ENDS: usize = 4;

/// Changes that a restart of the matching engine leaves out.
const RESTART_JUMP: u64 = 1_000_000;
/// Time after which a book that does not change says so.
const QUIET_MS: i64 = 60_000;
/// Changes of a window before the first one; all of them are fewer than a market's first changes.
const OLD_CHANGES: u64 = 40;

/// A market and everything that has happened in it.
#[derive(Debug)]
pub(crate) struct Synthetic {
    market: Market,
    pub(crate) scale: Scale,
    pub(crate) trades: TradeLog,
    pub(crate) changes: ChangeLog,
    stride: u64,
    unknown_fields: bool,
    last_ms: i64,
    open: Option<Aggregate>,
    /// Streams that go out at the end of 100 ms windows, and what waits for that.
    pub(crate) batched: Mask,
    waiting: Vec<(Item, u64)>,
    best: Option<((u32, u32), (u32, u32))>,
    /// Last change of the last window that had any, by its length.
    from: [u64; 4],
    /// What is shown of the book, where the venue shows it as chains of updates.
    views: Vec<(Interval, View)>,
    /// Where identifiers went on, by the length of the window that has not told it yet.
    restarted: [Option<u64>; 4],
    /// What numbers changes have on the wire.
    pub(crate) numbering: Numbering,
    /// What happens by the clock, where the instrument is a derivative.
    pub(crate) derivative: Option<Derivative>,
    /// Last change at the end of each of the last windows, the newest first.
    ends: VecDeque<u64>,
}

impl Synthetic {
    pub(crate) fn new(market: Market, scale: Scale, stride: u64, unknown_fields: bool) -> Self {
        let mut market = market;
        let mut changes = ChangeLog::new(market.book(), market.first_update_id(), stride);
        market.warm_up(|change, book| changes.push(change, book));
        let from = changes.last_id();
        let numbering = Numbering::new(*changes.known().start());
        Self {
            trades: TradeLog::new(market.next_id(), market.first_aggregate()),
            market,
            scale,
            changes,
            stride,
            unknown_fields,
            last_ms: 0,
            open: None,
            batched: 0,
            waiting: Vec::new(),
            best: None,
            from: [from; 4],
            views: Vec::new(),
            restarted: [None; 4],
            numbering,
            derivative: None,
            // As if windows had closed before: somebody who comes at once can be told an old book, too.
            ends: (0..ENDS as u64)
                .map(|window| from - window * OLD_CHANGES * stride)
                .collect(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.market.place(self.trades.next_aggregate(), self.changes.last_id())
    }

    /// Returns the last change of the window that closed `windows` ago (0: the last one), or of the oldest one remembered.
    pub(crate) fn end_of_window(&self, windows: usize) -> u64 {
        let end = self.ends.get(windows).or(self.ends.back());
        end.copied().unwrap_or(self.from[0])
    }

    /// Returns how much update identifiers grow with a change.
    pub(crate) fn stride(&self) -> u64 {
        self.stride
    }

    /// Returns the next trade's number.
    pub(crate) fn next_id(&self) -> u64 {
        self.market.next_id()
    }

    /// Forgets the last trade's time: the clock was set.
    pub(crate) fn clock_was_set(&mut self) {
        self.last_ms = 0;
    }

    /// Lets one step happen.
    pub(crate) fn step(&mut self, trade_ms: i64, event_ms: i64, wanted: Mask, out: &mut Vec<(Item, u64)>) {
        let from = out.len();
        self.happen(trade_ms, event_ms, wanted, out);
        if self.batched != 0 {
            let waits = |(item, _): &mut (Item, u64)| item.stream.bit() & self.batched != 0;
            self.waiting.extend(out.extract_if(from.., waits));
        }
    }

    fn happen(&mut self, trade_ms: i64, event_ms: i64, wanted: Mask, out: &mut Vec<(Item, u64)>) {
        let changes = &mut self.changes;
        let trade = self.market.step(|change, book| changes.push(change, book));
        // Times never go back, and the fills of an order share one.
        let trade_ms = match trade.same_order {
            true if self.last_ms > 0 => self.last_ms,
            _ => trade_ms.max(self.last_ms),
        };
        self.last_ms = trade_ms;
        let event_ms = event_ms.max(trade_ms);
        let change_id = self.changes.last_id();
        let aggregate_id = self.trades.next_aggregate();
        self.trades.push(&trade, trade_ms);
        let unknown_field = self.unknown_fields && trade.id.is_multiple_of(7);
        let body = Body::Trade {
            trade,
            event_ms,
            trade_ms,
            change_id,
            unknown_field,
        };
        out.push((
            Item {
                stream: Stream::Trade,
                body,
            },
            trade.id,
        ));
        let aggregate = self.open.get_or_insert(Aggregate {
            id: aggregate_id,
            first_trade: trade.id,
            last_trade: trade.id,
            price: trade.price,
            quantity: 0,
            buyer_is_maker: trade.buyer_is_maker,
            trade_ms,
            event_ms,
            change_id,
        });
        aggregate.last_trade = trade.id;
        aggregate.quantity += trade.quantity;
        aggregate.event_ms = event_ms;
        aggregate.change_id = change_id;
        if trade.last_of_order
            && let Some(aggregate) = self.open.take()
            && wanted & Stream::Aggregate.bit() != 0
        {
            let (stream, body) = (Stream::Aggregate, Body::Aggregate(aggregate));
            out.push((Item { stream, body }, aggregate.id));
        }
        if wanted & Stream::Ticker.bit() != 0 {
            self.tick(out);
        }
    }

    fn tick(&mut self, out: &mut Vec<(Item, u64)>) {
        let book = self.market.book();
        let best = book.best(Side::Bid).zip(book.best(Side::Ask));
        if let Some((bid, ask)) = best.filter(|_| best != self.best) {
            self.best = best;
            let id = self.changes.last_id();
            let body = Body::Ticker { id, bid, ask };
            let stream = Stream::Ticker;
            out.push((Item { stream, body }, id));
        }
    }

    /// Lets the matching engine start anew: identifiers jump and the chain breaks, though nothing is lost.
    pub(crate) fn restart(&mut self) {
        self.changes.jump(RESTART_JUMP, self.market.book());
        let id = self.changes.last_id();
        self.restarted = [Some(id); 4];
        self.ends.iter_mut().for_each(|end| *end = id);
    }

    /// Shows the book as a chain of updates of the best `limit` levels, in windows of that length.
    pub(crate) fn show_view(&mut self, interval: Interval, limit: usize) {
        let view = View::new(limit, self.market.book(), self.changes.last_id());
        self.views.push((interval, view));
    }

    /// Returns what is shown of the book in windows of that length.
    pub(crate) fn view(&self, interval: Interval) -> Option<&View> {
        self.views
            .iter()
            .find(|(shown, _)| *shown == interval)
            .map(|(_, view)| view)
    }

    /// Returns everything about the instrument at this moment.
    pub(crate) fn quote(&self, now_ms: i64) -> Option<Quote> {
        let (bid, ask) = self
            .market
            .book()
            .best(Side::Bid)
            .zip(self.market.book().best(Side::Ask))?;
        let derivative = self.derivative.as_ref()?;
        Some(Quote {
            ts_ms: now_ms.max(self.last_ms),
            bid,
            ask,
            // Nothing is said of what has not happened yet.
            mark: *derivative.marks.last()?,
            lots: derivative.interests.last()?.lots,
        })
    }

    /// Lets happen what happens by the clock.
    pub(crate) fn by_the_clock(&mut self, now_ms: i64, out: &mut Vec<(Item, u64)>) {
        if let Some(prices) = self.prices()
            && let Some(derivative) = &mut self.derivative
        {
            derivative.advance(now_ms, prices, out);
        }
    }

    /// Returns the prices that a derivative follows.
    pub(crate) fn prices(&self) -> Option<Prices> {
        let (bid, ask) = self
            .market
            .book()
            .best(Side::Bid)
            .zip(self.market.book().best(Side::Ask))?;
        let units = i64::from(self.scale.tick) * 10_i64.pow(8 - u32::from(self.scale.price_decimals));
        Some(Prices {
            middle: (i64::from(bid.0) + i64::from(ask.0)) * units / 2,
            bid: bid.0,
            ask: ask.0,
        })
    }

    /// Ends the windows whose time is over.
    pub(crate) fn close_windows(&mut self, turn: &Turn, wanted: Mask, out: &mut Vec<(Item, u64)>) {
        let last = self.changes.last_id();
        for interval in Interval::ALL {
            let from = self.from[interval as usize];
            if !turn.closes[interval as usize] {
                continue;
            }
            if interval == Interval::Ms100 {
                out.append(&mut self.waiting);
                self.ends.push_front(last);
                self.ends.truncate(ENDS);
            }
            let stream = Stream::Depth(interval);
            if let Some((_, view)) = self.views.iter_mut().find(|(shown, _)| *shown == interval) {
                let quiet_ms = self
                    .derivative
                    .as_ref()
                    .map_or(QUIET_MS, |series| series.paced(QUIET_MS));
                let shown = view.show(self.market.book(), last, turn.now_ms.max(self.last_ms), quiet_ms);
                if let Some(diff) = shown.filter(|_| wanted & stream.bit() != 0) {
                    let id = diff.id;
                    let body = Body::View(Arc::new(diff));
                    out.push((Item { stream, body }, id));
                }
            }
            let stream = Stream::Quote(interval);
            if wanted & stream.bit() != 0
                && let Some(quote) = self.quote(turn.now_ms)
            {
                let body = Body::Quote(quote);
                out.push((Item { stream, body }, last));
            }
            if last == from {
                continue;
            }
            let stream = Stream::Depth(interval);
            if wanted & stream.bit() != 0 && self.views.is_empty() {
                let previous = self.restarted[interval as usize].take().unwrap_or(from);
                let body = Body::Diff(Arc::new(self.diff(from, previous, turn.now_ms)));
                out.push((Item { stream, body }, last));
            }
            for levels in Levels::ALL {
                let stream = Stream::Top(levels, interval);
                if wanted & stream.bit() != 0 {
                    let body = Body::Top(Arc::new(self.top(levels.count(), turn.now_ms)));
                    out.push((Item { stream, body }, last));
                }
            }
            self.from[interval as usize] = last;
        }
    }

    fn diff(&self, from: u64, previous: u64, now_ms: i64) -> Diff {
        let (bids, asks) = self.changes.after(from);
        let last = self.changes.last_id();
        Diff {
            first: previous + self.stride.min(last - previous),
            last,
            previous,
            bids,
            asks,
            event_ms: now_ms.max(self.last_ms),
            change_ms: if self.last_ms > 0 { self.last_ms } else { now_ms },
            unknown_field: self.unknown_fields && last.is_multiple_of(7),
        }
    }

    pub(crate) fn top(&self, count: usize, now_ms: i64) -> Top {
        let book = self.market.book();
        Top {
            id: self.changes.last_id(),
            bids: book.top(Side::Bid, count),
            asks: book.top(Side::Ask, count),
            event_ms: now_ms.max(self.last_ms),
        }
    }
}
