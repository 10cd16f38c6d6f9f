//! What the venue sends, as it stands on the wire. Unknown fields are ignored; numbers are texts, but for those that count.

use std::borrow::Cow;

use mprism_model::{Level, Written};
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A frame of a channel, an answer to a request of ours, or a notice.
#[derive(Debug, Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arg: Option<Arg<'a>>,
    #[serde(borrow)]
    pub(super) action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) msg: Option<Cow<'a, str>>,
}

/// What a frame is about, as it was subscribed to.
#[derive(Debug, Deserialize)]
pub(super) struct Arg<'a> {
    #[serde(borrow)]
    pub(super) channel: Cow<'a, str>,
    #[serde(rename = "instId", borrow)]
    pub(super) inst_id: Option<Cow<'a, str>>,
    #[serde(rename = "instType", borrow)]
    pub(super) inst_type: Option<Cow<'a, str>>,
}

impl Arg<'_> {
    /// Returns the subscription's name: its channel and what it is of.
    pub(super) fn stream(&self) -> Box<str> {
        let of = self.inst_id.as_deref().or(self.inst_type.as_deref());
        stream_name(&self.channel, of.unwrap_or_default())
    }
}

/// Returns the name of a subscription to a channel of an instrument, or of a type of instruments.
pub(super) fn stream_name(channel: &str, of: &str) -> Box<str> {
    format!("{channel}:{of}").into()
}

/// The body of an answer over REST.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    /// A text; a number on some gateways.
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) msg: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
}

/// What an answer's row is, by the fields that it has.
#[derive(Debug, Deserialize)]
pub(super) struct Shape {
    pub(super) asks: Option<IgnoredAny>,
    #[serde(rename = "tradeId")]
    pub(super) trade_id: Option<IgnoredAny>,
    #[serde(rename = "realizedRate")]
    pub(super) realized_rate: Option<IgnoredAny>,
    #[serde(rename = "fundingTime")]
    pub(super) funding_time: Option<IgnoredAny>,
    pub(super) oi: Option<IgnoredAny>,
    pub(super) details: Option<IgnoredAny>,
    #[serde(rename = "tickSz")]
    pub(super) tick: Option<IgnoredAny>,
}

/// A book, or what changed in it.
#[derive(Debug, Deserialize)]
pub(super) struct BookRow<'a> {
    pub(super) asks: Levels,
    pub(super) bids: Levels,
    /// Milliseconds; `0` and absent in some frames.
    #[serde(borrow)]
    pub(super) ts: Option<Cow<'a, str>>,
    /// Signed 32 bits; 0 since June 2026.
    pub(super) checksum: Option<i32>,
    /// Absent in recordings of 2022 and before.
    #[serde(rename = "seqId")]
    pub(super) seq_id: Option<i64>,
    /// -1 in a snapshot.
    #[serde(rename = "prevSeqId")]
    pub(super) prev_seq_id: Option<i64>,
}

/// Channels `trades` and `trades-all`, `GET /api/v5/market/trades` and `history-trades`.
#[derive(Debug, Deserialize)]
pub(super) struct TradeRow<'a> {
    #[serde(rename = "instId", borrow)]
    pub(super) inst_id: Option<Cow<'a, str>>,
    #[serde(rename = "tradeId", borrow)]
    pub(super) trade_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) px: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sz: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) side: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) ts: Cow<'a, str>,
}

/// Channel `funding-rate`, `GET /api/v5/public/funding-rate` and `funding-rate-history`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FundingRow<'a> {
    #[serde(borrow)]
    pub(super) inst_id: Option<Cow<'a, str>>,
    /// Absent in some frames of 2021.
    #[serde(borrow)]
    pub(super) funding_rate: Option<Cow<'a, str>>,
    /// What was paid: in the history only.
    #[serde(borrow)]
    pub(super) realized_rate: Option<Cow<'a, str>>,
    /// Empty where only the running period is estimated.
    #[serde(borrow)]
    pub(super) next_funding_rate: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) funding_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) next_funding_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) premium: Option<Cow<'a, str>>,
    /// Absent in frames of 2022 and before.
    #[serde(borrow)]
    pub(super) ts: Option<Cow<'a, str>>,
}

/// Channel and `GET /api/v5/public/open-interest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InterestRow<'a> {
    #[serde(borrow)]
    pub(super) inst_id: Option<Cow<'a, str>>,
    /// Contracts.
    #[serde(borrow)]
    pub(super) oi: Cow<'a, str>,
    /// The same in base currency.
    #[serde(borrow)]
    pub(super) oi_ccy: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) oi_usd: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) ts: Option<Cow<'a, str>>,
}

/// Channel `liquidation-orders` and the path of the same name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LiquidationRow<'a> {
    #[serde(borrow)]
    pub(super) inst_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) details: Vec<&'a RawValue>,
}

/// One of an instrument's liquidations.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LiquidationDetail<'a> {
    /// Of the closing order.
    #[serde(borrow)]
    pub(super) side: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) pos_side: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) bk_px: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sz: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) ts: Cow<'a, str>,
}

/// Channel and `GET /api/v5/public/instruments`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstrumentRow<'a> {
    #[serde(borrow)]
    pub(super) inst_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) ct_val: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) ct_mult: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) ct_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) tick_sz: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) lot_sz: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) state: Option<Cow<'a, str>>,
}

/// Returns a field's text where there is one: the venue leaves empty what it does not say.
pub(super) fn told<'a>(field: &'a Option<Cow<'_, str>>) -> Option<&'a str> {
    field.as_deref().filter(|text| !text.is_empty())
}

/// Levels as the venue writes them: `[["price","size","0","orders"],…]`; `["price","size","orders"]` in its full books.
#[derive(Debug, Default)]
pub(super) struct Levels(pub(super) Vec<Level>);

/// Most levels of one side in a message; more is no order book.
const LEVELS_MAX: usize = 10_000;

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Levels;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("levels")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Levels, A::Error> {
                let mut levels = Vec::with_capacity(rows.size_hint().unwrap_or(16).min(1_024));
                while let Some(Row(level)) = rows.next_element()? {
                    if levels.len() == LEVELS_MAX {
                        return Err(A::Error::custom("more than 10,000 levels"));
                    }
                    levels.push(level);
                }
                Ok(Levels(levels))
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

/// One level.
struct Row(Level);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a price and a size")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<Row, A::Error> {
                let price: Written = row
                    .next_element()?
                    .ok_or_else(|| A::Error::custom("a level without a price"))?;
                let quantity = row
                    .next_element()?
                    .ok_or_else(|| A::Error::custom("a level without a size"))?;
                if price.is_zero() {
                    return Err(A::Error::custom("a level at a price of zero"));
                }
                while row.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Row(Level { price, quantity }))
            }
        }
        deserializer.deserialize_seq(Texts)
    }
}
