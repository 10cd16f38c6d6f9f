//! Every synthetic trade in order, kept compactly: 16 bytes a trade.

use super::{Scale, Trade, push_integer};

/// Trades per block: memory grows in even steps, without copying what is there.
const BLOCK: usize = 65_536;
const TAKER_SOLD: i64 = 1;
const LAST_OF_ORDER: i64 = 2;

/// One instrument's trades, their numbers without a hole.
#[derive(Debug)]
pub(crate) struct TradeLog {
    first_id: u64,
    first_aggregate: u64,
    blocks: Vec<Block>,
    count: u64,
    aggregates: u64,
}

#[derive(Debug)]
struct Block {
    /// Number of the aggregate its first trade belongs to.
    aggregate: u64,
    trades: Vec<Packed>,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    price: u32,
    quantity: u32,
    /// Milliseconds times 4, and two flags.
    ts_flags: i64,
}

/// A trade as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptTrade {
    pub(crate) id: u64,
    pub(crate) price: u32,
    pub(crate) quantity: u32,
    pub(crate) ts_ms: i64,
    pub(crate) taker_sold: bool,
    /// It closes its aggregate.
    pub(crate) last_of_order: bool,
}

impl TradeLog {
    pub(crate) fn new(first_id: u64, first_aggregate: u64) -> Self {
        Self {
            first_id,
            first_aggregate,
            blocks: Vec::new(),
            count: 0,
            aggregates: 0,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn first_id(&self) -> u64 {
        self.first_id
    }

    /// Returns the number of the aggregate that the next trade belongs to.
    pub(crate) fn next_aggregate(&self) -> u64 {
        self.first_aggregate + self.aggregates
    }

    pub(crate) fn push(&mut self, trade: &Trade, ts_ms: i64) {
        if self.blocks.last().is_none_or(|block| block.trades.len() == BLOCK) {
            self.blocks.push(Block {
                aggregate: self.next_aggregate(),
                trades: Vec::with_capacity(BLOCK),
            });
        }
        let mut ts_flags = ts_ms << 2;
        if trade.buyer_is_maker {
            ts_flags |= TAKER_SOLD;
        }
        if trade.last_of_order {
            ts_flags |= LAST_OF_ORDER;
            self.aggregates += 1;
        }
        if let Some(block) = self.blocks.last_mut() {
            block.trades.push(Packed {
                price: trade.price,
                quantity: trade.quantity,
                ts_flags,
            });
            self.count += 1;
        }
    }

    /// Returns the trade at a position, from 0.
    pub(crate) fn at(&self, position: u64) -> Option<KeptTrade> {
        let index = usize::try_from(position).ok()?;
        let packed = self.blocks.get(index / BLOCK)?.trades.get(index % BLOCK)?;
        Some(KeptTrade {
            id: self.first_id + position,
            price: packed.price,
            quantity: packed.quantity,
            ts_ms: packed.ts_flags >> 2,
            taker_sold: packed.ts_flags & TAKER_SOLD != 0,
            last_of_order: packed.ts_flags & LAST_OF_ORDER != 0,
        })
    }

    /// Returns trades from a position on.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = KeptTrade> {
        (position..self.count).map_while(|position| self.at(position))
    }

    /// Returns the position of the first trade of an aggregate, or of the first one there is.
    pub(crate) fn position_of_aggregate(&self, aggregate: u64) -> u64 {
        let block = self
            .blocks
            .partition_point(|block| block.aggregate < aggregate)
            .saturating_sub(1);
        let mut number = self
            .blocks
            .get(block)
            .map_or(self.first_aggregate, |block| block.aggregate);
        let mut position = (block * BLOCK) as u64;
        while number < aggregate {
            match self.at(position) {
                Some(trade) => number += u64::from(trade.last_of_order),
                None => break,
            }
            position += 1;
        }
        position
    }

    /// Returns the number of the aggregate that the trade at a position belongs to.
    pub(crate) fn aggregate_at(&self, position: u64) -> u64 {
        let block = usize::try_from(position).unwrap_or(usize::MAX) / BLOCK;
        let start = (block * BLOCK) as u64;
        let number = self
            .blocks
            .get(block)
            .map_or(self.next_aggregate(), |block| block.aggregate);
        let closed = (start..position).filter_map(|position| self.at(position));
        number + closed.filter(|trade| trade.last_of_order).count() as u64
    }

    /// Returns the position of the next trade that begins an order.
    pub(crate) fn start_of_order(&self, position: u64) -> u64 {
        let begins = |position: &u64| {
            let before = position.checked_sub(1).and_then(|before| self.at(before));
            before.is_none_or(|trade| trade.last_of_order)
        };
        (position..=self.count).find(begins).unwrap_or(position)
    }

    /// Returns the position of the first trade at or after a time.
    pub(crate) fn position_at(&self, ts_ms: i64) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle).is_some_and(|trade| trade.ts_ms < ts_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Appends the trades from position `from` on, at most `count`, as JSON lines of the truth.
    pub(crate) fn write_lines(&self, scale: &Scale, from: u64, count: u64, out: &mut Vec<u8>) {
        for trade in self.from(from).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            let (mut price, mut quantity) = (Vec::new(), Vec::new());
            scale.push_price(&mut price, trade.price);
            scale.push_quantity(&mut quantity, trade.quantity);
            write_line(out, trade.id, &price, &quantity, trade.taker_sold, trade.ts_ms);
        }
    }
}

impl TradeLog {
    /// Returns how many aggregates are complete.
    pub(crate) fn aggregates(&self) -> u64 {
        self.aggregates
    }

    /// Returns complete aggregates from a position among them on: each with its number and its fills.
    pub(crate) fn aggregates_from(&self, position: u64) -> impl Iterator<Item = (u64, Vec<KeptTrade>)> {
        let mut number = self.first_aggregate + position;
        let mut at = self.position_of_aggregate(number);
        std::iter::from_fn(move || {
            let mut fills = Vec::new();
            loop {
                let trade = self.at(at)?;
                at += 1;
                fills.push(trade);
                if trade.last_of_order {
                    number += 1;
                    return Some((number - 1, fills));
                }
            }
        })
    }

    /// As [`TradeLog::write_lines`], of aggregates.
    pub(crate) fn write_aggregates(&self, scale: &Scale, from: u64, count: u64, out: &mut Vec<u8>) {
        for (number, fills) in self
            .aggregates_from(from)
            .take(usize::try_from(count).unwrap_or(usize::MAX))
        {
            let first = fills[0];
            let (mut price, mut quantity) = (Vec::new(), Vec::new());
            scale.push_price(&mut price, first.price);
            scale.push_quantity(&mut quantity, fills.iter().map(|fill| fill.quantity).sum());
            write_line(out, number, &price, &quantity, first.taker_sold, first.ts_ms);
        }
    }
}

/// Appends a trade as a line of the truth.
pub(crate) fn write_line(out: &mut Vec<u8>, id: u64, price: &[u8], quantity: &[u8], taker_sold: bool, ts_ms: i64) {
    out.extend_from_slice(b"{\"id\":\"");
    push_integer(out, id);
    out.extend_from_slice(b"\",\"price\":\"");
    out.extend_from_slice(price);
    out.extend_from_slice(b"\",\"quantity\":\"");
    out.extend_from_slice(quantity);
    out.extend_from_slice(b"\",\"side\":\"");
    out.extend_from_slice(if taker_sold { b"sell" } else { b"buy" });
    out.extend_from_slice(b"\",\"ts_ms\":");
    out.extend_from_slice(ts_ms.to_string().as_bytes());
    out.extend_from_slice(b"}\n");
}
