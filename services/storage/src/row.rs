//! One message as a row to be: what decides whether it is stored, and where in its batch the rest of it is.

use std::ops::Range;

use mprism_model::{Event, Exchange, MarketType, ProducerId, Symbol, UnixMillis, UnixNanos};

use crate::tables::{funding_rates, long_short_ratios};

/// A pulled message that can be stored. Its bytes, its market and where its ack goes are in its batch's
/// [`Backing`](crate::batch::Backing): twenty thousand of these are held at once.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its identity: what makes its insert idempotent.
    pub(crate) identity: ProducerId,
    /// What it is called by those who do not know us.
    pub(crate) natural: Natural,
    /// What it says, without local clocks.
    pub(crate) content: u64,
    /// When it left the venue's socket, where that is known.
    pub(crate) ts_recv: Option<UnixNanos>,
    /// The number of days since 1970 of the day that it belongs to.
    pub(crate) day: i64,
    /// What it is about: an index into the batch's markets.
    pub(crate) market: u32,
    /// Where it is stored: an index into the batch's partitions.
    pub(crate) part: u32,
    /// Where it begins among the bytes of its partition.
    pub(crate) start: usize,
    /// How many bytes it has there.
    pub(crate) length: u32,
    /// Where its ack goes, among the batch's ack subjects; nowhere where a message was not delivered by a durable.
    pub(crate) reply: Reply,
}

/// A place among a batch's ack subjects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) start: u32,
    pub(crate) length: u16,
}

/// Whom an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Market {
    pub(crate) exchange: Exchange,
    pub(crate) market_type: MarketType,
    pub(crate) symbol: Symbol,
}

/// A natural identity within a market.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Natural {
    /// A number that grows: above the highest stored one nothing is stored.
    Number(u64),
    /// Any other text: always looked up.
    Text(Box<str>),
}

impl Natural {
    /// Returns the text as it stands in the table.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.to_string(),
        }
    }
}

/// What of an event decides whether and where it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What it is about.
    pub(crate) market: Market,
    /// What it is called by those who do not know us.
    pub(crate) natural: Natural,
    /// What it says, without local clocks.
    pub(crate) content: u64,
    /// The number of days since 1970 of the day that it belongs to.
    pub(crate) day: i64,
}

impl Facts {
    pub(crate) fn of(event: &Event) -> Self {
        let (natural, ts) = match event {
            Event::OrderBook(book) => (Natural::Number(book.last_update_id), book.ts),
            Event::Trade(trade) => (natural_of(&trade.trade_id), trade.ts),
            Event::FundingRate(rate) => {
                let ts = rate.origin.ts;
                (funding_rates::natural(ts, rate.kind.as_str()), ts)
            }
            Event::OpenInterest(interest) => (natural_of_time(interest.origin.ts), interest.origin.ts),
            Event::Liquidation(liquidation) => {
                let id = liquidation.liquidation_id.to_string();
                (Natural::Text(id.into()), liquidation.origin.ts)
            }
            Event::LongShortRatio(ratio) => {
                let natural = long_short_ratios::natural(ratio.period_ts, &ratio.period);
                (natural, ratio.origin.ts)
            }
            Event::VolatilityIndex(index) => (natural_of_time(index.origin.ts), index.origin.ts),
            Event::Gap(gap) => {
                let text = format!("{}#{}", gap.gap_id(), gap.version);
                (Natural::Text(text.into()), gap.ts)
            }
        };
        let subject = event.subject();
        Self {
            natural,
            content: event.content_hash(),
            day: ts.day(),
            market: Market {
                exchange: subject.exchange,
                market_type: subject.market_type,
                symbol: subject.symbol,
            },
        }
    }
}

impl Row {
    /// Returns whether it belongs to a day before this one: partitions of such days may have left the hot store.
    pub(crate) fn is_before(&self, day: i64) -> bool {
        self.day < day
    }

    /// Returns where it is among the bytes of its partition.
    pub(crate) fn bytes(&self) -> Range<usize> {
        self.start..self.start + self.length as usize
    }
}

/// Reads a trade id. Only digits without a leading zero compare as numbers: `007` and `7` are different ids.
pub(crate) fn natural_of(id: &str) -> Natural {
    let canonical = !id.starts_with('0') || id == "0";
    match id.parse::<u64>() {
        Ok(number) if canonical && !id.starts_with('+') => Natural::Number(number),
        _ => Natural::Text(id.into()),
    }
}

/// Events that are told apart by the venue's event time; messages before 1970 are refused when they are read.
pub(crate) fn natural_of_time(ts: UnixMillis) -> Natural {
    Natural::Number(u64::try_from(ts.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_numbers() {
        assert_eq!(natural_of("18446744073709551615"), Natural::Number(u64::MAX));
        assert_eq!(natural_of("0"), Natural::Number(0));
        for text in ["007", "+7", "18446744073709551616", "a7", ""] {
            assert_eq!(natural_of(text), Natural::Text(text.into()));
        }
    }

    #[test]
    fn a_row_to_be_is_small() {
        assert!(size_of::<Row>() <= 104, "{} bytes", size_of::<Row>());
    }
}
