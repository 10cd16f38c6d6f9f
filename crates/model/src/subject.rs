//! Subjects: `{type}.{exchange}.{market_type}.{symbol}`.

use std::fmt;
use std::str::FromStr;

use crate::{DataType, Exchange, MarketType, Symbol, UnknownName};

/// Where a message is published: its type and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What the message is about.
    pub data_type: DataType,
    /// The venue.
    pub exchange: Exchange,
    /// The kind of market.
    pub market_type: MarketType,
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
}

/// Why a text is not one of our subjects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Not four tokens.
    #[error("subject `{0}` does not have four tokens")]
    Tokens(String),
    /// A token is not a known name.
    #[error("subject with an unknown token")]
    Name(#[from] UnknownName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.data_type, self.exchange, self.market_type, self.symbol
        )
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let mut tokens = text.splitn(4, '.');
        let (Some(data_type), Some(exchange), Some(market_type), Some(symbol)) =
            (tokens.next(), tokens.next(), tokens.next(), tokens.next())
        else {
            return Err(SubjectError::Tokens(text.chars().take(200).collect()));
        };
        Ok(Self {
            data_type: data_type.parse()?,
            exchange: exchange.parse()?,
            market_type: market_type.parse()?,
            symbol: Symbol::new(symbol)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_as_itself() {
        let text = "trade.binance_spot.spot.BTC-USDT";
        assert_eq!(text.parse::<Subject>().expect("valid").to_string(), text);
    }

    #[test]
    fn foreign_subjects_are_refused() {
        for text in [
            "trade",
            "trade.binance_spot.spot",
            "quote.binance_spot.spot.BTC-USDT",
            "trade.binance_spot.spot.A.B",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
