//! Events: whatever the collector may publish.

use serde::{Deserialize, Serialize};

use crate::{
    DataType, FundingRate, Gap, Liquidation, LongShortRatio, MessageId, OpenInterest, OrderBook, Subject, SubjectError,
    Trade, UnixNanos, VolatilityIndex,
};

/// One normalised event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The best levels of both sides after an update.
    OrderBook(Box<OrderBook>),
    /// One fill.
    Trade(Trade),
    /// What holders of a perpetual pay each other.
    FundingRate(FundingRate),
    /// How much of a derivative is held.
    OpenInterest(OpenInterest),
    /// One forced closing of a position.
    Liquidation(Box<Liquidation>),
    /// How positions or accounts divide into long and short: two types on the bus, by [`LongShortRatio::population`].
    LongShortRatio(LongShortRatio),
    /// The volatility that options imply.
    VolatilityIndex(VolatilityIndex),
    /// A hole in a sequence.
    Gap(Gap),
}

/// Why a message on the bus is not an event.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The subject is not one of ours.
    #[error("not one of our subjects")]
    Subject(#[from] SubjectError),
    /// The payload is not what the subject promises.
    #[error("payload is not a valid {data_type}")]
    Payload {
        /// What the subject promises.
        data_type: DataType,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Subject and payload name different things.
    #[error("payload is about `{payload}`, its subject says `{subject}`")]
    Mismatch {
        /// What the subject says.
        subject: String,
        /// What the payload says.
        payload: String,
    },
}

/// A gap as it stands on the bus.
#[derive(Serialize, Deserialize)]
struct GapMessage<G> {
    data_type: DataType,
    #[serde(default, skip_deserializing)]
    gap_id: String,
    #[serde(flatten)]
    gap: G,
}

impl Event {
    /// Reads a message.
    ///
    /// # Errors
    /// Where subject or payload is not valid, or they disagree: none of these can ever be stored.
    pub fn parse(subject: &str, payload: &[u8]) -> Result<Self, MessageError> {
        let expected: Subject = subject.parse()?;
        let data_type = expected.data_type;
        let wrap = |source| MessageError::Payload { data_type, source };
        let event = match data_type {
            DataType::OrderBook => Self::OrderBook(Box::new(serde_json::from_slice(payload).map_err(wrap)?)),
            DataType::Trade => Self::Trade(serde_json::from_slice(payload).map_err(wrap)?),
            DataType::FundingRate => Self::FundingRate(serde_json::from_slice(payload).map_err(wrap)?),
            DataType::OpenInterest => Self::OpenInterest(serde_json::from_slice(payload).map_err(wrap)?),
            DataType::Liquidation => Self::Liquidation(Box::new(serde_json::from_slice(payload).map_err(wrap)?)),
            DataType::LsrTopPosition | DataType::LsrAllAccount => {
                Self::LongShortRatio(serde_json::from_slice(payload).map_err(wrap)?)
            }
            DataType::VolatilityIndex => Self::VolatilityIndex(serde_json::from_slice(payload).map_err(wrap)?),
            DataType::Gap => Self::Gap(serde_json::from_slice::<GapMessage<Gap>>(payload).map_err(wrap)?.gap),
        };
        let found = event.subject();
        if found == expected {
            return Ok(event);
        }
        Err(MessageError::Mismatch {
            subject: subject.to_owned(),
            payload: found.to_string(),
        })
    }

    /// Returns the JSON text that is published.
    pub fn to_json(&self) -> Vec<u8> {
        let text = match self {
            Self::OrderBook(book) => return book.to_json(),
            Self::Trade(trade) => return trade.to_json(),
            Self::FundingRate(rate) => serde_json::to_vec(rate),
            Self::OpenInterest(interest) => serde_json::to_vec(interest),
            Self::Liquidation(liquidation) => serde_json::to_vec(liquidation),
            Self::LongShortRatio(ratio) => serde_json::to_vec(ratio),
            Self::VolatilityIndex(index) => serde_json::to_vec(index),
            Self::Gap(gap) => serde_json::to_vec(&GapMessage {
                data_type: DataType::Gap,
                gap_id: gap.gap_id(),
                gap,
            }),
        };
        text.expect("strings and numbers always serialise")
    }

    /// Returns what the event is about.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::OrderBook(_) => DataType::OrderBook,
            Self::Trade(_) => DataType::Trade,
            Self::FundingRate(_) => DataType::FundingRate,
            Self::OpenInterest(_) => DataType::OpenInterest,
            Self::Liquidation(_) => DataType::Liquidation,
            Self::LongShortRatio(ratio) => ratio.population.data_type(),
            Self::VolatilityIndex(_) => DataType::VolatilityIndex,
            Self::Gap(_) => DataType::Gap,
        }
    }

    /// Returns where the event is published.
    pub fn subject(&self) -> Subject {
        match self {
            Self::OrderBook(book) => book.subject(),
            Self::Trade(trade) => trade.subject(),
            Self::FundingRate(rate) => rate.subject(),
            Self::OpenInterest(interest) => interest.subject(),
            Self::Liquidation(liquidation) => liquidation.subject(),
            Self::LongShortRatio(ratio) => ratio.subject(),
            Self::VolatilityIndex(index) => index.subject(),
            Self::Gap(gap) => gap.subject(),
        }
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        match self {
            Self::OrderBook(book) => book.message_id(),
            Self::Trade(trade) => trade.message_id(),
            Self::FundingRate(rate) => rate.message_id(),
            Self::OpenInterest(interest) => interest.message_id(),
            Self::Liquidation(liquidation) => liquidation.message_id(),
            Self::LongShortRatio(ratio) => ratio.message_id(),
            Self::VolatilityIndex(index) => index.message_id(),
            Self::Gap(gap) => gap.message_id(),
        }
    }

    /// Returns a hash of what the event says, without local clocks.
    pub fn content_hash(&self) -> u64 {
        match self {
            Self::OrderBook(book) => book.content_hash(),
            Self::Trade(trade) => trade.content_hash(),
            Self::FundingRate(rate) => rate.content_hash(),
            Self::OpenInterest(interest) => interest.content_hash(),
            Self::Liquidation(liquidation) => liquidation.content_hash(),
            Self::LongShortRatio(ratio) => ratio.content_hash(),
            Self::VolatilityIndex(index) => index.content_hash(),
            Self::Gap(gap) => gap.content_hash(),
        }
    }

    /// Returns when the event left the socket, where that is known.
    pub fn ts_recv(&self) -> Option<UnixNanos> {
        match self {
            Self::OrderBook(book) => book.ts_recv,
            Self::Trade(trade) => trade.ts_recv,
            Self::FundingRate(rate) => rate.origin.ts_recv,
            Self::OpenInterest(interest) => interest.origin.ts_recv,
            Self::Liquidation(liquidation) => liquidation.origin.ts_recv,
            Self::LongShortRatio(ratio) => ratio.origin.ts_recv,
            Self::VolatilityIndex(index) => index.origin.ts_recv,
            Self::Gap(gap) => Some(gap.ts.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exchange, GapCause, GapState, MarketType, Source, Symbol, UnixMillis};

    fn gap() -> Gap {
        Gap {
            ts: UnixMillis(3),
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: Symbol::new("BTC-USDT").expect("valid"),
            data_type: DataType::Trade,
            from_id: "10".into(),
            to_id: "12".into(),
            from_ts: UnixMillis(1),
            to_ts: UnixMillis(2),
            cause: GapCause::Disconnect,
            state: GapState::Open,
            source: Source::Ws,
            version: 1,
        }
    }

    #[test]
    fn a_gap_reads_back_as_itself() {
        let event = Event::Gap(gap());
        let text = String::from_utf8(event.to_json()).expect("UTF-8");
        assert!(
            text.contains(r#""gap_id":"trade:binance_spot:spot:BTC-USDT:10""#),
            "{text}"
        );
        assert_eq!(
            Event::parse("gap.binance_spot.spot.BTC-USDT", text.as_bytes()).expect("valid"),
            event
        );
        assert_eq!(event.message_id().0, "gap:trade:binance_spot:spot:BTC-USDT:10:1");
    }

    #[test]
    fn a_payload_about_something_else_is_refused() {
        let payload = Event::Gap(gap()).to_json();
        assert!(matches!(
            Event::parse("gap.binance_spot.spot.ETH-USDT", &payload),
            Err(MessageError::Mismatch { .. })
        ));
        assert!(Event::parse("trade.binance_spot.spot.BTC-USDT", &payload).is_err());
        assert!(Event::parse("trade.binance_spot.spot.BTC-USDT", b"\xff").is_err());
    }
}
