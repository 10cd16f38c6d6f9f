//! Simplified Chinese: a room for each screen. Names of services, types, settings, files and commands stay as they are typed.

mod diagnose;
mod health;
mod integrity;
mod lifecycle;

use std::sync::OnceLock;

use super::catalogue::{Catalogue, Phrase};

const ROOMS: [&[Phrase]; 4] = [
    lifecycle::PHRASES,
    health::PHRASES,
    integrity::PHRASES,
    diagnose::PHRASES,
];

/// Returns the catalogue.
pub(super) fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| Catalogue::new(ROOMS.iter().copied().flatten()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_phrase_is_translated_once_and_loses_nothing_that_it_leaves_open() {
        let mut seen = BTreeSet::new();
        for (phrase, translation) in ROOMS.iter().copied().flatten() {
            assert!(seen.insert(*phrase), "{phrase} is there twice");
            let open = phrase.matches("{}").count();
            for number in 0..open {
                let place = format!("{{{number}}}");
                assert!(translation.contains(&place), "{phrase}: {translation} has no {place}");
            }
            assert!(!translation.contains("{}"), "{phrase}: {translation}");
            assert!(!translation.contains(&format!("{{{open}}}")), "{phrase}: {translation}");
            // Commands to type are the same in both.
            for command in phrase.split('`').skip(1).step_by(2).filter(|code| !code.contains("{}")) {
                assert!(
                    translation.contains(command),
                    "{phrase}: {translation} lost `{command}`"
                );
            }
        }
    }
}
