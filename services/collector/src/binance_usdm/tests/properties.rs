//! Whatever is sent: no panic, and no more is said than was written.

use mprism_model::InstrumentId;
use proptest::prelude::*;

use super::*;

/// Frames and bodies of every kind.
const TEXTS: [&str; 14] = [
    AGGREGATE,
    TRADE,
    DIFF,
    MARK,
    LIQUIDATION,
    PREMIUM,
    INTEREST,
    PAST_INTEREST,
    RATIOS,
    SETTLED,
    AGGREGATES,
    DEPTH,
    LIST,
    INTERVALS,
];

/// Reads a text in every way there is.
fn read(text: &str) {
    let beside = Beside {
        instrument: InstrumentId::new("BTCUSDT").ok(),
        path: Some("/futures/data/globalLongShortAccountRatio?period=5m"),
        ..Beside::default()
    };
    let mut said = Vec::new();
    let _understood_or_not = BinanceUsdm.frame(text, &beside.about(), &mut said);
    let _understood_or_not = BinanceUsdm.answer(text, &beside.about(), &mut said);
    let _named_or_not = BinanceUsdm.instrument_named(text);
    assert!(said.len() <= text.len(), "more is said than was written");
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn no_changed_frame_is_too_strange(
        which in 0..TEXTS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = TEXTS[which].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // Mostly what has a meaning in these texts.
            bytes[at] = match byte {
                0..=200 => b"0123456789-.\"{}[],:eEstupabmTX"[usize::from(byte) % 30],
                _ => byte,
            };
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let text = String::from_utf8_lossy(&bytes);
        read(&text);
        read(&combined("btcusdt@depth@100ms", &text));
    }
}
