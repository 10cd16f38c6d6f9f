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

/// A short text that is put together once, and copied with what is left of its room: a copy of a length that is known takes no
/// call.
pub(crate) struct Piece<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Piece<ROOM> {
    pub(crate) const fn of(parts: &[&str]) -> Self {
        let (mut bytes, mut length, mut part) = ([0; ROOM], 0, 0);
        while part < parts.len() {
            let text = parts[part].as_bytes();
            let mut at = 0;
            while at < text.len() {
                bytes[length] = text[at];
                (length, at) = (length + 1, at + 1);
            }
            part += 1;
        }
        Self { bytes, length }
    }

    /// Adds it to what is written.
    #[inline(always)]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        out.truncate(out.len() - (ROOM - self.length));
    }
}

/// The rest of an object that is being written: every field has one before it.
pub(crate) struct Fields {
    out: Vec<u8>,
}

// Inlined, so that names are stored as constants and not copied as texts of any length.
impl Fields {
    /// Begins with the first fields, without the end.
    #[inline(always)]
    pub(crate) fn after<const ROOM: usize>(beginning: &Piece<ROOM>, capacity: usize) -> Self {
        let mut fields = Self {
            out: Vec::with_capacity(capacity),
        };
        fields.piece(beginning);
        fields
    }

    /// Writes fields that were made once.
    #[inline(always)]
    pub(crate) fn piece<const ROOM: usize>(&mut self, piece: &Piece<ROOM>) {
        piece.write(&mut self.out);
    }

    /// Writes the last fields, with the end; returns the whole text.
    #[inline(always)]
    pub(crate) fn end<const ROOM: usize>(mut self, end: &Piece<ROOM>) -> Vec<u8> {
        end.write(&mut self.out);
        self.out
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
    fn word(&mut self, name: &'static str, word: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(word.as_bytes());
    }
}
