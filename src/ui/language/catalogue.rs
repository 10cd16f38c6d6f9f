//! Finding the translation of a finished text: what a phrase left open is found in the text, translated by itself, and put where
//! the translation has it.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A phrase and its translation. `{}` is what the phrase leaves open; the translation names it `{0}`, `{1}`, … in any order.
pub(super) type Phrase = (&'static str, &'static str);

/// How deep texts within texts are looked for.
const DEPTH_MAX: usize = 12;
/// A longer text is no phrase of ours, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// What stands between texts that are told together.
const BESIDE: &str = "; ";

/// Phrases of one language, the most particular first.
#[derive(Debug)]
pub(crate) struct Catalogue {
    whole: BTreeMap<&'static str, &'static str>,
    open: Vec<Template>,
}

/// A phrase with something left open between its pieces.
#[derive(Debug)]
struct Template {
    pieces: Vec<&'static str>,
    translation: &'static str,
}

impl Catalogue {
    pub(super) fn new<'a>(phrases: impl IntoIterator<Item = &'a Phrase>) -> Self {
        let (mut whole, mut open) = (BTreeMap::new(), Vec::new());
        for (phrase, translation) in phrases {
            let pieces: Vec<&'static str> = phrase.split("{}").collect();
            match pieces.len() {
                1 => {
                    whole.insert(*phrase, *translation);
                }
                _ => open.push(Template { pieces, translation }),
            }
        }
        open.sort_by_key(|template| std::cmp::Reverse(template.pieces.iter().map(|piece| piece.len()).sum::<usize>()));
        Self { whole, open }
    }

    /// Returns the translation of a text; the text, where no phrase fits.
    pub(super) fn say<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.find(text, 0) {
            Some(found) => Cow::Owned(found),
            None => Cow::Borrowed(text),
        }
    }

    /// Returns the translation of a column's name, where it is another than that of the same word in a cell.
    pub(super) fn column<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.whole.get(format!("column {name}").as_str()) {
            Some(found) => Cow::Borrowed(found),
            None => self.say(name),
        }
    }

    /// Returns whether a phrase is known as it is written.
    #[cfg(test)]
    pub(super) fn knows(&self, phrase: &str) -> bool {
        let pieces: Vec<&str> = phrase.split("{}").collect();
        self.whole.contains_key(phrase) || self.open.iter().any(|template| template.pieces == pieces)
    }

    fn find(&self, text: &str, depth: usize) -> Option<String> {
        if depth > DEPTH_MAX || text.len() > TEXT_BYTES_MAX || !text.contains(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        if let Some(translation) = self.whole.get(text) {
            return Some((*translation).to_owned());
        }
        // What stands beside something else is no part of it, unless no other phrase fits.
        self.phrase(text, depth, |part| !part.contains(BESIDE))
            .or_else(|| self.beside(text, depth))
            .or_else(|| self.phrase(text, depth, |_| true))
            .or_else(|| self.about(text, depth))
    }

    /// A text that is one phrase, with what it leaves open.
    fn phrase(&self, text: &str, depth: usize, may_be_open: impl Fn(&str) -> bool) -> Option<String> {
        let (template, open) = self.open.iter().find_map(|template| {
            let open = between(&template.pieces, text)?;
            open.iter().all(|part| may_be_open(part)).then_some((template, open))
        })?;
        let open = open
            .into_iter()
            .map(|part| self.find(part, depth + 1).unwrap_or_else(|| part.to_owned()));
        Some(filled(template.translation, &open.collect::<Vec<_>>()))
    }

    /// Texts beside each other; a phrase may hold what stands between them, so the longest ones are tried first.
    fn beside(&self, text: &str, depth: usize) -> Option<String> {
        let parts: Vec<&str> = text.split(BESIDE).collect();
        if parts.len() < 2 {
            return None;
        }
        let (mut told, mut is_known, mut from) = (Vec::new(), false, 0);
        while from < parts.len() {
            let longest = (from + 1..=parts.len()).rev().find_map(|to| {
                let part = parts[from..to].join(BESIDE);
                let whole = self.whole.get(part.as_str()).map(|found| (*found).to_owned());
                let one = || self.phrase(&part, depth + 1, |open| !open.contains(BESIDE));
                Some((whole.or_else(one)?, to))
            });
            let (found, to) = match longest {
                Some((found, to)) => (Some(found), to),
                None => (self.about(parts[from], depth), from + 1),
            };
            is_known |= found.is_some();
            told.push(found.unwrap_or_else(|| parts[from].to_owned()));
            from = to;
        }
        is_known.then(|| told.join("；"))
    }

    /// A text that says first what it is about.
    fn about(&self, text: &str, depth: usize) -> Option<String> {
        [(": ", "："), (", ", "，")]
            .into_iter()
            .find_map(|(between, translated)| {
                let (first, rest) = text.split_once(between)?;
                let (found, others) = (self.find(first, depth + 1), self.find(rest, depth + 1));
                if found.is_none() && others.is_none() {
                    return None;
                }
                let or = |found: Option<String>, text: &str| found.unwrap_or_else(|| text.to_owned());
                Some(format!("{}{translated}{}", or(found, first), or(others, rest)))
            })
    }
}

/// Returns what stands between the pieces of a phrase, each as short as it can be; `None` where the text is not of that phrase.
fn between<'t>(pieces: &[&str], text: &'t str) -> Option<Vec<&'t str>> {
    let (first, rest) = pieces.split_first()?;
    let mut left = text.strip_prefix(first)?;
    let Some((last, middle)) = rest.split_last() else {
        return left.is_empty().then(Vec::new);
    };
    let mut open = Vec::with_capacity(rest.len());
    for piece in middle {
        let at = left.find(piece)?;
        open.push(&left[..at]);
        left = &left[at + piece.len()..];
    }
    open.push(left.strip_suffix(last)?);
    Some(open)
}

fn filled(translation: &str, open: &[String]) -> String {
    let mut text = translation.to_owned();
    // From the last on: what is filled in may hold braces of its own.
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    for number in 0..open.len() {
        let place = format!("{{{number}}}");
        let found = text.match_indices(&place);
        places.extend(found.map(|(at, _)| (at, place.len(), number)));
    }
    places.sort_unstable();
    for (at, length, number) in places.into_iter().rev() {
        text.replace_range(at..at + length, &open[number]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASES: &[Phrase] = &[
        ("running", "运行中"),
        ("{} rows are", "{0} 行"),
        ("{} doubled{}", "{1}{0}重复"),
        (" in the cold store", "冷库中"),
        ("{} is held by {}", "{0} 被 {1} 占用"),
        ("port {} of `{}`", "`{1}` 的端口 {0}"),
        ("{} waits", "{0} 在等待"),
        ("this; that", "这与那"),
    ];

    fn say(text: &str) -> String {
        Catalogue::new(PHRASES).say(text).into_owned()
    }

    #[test]
    fn what_a_phrase_leaves_open_is_translated_by_itself_and_put_where_it_belongs() {
        assert_eq!(say("running"), "运行中");
        assert_eq!(say("2 rows are doubled in the cold store"), "冷库中2 行重复");
        assert_eq!(say("port 1 of `hot` is held by pid 2"), "`hot` 的端口 1 被 pid 2 占用");
    }

    #[test]
    fn what_nobody_knows_stays_as_it_is() {
        for text in ["", "–", "12.5 ms", "BTC-USDT", "runningx", "/a/b {0} {1}"] {
            assert_eq!(say(text), text);
        }
    }

    #[test]
    fn texts_beside_each_other_are_translated_each_however_many_they_are() {
        assert_eq!(say(&["running"; 12].join("; ")), ["运行中"; 12].join("；"));
        assert_eq!(say("a waits; running; 3 rows are"), "a 在等待；运行中；3 行");
        assert_eq!(say("this; that; running"), "这与那；运行中");
        assert_eq!(say("hot: running; x"), "hot：运行中；x");
        assert_eq!(say("hot: x; y"), "hot: x; y");
    }

    #[test]
    fn braces_of_a_text_are_not_places() {
        assert_eq!(say("{1} is held by {0}"), "{1} 被 {0} 占用");
        assert_eq!(say("{9} waits"), "{9} 在等待");
    }
}
