//! Exceptions as ClickHouse's server reports them: code, text, HTTP status.

use hyper::StatusCode;

/// What `version()` says of the pinned engine; exceptions carry it as the server's do.
pub(crate) const VERSION: &str = "26.5.1.1";

/// A failed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) code: u32,
    text: String,
}

impl Exception {
    /// Makes an exception of our own.
    pub(crate) fn new(code: u32, message: &str, name: &str) -> Self {
        Self {
            code,
            text: format!("Code: {code}. DB::Exception: {message}. ({name})"),
        }
    }

    /// Reads what the library says.
    pub(crate) fn parse(text: &str) -> Self {
        let code = text
            .strip_prefix("Code: ")
            .and_then(|rest| rest.split('.').next())
            .and_then(|n| n.parse().ok());
        match code {
            Some(code) => Self {
                code,
                text: text.trim_end().to_owned(),
            },
            None => Self::new(1001, text.trim_end(), "STD_EXCEPTION"),
        }
    }

    /// Returns the text that stands in an answer's body.
    pub(crate) fn body(&self) -> String {
        format!("{} (version {VERSION})\n", self.text)
    }

    /// Returns the HTTP status the server gives for this code.
    ///
    /// Source: ClickHouse `src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            // REQUIRED_PASSWORD
            194 => StatusCode::UNAUTHORIZED,
            // UNKNOWN_USER, WRONG_PASSWORD, AUTHENTICATION_FAILED, ACCESS_DENIED
            192 | 193 | 516 | 497 => StatusCode::FORBIDDEN,
            // BAD_ARGUMENTS, CANNOT_*_PARSE, SYNTAX_ERROR, INCORRECT_DATA, TYPE_MISMATCH, query parameters
            6 | 26 | 27 | 33 | 36 | 38 | 41 | 42 | 43 | 44 | 53 | 62 | 69 | 70 | 72 | 117 | 130 | 131 | 190 | 256
            | 312 | 320 | 349 | 441 | 456 | 457 => StatusCode::BAD_REQUEST,
            // UNKNOWN_*: column, function, identifier, type, storage, table, database, setting, format, …
            16 | 46 | 47 | 50 | 56 | 60 | 73 | 81 | 109 | 115 => StatusCode::NOT_FOUND,
            // NOT_IMPLEMENTED
            48 => StatusCode::NOT_IMPLEMENTED,
            // TIMEOUT_EXCEEDED
            159 => StatusCode::REQUEST_TIMEOUT,
            // QUERY_IS_TOO_LARGE, TOO_MANY_BYTES as we use it for bodies
            396 | 307 => StatusCode::PAYLOAD_TOO_LARGE,
            // TOO_MANY_SIMULTANEOUS_QUERIES: the server says 500; 503 is what a client may retry on
            202 => StatusCode::SERVICE_UNAVAILABLE,
            // A fenced table's older writer: our own code, see `fence`
            FENCED => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Refuses what access rules forbid.
    pub(crate) fn denied(message: &str) -> Self {
        Self::new(497, message, "ACCESS_DENIED")
    }

    /// Refuses what a reader may not change.
    pub(crate) fn readonly(message: &str) -> Self {
        Self::new(164, message, "READONLY")
    }
}

/// The code of an insert refused by a fence. Outside the range of ClickHouse's own codes.
pub(crate) const FENCED: u32 = 9001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_text_gets_the_servers_form() {
        let e = Exception::parse("Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR)");
        assert_eq!((e.code, e.status()), (62, StatusCode::BAD_REQUEST));
        assert_eq!(
            e.body(),
            "Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR) (version 26.5.1.1)\n"
        );
        assert_eq!(Exception::parse("std::bad_alloc").code, 1001);
    }
}
