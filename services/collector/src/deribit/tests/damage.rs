//! Whatever becomes of a text on the way.

use mprism_model::InstrumentId;
use proptest::prelude::*;

use super::*;

/// Frames and answers that are understood.
fn valid() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        notification("trades.BTC-PERPETUAL.100ms", &format!("[{TRADE},{TRADE}]")),
        notification("ticker.BTC-PERPETUAL.100ms", TICKER),
        notification("book.BTC-PERPETUAL.100ms", CHANGE),
        notification(
            "deribit_volatility_index.btc_usd",
            r#"{"timestamp":1795176001000,"volatility":45.31,"index_name":"btc_usd"}"#,
        ),
        CANDLES.to_owned(),
        format!(r#"{{"result":{{"trades":[{TRADE}],"has_more":true}}}}"#),
    ])
}

fn read_everything(text: &str) {
    let (terms, btc) = (Terms::default(), InstrumentId::new("BTC").expect("valid"));
    for instrument in [None, Some(&btc)] {
        let about = About {
            instrument,
            path: Some("/api/v2/public/x?depth=9&resolution=1D&currency=é"),
            ..about(&terms, Source::Replay)
        };
        let (mut frames, mut answers) = (Vec::new(), Vec::new());
        // Whether it is understood is not the question.
        let _ = (
            Deribit.frame(text, &about, &mut frames),
            Deribit.answer(text, &about, &mut answers),
        );
        assert!(
            frames.len() + answers.len() <= 4 * text.len() + 4,
            "bounded by the text"
        );
    }
    let _ = Deribit.instrument_named(text);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        read_everything(&text);
    }

    #[test]
    fn no_mutation_panics(
        text in valid(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,6}"), 1..4),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        for (from, to, put) in changes {
            let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
            // A short piece becomes another, or is cut away with all that follows.
            let to = if from < to && to - from < 40 { to } else { from };
            chars.splice(from..to, put.chars());
        }
        read_everything(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn no_torn_frame_panics(text in valid(), at in any::<prop::sample::Index>()) {
        read_everything(&text[..at.index(text.len())]);
    }
}
