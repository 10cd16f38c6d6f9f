//! What this market alone sends, as it stands on the wire. Unknown fields are ignored.

use std::borrow::Cow;

use serde::Deserialize;

/// `<symbol>@markPrice`, and each row of `!markPrice@arr`.
#[derive(Debug, Deserialize)]
pub(super) struct MarkPriceEvent<'a> {
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(super) symbol: Cow<'a, str>,
    /// 1 for USDⓈ-M, 2 for COIN-M; since June 2026.
    pub(super) st: Option<u8>,
    #[serde(rename = "p", borrow)]
    pub(super) mark_price: Option<Cow<'a, str>>,
    #[serde(rename = "i", borrow)]
    pub(super) index_price: Option<Cow<'a, str>>,
    /// Empty for what expires.
    #[serde(rename = "r", borrow)]
    pub(super) rate: Option<Cow<'a, str>>,
    /// When the rate is paid; 0 for what expires.
    #[serde(rename = "T")]
    pub(super) next_funding_time: Option<i64>,
}

/// `GET /fapi/v1/premiumIndex`: what the stream says, by other names.
#[derive(Debug, Deserialize)]
pub(super) struct PremiumIndex<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(rename = "markPrice", borrow)]
    mark_price: Option<Cow<'a, str>>,
    #[serde(rename = "indexPrice", borrow)]
    index_price: Option<Cow<'a, str>>,
    /// The running estimate, despite the name.
    #[serde(rename = "lastFundingRate", borrow)]
    rate: Option<Cow<'a, str>>,
    #[serde(rename = "nextFundingTime")]
    next_funding_time: Option<i64>,
    time: i64,
}

impl<'a> From<PremiumIndex<'a>> for MarkPriceEvent<'a> {
    fn from(body: PremiumIndex<'a>) -> Self {
        Self {
            event_time: body.time,
            symbol: body.symbol,
            st: None,
            mark_price: body.mark_price,
            index_price: body.index_price,
            rate: body.rate,
            next_funding_time: body.next_funding_time,
        }
    }
}

/// A row of `GET /fapi/v1/fundingRate`.
#[derive(Debug, Deserialize)]
pub(super) struct FundingRow<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "fundingRate", borrow)]
    pub(super) rate: Cow<'a, str>,
    #[serde(rename = "fundingTime")]
    pub(super) funding_time: i64,
    /// Empty, or not there, in rows of before October 2023.
    #[serde(rename = "markPrice", borrow)]
    pub(super) mark_price: Option<Cow<'a, str>>,
}

/// A row of `GET /fapi/v1/fundingInfo`.
#[derive(Debug, Deserialize)]
pub(super) struct FundingInfo<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "fundingIntervalHours")]
    pub(super) hours: u32,
}

/// `<symbol>@forceOrder` and `!forceOrder@arr`: one order a frame.
#[derive(Debug, Deserialize)]
pub(super) struct ForceOrderEvent<'a> {
    #[serde(rename = "E")]
    pub(super) event_time: i64,
    pub(super) st: Option<u8>,
    #[serde(rename = "o", borrow)]
    pub(super) order: ForceOrder<'a>,
}

/// The order that closes a position.
#[derive(Debug, Deserialize)]
pub(super) struct ForceOrder<'a> {
    #[serde(rename = "s", borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "S", borrow)]
    pub(super) side: Cow<'a, str>,
    #[serde(rename = "q", borrow)]
    pub(super) quantity: Cow<'a, str>,
    #[serde(rename = "p", borrow)]
    pub(super) price: Cow<'a, str>,
    #[serde(rename = "ap", borrow)]
    pub(super) average_price: Option<Cow<'a, str>>,
    #[serde(rename = "X", borrow)]
    pub(super) status: Option<Cow<'a, str>>,
    /// All that was filled of it so far.
    #[serde(rename = "z", borrow)]
    pub(super) filled: Option<Cow<'a, str>>,
    #[serde(rename = "T")]
    pub(super) trade_time: i64,
}

/// `GET /fapi/v1/openInterest`.
#[derive(Debug, Deserialize)]
pub(super) struct OpenInterestBody<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "openInterest", borrow)]
    pub(super) open_interest: Cow<'a, str>,
    /// When it was measured.
    pub(super) time: i64,
}

/// A row of `GET /futures/data/openInterestHist`.
#[derive(Debug, Deserialize)]
pub(super) struct OpenInterestRow<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "sumOpenInterest", borrow)]
    pub(super) open_interest: Cow<'a, str>,
    #[serde(rename = "sumOpenInterestValue", borrow)]
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) timestamp: Timestamp,
}

/// A row of the long/short ratios. The ratio of positions uses the names of accounts, too.
#[derive(Debug, Deserialize)]
pub(super) struct RatioRow<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    #[serde(rename = "longShortRatio", borrow)]
    pub(super) ratio: Cow<'a, str>,
    #[serde(rename = "longAccount", alias = "longPosition", borrow)]
    pub(super) long: Cow<'a, str>,
    #[serde(rename = "shortAccount", alias = "shortPosition", borrow)]
    pub(super) short: Cow<'a, str>,
    pub(super) timestamp: Timestamp,
}

/// A time in milliseconds; older documents show it as a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamp(pub(super) i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl serde::de::Visitor<'_> for Whole {
            type Value = Timestamp;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a time in milliseconds")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Timestamp, E> {
                Ok(Timestamp(value))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Timestamp, E> {
                i64::try_from(value).map(Timestamp).map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map(Timestamp).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Whole)
    }
}
