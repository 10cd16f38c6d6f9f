//! One connection that never gives up, and what is known about it.

use std::fmt;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, jetstream};
use mprism_runtime::tls::ClientTls;
use percent_encoding::percent_decode_str;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::BusError;

/// Waits between attempts to reconnect: from this, doubling…
const RECONNECT_FIRST: Duration = Duration::from_millis(20);
/// …up to this, so that a restarted server is found within a second.
const RECONNECT_MAX: Duration = Duration::from_millis(800);
/// How long an API request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent peer is noticed after two missed answers.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Who connects.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user of a broker that mprism runs: what answers it goes to subjects of its own.
    Member {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A user of a broker that somebody else runs.
    User {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that all clients share.
    Token(String),
    /// The seed of an nkey, which signs what the server asks; it never leaves the process.
    Nkey(String),
    /// The text of a credentials file: a user's JWT with the seed of its nkey.
    File(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { user, .. } => write!(f, "Member({user})"),
            Self::User { user, .. } => write!(f, "User({user})"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::Nkey(_) => f.write_str("Nkey(…)"),
            Self::File(_) => f.write_str("File(…)"),
        }
    }
}

impl Credentials {
    fn apply(self, connect: ConnectOptions) -> Result<ConnectOptions, BusError> {
        Ok(match self {
            Self::Member { user, password } => connect
                .custom_inbox_prefix(inbox_prefix(&user))
                .user_and_password(user, password),
            Self::User { user, password } => connect.user_and_password(user, password),
            Self::Token(token) => connect.token(token),
            Self::Nkey(seed) => connect.nkey(seed),
            Self::File(text) => connect.credentials(&text).map_err(BusError::Credentials)?,
        })
    }
}

/// How to connect.
#[derive(Clone, Debug, Default)]
pub struct BusOptions {
    /// The server's address, for example `nats://127.0.0.1:4222`. `tls://` takes no connection without TLS.
    pub url: String,
    /// Who connects; nobody is the server's anonymous user.
    pub credentials: Option<Credentials>,
    /// Whom to believe, and what to show, where the server speaks TLS. Nothing is what the operating system believes.
    pub tls: Option<ClientTls>,
    /// The name shown by the server's monitoring.
    pub client_name: String,
}

/// What is known about the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Whether a server answers.
    pub is_connected: bool,
    /// How often a connection was made.
    pub connects: u64,
    /// The id of the server last connected to. It is a new one after every start of a server.
    pub server_id: String,
    /// That server's version.
    pub server_version: String,
    /// What the last failed attempt or the server last complained about.
    pub last_error: Option<String>,
}

/// A connection to NATS. It reconnects for ever; dropping it ends it.
#[derive(Debug)]
pub struct Bus {
    client: Client,
    context: jetstream::Context,
    url: String,
    connection: watch::Receiver<Connection>,
    watcher: JoinHandle<()>,
}

/// Connects once and says what it met: to find out whether a server would take us, and why it would not.
///
/// # Errors
/// [`BusError::NotConnected`] with every cause on one line; [`BusError::Address`] and the like as [`Bus::connect`].
pub async fn try_out(options: BusOptions, within: Duration) -> Result<Connection, BusError> {
    let (url, _) = taken_apart(&options.url);
    let not_connected = |last_error: String| BusError::NotConnected {
        url: url.clone(),
        within,
        last_error: Some(last_error),
    };
    let connect = prepared(&options)?.max_reconnects(1).connection_timeout(within);
    let connected = tokio::time::timeout(within, connect.connect(&url)).await;
    let client = match connected {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(not_connected(causes(&error))),
        Err(_) => return Err(not_connected("no answer".to_owned())),
    };
    let server = client.server_info();
    // Whoever may not even ask is told so here, and not at the first message.
    let flushed = tokio::time::timeout(within, client.flush()).await;
    match flushed {
        Ok(Ok(())) => Ok(Connection {
            is_connected: true,
            connects: 1,
            server_id: server.server_id,
            server_version: server.version,
            last_error: None,
        }),
        Ok(Err(error)) => Err(not_connected(causes(&error))),
        Err(_) => Err(not_connected("no answer".to_owned())),
    }
}

/// Joins an error and its causes, each once: a cause may repeat its own.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |cause| cause.source()).map(ToString::to_string);
    all.fold(String::new(), |told, cause| match told {
        told if told.is_empty() => cause,
        told if told.contains(&cause) => told,
        told => format!("{told}: {cause}"),
    })
}

/// Takes the credential out of `scheme://user:password@host`: the client's library does not look there. A name alone is a token.
fn taken_apart(url: &str) -> (String, Option<Credentials>) {
    let apart = url.split_once("://").and_then(|(scheme, rest)| {
        let (credential, address) = rest.rsplit_once('@')?;
        Some((format!("{scheme}://{address}"), credential))
    });
    let Some((plain, credential)) = apart else {
        return (url.to_owned(), None);
    };
    let text = |coded: &str| percent_decode_str(coded).decode_utf8_lossy().into_owned();
    let credentials = match credential.split_once(':') {
        Some((user, password)) => Credentials::User {
            user: text(user),
            password: text(password),
        },
        None => Credentials::Token(text(credential)),
    };
    (plain, Some(credentials))
}

/// Returns what both ways of connecting have in common.
fn prepared(options: &BusOptions) -> Result<ConnectOptions, BusError> {
    let mut connect = ConnectOptions::new()
        .name(&options.client_name)
        .connection_timeout(Duration::from_secs(3))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .ignore_discovered_servers();
    if let Some(tls) = &options.tls {
        connect = connect.tls_client_config(tls.config()?);
    }
    let (_, in_url) = taken_apart(&options.url);
    match options.credentials.clone().or(in_url) {
        Some(credentials) => credentials.apply(connect),
        None => Ok(connect),
    }
}

/// Returns the prefix of the reply subjects of `user`: the only subjects beside its own work that it may subscribe to.
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX_{user}")
}

impl Bus {
    /// Starts connecting and returns at once: a server that is away is waited for, for ever.
    ///
    /// # Errors
    /// Where the address, the credential or a file of TLS cannot be used.
    pub async fn connect(options: BusOptions) -> Result<Self, BusError> {
        let (events, received) = mpsc::channel(64);
        let connect = prepared(&options)?
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_wait)
            .event_callback(move |event| {
                let events = events.clone();
                // A full channel slows only the client's event task; nothing is lost and nothing else waits for it.
                async move {
                    let _watcher_gone = events.send(event).await;
                }
            });
        let (url, _) = taken_apart(&options.url);
        let client = connect.connect(&url).await.map_err(|source| BusError::Address {
            url: url.clone(),
            source: source.into(),
        })?;
        let (sender, connection) = watch::channel(Connection::default());
        let watcher = tokio::spawn(watch_connection(client.clone(), received, sender));
        let context = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        Ok(Self {
            client,
            context,
            url,
            connection,
            watcher,
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`BusError::NotConnected`] where none was made `within` the time; trying goes on.
    pub async fn ready(&self, within: Duration) -> Result<Connection, BusError> {
        let mut connection = self.connection.clone();
        let connected = tokio::time::timeout(within, connection.wait_for(|now| now.is_connected)).await;
        if let Ok(Ok(now)) = connected {
            return Ok(now.clone());
        }
        Err(BusError::NotConnected {
            url: self.url.clone(),
            within,
            last_error: self.connection.borrow().last_error.clone(),
        })
    }

    /// Returns what is known about the connection, and every change of it.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// Returns the underlying client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the JetStream context.
    pub fn context(&self) -> &jetstream::Context {
        &self.context
    }

    /// Returns the server's address, without a credential.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

fn reconnect_wait(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempts - 2).unwrap_or(u32::MAX).min(10);
    let mut backoff = mprism_runtime::backoff::Backoff::new(
        (RECONNECT_FIRST * 2_u32.pow(doublings)).min(RECONNECT_MAX),
        RECONNECT_MAX,
    );
    backoff.next_wait()
}

async fn watch_connection(client: Client, mut events: mpsc::Receiver<Event>, connection: watch::Sender<Connection>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected => {
                // The event comes before the client knows whom it met; a flush comes after. Where it fails, the connection
                // is gone again and the next event says so.
                if !matches!(tokio::time::timeout(REQUEST_TIMEOUT, client.flush()).await, Ok(Ok(()))) {
                    continue;
                }
                let server = client.server_info();
                connection.send_modify(|now| {
                    now.is_connected = true;
                    now.connects += 1;
                    now.server_id = server.server_id;
                    now.server_version = server.version;
                    now.last_error = None;
                });
            }
            Event::Disconnected | Event::Closed => connection.send_modify(|now| now.is_connected = false),
            Event::ServerError(error) => {
                tracing::warn!(%error, "nats complained");
                connection.send_modify(|now| now.last_error = Some(error.to_string()));
            }
            Event::ClientError(error) => connection.send_modify(|now| now.last_error = Some(error.to_string())),
            Event::SlowConsumer(subscription) => tracing::warn!(subscription, "a subscription is too slow"),
            Event::LameDuckMode | Event::Draining => {}
        }
    }
    connection.send_modify(|now| now.is_connected = false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_out_of_debug_output() {
        let secret = || "s3cret".to_owned();
        let user = || "hot".to_owned();
        for credentials in [
            Credentials::Member {
                user: user(),
                password: secret(),
            },
            Credentials::User {
                user: user(),
                password: secret(),
            },
            Credentials::Token(secret()),
            Credentials::Nkey(secret()),
            Credentials::File(secret()),
        ] {
            assert!(!format!("{credentials:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_credential_in_an_address_is_taken_out_of_it() {
        let user = |user: &str, password: &str| {
            Some(Credentials::User {
                user: user.into(),
                password: password.into(),
            })
        };
        for (url, plain, expected) in [
            ("nats://a:1", "nats://a:1", None),
            ("tls://bob:s3c%40ret@a:1", "tls://a:1", user("bob", "s3c@ret")),
            ("nats://bob:x@y@a:1", "nats://a:1", user("bob", "x@y")),
            ("nats://t0ken@a", "nats://a", Some(Credentials::Token("t0ken".into()))),
        ] {
            let (found, credentials) = taken_apart(url);
            assert_eq!(found, plain);
            assert!(credentials == expected, "{url}");
        }
    }

    #[test]
    fn reconnecting_starts_at_once_and_never_waits_long() {
        assert_eq!(reconnect_wait(1), Duration::ZERO);
        assert!(reconnect_wait(2) <= RECONNECT_FIRST);
        assert!((10..10_000).step_by(99).all(|n| reconnect_wait(n) <= RECONNECT_MAX));
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_an_answer_and_not_an_end() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("nats://{}", free.local_addr().expect("bound"));
        drop(free);
        let options = BusOptions {
            url,
            client_name: "test".into(),
            ..BusOptions::default()
        };
        let bus = Bus::connect(options).await.expect("an address");
        let error = bus.ready(Duration::from_millis(300)).await.expect_err("nobody there");
        assert!(error.is_retryable(), "{error}");
    }
}
