//! Whom a frame is about that is not understood.

/// Longest name of an instrument, in bytes; what is longer is none.
const NAME_BYTES_MAX: usize = 64;

/// Returns the instrument id that a frame names. A frame that names several, or none, tells nothing.
///
/// It looks at the text alone: what is not understood may be no JSON at all.
pub(super) fn instrument_named(text: &str) -> Option<String> {
    let mut names = text.split("\"instId\"").skip(1).filter_map(value);
    let name = names.next()?;
    let is_one = names.all(|other| other == name) && !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    is_one.then(|| name.to_owned())
}

/// Returns the text behind a key, where all of it is there.
fn value(behind: &str) -> Option<&str> {
    let text = behind.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    text.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_its_instrument_whole_or_torn() {
        let btc = Some("BTC-USDT".to_owned());
        for text in [
            r#"{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","px":"x"}]}"#,
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"upd"#,
            r#"{"arg":{"channel":"trades","instId": "BTC-USDT"},"data":[{"instId":"BTC-US"#,
        ] {
            assert_eq!(instrument_named(text), btc, "{text}");
        }
        for text in [
            r#"{"arg":{"instId":"BTC-USDT"},"data":[{"instId":"ETH-USDT"}]}"#,
            r#"{"arg":{"channel":"books","instId":"BTC-U"#,
            r#"{"arg":{"channel":"liquidation-orders","instType":"SWAP"}}"#,
            r#"{"instId":""}"#,
            "garbage",
        ] {
            assert_eq!(instrument_named(text), None, "{text}");
        }
        assert_eq!(instrument_named(&format!("\"instId\":\"{}\"", "A".repeat(65))), None);
    }
}
