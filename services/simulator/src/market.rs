//! The synthetic market: a seeded walk whose every trade is decided by the seed, the symbol and its position.

use serde::{Deserialize, Serialize};

/// A trade of the synthetic market, in units of 10⁻⁸.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) price: u64,
    pub(crate) quantity: u32,
    /// The buyer rested in the book: the taker sold.
    pub(crate) buyer_is_maker: bool,
    /// It happened in the same millisecond as the one before.
    pub(crate) same_time: bool,
}

/// Where a market stands: what the next start needs to go on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    seed: u64,
    random: u64,
    pub(crate) next_id: u64,
    price: u64,
}

/// One symbol's market.
#[derive(Debug)]
pub(crate) struct Market {
    seed: u64,
    random: SplitMix,
    next_id: u64,
    price: u64,
    start_price: u64,
    tick: u64,
}

const UNIT: u64 = 100_000_000;

impl Market {
    pub(crate) fn new(seed: u64, symbol: &str) -> Self {
        // FNV-1a keeps symbols apart; it must never change, or a seed would mean another market.
        let hash = symbol.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut random = SplitMix(seed ^ hash);
        let next_id = 1_000_000_000 + random.below(8_000_000_000);
        let price = match symbol {
            _ if symbol.starts_with("BTC") => 64_000 * UNIT,
            _ if symbol.starts_with("ETH") => 3_000 * UNIT,
            _ => (1 + random.below(500)) * UNIT,
        };
        Self {
            seed,
            random,
            next_id,
            price,
            start_price: price,
            tick: UNIT / 100,
        }
    }

    /// Goes on where an earlier simulator stopped: a venue does not number its trades anew because we restart. Another seed
    /// is another market, with the same numbering.
    pub(crate) fn resume(seed: u64, symbol: &str, place: Place) -> Self {
        let market = Self::new(seed, symbol);
        if place.seed != seed {
            return Self {
                next_id: place.next_id,
                ..market
            };
        }
        Self {
            random: SplitMix(place.random),
            next_id: place.next_id,
            price: place.price,
            ..market
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            seed: self.seed,
            random: self.random.0,
            next_id: self.next_id,
            price: self.price,
        }
    }

    pub(crate) fn first_id(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn next(&mut self) -> Trade {
        let buyer_is_maker = self.random.below(2) == 0;
        let step = self.random.below(4) * self.tick;
        // A walk between half and double of where it began: plausible, and never at zero.
        self.price = if buyer_is_maker {
            self.price - step
        } else {
            self.price + step
        };
        self.price = self.price.clamp(self.start_price / 2, self.start_price * 2);
        let whole = [1_000, 10_000, 1_000_000][self.random.below(3) as usize];
        let quantity = ((1 + self.random.below(400)) * whole) as u32;
        let id = self.next_id;
        self.next_id += 1;
        let same_time = self.random.below(4) == 0;
        Trade {
            id,
            price: self.price,
            quantity,
            buyer_is_maker,
            same_time,
        }
    }
}

/// Appends units of 10⁻⁸ as the venue writes them: eight decimals.
pub(crate) fn push_decimal(out: &mut Vec<u8>, units: u64) {
    push_integer(out, units / UNIT);
    let mut decimals = *b".00000000";
    let mut rest = units % UNIT;
    for digit in decimals[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&decimals);
}

pub(crate) fn push_integer(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// SplitMix64: its sequence is part of what a seed means, so it is not left to a library's next version.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_market() {
        let take = |seed, symbol| {
            let mut market = Market::new(seed, symbol);
            (0..1_000).map(|_| market.next()).collect::<Vec<_>>()
        };
        let trades = take(7, "BTCUSDT");
        assert_eq!(trades, take(7, "BTCUSDT"));
        assert_ne!(trades, take(8, "BTCUSDT"));
        assert_ne!(trades, take(7, "ETHUSDT"));
        assert!(trades.windows(2).all(|pair| pair[1].id == pair[0].id + 1));
        assert!(trades.iter().any(|trade| trade.same_time));
        assert!(
            trades
                .iter()
                .all(|trade| trade.id >= 1_000_000_000 && trade.quantity > 0)
        );
    }

    #[test]
    fn a_market_goes_on_where_it_stopped() {
        let mut whole = Market::new(7, "BTCUSDT");
        let trades: Vec<Trade> = (0..200).map(|_| whole.next()).collect();
        let mut first = Market::new(7, "BTCUSDT");
        for _ in 0..100 {
            first.next();
        }
        let mut second = Market::resume(7, "BTCUSDT", first.place());
        let rest: Vec<Trade> = (0..100).map(|_| second.next()).collect();
        assert_eq!(rest, trades[100..]);
        let other = Market::resume(8, "BTCUSDT", first.place());
        assert_eq!(other.next_id, first.next_id, "another seed goes on with the numbering");
    }

    #[test]
    fn decimals_have_eight_places() {
        let text = |units| {
            let mut out = Vec::new();
            push_decimal(&mut out, units);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(text(6_400_010_000_000), "64000.10000000");
        assert_eq!(text(1), "0.00000001");
        assert_eq!(text(0), "0.00000000");
    }
}
