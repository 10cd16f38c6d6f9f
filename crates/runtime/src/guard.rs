//! Who may ask a worker's endpoints from another host: whoever shows the home's credential, over TLS.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::files;
use crate::tls::{TlsError, TlsIdentity};

/// The user of workers' endpoints; its password is the home's credential `endpoints`.
pub const ENDPOINT_USER: &str = "mprism";
/// How long a client may take to shake hands.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Clients that shake hands at once; one more waits in the kernel's queue.
const HANDSHAKES_MAX: usize = 64;

/// What stands before a worker's endpoints that other hosts can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The certificate that is shown.
    pub identity: TlsIdentity,
    /// The file of the password that has to be shown.
    pub password_file: PathBuf,
}

/// Why a guard cannot take its post.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The password cannot be read.
    #[error("cannot read the credential {}", path.display())]
    Password {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Guard {
    /// Returns the router behind the guard.
    ///
    /// # Errors
    /// Where the password cannot be read.
    pub(crate) fn before(&self, router: Router) -> Result<Router, GuardError> {
        let password = files::read_secret(&self.password_file).map_err(|source| GuardError::Password {
            path: self.password_file.clone(),
            source,
        })?;
        let expected: Arc<str> = password.trim().into();
        Ok(router.layer(middleware::from_fn_with_state(expected, check)))
    }
}

async fn check(State(password): State<Arc<str>>, request: Request, next: Next) -> Response {
    if is_known(request.headers(), &password) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"mprism\"")];
    let text = "authentication failed: the password is incorrect, or there is no such user\n";
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

fn is_known(headers: &HeaderMap, password: &str) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let pair = shown
        .and_then(|shown| shown.strip_prefix("Basic "))
        .and_then(|coded| STANDARD.decode(coded.trim()).ok());
    let expected = format!("{ENDPOINT_USER}:{password}");
    pair.is_some_and(|pair| bool::from(pair.ct_eq(expected.as_bytes())))
}

/// A listener whose clients have shaken hands. One that is slow keeps nobody else waiting.
pub(crate) struct TlsListener {
    address: SocketAddr,
    shaken: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl TlsListener {
    pub(crate) fn new(listener: TcpListener, identity: &TlsIdentity) -> Result<Self, GuardError> {
        let acceptor = TlsAcceptor::from(identity.server_config()?);
        let address = listener.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
        let (sender, shaken) = mpsc::channel(1);
        let accepting = tokio::spawn(accept_all(listener, acceptor, sender));
        Ok(Self {
            address,
            shaken,
            accepting,
        })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.shaken.recv().await {
            Some(accepted) => accepted,
            // The accepting task ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let mut shaking = tokio::task::JoinSet::new();
    loop {
        while shaking.try_join_next().is_some() {}
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                // Out of descriptors: a short pause instead of a busy loop.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        shaking.spawn(async move {
            let _turn = turn;
            if let Some(stream) = shake_hands(&acceptor, stream, peer).await {
                let _listener_is_gone = sender.send((stream, peer)).await;
            }
        });
    }
}

/// Shakes hands with a client; one that does not, or not in time, is told of quietly: anybody can do that.
pub async fn shake_hands(acceptor: &TlsAcceptor, stream: TcpStream, peer: SocketAddr) -> Option<TlsStream<TcpStream>> {
    // Small answers must not wait for a delayed ack.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS with a client"),
        Err(_) => tracing::debug!(%peer, "a client takes too long to shake hands"),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_credential_is_known() {
        let is_known = |shown: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(shown) = shown {
                headers.insert(header::AUTHORIZATION, shown.parse().expect("a header"));
            }
            super::is_known(&headers, "s3cret")
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(is_known(Some(&basic("mprism:s3cret"))));
        for wrong in [
            basic("mprism:s3cre"),
            basic("bob:s3cret"),
            basic("mprism"),
            "Basic ?".into(),
        ] {
            assert!(!is_known(Some(&wrong)), "{wrong}");
        }
        assert!(!is_known(None));
    }
}
