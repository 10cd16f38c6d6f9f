//! Addresses of servers, whose credentials nobody prints by accident.

use std::fmt;
use std::net::SocketAddr;

/// A server's URL: `scheme://[user[:password]@]host[:port][/path]`.
///
/// `Debug` and `Display` show `***` in place of a credential; [`ServerUrl::expose`] gives the whole text to a client.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
}

impl ServerUrl {
    /// Reads a URL whose scheme is one of `schemes`.
    ///
    /// # Errors
    /// A lower-case fragment that says what is missing; it never repeats the text, which may hold a credential.
    pub(crate) fn parse(text: &str, schemes: &[&str]) -> Result<Self, String> {
        let url = Self { text: text.to_owned() };
        let known = schemes
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://")));
        if !known {
            return Err(format!("a URL with the scheme {}", schemes.join(" or ")));
        }
        // A query string has no meaning in a base address, and could hide a credential from `Display`.
        let printable = text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '?' | '#'));
        let port_fits = url
            .port_text()
            .is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !printable || url.host().is_empty() || !port_fits {
            return Err("a URL like scheme://host:port".to_owned());
        }
        Ok(url)
    }

    /// Makes the URL of a server of ours.
    pub(crate) fn ours(scheme: &str, address: SocketAddr) -> Self {
        Self {
            text: format!("{scheme}://{address}"),
        }
    }

    /// Returns the same address without a slash at its end.
    pub(crate) fn without_slash(&self) -> Self {
        Self {
            text: self.text.trim_end_matches('/').to_owned(),
        }
    }

    /// Returns the whole text, credentials included: for the client that connects, never for a log.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the password within it, where it names one: for whoever has to keep it out of something.
    pub fn password(&self) -> Option<&str> {
        self.authority().0?.split_once(':').map(|(_, password)| password)
    }

    /// Returns the user within it, where it names one.
    pub fn user(&self) -> Option<&str> {
        let credential = self.authority().0?;
        Some(credential.split_once(':').map_or(credential, |(user, _)| user))
    }

    /// Returns the same address without its credential: for a client that takes them apart.
    pub fn without_credential(&self) -> String {
        match self.authority() {
            (Some(credential), _) => self.text.replacen(&format!("{credential}@"), "", 1),
            (None, _) => self.text.clone(),
        }
    }

    /// Returns the host, without brackets.
    pub fn host(&self) -> &str {
        let address = self.address();
        match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => address.rsplit_once(':').map_or(address, |(host, _)| host),
        }
    }

    /// Returns the port, where the URL names one.
    pub fn port(&self) -> Option<u16> {
        self.port_text()?.parse().ok()
    }

    /// Returns whether nothing is sent there without TLS.
    pub fn is_secured(&self) -> bool {
        ["tls://", "https://", "wss://"]
            .iter()
            .any(|scheme| self.text.starts_with(scheme))
    }

    /// Returns whether the host is this machine's loopback.
    pub fn is_loopback(&self) -> bool {
        matches!(self.host(), "localhost" | "::1") || self.host().starts_with("127.")
    }

    fn port_text(&self) -> Option<&str> {
        let address = self.address();
        let after_host = address.rsplit_once(']').map_or(address, |(_, rest)| rest);
        after_host.rsplit_once(':').map(|(_, port)| port)
    }

    /// Returns `host:port`.
    fn address(&self) -> &str {
        self.authority().1
    }

    /// Splits what stands between `://` and the path into credential and `host:port`.
    fn authority(&self) -> (Option<&str>, &str) {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        match authority.rsplit_once('@') {
            Some((credential, address)) => (Some(credential), address),
            None => (None, authority),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.authority() {
            (Some(credential), _) => f.pad(&self.text.replacen(&format!("{credential}@"), "***@", 1)),
            (None, _) => f.pad(&self.text),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_never_printed() {
        let url = ServerUrl::parse("nats://bob:s3cret@nats.internal:4222", &["nats"]).expect("valid");
        assert_eq!(
            format!("{url} {url:?}"),
            "nats://***@nats.internal:4222 \"nats://***@nats.internal:4222\""
        );
        assert_eq!((url.host(), url.port()), ("nats.internal", Some(4222)));
        assert!(url.expose().contains("s3cret"));
        assert_eq!((url.user(), url.password()), (Some("bob"), Some("s3cret")));
        assert_eq!(url.without_credential(), "nats://nats.internal:4222");
    }

    #[test]
    fn addresses_are_understood() {
        let host = |text: &str| ServerUrl::parse(text, &["http"]).map(|url| (url.host().to_owned(), url.port()));
        assert_eq!(host("http://[::1]:8123/x"), Ok(("::1".to_owned(), Some(8123))));
        assert_eq!(host("http://localhost"), Ok(("localhost".to_owned(), None)));
        for text in [
            "localhost:1",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:99999",
            "http://a b",
            "http://a/?password=b",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
