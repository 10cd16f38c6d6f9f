//! The lexical tokens of a statement: enough to skip strings, quoted names and comments.

/// One lexical token at a time.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    depth: i32,
}

/// A word, a quoted text, or a single sign.
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Where it begins, in bytes.
    pub(crate) start: usize,
    /// Where it ends, in bytes.
    pub(crate) end: usize,
    /// How many brackets are open around it.
    pub(crate) depth: i32,
}

impl Token<'_> {
    /// Returns whether it is this keyword, outside all brackets.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.depth == 0 && self.text.eq_ignore_ascii_case(keyword)
    }
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at;
            let rest = &bytes[start..];
            let first = *rest.first()?;
            let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
            let length = match first {
                b if b.is_ascii_whitespace() => {
                    self.at += 1;
                    continue;
                }
                b'-' if rest.starts_with(b"--") => {
                    self.at += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1);
                    continue;
                }
                b'/' if rest.starts_with(b"/*") => {
                    let end = self.text.get(start + 2..).and_then(|t| t.find("*/")).map(|n| n + 4);
                    self.at += end.unwrap_or(rest.len());
                    continue;
                }
                quote @ (b'\'' | b'"' | b'`') => quoted(rest, quote),
                b if word(&b) => rest.iter().position(|b| !word(b)).unwrap_or(rest.len()),
                _ => 1,
            };
            match first {
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth -= 1,
                _ => {}
            }
            self.at = start + length;
            let text = self.text.get(start..self.at).unwrap_or("");
            return Some(Token {
                text,
                start,
                end: self.at,
                depth: self.depth,
            });
        }
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote && rest.get(at + 1) == Some(&quote) => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}
