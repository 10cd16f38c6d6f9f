//! JSON objects, field by field: for what is written a million times a second.

/// Writes a field's name, with the comma before it, as one constant: `field!("price")`, and with the quote that opens a text
/// `field!("price", text)`.
macro_rules! field {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
    ($name:literal, text) => {
        concat!(",\"", $name, "\":\"")
    };
}
pub(crate) use field;

/// The rest of an object that is being written: every field has one before it.
pub(crate) struct Fields {
    out: Vec<u8>,
}

// Inlined, so that names are stored as constants and not copied as texts of any length.
impl Fields {
    /// Begins with the first fields, without the end.
    #[inline(always)]
    pub(crate) fn after(beginning: &str, capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.extend_from_slice(beginning.as_bytes());
        Self { out }
    }

    /// Writes a text that has nothing to escape, a word of ours or a decimal; `name` opens it.
    #[inline(always)]
    pub(crate) fn plain(&mut self, name: &'static str, text: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// Writes any text; `name` opens it.
    #[inline(always)]
    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        let is_plain = text.bytes().fold(true, |is_plain, byte| {
            is_plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\')
        });
        if is_plain {
            return self.plain(name, text);
        }
        self.escaped(name, text);
    }

    #[cold]
    fn escaped(&mut self, name: &'static str, text: &str) {
        self.out.extend_from_slice(name.as_bytes());
        // The text comes with its own quotes.
        self.out.pop();
        serde_json::to_writer(&mut self.out, text).expect("a text always serialises");
    }

    #[inline(always)]
    pub(crate) fn number(&mut self, name: &'static str, number: impl itoa::Integer) {
        self.out.extend_from_slice(name.as_bytes());
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    #[inline(always)]
    pub(crate) fn number_or_null(&mut self, name: &'static str, number: Option<impl itoa::Integer>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.word(name, "null"),
        }
    }

    #[inline(always)]
    pub(crate) fn truth(&mut self, name: &'static str, truth: bool) {
        self.word(name, if truth { "true" } else { "false" });
    }

    #[inline(always)]
    fn word(&mut self, name: &'static str, word: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(word.as_bytes());
    }

    /// Writes the last fields, with the end; returns the whole text.
    #[inline(always)]
    pub(crate) fn end(mut self, end: &'static str) -> Vec<u8> {
        self.out.extend_from_slice(end.as_bytes());
        self.out
    }
}
