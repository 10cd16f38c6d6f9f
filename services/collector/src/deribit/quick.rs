//! Trades, most of all frames, in one pass.

use super::trades::{Numbering, Row, tell};
use crate::wire::quick::{Quick, once, whole};
use crate::wire::{About, ParseError, Said};

/// Reads a notification of trades and nothing else, and adds what it says; `None`, with nothing added, leaves it to the
/// careful reader.
pub(super) fn quick(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Option<Result<(), ParseError>> {
    if !text.starts_with("{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{\"channel\":\"trades.") {
        return None;
    }
    whole(said, |said| frame(text, about, said))
}

fn frame(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Option<Result<(), ParseError>> {
    let mut quick = Quick::new(text);
    let (mut version, mut method, mut result) = (None, None, None);
    quick.object(|quick, name| match name {
        "jsonrpc" => once(&mut version, quick.text()),
        "method" => once(&mut method, quick.text()),
        "params" => {
            let read = params(quick, about, said);
            once(&mut result, read)
        }
        _ => None,
    })?;
    quick.end()?;
    (method? == "subscription").then_some(())?;
    result
}

fn params(quick: &mut Quick<'_>, about: &About<'_>, said: &mut Vec<Said>) -> Option<Result<(), ParseError>> {
    let (mut channel, mut result) = (None, None);
    quick.object(|quick, name| match name {
        "channel" => once(&mut channel, quick.text().filter(|name| name.starts_with("trades."))),
        "data" => {
            let mut read = Ok(());
            quick.array(|quick| {
                let told = tell(&row(quick)?, Numbering::Live, about, said);
                // One that cannot be does not lose the others.
                read = std::mem::replace(&mut read, Ok(())).and(told);
                Some(())
            })?;
            once(&mut result, Some(read))
        }
        _ => quick.skip(),
    })?;
    channel?;
    result
}

fn row<'a>(quick: &mut Quick<'a>) -> Option<Row<'a>> {
    let (mut trade_seq, mut trade_id, mut timestamp, mut instrument_name) = (None, None, None, None);
    let (mut price, mut amount, mut direction, mut liquidation) = (None, None, None, None);
    quick.object(|quick, name| match name {
        "trade_seq" => once(&mut trade_seq, quick.whole()),
        "trade_id" => once(&mut trade_id, quick.text()),
        "timestamp" => once(&mut timestamp, quick.whole()),
        "instrument_name" => once(&mut instrument_name, quick.text()),
        "price" => once(&mut price, quick.number()),
        "amount" => once(&mut amount, quick.number()),
        "direction" => once(&mut direction, quick.text()),
        "liquidation" => once(&mut liquidation, quick.text()),
        _ => quick.skip(),
    })?;
    Some(Row {
        trade_seq: trade_seq?,
        trade_id: trade_id?,
        timestamp: timestamp?,
        instrument_name: instrument_name?,
        price: price?,
        amount: amount?,
        direction: direction?,
        liquidation,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::careful;
    use super::*;
    use crate::wire::quick::tests::{both, damaged};

    const FRAMES: &[&str] = &[
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{"trade_seq":150000123,"trade_id":"340000456","timestamp":1795176000155,"tick_direction":0,"price":64000.0,"mark_price":64000.21,"instrument_name":"BTC-PERPETUAL","index_price":63998.77,"direction":"buy","amount":5000.0,"contracts":500.0}]}}"#,
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.raw","data":[{"trade_seq":1,"trade_id":"3","timestamp":1795176000155,"price":64000.5,"instrument_name":"BTC-PERPETUAL","direction":"sell","amount":10,"liquidation":"MT"},{"trade_seq":2,"trade_id":"4","timestamp":1795176000155,"price":64000.5,"instrument_name":"BTC_USDC-PERPETUAL","direction":"buy","amount":0.1}]}}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        #[test]
        fn what_is_read_quickly_is_read_the_same_carefully(text in damaged(FRAMES)) {
            if let (Some(read), careful) = both(&text, quick, careful) {
                prop_assert_eq!(read, careful, "{}", text);
            }
        }
    }

    #[test]
    fn trades_are_read_quickly_and_nothing_else() {
        for text in FRAMES {
            let (read, careful) = both(text, quick, careful);
            assert_eq!(read, Some(careful), "{text}");
        }
        let ticker =
            r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.BTC-PERPETUAL.raw","data":{}}}"#;
        for text in [
            ticker,
            r#"{"jsonrpc":"2.0","id":1,"result":["trades.BTC-PERPETUAL.raw"]}"#,
            "{}",
        ] {
            assert_eq!(both(text, quick, careful).0, None, "{text}");
        }
    }
}
