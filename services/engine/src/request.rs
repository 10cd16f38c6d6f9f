//! What a request's URL asks for.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::access::Role;
use crate::exception::Exception;
use crate::form;

/// The parameters of one request, sorted by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) query: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) default_format: Option<String>,
    pub(crate) query_id: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// The answer is wanted in compressed frames.
    pub(crate) compress: bool,
    /// The body comes in compressed frames.
    pub(crate) decompress: bool,
    /// The session to be in.
    pub(crate) session: Option<SessionRequest>,
    /// Nothing is sent before the statement has ended.
    pub(crate) wait_end_of_query: bool,
    /// How much of an answer is kept back, in bytes, so that an error within it becomes a proper status.
    pub(crate) buffer_size: u64,
    /// The operator writes by hand (header `X-Mprism-Write: operator`).
    pub(crate) operator: bool,
    /// `param_<name>=<value>`: bound parameters.
    pub(crate) parameters: Vec<(String, String)>,
    /// Everything else.
    pub(crate) settings: Vec<(String, String)>,
}

/// A session as a request asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    pub(crate) id: String,
    /// How long it is kept after the request.
    pub(crate) timeout: Duration,
    /// It has to exist already.
    pub(crate) check: bool,
}

/// A session's timeout, as the server's `default_session_timeout` and `max_session_timeout`.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// Settings a reader may change besides whole families: what clients send by habit.
const READER_SETTINGS: [&str; 22] = [
    "max_execution_time",
    "max_block_size",
    "session_timezone",
    "join_use_nulls",
    "max_threads",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "log_comment",
    "log_queries",
    "distributed_ddl_task_timeout",
    "add_http_cors_header",
    "enable_http_compression",
    "http_zlib_compression_level",
    "network_compression_method",
    "http_write_exception_in_output_format",
    "http_make_head_request",
    "http_receive_timeout",
    "http_send_timeout",
    "extremes",
    "result_overflow_mode",
    "max_rows_to_read",
    "max_bytes_to_read",
];
const READER_FAMILIES: [&str; 4] = ["max_result_", "output_format_", "date_time_", "cancel_http_readonly_"];

impl Request {
    /// Reads a URL's query string.
    pub(crate) fn parse(text: &str) -> Result<Self, Exception> {
        let mut request = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            request.put(&name, value)?;
        }
        Ok(request)
    }

    /// Takes one parameter, from the URL or a form.
    ///
    /// # Errors
    /// Where it is a name that cannot be, or a session's timeout that is none.
    pub(crate) fn put(&mut self, name: &str, value: String) -> Result<(), Exception> {
        match name {
            "query" => self.query = Some(value),
            "database" => self.database = Some(value),
            "default_format" => self.default_format = Some(value),
            "query_id" => self.query_id = Some(value),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "compress" => self.compress = is_true(&value),
            "decompress" => self.decompress = is_true(&value),
            "wait_end_of_query" => self.wait_end_of_query = is_true(&value),
            "buffer_size" | "http_response_buffer_size" => self.buffer_size = value.parse().unwrap_or(0),
            // Readers are always read-only; the others choose what this engine has one of.
            "client_protocol_version" | "readonly" | "quota_key" | "role" | "stacktrace" | "close_session" => {}
            "session_id" => self.session().id = value,
            "session_timeout" => self.session().timeout = session_timeout(&value)?,
            "session_check" => self.session().check = is_true(&value),
            "dialect" => {
                let message = "Statements are judged in ClickHouse's own dialect, so it cannot be changed";
                return Err(Exception::denied(message));
            }
            // A table that comes in the body: its columns.
            _ if name.ends_with("_structure") || name.ends_with("_types") => return Err(form::external_data()),
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.push((identifier(parameter)?, value)),
                None => self.settings.push((identifier(name)?, value)),
            },
        }
        Ok(())
    }

    /// Returns what is asked of a session so far.
    fn session(&mut self) -> &mut SessionRequest {
        self.session.get_or_insert_with(|| SessionRequest {
            id: String::new(),
            timeout: SESSION_TIMEOUT,
            check: false,
        })
    }

    /// Returns the session asked for; without an id there is none.
    pub(crate) fn session_asked(&self) -> Option<&SessionRequest> {
        self.session.as_ref().filter(|session| !session.id.is_empty())
    }

    /// Returns the value of a setting.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the settings that are applied for a role.
    ///
    /// # Errors
    /// Where a reader asks for more than the list allows.
    pub(crate) fn settings_for(&self, role: Role) -> Result<&[(String, String)], Exception> {
        if role == Role::Reader {
            may_change(self.settings.iter().map(|(name, _)| name.as_str()))?;
        }
        Ok(&self.settings)
    }
}

/// Says whether a reader may change these settings.
///
/// # Errors
/// Where one is not in the list.
pub(crate) fn may_change<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), Exception> {
    let allowed = |name: &str| READER_SETTINGS.contains(&name) || READER_FAMILIES.iter().any(|f| name.starts_with(f));
    match names.into_iter().find(|name| !allowed(name)) {
        Some(name) => Err(Exception::readonly(&format!(
            "Cannot modify '{name}' setting in readonly mode"
        ))),
        None => Ok(()),
    }
}

fn session_timeout(value: &str) -> Result<Duration, Exception> {
    let refuse = |why: String| Exception::new(374, &why, "INVALID_SESSION_TIMEOUT");
    let seconds = value
        .parse()
        .map_err(|_| refuse(format!("Invalid session timeout: '{value}'")))?;
    let timeout = Duration::from_secs(seconds);
    if timeout > SESSION_TIMEOUT_MAX {
        let most = SESSION_TIMEOUT_MAX.as_secs();
        return Err(refuse(format!(
            "Session timeout '{value}' is larger than max_session_timeout: {most}"
        )));
    }
    Ok(timeout)
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "true")
}

fn decode(text: &str) -> Result<String, Exception> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(|t| t.into_owned());
    decoded.map_err(|_| Exception::new(36, "The URL is not UTF-8", "BAD_ARGUMENTS"))
}

/// Accepts only what can stand in a statement unquoted.
fn identifier(name: &str) -> Result<String, Exception> {
    let fits = !name.is_empty() && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits {
        return Ok(name.to_owned());
    }
    Err(Exception::new(
        115,
        "Setting or parameter with an impossible name",
        "UNKNOWN_SETTING",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_sorted_into_what_it_asks_for() {
        let r =
            Request::parse("query=SELECT%201+%2B+1&database=d&param_x=a%09b&max_threads=2&compress=1").expect("valid");
        assert_eq!(r.query.as_deref(), Some("SELECT 1 + 1"));
        assert_eq!(r.parameters, [("x".to_owned(), "a\tb".to_owned())]);
        assert_eq!(r.setting("max_threads"), Some("2"));
        assert!(r.compress && !r.decompress);
    }

    #[test]
    fn readers_change_only_what_the_list_names() {
        let ok = Request::parse("max_result_rows=5&output_format_json_quote_64bit_integers=0").expect("valid");
        assert!(ok.settings_for(Role::Reader).is_ok());
        let bad = Request::parse("max_memory_usage=5").expect("valid");
        assert_eq!(bad.settings_for(Role::Reader).expect_err("refused").code, 164);
        assert!(bad.settings_for(Role::Writer).is_ok());
        assert!(Request::parse("a%27b=1").is_err());
        assert_eq!(Request::parse("dialect=prql").expect_err("refused").code, 497);
    }

    #[test]
    fn a_session_has_an_id_and_bounds() {
        let asked = Request::parse("session_timeout=5&session_id=x&session_check=1").expect("valid");
        let session = asked.session_asked().expect("asked for");
        assert_eq!(
            (session.id.as_str(), session.timeout.as_secs(), session.check),
            ("x", 5, true)
        );
        assert!(
            Request::parse("session_timeout=5")
                .expect("valid")
                .session_asked()
                .is_none()
        );
        for bad in ["3601", "-1", "x", ""] {
            let text = format!("session_id=x&session_timeout={bad}");
            assert_eq!(Request::parse(&text).expect_err("refused").code, 374, "{bad}");
        }
    }
}
