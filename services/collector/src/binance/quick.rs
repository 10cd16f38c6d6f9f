//! Trades, nine of ten frames, in one pass.

use super::trades::{AggregateEvent, TradeEvent};
use crate::wire::quick::{Quick, once};

/// A trade, or fills of one order as one trade.
#[derive(Debug, PartialEq)]
pub(crate) enum Fills<'a> {
    One(TradeEvent<'a>),
    Aggregate(AggregateEvent<'a>),
}

/// Fields of an event that mean something where it stands without a wrapper.
const OF_ENVELOPES: [&str; 6] = ["stream", "data", "id", "code", "msg", "error"];

/// Reads a frame that is a trade and nothing else, raw or from a combined stream; `None` leaves it to [`super::open`].
pub(crate) fn quick(text: &str) -> Option<Fills<'_>> {
    let mut quick = Quick::new(text);
    if text.starts_with("{\"e\":\"") {
        let mut fields = Fields::default();
        quick.object(|quick, name| match OF_ENVELOPES.contains(&name) {
            true => None,
            false => fields.read(quick, name),
        })?;
        quick.end()?;
        return fields.told();
    }
    if !text.starts_with("{\"stream\":\"") {
        return None;
    }
    let (mut stream, mut data) = (None, None);
    quick.object(|quick, name| match name {
        "stream" => once(&mut stream, quick.text()),
        "data" => {
            let mut fields = Fields::default();
            quick.object(|quick, name| fields.read(quick, name))?;
            once(&mut data, Some(fields))
        }
        _ => None,
    })?;
    quick.end()?;
    let (_, kind) = stream?.split_once('@')?;
    let data: Fields<'_> = data?;
    (data.kind == Kind::of(kind)).then(|| data.told()).flatten()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Trade,
    Aggregate,
}

impl Kind {
    /// Of anything else not even the rest is read.
    fn of(name: &str) -> Option<Self> {
        match name {
            "trade" => Some(Self::Trade),
            "aggTrade" => Some(Self::Aggregate),
            _ => None,
        }
    }
}

/// What was read of an event.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<Kind>,
    event_time: Option<i64>,
    symbol: Option<&'a str>,
    st: Option<u8>,
    order_type: Option<&'a str>,
    trade_id: Option<u64>,
    aggregate_id: Option<u64>,
    price: Option<&'a str>,
    quantity: Option<&'a str>,
    trade_time: Option<i64>,
    is_buyer_maker: Option<bool>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, quick: &mut Quick<'a>, name: &'a str) -> Option<()> {
        // Only what both kinds know by the same name and type, and what one of them does: else it is passed over there.
        let is_aggregate = self.kind == Some(Kind::Aggregate);
        match name {
            "e" => once(&mut self.kind, Kind::of(quick.text()?)),
            // Before the kind is known nothing can be told of the others.
            _ if self.kind.is_none() => None,
            "E" => once(&mut self.event_time, quick.whole()),
            "s" => once(&mut self.symbol, quick.text()),
            "st" => once(&mut self.st, quick.whole()),
            "X" if !is_aggregate => once(&mut self.order_type, quick.text()),
            "t" if !is_aggregate => once(&mut self.trade_id, quick.whole()),
            "a" if is_aggregate => once(&mut self.aggregate_id, quick.whole()),
            "p" => once(&mut self.price, quick.text()),
            "q" => once(&mut self.quantity, quick.text()),
            "T" => once(&mut self.trade_time, quick.whole()),
            "m" => once(&mut self.is_buyer_maker, quick.truth()),
            _ => quick.skip(),
        }
    }

    fn told(self) -> Option<Fills<'a>> {
        let (symbol, price, quantity) = (self.symbol?.into(), self.price?.into(), self.quantity?.into());
        let (event_time, trade_time) = (self.event_time?, self.trade_time?);
        let is_buyer_maker = self.is_buyer_maker?;
        Some(match self.kind? {
            Kind::Trade => Fills::One(TradeEvent {
                event_time,
                symbol,
                st: self.st,
                order_type: self.order_type.map(Into::into),
                trade_id: self.trade_id?,
                price,
                quantity,
                trade_time,
                is_buyer_maker,
            }),
            Kind::Aggregate => Fills::Aggregate(AggregateEvent {
                event_time,
                symbol,
                st: self.st,
                aggregate_id: self.aggregate_id?,
                price,
                quantity,
                trade_time,
                is_buyer_maker,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Frame, open};
    use super::*;
    use crate::wire::quick::tests::damaged;

    const FRAMES: &[&str] = &[
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1795176000123,"s":"BTCUSDT","t":5601234567,"p":"64000.10","q":"0.015","T":1795176000121,"m":true,"M":true}}"#,
        r#"{"e":"trade","E":1795176000123,"T":1795176000121,"s":"BTCUSDT","t":7,"p":"64000.10","q":"0.015","X":"MARKET","m":false,"st":1}"#,
        r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1795176000123,"a":9,"s":"BTCUSDT","p":"64000.10","q":"0.015","nq":"0.01","f":1,"l":2,"T":1795176000121,"m":false,"st":1}}"#,
    ];

    /// What the careful reader says of a frame.
    fn careful(text: &str) -> Option<Fills<'_>> {
        let Ok(Frame::Payload(payload)) = open(text) else {
            return None;
        };
        match &*payload.event().ok()? {
            "trade" => serde_json::from_str(payload.text).ok().map(Fills::One),
            "aggTrade" => serde_json::from_str(payload.text).ok().map(Fills::Aggregate),
            _ => None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        #[test]
        fn what_is_read_quickly_is_read_the_same_carefully(text in damaged(FRAMES)) {
            if let Some(fills) = quick(&text) {
                prop_assert_eq!(careful(&text), Some(fills), "{}", text);
            }
        }
    }

    #[test]
    fn trades_are_read_quickly_and_nothing_else() {
        for text in FRAMES {
            assert_eq!(quick(text), careful(text), "{text}");
            assert!(quick(text).is_some(), "{text}");
        }
        let depth = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT"}}"#;
        let strange = FRAMES[0].replace("btcusdt@trade", "btcusdt@depth20");
        for text in [depth, &strange, r#"{"result":null,"id":1}"#, "[]", "pong"] {
            assert_eq!(quick(text), None, "{text}");
        }
    }
}
