//! What a request's URL asks for.

use percent_encoding::percent_decode_str;

use crate::access::Role;
use crate::exception::Exception;

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
    /// The operator writes by hand (header `X-Mprism-Write: operator`).
    pub(crate) operator: bool,
    /// `param_<name>=<value>`: bound parameters.
    pub(crate) parameters: Vec<(String, String)>,
    /// Everything else.
    pub(crate) settings: Vec<(String, String)>,
}

/// Settings a reader may change besides whole families: what clients send by habit.
const READER_SETTINGS: [&str; 8] = [
    "max_execution_time",
    "max_block_size",
    "session_timezone",
    "join_use_nulls",
    "max_threads",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "log_comment",
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
    /// Where it is a name that cannot be, or asks for a session.
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
            // Answers to statements without streamed output are always whole, and readers are always read-only.
            "wait_end_of_query" | "client_protocol_version" | "buffer_size" | "readonly" | "quota_key" | "role" => {}
            "session_id" | "session_timeout" | "session_check" => {
                return Err(Exception::new(
                    48,
                    "Sessions are not supported by this engine",
                    "NOT_IMPLEMENTED",
                ));
            }
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.push((identifier(parameter)?, value)),
                None => self.settings.push((identifier(name)?, value)),
            },
        }
        Ok(())
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
        let allowed =
            |name: &str| READER_SETTINGS.contains(&name) || READER_FAMILIES.iter().any(|f| name.starts_with(f));
        match self
            .settings
            .iter()
            .find(|(name, _)| role == Role::Reader && !allowed(name))
        {
            Some((name, _)) => Err(Exception::readonly(&format!(
                "Cannot modify '{name}' setting in readonly mode"
            ))),
            None => Ok(&self.settings),
        }
    }
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
        assert_eq!(Request::parse("session_id=x").expect_err("refused").code, 48);
    }
}
