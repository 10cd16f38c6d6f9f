//! Who may talk to the engine, and as what.

use base64::Engine as _;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use subtle::ConstantTimeEq;

use crate::READER_USER;
use crate::exception::Exception;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Reads only: from loopback without a credential, from elsewhere with the readers' one.
    Reader,
    /// The holder of the generated credential.
    Writer,
}

/// The writer's credential and the names we answer to.
pub(crate) struct Access {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) hosts: Vec<String>,
    /// The readers' password, where other hosts can ask: then nobody is let in without a credential.
    pub(crate) reader_password: Option<String>,
}

const USER: HeaderName = HeaderName::from_static("x-clickhouse-user");
const KEY: HeaderName = HeaderName::from_static("x-clickhouse-key");

impl Access {
    /// Decides a request's role from its headers and its URL's `user` and `password`.
    ///
    /// A foreign `Host` is DNS rebinding, a foreign `Origin` a web page posting blindly: both are refused before anything
    /// else is looked at.
    pub(crate) fn role(
        &self,
        headers: &HeaderMap,
        url_user: Option<&str>,
        url_password: Option<&str>,
        from_loopback: bool,
    ) -> Result<Role, Exception> {
        let text = |name: &HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("\u{fffd}"));
        let host = text(&HOST).ok_or_else(|| Exception::denied("Request without a Host header"))?;
        // Where everybody has to show a credential, a name by which we are reached proves nothing and disproves nothing.
        let is_ours = self.reader_password.is_some() || self.is_ours(host);
        if headers.get_all(HOST).iter().count() != 1 || !is_ours {
            return Err(Exception::denied("Host header names another server"));
        }
        if let Some(origin) = text(&ORIGIN) {
            let host = origin.split_once("://").map_or(origin, |(_, host)| host);
            if !self.is_ours(host) {
                return Err(Exception::denied("Origin header names another site"));
            }
        }
        let in_headers = match (basic(headers)?, text(&USER)) {
            (Some(pair), _) => Some(pair),
            (None, Some(user)) => Some((user.to_owned(), text(&KEY).unwrap_or("").to_owned())),
            (None, None) => None,
        };
        if in_headers.is_some() && url_password.is_some_and(|p| !p.is_empty()) {
            // As the server does: two credentials are one too many to know who asks.
            return Err(Exception::denied(
                "Credentials stand in headers or in the URL, not in both",
            ));
        }
        let in_url = || {
            (
                url_user.unwrap_or("default").to_owned(),
                url_password.unwrap_or("").to_owned(),
            )
        };
        let (user, password) = in_headers.unwrap_or_else(in_url);
        let same = |a: &str, b: &str| bool::from(a.as_bytes().ct_eq(b.as_bytes()));
        if same(&user, &self.user) && same(&password, &self.password) {
            return Ok(Role::Writer);
        }
        if let Some(expected) = &self.reader_password {
            if same(&user, READER_USER) && same(&password, expected) {
                return Ok(Role::Reader);
            }
        } else if user == "default" && password.is_empty() && from_loopback {
            return Ok(Role::Reader);
        }
        let message = format!(
            "{}: Authentication failed: password is incorrect, or there is no such user",
            printable(&user)
        );
        Err(Exception::new(516, &message, "AUTHENTICATION_FAILED"))
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(""),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let local = ["localhost", "127.0.0.1", "::1"];
        local.iter().any(|ours| name.eq_ignore_ascii_case(ours))
            || self.hosts.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    }
}

fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Exception> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let decoded = value
        .to_str()
        .ok()
        .and_then(|v| v.strip_prefix("Basic "))
        .and_then(|v| base64::engine::general_purpose::STANDARD.decode(v.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Ok(Some((user.to_owned(), password.to_owned()))),
        None => Err(Exception::new(
            516,
            "Authorization header is not understood",
            "AUTHENTICATION_FAILED",
        )),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn access() -> Access {
        Access {
            user: "writer".into(),
            password: "s3cret".into(),
            hosts: vec!["lake.internal".into()],
            reader_password: None,
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).expect("valid"),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn loopback_reads_and_the_credential_writes() {
        let role = |pairs: &[(&'static str, &str)]| access().role(&headers(pairs), None, None, true);
        assert_eq!(role(&[("host", "127.0.0.1:8123")]), Ok(Role::Reader));
        assert_eq!(role(&[("host", "[::1]:8123")]), Ok(Role::Reader));
        let writer = [
            ("host", "localhost"),
            ("x-clickhouse-user", "writer"),
            ("x-clickhouse-key", "s3cret"),
        ];
        assert_eq!(role(&writer), Ok(Role::Writer));
        assert_eq!(
            role(&[
                ("host", "lake.internal"),
                ("authorization", "Basic d3JpdGVyOnMzY3JldA==")
            ]),
            Ok(Role::Writer)
        );
        let wrong = [
            ("host", "localhost"),
            ("x-clickhouse-user", "writer"),
            ("x-clickhouse-key", "S3cret"),
        ];
        assert_eq!(role(&wrong).expect_err("wrong").code, 516);
        let here = headers(&[("host", "localhost")]);
        let in_url = |password| access().role(&here, Some("writer"), Some(password), true);
        assert_eq!(in_url("s3cret"), Ok(Role::Writer));
        assert_eq!(in_url("S3cret").expect_err("wrong").code, 516);
        let both = access().role(&headers(&writer), Some("writer"), Some("s3cret"), true);
        assert!(both.is_err(), "who asks has to be clear");
        let away = access().role(&headers(&[("host", "localhost")]), None, None, false);
        assert_eq!(away.expect_err("not loopback").code, 516);
    }

    #[test]
    fn where_other_hosts_ask_nobody_is_let_in_without_a_credential() {
        let access = Access {
            reader_password: Some("r3ad".into()),
            ..access()
        };
        let role = |user: &str, password: &str| {
            let shown = [
                ("host", "10.0.0.5:8123"),
                ("x-clickhouse-user", user),
                ("x-clickhouse-key", password),
            ];
            access.role(&headers(&shown), None, None, true)
        };
        assert_eq!(role("writer", "s3cret"), Ok(Role::Writer));
        assert_eq!(role("reader", "r3ad"), Ok(Role::Reader));
        for (user, password) in [
            ("reader", "s3cret"),
            ("writer", "r3ad"),
            ("default", ""),
            ("reader", ""),
        ] {
            assert_eq!(role(user, password).expect_err("refused").code, 516, "{user}");
        }
        let nobody = access.role(&headers(&[("host", "localhost")]), None, None, true);
        assert_eq!(nobody.expect_err("not even here").code, 516);
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let refused = |pairs: &[(&'static str, &str)]| access().role(&headers(pairs), None, None, true).is_err();
        assert!(refused(&[("host", "evil.example:8123")]));
        assert!(refused(&[]));
        assert!(refused(&[("host", "localhost"), ("origin", "https://evil.example")]));
        assert!(refused(&[("host", "localhost"), ("origin", "null")]));
        assert!(!refused(&[("host", "localhost"), ("origin", "http://localhost:8123")]));
    }
}
