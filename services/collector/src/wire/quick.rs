//! Reads in one pass, and without a copy, what venues send a thousand times a second.
//!
//! Whatever is not as plain as it nearly always is (an escape, an exponent, a number where a text is expected, a field twice,
//! something behind the end) ends in `None`. That says nothing about the text: the careful reader decides what it is, or what
//! is wrong with it. So this one may be as narrow as it is quick, but never more generous than the careful one.

use super::Said;

/// Nested values that are skipped; trades have none.
const DEPTH_MAX: usize = 8;

/// A place in a text.
pub(crate) struct Quick<'a> {
    text: &'a str,
    at: usize,
}

/// Reads a text whole or not at all: what was added of one that is left to the careful reader is taken back.
pub(crate) fn whole<T>(said: &mut Vec<Said>, read: impl FnOnce(&mut Vec<Said>) -> Option<T>) -> Option<T> {
    let before = said.len();
    let result = read(said);
    if result.is_none() {
        said.truncate(before);
    }
    result
}

/// Notes the value of a field; `None` where there is none, or one was noted before.
#[inline]
pub(crate) fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value?);
    Some(())
}

impl<'a> Quick<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads an object; `field` is told each name and reads its value.
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.peek() == Some(b'}') {
            return self.expect(b'}');
        }
        loop {
            let name = self.name()?;
            self.expect(b':')?;
            field(self, name)?;
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// Reads an array; `element` reads each element.
    pub(crate) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            return self.expect(b']');
        }
        loop {
            element(self)?;
            if !self.goes_on(b']')? {
                return Some(());
            }
        }
    }

    /// Reads the name of a field: nearly all of them have one letter.
    #[inline]
    fn name(&mut self) -> Option<&'a str> {
        if let Some([b'"', b'A'..=b'Z' | b'a'..=b'z', b'"']) = self.text.as_bytes().get(self.at..self.at + 3) {
            let name = self.text.get(self.at + 1..self.at + 2);
            self.at += 3;
            return name;
        }
        self.text()
    }

    /// Reads a text in which nothing is escaped.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = plain(rest)?;
        // Anything else that ends it is an escape, or no JSON.
        (rest[length] == b'"').then_some(())?;
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        Some(text)
    }

    /// Reads a number without an exponent, as it is written.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            return None;
        }
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let places = digits(at + 1);
            if places == 0 {
                return None;
            }
            at += 1 + places;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            return None;
        }
        self.at = at;
        self.text.get(start..at)
    }

    /// Reads a number that is a count, an id or a time.
    #[inline]
    pub(crate) fn whole<T: TryFrom<u64>>(&mut self) -> Option<T> {
        self.peek()?;
        let bytes = self.text.as_bytes().get(self.at..)?;
        let (mut number, mut length) = (0_u64, 0);
        while let Some(eight) = bytes.get(length..).and_then(|rest| eight_digits(rest.first_chunk()?)) {
            number = number.checked_mul(100_000_000)?.checked_add(eight)?;
            length += 8;
        }
        while let Some(digit) = bytes.get(length).filter(|byte| byte.is_ascii_digit()) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            length += 1;
        }
        // A sign, a fraction and a zero in front are others' business.
        if length == 0 || (length > 1 && bytes[0] == b'0') || matches!(bytes.get(length), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += length;
        T::try_from(number).ok()
    }

    /// Reads `true` or `false`.
    #[inline]
    pub(crate) fn truth(&mut self) -> Option<bool> {
        match self.peek()? {
            b't' => self.word("true").map(|()| true),
            _ => self.word("false").map(|()| false),
        }
    }

    /// Passes over a value of any kind.
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.skip_within(DEPTH_MAX)
    }

    fn skip_within(&mut self, depth: usize) -> Option<()> {
        let below = || depth.checked_sub(1);
        match self.peek()? {
            b'"' => self.text().map(drop),
            b'{' => {
                let depth = below()?;
                self.object(|quick, _| quick.skip_within(depth))
            }
            b'[' => {
                let depth = below()?;
                self.array(|quick| quick.skip_within(depth))
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number().map(drop),
        }
    }

    /// Makes sure that nothing stands behind.
    pub(crate) fn end(mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Returns the next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Returns whether a comma follows, and not the end.
    #[inline]
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            byte if byte == end => Some(false),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }
}

/// The same byte in each place of a word.
const fn everywhere(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH_BITS: u64 = everywhere(0x80);

/// Returns where a text ends: at the first byte that is a quote, a backslash or a control character. Eight bytes at a time; texts are
/// about as long.
///
/// Source of the tests of a word: "Determine if a word has a byte less than n" and "… equal to n" of Sean Anderson's Bit Twiddling Hacks.
/// What they say above the first byte found may be wrong, and is not looked at.
#[inline]
fn plain(bytes: &[u8]) -> Option<usize> {
    let below = |word: u64, byte: u8| word.wrapping_sub(everywhere(byte)) & !word & HIGH_BITS;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..)?.first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let ends = below(word, b' ') | below(word ^ everywhere(b'"'), 1) | below(word ^ everywhere(b'\\'), 1);
        if ends != 0 {
            return Some(at + (ends.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    bytes[at..].iter().position(ends).map(|length| at + length)
}

/// Reads eight digits at once; `None` where one of them is none.
///
/// Source: Daniel Lemire, "Quickly parsing eight digits", 2018.
#[inline]
fn eight_digits(bytes: &[u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(*bytes);
    let (zeros, tops) = (everywhere(b'0'), everywhere(0xf0));
    if word & tops != zeros || word.wrapping_add(everywhere(6)) & tops != zeros {
        return None;
    }
    // Neighbours are put together: to numbers of two digits, of four, of eight.
    let twos = (word & everywhere(0x0f)).wrapping_mul((10 << 8) + 1) >> 8;
    let fours = (twos & 0x00ff_00ff_00ff_00ff).wrapping_mul((100 << 16) + 1) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul((10_000 << 32) + 1) >> 32)
}

#[cfg(test)]
pub(crate) mod tests {
    use mprism_model::{Source, UnixNanos};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{About, ParseError, Terms};

    /// What was read of a text, and how it ended.
    type Read = (Vec<Said>, Result<(), String>);

    /// Reads a text quickly, where that can be, and carefully.
    pub(crate) fn both(
        text: &str,
        quick: impl Fn(&str, &About<'_>, &mut Vec<Said>) -> Option<Result<(), ParseError>>,
        careful: impl Fn(&str, &About<'_>, &mut Vec<Said>) -> Result<(), ParseError>,
    ) -> (Option<Read>, Read) {
        let terms = Terms::default();
        let about = About {
            ts_recv: Some(UnixNanos(1)),
            source: Source::Ws,
            terms: &terms,
            instrument: None,
            path: None,
        };
        let told = |result: Result<(), ParseError>| result.map_err(|error| format!("{error:?}"));
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let read = quick(text, &about, &mut one).map(told);
        let careful = told(careful(text, &about, &mut other));
        assert!(read.is_some() || one.is_empty(), "{text}");
        (read.map(|read| (one, read)), (other, careful))
    }

    /// What damages JSON, and what may leave it whole.
    const BYTES: &[u8] = b"{}[]\":,.-+0159eEtrufalsn\\ \n\x01x";

    /// A text with a few bytes replaced, taken out or put in.
    pub(crate) fn damaged(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
        let edit = (any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(BYTES));
        let text = prop::sample::select(texts);
        (text, prop::collection::vec(edit, 0..4)).prop_map(|(text, edits)| {
            let mut bytes = text.as_bytes().to_vec();
            for (at, kind, byte) in edits {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            String::from_utf8(bytes).expect("ASCII")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn a_text_ends_where_it_does(bytes in prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..40)) {
            let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
            prop_assert_eq!(plain(&bytes), bytes.iter().position(ends));
        }

        #[test]
        fn a_number_is_what_it_says(text in "[0-9]{1,21}[-.e:/, x0-9]{0,3}") {
            let read: Option<u64> = Quick::new(&text).whole();
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let is_whole = !text[digits..].starts_with(['.', 'e']) && (digits == 1 || !text.starts_with('0'));
            prop_assert_eq!(read, text[..digits].parse().ok().filter(|_| is_whole), "{}", text);
        }

        #[test]
        fn what_is_passed_over_is_json(text in damaged(&[
            r#"{"a":[1,-2.50,0,true,false,null,"x"],"b":{"c":{}},"d":[]}"#,
            r#" [ "a" , {"b" : 0.1} ] "#,
        ])) {
            let mut quick = Quick::new(&text);
            if quick.skip().and_then(|()| quick.end()).is_some() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn plain_json_is_passed_over_and_odd_json_left_to_others() {
        let is_read = |text: &str| {
            let mut quick = Quick::new(text);
            quick.skip().and_then(|()| quick.end()).is_some()
        };
        for text in [r#"{"a":[1,-2.50,0,true,false,null,"ü"],"b":{}}"#, " [ ] ", "-0.5"] {
            assert!(is_read(text), "{text}");
        }
        for text in [
            r#""\n""#,
            "1e5",
            "01",
            "1.",
            "{} x",
            "tru",
            "[1,]",
            "",
            &"[".repeat(100_000),
        ] {
            assert!(!is_read(text), "{text:.20}");
        }
    }
}
