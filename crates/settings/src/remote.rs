//! Other hosts: who connects there, whom to believe, and where we can be reached from there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::url::ServerUrl;

/// Who connects to the message broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsLogin {
    /// The home's own users, whose credentials are in this folder: that of the home, or of the one that runs the broker.
    Members(PathBuf),
    /// Whoever the address names, or nobody.
    AsAddressed,
    /// A user, and the file of its password.
    User {
        /// The user.
        user: String,
        /// Its file.
        password_file: PathBuf,
    },
    /// A token's file.
    Token(PathBuf),
    /// The file of an nkey's seed.
    Nkey(PathBuf),
    /// A credentials file.
    Credentials(PathBuf),
}

/// Whom to believe, and what to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// The certificate authorities; `None` is those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key that are shown to whoever asks.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What listeners off the loopback show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether listeners on the loopback do as well.
    pub everywhere: bool,
    /// The certificate.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authority that it is believed by; `None` is those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Whether `init` makes them.
    pub is_generated: bool,
    /// Names of this host beside its addresses, for the certificate that `init` makes.
    pub names: Vec<String>,
}

impl TlsSettings {
    /// Returns whether a listener on this address speaks TLS and asks who is there.
    pub fn guards(&self, listen: IpAddr) -> bool {
        self.everywhere || !listen.is_loopback()
    }

    /// Returns whom to believe of this host's own listeners.
    pub fn trust(&self) -> TrustSettings {
        TrustSettings {
            ca_file: self.ca_file.clone(),
            identity: None,
        }
    }
}

/// A worker that runs on another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Its endpoints.
    pub url: ServerUrl,
    /// The certificate authorities that it is believed by; `None` is those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// The file of its home's credential `endpoints`, where it asks for one.
    pub password_file: Option<PathBuf>,
}

/// The workers that run on other hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicesSettings {
    /// The collector.
    pub collector: Option<RemoteSettings>,
    /// The hot storage worker.
    pub hot: Option<RemoteSettings>,
    /// The cold storage worker.
    pub cold: Option<RemoteSettings>,
}

/// Returns the address by which a listener is reached from this host.
pub fn reached_at(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}
