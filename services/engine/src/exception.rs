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

    /// Returns the block that ends an answer which has begun, framed by `tag` so that no data can be taken for it.
    ///
    /// Source: ClickHouse 25.11 and later, `WriteBufferFromHTTPServerResponse::cancelWithException`.
    pub(crate) fn late(&self, tag: &str) -> String {
        let body = self.body();
        // Clients look for it in what they still hold of the answer's end.
        let mut end = body.len().min(LATE_BYTES_MAX);
        while !body.is_char_boundary(end) {
            end -= 1;
        }
        let text = body[..end].trim_end();
        let length = text.len() + 1;
        format!("\r\n__exception__\r\n{tag}\r\n{text}\n{length} {tag}\r\n__exception__\r\n")
    }

    /// Returns the HTTP status the server gives for this code.
    ///
    /// Source: ClickHouse `src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            // REQUIRED_PASSWORD
            194 => StatusCode::UNAUTHORIZED,
            // UNKNOWN_USER, WRONG_PASSWORD, AUTHENTICATION_FAILED, SET_NON_GRANTED_ROLE, ACCESS_DENIED
            192 | 193 | 516 | 512 | 497 => StatusCode::FORBIDDEN,
            // BAD_ARGUMENTS, CANNOT_COMPILE_REGEXP, CANNOT_PARSE_*, DUPLICATE_COLUMN, ILLEGAL_COLUMN, the syntax tree,
            // THERE_IS_NO_COLUMN, SYNTAX_ERROR, INCORRECT_DATA, TYPE_MISMATCH, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
            36 | 427 | 6 | 25 | 26 | 27 | 38 | 41 | 72 | 376 | 441 | 675 | 676 | 15 | 44 | 37 | 123 | 167 | 168
            | 223 | 8 | 62 | 117 | 53 | 321 => StatusCode::BAD_REQUEST,
            // UNKNOWN_*: table, function, identifier, type, storage, database, setting, direction of sorting, aggregate
            // function, format, database engine, type of query, role
            60 | 46 | 47 | 50 | 56 | 81 | 115 | 152 | 63 | 73 | 336 | 78 | 511 => StatusCode::NOT_FOUND,
            // QUERY_IS_TOO_LARGE, TOO_MANY_BYTES as we use it for bodies
            229 | 307 => StatusCode::PAYLOAD_TOO_LARGE,
            // NOT_IMPLEMENTED
            48 => StatusCode::NOT_IMPLEMENTED,
            // SOCKET_TIMEOUT, CANNOT_OPEN_FILE, CANNOT_SCHEDULE_TASK
            209 | 76 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            // HTTP_LENGTH_REQUIRED
            381 => StatusCode::LENGTH_REQUIRED,
            // TIMEOUT_EXCEEDED
            159 => StatusCode::REQUEST_TIMEOUT,
            // TOO_MANY_SIMULTANEOUS_QUERIES, USER_SESSION_LIMIT_EXCEEDED: the server says 500; 503 is what a client may
            // retry on
            202 | 700 => StatusCode::SERVICE_UNAVAILABLE,
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

/// Longest text of an exception within an answer, in bytes.
const LATE_BYTES_MAX: usize = 15 << 10;

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
