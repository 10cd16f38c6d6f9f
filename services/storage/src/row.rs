//! One message as a row to be.

use bytes::Bytes;
use mprism_bus::{Message, SubjectText};
use mprism_model::{Event, Exchange, MarketType, ProducerId, SEQUENCE_HEADER, Symbol, UnixMillis, UnixNanos};

use crate::tables::{funding_rates, long_short_ratios};

/// A pulled message that can be stored.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its identity: what makes its insert idempotent.
    pub(crate) identity: ProducerId,
    /// What it is about.
    pub(crate) market: Market,
    /// What it is called by those who do not know us.
    pub(crate) natural: Natural,
    /// What it says, without local clocks.
    pub(crate) content: u64,
    /// Where it is stored: (day, exchange).
    pub(crate) partition: (i64, Exchange),
    /// The event.
    pub(crate) event: Event,
    /// How it came.
    pub(crate) delivery: Delivery,
}

/// How a message came, and where its ack goes.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) subject: SubjectText,
    pub(crate) message_id: String,
    pub(crate) payload: Bytes,
    /// Where the ack goes; a message without one was not delivered by a durable.
    pub(crate) reply: Option<SubjectText>,
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
    Text(String),
}

impl Natural {
    /// Returns the text as it stands in the table.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Why a message can never be stored.
#[derive(Debug)]
pub(crate) struct Unstorable {
    pub(crate) identity: ProducerId,
    pub(crate) reason: String,
    pub(crate) delivery: Delivery,
}

/// Reads a message.
pub(crate) fn read(message: Message) -> Result<Row, Box<Unstorable>> {
    let header = |name: &str| {
        let headers = message.headers.as_ref()?;
        headers.get(name).map(|value| value.as_str().to_owned())
    };
    let message_id = header("Nats-Msg-Id");
    // A header that does not read as ours is another publisher's business.
    let identity = header(SEQUENCE_HEADER)
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| ProducerId::of_foreign(message_id.as_deref(), message.subject.as_str(), &message.payload));
    let delivery = Delivery {
        message_id: message_id.unwrap_or_default(),
        subject: message.subject,
        payload: message.payload,
        // We ack by ourselves, without waiting for each.
        reply: message.reply,
    };
    match Event::parse(delivery.subject.as_str(), &delivery.payload) {
        Ok(event) => Ok(Row::of(event, identity, delivery)),
        Err(error) => Err(Box::new(Unstorable {
            identity,
            reason: mprism_runtime::log::chain(&error),
            delivery,
        })),
    }
}

impl Row {
    pub(crate) fn of(event: Event, identity: ProducerId, delivery: Delivery) -> Self {
        let (natural, ts) = match &event {
            Event::OrderBook(book) => (Natural::Number(book.last_update_id), book.ts),
            Event::Trade(trade) => (natural_of(&trade.trade_id), trade.ts),
            Event::FundingRate(rate) => {
                let ts = rate.origin.ts;
                (funding_rates::natural(ts, rate.kind.as_str()), ts)
            }
            Event::OpenInterest(interest) => (natural_of_time(interest.origin.ts), interest.origin.ts),
            Event::Liquidation(liquidation) => {
                let id = liquidation.liquidation_id.to_string();
                (Natural::Text(id), liquidation.origin.ts)
            }
            Event::LongShortRatio(ratio) => {
                let natural = long_short_ratios::natural(ratio.period_ts, &ratio.period);
                (natural, ratio.origin.ts)
            }
            Event::VolatilityIndex(index) => (natural_of_time(index.origin.ts), index.origin.ts),
            Event::Gap(gap) => (Natural::Text(format!("{}#{}", gap.gap_id(), gap.version)), gap.ts),
        };
        let subject = event.subject();
        Self {
            identity,
            natural,
            content: event.content_hash(),
            partition: (ts.day(), subject.exchange),
            market: Market {
                exchange: subject.exchange,
                market_type: subject.market_type,
                symbol: subject.symbol,
            },
            event,
            delivery,
        }
    }

    /// Returns whether it belongs to a day before this one: partitions of such days may have left the hot store.
    pub(crate) fn is_before(&self, day: i64) -> bool {
        self.partition.0 < day
    }

    /// Returns when it left the venue's socket, where that is known.
    pub(crate) fn ts_recv(&self) -> Option<UnixNanos> {
        self.event.ts_recv()
    }
}

/// Reads a trade id. Only digits without a leading zero compare as numbers: `007` and `7` are different ids.
pub(crate) fn natural_of(id: &str) -> Natural {
    let canonical = !id.starts_with('0') || id == "0";
    match id.parse::<u64>() {
        Ok(number) if canonical && !id.starts_with('+') => Natural::Number(number),
        _ => Natural::Text(id.to_owned()),
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
}
