//! Where an HTTP endpoint is, how it is reached and who asks: what a probe has to know, as plain data.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::tls::ClientTls;

/// An HTTP endpoint, on this host or another one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whom to believe, where it speaks TLS.
    pub tls: Option<ClientTls>,
    /// Who asks, where it wants to know.
    pub login: Option<FileLogin>,
    /// User and password, where an address names them: they are never written down.
    #[serde(skip)]
    pub shown: Option<(String, String)>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A user whose password stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLogin {
    /// The user.
    pub user: String,
    /// The file of the password: ours, and nobody else's to read.
    pub password_file: PathBuf,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
            login: None,
            shown: None,
        }
    }
}

impl From<&Endpoint> for Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        endpoint.clone()
    }
}

impl Endpoint {
    /// Returns `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// What a registry may hold: an address alone is an endpoint on this host that asks nobody who it is.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Address(SocketAddr),
    Whole {
        host: String,
        port: u16,
        tls: Option<ClientTls>,
        login: Option<FileLogin>,
    },
}

impl From<Form> for Endpoint {
    fn from(form: Form) -> Self {
        match form {
            Form::Address(address) => address.into(),
            Form::Whole { host, port, tls, login } => Self {
                host,
                port,
                tls,
                login,
                shown: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let address: SocketAddr = ([127, 0, 0, 1], 8085).into();
        let read: Endpoint = serde_json::from_str("\"127.0.0.1:8085\"").expect("an address");
        assert_eq!(read, address.into());
        let whole = Endpoint {
            tls: Some(ClientTls::default()),
            host: "::1".into(),
            ..read
        };
        let text = serde_json::to_string(&whole).expect("written");
        assert_eq!(serde_json::from_str::<Endpoint>(&text).expect("read"), whole);
        assert_eq!(whole.to_string(), "https://[::1]:8085");
    }
}
