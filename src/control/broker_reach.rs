//! How a message broker is reached, as plain data: credentials stand in files, and are read when somebody connects.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use mprism_bus::{BusOptions, Credentials};
use mprism_runtime::files;
use mprism_runtime::tls::ClientTls;
use serde::{Deserialize, Serialize};

/// A broker, on this host or another one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerReach {
    /// Its address, without a credential.
    pub url: String,
    /// Who connects.
    pub login: BrokerLogin,
    /// Whom to believe, where it speaks TLS.
    pub tls: Option<ClientTls>,
    /// Its address with the credential in it, where there is one: it is never written down.
    #[serde(skip)]
    exposed: Option<String>,
}

/// Who connects to a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerLogin {
    /// Whoever the address names, or nobody.
    AsAddressed,
    /// A user of a broker that mprism runs.
    Member {
        /// The user.
        user: String,
        /// The file of its password.
        password_file: PathBuf,
    },
    /// A user of a broker that somebody else runs.
    User {
        /// The user.
        user: String,
        /// The file of its password.
        password_file: PathBuf,
    },
    /// A token's file.
    Token(PathBuf),
    /// The file of an nkey's seed.
    Nkey(PathBuf),
    /// A credentials file.
    Credentials(PathBuf),
}

/// A credential that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the credential {}", path.display())]
pub struct Unreadable {
    /// Its file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl fmt::Debug for BrokerReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerReach")
            .field("url", &self.url)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

impl BrokerReach {
    /// Names a broker. `exposed` may hold a credential, `url` is the same without it.
    pub fn new(exposed: &str, url: String, login: BrokerLogin, tls: Option<ClientTls>) -> Self {
        Self {
            exposed: (exposed != url).then(|| exposed.to_owned()),
            url,
            login,
            tls,
        }
    }

    /// Reads the credential and returns what a client needs to know.
    ///
    /// # Errors
    /// Where a file cannot be read, or others could read it.
    pub fn options(&self, client_name: &str) -> Result<BusOptions, Unreadable> {
        let credentials = match &self.login {
            BrokerLogin::AsAddressed => None,
            BrokerLogin::Member { user, password_file } => Some(Credentials::Member {
                user: user.clone(),
                password: read(password_file)?,
            }),
            BrokerLogin::User { user, password_file } => Some(Credentials::User {
                user: user.clone(),
                password: read(password_file)?,
            }),
            BrokerLogin::Token(path) => Some(Credentials::Token(read(path)?)),
            BrokerLogin::Nkey(path) => Some(Credentials::Nkey(read(path)?)),
            BrokerLogin::Credentials(path) => Some(Credentials::File(read(path)?)),
        };
        Ok(BusOptions {
            url: self.exposed.clone().unwrap_or_else(|| self.url.clone()),
            credentials,
            tls: self.tls.clone(),
            client_name: client_name.to_owned(),
        })
    }
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let text = files::read_secret(path).map_err(|source| Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(text.trim().to_owned())
}
