//! One connection that never gives up, and what is known about it.

use std::fmt;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, jetstream};
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
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct BusOptions {
    /// The server's address, for example `nats://127.0.0.1:4222`.
    pub url: String,
    /// Who connects; nobody is the server's anonymous user.
    pub credentials: Option<Credentials>,
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

/// Returns the prefix of the reply subjects of `user`: the only subjects beside its own work that it may subscribe to.
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX_{user}")
}

impl Bus {
    /// Starts connecting and returns at once: a server that is away is waited for, for ever.
    ///
    /// # Errors
    /// [`BusError::Address`] where the address cannot be used.
    pub async fn connect(options: BusOptions) -> Result<Self, BusError> {
        let (events, received) = mpsc::channel(64);
        let mut connect = ConnectOptions::new()
            .name(&options.client_name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_wait)
            .connection_timeout(Duration::from_secs(3))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .ignore_discovered_servers()
            .event_callback(move |event| {
                let events = events.clone();
                // A full channel slows only the client's event task; nothing is lost and nothing else waits for it.
                async move {
                    let _watcher_gone = events.send(event).await;
                }
            });
        if let Some(Credentials { user, password }) = options.credentials {
            connect = connect.custom_inbox_prefix(inbox_prefix(&user));
            connect = connect.user_and_password(user, password);
        }
        let client = connect
            .connect(&options.url)
            .await
            .map_err(|source| BusError::Address {
                url: options.url.clone(),
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
            url: options.url,
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

    /// Returns the server's address.
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
        let credentials = Credentials {
            user: "hot".into(),
            password: "s3cret".into(),
        };
        assert!(!format!("{credentials:?}").contains("s3cret"));
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
            credentials: None,
            client_name: "test".into(),
        };
        let bus = Bus::connect(options).await.expect("an address");
        let error = bus.ready(Duration::from_millis(300)).await.expect_err("nobody there");
        assert!(error.is_retryable(), "{error}");
    }
}
