//! Long/short ratios: how positions or accounts divide, one value for each of the venue's periods.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use crate::origin::{Incoming, Outgoing, not_negative, short_text, storable};
use crate::{DataType, Decimal, DecimalText, MessageId, Origin, Subject, TsSource, UnixMillis};

/// How far the two shares may be from 1 together, in units of 10⁻¹⁸: venues round each to four places, some publishers to three.
const ROUNDING: i128 = 10_i128.pow(15);
/// One, in units of 10⁻¹⁸.
const ONE: i128 = 10_i128.pow(18);
/// The period of a message that does not name one, as in the original.
const USUAL_PERIOD: &str = "5m";

/// Who is divided into long and short. Venues define each differently: never merge series of two venues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Population {
    /// The positions of the largest traders.
    TopPositions,
    /// All accounts that hold a position.
    AllAccounts,
}

impl Population {
    /// Returns the type that messages about it have.
    pub fn data_type(self) -> DataType {
        match self {
            Self::TopPositions => DataType::LsrTopPosition,
            Self::AllAccounts => DataType::LsrAllAccount,
        }
    }
}

/// How long and short divide within one of the venue's periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongShortRatio {
    /// Whom it is about, and how it reached us. `ts` is when the value was received ([`TsSource::Recv`]), so that no query sees
    /// it before it was known.
    pub origin: Origin,
    /// Who is divided.
    pub population: Population,
    /// Long divided by short.
    pub long_short_ratio: DecimalText,
    /// Share of the longs, 0 to 1 (`long_position_ratio` or `long_account_ratio`).
    pub long_ratio: DecimalText,
    /// Share of the shorts, 0 to 1.
    pub short_ratio: DecimalText,
    /// Length of a period as the original writes it, for example `5m`.
    pub period: Box<str>,
    /// The venue's label of the period; its start or its end, as the venue gives it.
    pub period_ts: UnixMillis,
}

impl LongShortRatio {
    /// Returns where the ratio is published.
    pub fn subject(&self) -> Subject {
        self.origin.subject(self.population.data_type())
    }

    /// Returns a hash of what every source says: the period, and ratio and shares by value. When it was received does not
    /// belong to it.
    pub fn content_hash(&self) -> u64 {
        content_hash(
            &self.period,
            self.period_ts,
            [&self.long_short_ratio, &self.long_ratio, &self.short_ratio].map(DecimalText::value),
        )
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (what, exchange, symbol) = (self.population.data_type(), self.origin.exchange, &self.origin.symbol);
        let (ts, period, hash) = (self.period_ts.0, &self.period, self.content_hash());
        MessageId(format!("{what}:{exchange}:{symbol}:{ts}:{period}#{hash:016x}"))
    }
}

/// The hash behind [`LongShortRatio::content_hash`], for a row read back from its table: of the ratio, the share of the longs
/// and that of the shorts.
pub fn content_hash(period: &str, period_ts: UnixMillis, values: [Decimal; 3]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(period.as_bytes());
    hasher.update(&[0]);
    hasher.update(&period_ts.0.to_le_bytes());
    for value in values {
        hasher.update(&value.scaled().to_le_bytes());
    }
    hasher.digest()
}

/// The figures on the bus: each type has its own two names for the shares.
#[derive(Serialize, Deserialize)]
struct Figures {
    long_short_ratio: DecimalText,
    #[serde(skip_serializing_if = "Option::is_none")]
    long_position_ratio: Option<DecimalText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_position_ratio: Option<DecimalText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    long_account_ratio: Option<DecimalText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_account_ratio: Option<DecimalText>,
    period: Option<Box<str>>,
    period_ts_ms: Option<UnixMillis>,
}

impl Serialize for LongShortRatio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shares = (Some(self.long_ratio.clone()), Some(self.short_ratio.clone()));
        let (positions, accounts) = match self.population {
            Population::TopPositions => (shares, (None, None)),
            Population::AllAccounts => ((None, None), shares),
        };
        let figures = Figures {
            long_short_ratio: self.long_short_ratio.clone(),
            long_position_ratio: positions.0,
            short_position_ratio: positions.1,
            long_account_ratio: accounts.0,
            short_account_ratio: accounts.1,
            period: Some(self.period.clone()),
            period_ts_ms: Some(self.period_ts),
        };
        Outgoing::new(self.population.data_type(), &self.origin, "api", figures).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LongShortRatio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let message = Incoming::<Figures>::deserialize(deserializer)?;
        let population = match message.data_type {
            DataType::LsrTopPosition => Population::TopPositions,
            DataType::LsrAllAccount => Population::AllAccounts,
            other => {
                return Err(D::Error::custom(format_args!(
                    "data_type is `{other}`, no long/short ratio"
                )));
            }
        };
        let (origin, figures) = message.open(TsSource::Recv).map_err(D::Error::custom)?;
        let (long, short) = match population {
            Population::TopPositions => (figures.long_position_ratio, figures.short_position_ratio),
            Population::AllAccounts => (figures.long_account_ratio, figures.short_account_ratio),
        };
        let ratio = Self {
            population,
            long_short_ratio: figures.long_short_ratio,
            long_ratio: long.ok_or_else(|| D::Error::custom("the share of the longs is missing"))?,
            short_ratio: short.ok_or_else(|| D::Error::custom("the share of the shorts is missing"))?,
            period: figures.period.unwrap_or_else(|| USUAL_PERIOD.into()),
            // The original does not publish the label; its time of the message stands in.
            period_ts: figures.period_ts_ms.unwrap_or(origin.ts),
            origin,
        };
        ratio.check().map_err(D::Error::custom)?;
        Ok(ratio)
    }
}

impl LongShortRatio {
    fn check(&self) -> Result<(), String> {
        not_negative([
            ("long_short_ratio", Some(&self.long_short_ratio)),
            ("the share of the longs", Some(&self.long_ratio)),
            ("the share of the shorts", Some(&self.short_ratio)),
        ])?;
        let (long, short) = (self.long_ratio.value().scaled(), self.short_ratio.value().scaled());
        if (long + short - ONE).abs() > ROUNDING {
            return Err(format!(
                "shares of {} and {} do not sum to 1",
                self.long_ratio, self.short_ratio
            ));
        }
        short_text("period", &self.period, 16)?;
        storable("period_ts_ms", self.period_ts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::origin::tests::{number, origin, reason, with};
    use crate::{Exchange, MarketType};

    const TOP: &str = "lsr_top_position.binance_derivatives.perpetual.BTC-USDT";
    const ALL: &str = "lsr_all_account.okx_derivatives.perpetual.BTC-USDT";
    const ORIGINAL_TOP: &str = r#"{"data_type":"lsr_top_position","exchange":"binance_derivatives","market_type":"perpetual",
        "symbol":"BTC-USDT","instrument_id":"BTCUSDT","long_short_ratio":"1.43","long_position_ratio":"0.5885",
        "short_position_ratio":"0.4115","period":"5m","data_source":"api","ts_ms":1760054400123,
        "collected_ts_ms":1760054400120,"publisher":"unified-collector"}"#;
    const ORIGINAL_ALL: &str = r#"{"data_type":"lsr_all_account","exchange":"okx_derivatives","market_type":"perpetual",
        "symbol":"BTC-USDT","instrument_id":"BTC-USDT-SWAP","long_short_ratio":"1.43","long_account_ratio":"0.5885",
        "short_account_ratio":"0.4115","period":"5m","data_source":"api","ts_ms":1760054400123,
        "collected_ts_ms":1760054400120,"publisher":"unified-collector"}"#;

    fn ratio(population: Population) -> LongShortRatio {
        let mut origin = match population {
            Population::TopPositions => origin(
                Exchange::BinanceDerivatives,
                MarketType::Perpetual,
                "BTC-USDT",
                "BTCUSDT",
            ),
            Population::AllAccounts => origin(
                Exchange::OkxDerivatives,
                MarketType::Perpetual,
                "BTC-USDT",
                "BTC-USDT-SWAP",
            ),
        };
        origin.ts_source = TsSource::Recv;
        LongShortRatio {
            origin,
            population,
            long_short_ratio: number("1.8571"),
            long_ratio: number("0.6500"),
            short_ratio: number("0.3500"),
            period: "15m".into(),
            period_ts: UnixMillis(1_760_053_500_000),
        }
    }

    #[test]
    fn both_ratios_read_back_as_themselves() {
        for (subject, population, share) in [
            (TOP, Population::TopPositions, "long_position_ratio"),
            (ALL, Population::AllAccounts, "long_account_ratio"),
        ] {
            let event = Event::LongShortRatio(ratio(population));
            assert_eq!(Event::parse(subject, &event.to_json()).expect("valid"), event);
            let json: serde_json::Value = serde_json::from_slice(&event.to_json()).expect("JSON");
            assert_eq!(json[share], "0.6500");
            assert_eq!((&json["data_source"], &json["period"]), (&"api".into(), &"15m".into()));
            let shares = json.as_object().expect("an object").keys();
            assert_eq!(shares.filter(|key| key.ends_with("_ratio")).count(), 3, "{json}");
        }
    }

    #[test]
    fn messages_of_the_original_are_understood() {
        for (subject, original) in [(TOP, ORIGINAL_TOP), (ALL, ORIGINAL_ALL)] {
            let Ok(Event::LongShortRatio(found)) = Event::parse(subject, original.as_bytes()) else {
                panic!("a ratio");
            };
            assert_eq!((&*found.period, found.period_ts), ("5m", UnixMillis(1_760_054_400_123)));
            assert_eq!(found.origin.ts_source, TsSource::Recv);
            let id = found.message_id().0;
            assert!(id.contains(":BTC-USDT:1760054400123:5m#"), "{id}");
            assert!(id.starts_with(subject.split('.').next().unwrap_or_default()), "{id}");
        }
    }

    #[test]
    fn the_message_id_is_about_the_period_and_not_about_when_it_was_asked_for() {
        let first = ratio(Population::TopPositions);
        let mut other = first.clone();
        other.origin.ts = UnixMillis(1_760_054_460_000);
        other.origin.ts_recv = None;
        other.long_ratio = number("0.65");
        assert_eq!(first.message_id(), other.message_id());
        other.period = "5m".into();
        assert_ne!(first.message_id(), other.message_id());
        let revised = LongShortRatio {
            long_short_ratio: number("1.8572"),
            ..first.clone()
        };
        assert_ne!(first.content_hash(), revised.content_hash());
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused = |field: &str, value: serde_json::Value| reason(TOP, &with(ORIGINAL_TOP, field, value));
        assert!(refused("long_position_ratio", "0.59".into()).contains("sum to 1"));
        assert!(refused("short_position_ratio", "41.15".into()).contains("sum to 1"));
        assert!(refused("long_position_ratio", "-0.1".into()).contains("below zero"));
        assert!(refused("long_position_ratio", serde_json::Value::Null).contains("longs is missing"));
        assert!(refused("period", "".into()).contains("period"));
        assert!(refused("period_ts_ms", i64::MAX.into()).contains("stored"));
        assert!(refused("data_type", "trade".into()).contains("no long/short ratio"));
        assert!(
            Event::parse(ALL, &with(ORIGINAL_ALL, "data_type", "lsr_top_position".into())).is_err(),
            "the shares have the other type's names"
        );
        let rounded = with(ORIGINAL_TOP, "long_position_ratio", "0.5886".into());
        assert!(Event::parse(TOP, &rounded).is_ok(), "rounding is no error");
    }
}
