//! Why a frame or an answer is not understood.

use mprism_model::{DecimalError, UnknownName};

/// Why a frame or an answer is not understood.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not the JSON that is expected.
    #[error("not a valid {what}")]
    Json {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A price or quantity is not a decimal that can be stored exactly.
    #[error("{field} `{}` is not usable", shortened(text))]
    Decimal {
        /// Which.
        field: &'static str,
        /// What was sent.
        text: String,
        /// Why not.
        source: DecimalError,
    },
    /// A price or quantity is zero or negative.
    #[error("{field} is not above zero")]
    NotPositive {
        /// Which.
        field: &'static str,
    },
    /// A value that cannot be what it says it is.
    #[error("{field} `{}` is not possible", shortened(text))]
    Impossible {
        /// Which.
        field: &'static str,
        /// What was sent.
        text: String,
    },
    /// Update ids that run backwards.
    #[error("updates {first} to {last} run backwards")]
    Backwards {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A snapshot of a book that does not exist yet.
    #[error("the book does not exist yet")]
    NoBook,
    /// A symbol cannot be used.
    #[error("symbol not usable")]
    Symbol(#[from] UnknownName),
    /// A time lies outside of what can be stored.
    #[error("time {0} is not plausible")]
    Time(i64),
    /// The venue answered a question with an error of its own.
    #[error("the venue says: {} (code {code})", shortened(message))]
    Refused {
        /// Its code.
        code: i64,
        /// Its text.
        message: String,
    },
    /// Neither a payload nor an answer.
    #[error("neither a payload nor an answer")]
    Unknown,
}

impl ParseError {
    /// Returns a short stable name, for metrics and for logging each cause once.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::Decimal { .. } => "decimal",
            Self::NotPositive { .. } => "not_positive",
            Self::Impossible { .. } => "impossible",
            Self::Backwards { .. } => "backwards",
            Self::NoBook => "no_book",
            Self::Symbol(_) => "symbol",
            Self::Time(_) => "time",
            Self::Refused { .. } => "venue_error",
            Self::Unknown => "unknown_frame",
        }
    }
}

/// Returns the beginning of a text that somebody else wrote, fit for a line of ours.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
