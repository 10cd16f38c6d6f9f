//! A synthetic market: a seeded matching core whose every step is decided by the seed, the symbol and its position.
//!
//! A step is one trade and the changes of the book that come with it: a taker eats from the best level, then makers add, cancel
//! and change levels, mostly near the touch and now and then far from it.

use serde::{Deserialize, Serialize};

use super::{Book, Change, Scale, Side, SplitMix};

/// Levels of a side when a market begins; makers keep it near.
const LEVELS: usize = 1_700;
/// Below this many levels makers only add.
const LEVELS_MIN: usize = 1_600;
/// Above this many levels makers only cancel.
const LEVELS_MAX: usize = 1_900;
/// Changes before the first step: somebody who comes late can be told a book from before that.
const BEFORE: usize = 200;
/// Most changes of one step.
pub(crate) const CHANGES_MAX: u64 = 4;

/// A trade, in ticks and lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) price: u32,
    pub(crate) quantity: u32,
    /// The buyer rested in the book: the taker sold.
    pub(crate) buyer_is_maker: bool,
    /// It is another fill of the order before, in the same millisecond and at the same price.
    pub(crate) same_order: bool,
    /// No other fill of the order follows.
    pub(crate) last_of_order: bool,
}

/// Where a market stands: what the next start needs to go on there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    seed: u64,
    random: u64,
    pub(crate) next_id: u64,
    #[serde(default)]
    pub(crate) next_aggregate: u64,
    /// Identifier of the book's last change.
    #[serde(default)]
    pub(crate) update_id: u64,
    /// Whether the taker of an unfinished order buys.
    #[serde(default)]
    order: Option<bool>,
    #[serde(default)]
    bids: Vec<(u32, u32)>,
    #[serde(default)]
    asks: Vec<(u32, u32)>,
}

/// One instrument's market.
#[derive(Debug)]
pub(crate) struct Market {
    seed: u64,
    random: SplitMix,
    next_id: u64,
    first_aggregate: u64,
    /// Of the last change before this market's first.
    first_update_id: u64,
    book: Book,
    start_price: u32,
    order: Option<bool>,
}

impl Market {
    /// `symbol` may have the exchange before it: `okx_spot:BTC-USDT`.
    pub(crate) fn new(seed: u64, symbol: &str, scale: &Scale) -> Self {
        let mut random = SplitMix::named(seed, symbol);
        let next_id = 1_000_000_000 + random.below(8_000_000_000);
        let first_aggregate = next_id / 2;
        let first_update_id = 20_000_000_000 + random.below(50_000_000_000);
        let base = symbol.rsplit(':').next().unwrap_or(symbol);
        let price = match symbol {
            _ if base.starts_with("BTC") => 64_000,
            _ if base.starts_with("ETH") => 3_000,
            _ => 100 + random.below_u32(400),
        };
        let start_price = price * scale.ticks_per_unit();
        let book = begin(&mut random, start_price);
        Self {
            seed,
            random,
            next_id,
            first_aggregate,
            first_update_id,
            book,
            start_price,
            order: None,
        }
    }

    /// Goes on where an earlier simulator stopped: a venue does not number its trades anew because we restart. Another seed
    /// is another market, with the same numbering.
    pub(crate) fn resume(seed: u64, symbol: &str, scale: &Scale, place: &Place) -> Self {
        let market = Self::new(seed, symbol, scale);
        let numbered = Self {
            next_id: place.next_id,
            first_aggregate: place.next_aggregate.max(1),
            first_update_id: place.update_id.max(market.first_update_id),
            ..market
        };
        if place.seed != seed || place.bids.is_empty() || place.asks.is_empty() {
            return numbered;
        }
        Self {
            random: SplitMix(place.random),
            book: Book::from_levels(&place.bids, &place.asks),
            order: place.order,
            ..numbered
        }
    }

    /// Returns where the market stands; the numbers that its logs count come from there.
    pub(crate) fn place(&self, next_aggregate: u64, update_id: u64) -> Place {
        Place {
            seed: self.seed,
            random: self.random.0,
            next_id: self.next_id,
            next_aggregate,
            update_id,
            order: self.order,
            bids: self.book.top(Side::Bid, usize::MAX),
            asks: self.book.top(Side::Ask, usize::MAX),
        }
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn first_aggregate(&self) -> u64 {
        self.first_aggregate
    }

    pub(crate) fn first_update_id(&self) -> u64 {
        self.first_update_id
    }

    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// Lets makers alone move the book a little; `log` hears each change and the book before it.
    ///
    /// An order that an earlier simulator left unfinished stays so.
    pub(crate) fn warm_up(&mut self, mut log: impl FnMut(Change, &Book)) {
        self.order = None;
        for _ in 0..BEFORE {
            self.make(&mut log);
        }
    }

    /// Lets one step happen; `log` hears each change and the book before it.
    pub(crate) fn step(&mut self, mut log: impl FnMut(Change, &Book)) -> Trade {
        let same_order = self.order.is_some();
        let buys = self.order.take().unwrap_or_else(|| self.taker_buys());
        let side = if buys { Side::Ask } else { Side::Bid };
        // Makers keep both sides deep.
        let (price, resting) = self.book.best(side).unwrap_or((self.start_price, 1));
        let whole = [1, 10, 1_000][self.random.below(3) as usize];
        let wanted = (1 + self.random.below_u32(400)) * whole;
        let more = resting >= 4 && self.random.below(4) == 0;
        let quantity = wanted.min(if more { resting / 2 } else { resting });
        self.change(side, price, resting - quantity, &mut log);
        if more {
            self.order = Some(buys);
        } else {
            for _ in 0..1 + self.random.below(3) {
                self.make(&mut log);
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        Trade {
            id,
            price,
            quantity,
            buyer_is_maker: !buys,
            same_order,
            last_of_order: !more,
        }
    }

    fn change(&mut self, side: Side, price: u32, quantity: u32, log: &mut impl FnMut(Change, &Book)) {
        let change = Change { side, price, quantity };
        log(change, &self.book);
        self.book.apply(change);
    }

    /// Takers lean against a price far from where it began: it stays plausible, and never comes near zero.
    fn taker_buys(&mut self) -> bool {
        let price = self.book.best(Side::Ask).map_or(self.start_price, |best| best.0);
        let (price, start) = (i64::from(price), i64::from(self.start_price));
        let lean = ((start - price) * 1_000 / start).clamp(-450, 450);
        (self.random.below(1_000) as i64) < 500 + lean
    }

    /// One maker adds, cancels or changes one level.
    fn make(&mut self, log: &mut impl FnMut(Change, &Book)) {
        let side = if self.random.below(2) == 0 {
            Side::Bid
        } else {
            Side::Ask
        };
        let (Some((bid, _)), Some((ask, _))) = (self.book.best(Side::Bid), self.book.best(Side::Ask)) else {
            return;
        };
        let spread = ask - bid;
        if spread > 1 && (spread > 40 || self.random.below(100) < 60) {
            let step = 1 + self.random.below_u32((spread - 1).min(10));
            let price = self.away(side, if side == Side::Bid { bid } else { ask }, -i64::from(step));
            return self.change_to_new(side, price, log);
        }
        let best = if side == Side::Bid { bid } else { ask };
        let far = match self.random.below(32) {
            0 => self.random.below_u32(best / 20),
            1..=6 => self.random.below_u32(2_000),
            _ => self.random.below_u32(40),
        };
        let count = self.book.count(side);
        match self.random.below(8) {
            _ if count < LEVELS_MIN => self.add(side, best, far + 1, log),
            0..=2 if count <= LEVELS_MAX => self.add(side, best, far, log),
            3..=5 if count <= LEVELS_MAX => {
                let from = self.away(side, best, far.into());
                if let Some((price, _)) = self.book.at_or_beyond(side, from) {
                    self.change_to_new(side, price, log);
                }
            }
            _ => self.cancel(side, best, far, log),
        }
    }

    fn add(&mut self, side: Side, best: u32, far: u32, log: &mut impl FnMut(Change, &Book)) {
        let price = self.away(side, best, far.into());
        self.change_to_new(side, price, log);
    }

    /// Cancels a level near `far` ticks from the touch, or anywhere between the best and the worst: what a moved market has
    /// left behind goes.
    fn cancel(&mut self, side: Side, best: u32, far: u32, log: &mut impl FnMut(Change, &Book)) {
        let worst = self.book.worst_price(side).unwrap_or(best);
        let far = match self.random.below(2) {
            0 => far,
            _ => self.random.below_u32(best.abs_diff(worst) + 1),
        };
        let from = self.away(side, best, far.into());
        if let Some((price, _)) = self.book.at_or_beyond(side, from)
            && self.book.count(side) > 1
        {
            self.change(side, price, 0, log);
        }
    }

    fn change_to_new(&mut self, side: Side, price: u32, log: &mut impl FnMut(Change, &Book)) {
        let old = self.book.quantity(side, price);
        let new = draw_quantity(&mut self.random);
        let new = if new == old { new + 1 } else { new };
        self.change(side, price, new, log);
    }

    /// Returns the price so many ticks from `price`, away from the other side.
    fn away(&self, side: Side, price: u32, ticks: i64) -> u32 {
        let moved = match side {
            Side::Bid => i64::from(price) - ticks,
            Side::Ask => i64::from(price) + ticks,
        };
        u32::try_from(moved.max(1)).unwrap_or(u32::MAX)
    }
}

/// A first book: dense at the touch, sparse far from it.
fn begin(random: &mut SplitMix, price: u32) -> Book {
    let widest = u64::from(price) / (LEVELS as u64 * 10);
    let mut side = |sign: i64| {
        let mut at = i64::from(price);
        let levels = (0..LEVELS as u64).map(|level| {
            at += sign * (1 + random.below(1 + widest * 2 * level / LEVELS as u64) as i64);
            (u32::try_from(at.max(1)).unwrap_or(u32::MAX), draw_quantity(random))
        });
        levels.collect::<Vec<_>>()
    };
    let bids = side(-1);
    let asks = side(1);
    Book::from_levels(&bids, &asks)
}

fn draw_quantity(random: &mut SplitMix) -> u32 {
    let whole = [1, 10, 1_000][random.below(3) as usize];
    (1 + random.below_u32(2_000)) * whole
}

#[cfg(test)]
mod tests {
    use super::super::Style;
    use super::*;

    const SCALE: Scale = Scale {
        tick: 1,
        price_decimals: 2,
        lot: 1,
        quantity_decimals: 5,
        price_style: Style::Places(8),
        quantity_style: Style::Places(8),
    };

    fn take(market: &mut Market, count: usize) -> (Vec<Trade>, Vec<Change>) {
        let mut changes = Vec::new();
        let trades = (0..count)
            .map(|_| market.step(|change, _| changes.push(change)))
            .collect();
        (trades, changes)
    }

    #[test]
    fn a_seed_is_a_market() {
        let new = |seed, symbol| take(&mut Market::new(seed, symbol, &SCALE), 1_000);
        let (trades, changes) = new(7, "BTCUSDT");
        assert_eq!((trades.clone(), changes.clone()), new(7, "BTCUSDT"));
        assert_ne!(trades, new(8, "BTCUSDT").0);
        assert_ne!(trades, new(7, "ETHUSDT").0);
        assert!(trades.windows(2).all(|pair| pair[1].id == pair[0].id + 1));
        assert!(trades.iter().any(|trade| trade.same_order));
        assert!(trades.iter().all(|trade| trade.quantity > 0));
        let a_step = changes.len() as f64 / trades.len() as f64;
        assert!((2.0..4.0).contains(&a_step), "{a_step} changes a step");
    }

    #[test]
    fn a_book_stays_deep_and_is_never_crossed() {
        for symbol in ["BTCUSDT", "ETHUSDT", "XYZUSDT"] {
            let mut market = Market::new(7, symbol, &SCALE);
            assert!(market.book.count(Side::Bid) >= 1_500 && market.book.count(Side::Ask) >= 1_500);
            for step in 0..50_000 {
                let (bid, ask) = (market.book.best(Side::Bid), market.book.best(Side::Ask));
                let trade = market.step(|_, book| {
                    let (bid, ask) = (book.best(Side::Bid), book.best(Side::Ask));
                    assert!(bid < ask && bid.is_some(), "{symbol} {step}: {bid:?} {ask:?}");
                });
                let touched = if trade.buyer_is_maker { bid } else { ask };
                assert_eq!(
                    Some(trade.price),
                    touched.map(|level| level.0),
                    "a taker takes the best"
                );
            }
            let counts = (market.book.count(Side::Bid), market.book.count(Side::Ask));
            assert!(counts.0 >= 1_500 && counts.1 >= 1_500, "{symbol}: {counts:?}");
            let price = market.book.best(Side::Ask).map_or(0, |best| best.0);
            assert!(price > market.start_price / 2 && price < market.start_price * 2);
            let spread = price - market.book.best(Side::Bid).map_or(0, |best| best.0);
            assert!(spread < 200, "{symbol}: a spread of {spread} ticks");
        }
    }

    #[test]
    fn a_market_goes_on_where_it_stopped() {
        let mut whole = Market::new(7, "BTCUSDT", &SCALE);
        let all = take(&mut whole, 201).0;
        let mut first = Market::new(7, "BTCUSDT", &SCALE);
        take(&mut first, 101);
        let mut second = Market::resume(7, "BTCUSDT", &SCALE, &first.place(5, 6));
        assert_eq!(take(&mut second, 100).0, all[101..]);
        assert_eq!(second.book, whole.book);
        let other = Market::resume(8, "BTCUSDT", &SCALE, &first.place(5, u64::MAX));
        assert_eq!(other.next_id, first.next_id, "another seed goes on with the numbering");
        assert_eq!(other.first_update_id, u64::MAX);
    }
}
