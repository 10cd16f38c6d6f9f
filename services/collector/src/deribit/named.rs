//! Whom a frame is about that is not understood.

use super::terms::currency_of;

/// Returns the instrument id that a frame names, by its channel or in its data, as the settings name it. A frame that names
/// two, or none, tells nothing.
///
/// It looks at the text alone: what is not understood may be no JSON at all.
pub(super) fn instrument_named(text: &str) -> Option<String> {
    let mut names = texts_after(text, "\"channel\":\"")
        .filter_map(named_by)
        .chain(texts_after(text, "\"instrument_name\":\"").map(str::to_owned));
    let name = names.next()?;
    names.all(|other| other == name).then_some(name)
}

/// Returns the instrument of a channel; channels of kinds and currencies have none.
fn named_by(channel: &str) -> Option<String> {
    let parts: Vec<&str> = channel.split('.').collect();
    match parts[..] {
        ["deribit_volatility_index", index] => Some(currency_of(index)),
        ["trades", name, _] | ["book", name, ..] | ["ticker" | "incremental_ticker", name, ..] => Some(name.to_owned()),
        _ => None,
    }
}

/// Returns the whole texts that follow a key.
fn texts_after<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let rests = text.split(key).skip(1);
    rests.filter_map(|rest| rest.split_once('"').map(|(value, _)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_its_instrument_by_channel_or_data_whole_or_torn() {
        let named = |text: &str| instrument_named(text);
        let swap = Some("BTC-PERPETUAL".to_owned());
        let frame =
            r#"{"method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{"trade_seq":"x""#;
        assert_eq!(named(frame), swap);
        assert_eq!(
            named(
                r#"{"channel":"trades.future.BTC.100ms","data":[{"instrument_name":"BTC-PERPETUAL"},{"instrument_name":"BTC-PERPETUAL""#
            ),
            swap
        );
        let dvol = r#"{"params":{"channel":"deribit_volatility_index.btc_usd","data":{"volatility":"#;
        assert_eq!(named(dvol), Some("BTC".to_owned()), "as the settings name it");
        let two = r#"{"channel":"trades.any.any.100ms","data":[{"instrument_name":"BTC-PERPETUAL"},{"instrument_name":"ETH-PERPETUAL"}]"#;
        assert_eq!(named(two), None);
        assert_eq!(named(r#"{"params":{"channel":"book.BTC-PERP"#), None, "half a name");
        assert_eq!(named("garbage"), None);
    }
}
