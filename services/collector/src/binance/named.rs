//! Whom a frame is about that is not understood.

/// Returns the instrument id that a frame names, by its stream or its symbol. A frame that names two, or none, tells nothing.
///
/// It looks at the text alone: what is not understood may be no JSON at all.
pub(crate) fn instrument_named(text: &str) -> Option<String> {
    let stream = text_after(text, "\"stream\":\"").and_then(|stream| stream.split_once('@').map(|(name, _)| name));
    // A stream of all instruments says nothing of one.
    let stream = stream.filter(|name| !name.starts_with('!')).map(str::to_uppercase);
    let mut symbols = text.split("\"s\":\"").skip(1);
    let symbol = symbols.next().and_then(|rest| rest.split_once('"'));
    let symbol = symbol.map(|(value, _)| value.to_uppercase());
    let is_same = |rest: &str| rest.split_once('"').map(|(value, _)| value.to_uppercase()) == symbol;
    if !symbols.all(is_same) {
        return None;
    }
    match (stream, symbol) {
        (Some(stream), Some(symbol)) => (stream == symbol).then_some(symbol),
        (stream, symbol) => stream.or(symbol),
    }
}

/// Returns the whole text that follows a key.
fn text_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(key)?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_its_instrument_by_stream_or_symbol_whole_or_torn() {
        let named = |text| instrument_named(text);
        let btc = Some("BTCUSDT".to_owned());
        assert_eq!(
            named(r#"{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"x"}}"#),
            btc
        );
        assert_eq!(named(r#"{"stream":"btcusdt@trade","data":{"e":"tra"#), btc);
        assert_eq!(named(r#"{"e":"trade","s":"BTCUSDT","t":-1}"#), btc);
        assert_eq!(
            named(r#"{"stream":"btcusdt@trade","data":{"s":"ETHUSDT"}}"#),
            None,
            "two names"
        );
        assert_eq!(named(r#"{"stream":"btcus"#), None, "half a name");
        assert_eq!(named("garbage"), None);
    }

    #[test]
    fn a_stream_of_all_instruments_names_one_by_its_symbol_alone() {
        let one = r#"{"stream":"!forceOrder@arr","data":{"e":"forceOrder","o":{"s":"BTCUSDT","S":"SELL"}}}"#;
        assert_eq!(instrument_named(one).as_deref(), Some("BTCUSDT"));
        let two = r#"{"stream":"!markPrice@arr","data":[{"s":"BTCUSDT"},{"s":"ETHUSDT"}]}"#;
        assert_eq!(instrument_named(two), None);
        let torn = r#"{"stream":"!markPrice@arr","data":[{"s":"BTCUSDT"},{"s":"ETH"#;
        assert_eq!(instrument_named(torn), None);
        assert_eq!(instrument_named(r#"{"stream":"!markPrice@arr","data":[]}"#), None);
    }
}
