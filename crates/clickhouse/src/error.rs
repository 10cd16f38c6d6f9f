//! What can go wrong between us and ClickHouse, and what follows from it.

use std::time::Duration;

/// Why a statement or a read failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer.
    #[error("no answer from clickhouse at {url}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What was met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up.
    #[error("no TLS with clickhouse at {url}")]
    Tls {
        /// Its address.
        url: String,
        /// Why not.
        source: mprism_runtime::tls::TlsError,
    },
    /// The server refused.
    #[error("clickhouse refused: {message}")]
    Exception {
        /// The server's error code; 0 where it gave none.
        code: i32,
        /// The server's text.
        message: String,
    },
    /// The user may not do what a writer has to.
    #[error("user `{user}` of clickhouse at {url} needs `GRANT {grant} TO {user}`: {message}")]
    NotGranted {
        /// Its address.
        url: String,
        /// Who we are there.
        user: String,
        /// What is missing, as it is granted.
        grant: &'static str,
        /// The server's text.
        message: String,
    },
    /// An insert of an earlier writer runs and does not end, so no later one may begin.
    #[error("query {query} of an earlier writer of `{table}` still runs in clickhouse at {url}, though it was killed")]
    StillRuns {
        /// Its address.
        url: String,
        /// The table.
        table: String,
        /// Its id.
        query: String,
    },
    /// A read did not give what its type says.
    #[error("clickhouse answered something unexpected")]
    Unexpected {
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Returns whether the table or database that was asked for is not there.
    ///
    /// UNKNOWN_TABLE and UNKNOWN_DATABASE of ClickHouse `src/Common/ErrorCodes.cpp`.
    pub fn is_missing_table(&self) -> bool {
        matches!(self, Self::Exception { code: 60 | 81, .. })
    }

    /// Returns whether the same call can succeed later without anything being changed by hand.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::StillRuns { .. } => true,
            Self::Exception { code, .. } => !is_about_content(*code),
            Self::Tls { .. } | Self::NotGranted { .. } | Self::Unexpected { .. } => false,
        }
    }
}

/// Why an insert is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// A newer writer has the table, or the engine was restarted.
    #[error("insert into `{table}` refused: another fence was raised")]
    Fenced {
        /// The table.
        table: String,
    },
    /// The rows themselves cannot be stored. Nothing of them is.
    #[error("insert into `{table}` rejected (code {code}): {message}")]
    Rejected {
        /// The table.
        table: String,
        /// The server's error code.
        code: i32,
        /// The server's text.
        message: String,
    },
    /// The server answered that it failed for now.
    #[error("insert into `{table}` failed (code {code}): {message}")]
    Failed {
        /// The table.
        table: String,
        /// The server's error code.
        code: i32,
        /// The server's text.
        message: String,
    },
    /// No answer: the rows may be stored, and the insert may still run.
    #[error("insert into `{table}` is in doubt")]
    InDoubt {
        /// The table.
        table: String,
        /// What was met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server says it wrote another number of rows.
    #[error("insert into `{table}` wrote {written} rows of {sent}")]
    Partial {
        /// The table.
        table: String,
        /// What the server says.
        written: u64,
        /// What was sent.
        sent: u64,
    },
}

impl InsertError {
    /// Returns whether the rows themselves are at fault: sending them again cannot succeed.
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Rejected { .. } => true,
            Self::Fenced { .. } | Self::Failed { .. } | Self::InDoubt { .. } | Self::Partial { .. } => false,
        }
    }

    /// Returns how long to leave the server alone at least.
    pub fn pause(&self) -> Duration {
        match self {
            Self::Fenced { .. } | Self::Rejected { .. } | Self::Partial { .. } => Duration::ZERO,
            Self::InDoubt { .. } => Duration::from_millis(50),
            Self::Failed { .. } => Duration::from_millis(500),
        }
    }
}

/// Returns whether a ClickHouse error code speaks of the data sent and not of the server's state.
///
/// Source: ClickHouse `src/Common/ErrorCodes.cpp`.
pub(crate) fn is_about_content(code: i32) -> bool {
    matches!(
        code,
        // CANNOT_PARSE_TEXT, CANNOT_PARSE_*, ATTEMPT_TO_READ_AFTER_EOF, CANNOT_READ_ALL_DATA, INCORRECT_DATA, TYPE_MISMATCH,
        // ARGUMENT_OUT_OF_BOUND, DECIMAL_OVERFLOW, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE, CANNOT_INSERT_NULL…
        6 | 26 | 27 | 32 | 33 | 38 | 41 | 53 | 69 | 72 | 117 | 131 | 321 | 349 | 407
    )
}
