//! What tests need: real servers, recorded frames, waiting for conditions.
//!
//! Only for tests; it panics where a test could not go on.

mod authority;
mod clients;
mod image;
mod nats;
mod screens;
mod tmpfs;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mprism_deps::{Dependency, FetchOptions, Provider};

pub use authority::{Authority, Pem};
pub use clients::{node_clients, python_clients};
pub use image::Image;
pub use nats::NatsServer;
pub use screens::same_as_file;
pub use tmpfs::Tmpfs;

/// How long a test waits for something that is bound to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a pinned binary, fetching it into the user's cache where it is missing.
///
/// # Panics
/// Where it cannot be had.
pub fn dependency(dependency: Dependency) -> PathBuf {
    let options = FetchOptions {
        cache: cache(),
        provider: Provider::Auto,
        offline: false,
        search_path: std::env::var_os("PATH").unwrap_or_default(),
        stall_max: mprism_deps::STALL_MAX,
        cancel: None,
    };
    match mprism_deps::ensure(dependency, &options, &|_| {}) {
        Ok(installed) => installed.path,
        Err(error) => panic!("{dependency} cannot be had: {error}"),
    }
}

/// The user's cache, where the binary itself keeps what it fetched.
fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let xdg = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    mprism_deps::cache_folder(xdg.as_deref(), &home)
}

/// Returns the folder of recorded frames, or `None` where it is absent and may be.
///
/// # Panics
/// Where it is absent and `MPRISM_TEST_REQUIRE` names `corpus`.
pub fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("MPRISM_CORPUS").map_or_else(beside, PathBuf::from);
    if folder.join("manifest.jsonl").is_file() {
        return Some(folder);
    }
    absent("corpus", &format!("no recorded frames in {}", folder.display()));
    None
}

/// Says that a test cannot show its point here; fails it where what is missing is required.
///
/// # Panics
/// Where `MPRISM_TEST_REQUIRE` names `what`.
pub fn absent(what: &str, why: &str) {
    let required = std::env::var("MPRISM_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == what),
        "{what} is required: {why}"
    );
    let _closed = writeln!(std::io::stderr(), "SKIPPED (needs {what}): {why}");
}

/// Returns an address that was free a moment ago.
///
/// # Panics
/// Where the loopback has no free port.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// Waits until `condition` holds, looking every 20 ms.
///
/// # Panics
/// Where it does not within [`PATIENCE`]; the message tells how far it got.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(so_far) if Instant::now() > deadline => panic!("{what}: not within {PATIENCE:?}; last: {so_far}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
