//! Why the bus did not do what was asked.

use std::time::Duration;

/// Why a call to the bus failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The address cannot be used.
    #[error("`{url}` is not a NATS address")]
    Address {
        /// What was given.
        url: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A credentials file is not one.
    #[error("the credentials file cannot be used")]
    Credentials(#[source] std::io::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] mprism_runtime::tls::TlsError),
    /// No connection within the time given; the client goes on trying.
    #[error("no connection to nats at {url} within {within:?}{}", because(last_error.as_deref()))]
    NotConnected {
        /// The server.
        url: String,
        /// How long was waited.
        within: Duration,
        /// What the last attempt met, where it said something.
        last_error: Option<String>,
    },
    /// The server refused or did not answer an API request.
    #[error("cannot {action} `{name}`")]
    Api {
        /// What was asked, for example `create stream`.
        action: &'static str,
        /// On what.
        name: String,
        /// What the server or the client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server ended a pull request, and would end the next one, too.
    #[error("cannot pull from durable `{durable}`: {said} (status {status})")]
    Pull {
        /// The durable.
        durable: String,
        /// NATS status code.
        status: u16,
        /// What the server said.
        said: String,
    },
    /// A message is larger than the server takes.
    #[error("message for `{subject}` has {bytes} bytes, the server takes {bytes_max}")]
    TooLarge {
        /// Where it was to go.
        subject: String,
        /// Its payload, in bytes.
        bytes: usize,
        /// The server's limit for payload and headers together, in bytes.
        bytes_max: usize,
    },
    /// The server did not store a message.
    #[error("message for `{subject}` not stored: {trouble}")]
    NotStored {
        /// Where it was to go.
        subject: String,
        /// Why.
        trouble: crate::Trouble,
    },
    /// The messages of a stream do not arrive in the one beside it.
    #[error("{moved} of {messages} messages of stream {stream} are moved, and no more arrive")]
    Moving {
        /// The stream.
        stream: String,
        /// Messages that it has.
        messages: u64,
        /// Messages that arrived.
        moved: u64,
    },
    /// The connection was closed for good.
    #[error("the connection to nats is closed")]
    Closed,
}

impl BusError {
    /// Returns whether the same call can succeed later without anything being changed by hand.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotConnected { .. } | Self::Api { .. } | Self::Pull { .. } | Self::Moving { .. } => true,
            Self::NotStored { trouble, .. } => trouble.is_retryable(),
            Self::Credentials(_) | Self::Tls(_) => false,
            Self::Address { .. } | Self::TooLarge { .. } | Self::Closed => false,
        }
    }

    pub(crate) fn api(
        action: &'static str,
        name: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Api {
            action,
            name: name.to_owned(),
            source: source.into(),
        }
    }
}

fn because(last_error: Option<&str>) -> String {
    last_error.map(|text| format!(" ({text})")).unwrap_or_default()
}
