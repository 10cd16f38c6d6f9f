//! Trades, most of all frames, in one pass.

use super::messages::TradeRow;
use super::trades;
use crate::wire::quick::{Quick, once, whole};
use crate::wire::{About, ParseError, Said};

/// Reads a frame of trades and nothing else, and adds what it says; `None`, with nothing added, leaves it to the careful
/// reader.
pub(super) fn quick(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Option<Result<(), ParseError>> {
    if !text.starts_with("{\"arg\":{\"channel\":\"trades") {
        return None;
    }
    whole(said, |said| frame(text, about, said))
}

fn frame(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Option<Result<(), ParseError>> {
    let mut quick = Quick::new(text);
    let (mut arg, mut result) = (None, None);
    quick.object(|quick, name| match name {
        "arg" => once(&mut arg, subscribed(quick)),
        "data" => {
            // Whom the rows are about stands before them.
            let (is_merged, named) = arg?;
            let mut read = Ok(());
            quick.array(|quick| {
                let told = trades::told(&row(quick)?, is_merged, named, about);
                // One that cannot be does not lose the others.
                read = std::mem::replace(&mut read, Ok(())).and(told.map(|told| said.push(told)));
                Some(())
            })?;
            once(&mut result, Some(read))
        }
        _ => None,
    })?;
    quick.end()?;
    result
}

/// Reads what was subscribed to: whether it is fills of one order as one trade, and whose.
fn subscribed<'a>(quick: &mut Quick<'a>) -> Option<(bool, Option<&'a str>)> {
    let (mut channel, mut instrument) = (None, None);
    quick.object(|quick, name| match name {
        "channel" => once(&mut channel, quick.text()),
        "instId" => once(&mut instrument, quick.text()),
        _ => None,
    })?;
    match channel? {
        "trades" => Some((true, instrument)),
        "trades-all" => Some((false, instrument)),
        _ => None,
    }
}

fn row<'a>(quick: &mut Quick<'a>) -> Option<TradeRow<'a>> {
    let (mut inst_id, mut trade_id, mut px, mut sz, mut side, mut ts) = (None, None, None, None, None, None);
    quick.object(|quick, name| match name {
        "instId" => once(&mut inst_id, quick.text()),
        "tradeId" => once(&mut trade_id, quick.text()),
        "px" => once(&mut px, quick.text()),
        "sz" => once(&mut sz, quick.text()),
        "side" => once(&mut side, quick.text()),
        "ts" => once(&mut ts, quick.text()),
        _ => quick.skip(),
    })?;
    Some(TradeRow {
        inst_id: inst_id.map(Into::into),
        trade_id: trade_id?.into(),
        px: px?.into(),
        sz: sz?.into(),
        side: side?.into(),
        ts: ts?.into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::careful;
    use super::*;
    use crate::wire::quick::tests::{both, damaged};

    const FRAMES: &[&str] = &[
        r#"{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"242720720","px":"64000.1","sz":"0.5","side":"sell","ts":"1795176000121","source":"0"}]}"#,
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"7","px":"64000.1","sz":"5","side":"buy","ts":"1795176000121","count":"3","seqId":9},{"instId":"BTC-USDT-SWAP","tradeId":"8","px":"1","sz":"5","side":"buy","ts":"1795176000121"}]}"#,
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
        let book = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[]}"#;
        for text in [book, r#"{"event":"subscribe","arg":{"channel":"trades-all"}}"#, "pong"] {
            assert_eq!(both(text, quick, careful).0, None, "{text}");
        }
    }
}
