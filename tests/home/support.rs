//! A running home of a test's own: its own folder, its own ports, stopped when the test ends, however it ends.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mprism::commands::smoke::{Reconciled, reconcile};
use mprism::control::{ClaimedOffset, claim_free_offset};
use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use mprism_testkit::{Image, PATIENCE};
use serde_json::Value;

/// Between looks at something that changes elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The file beside a home that says what is collected.
const EXCHANGES: &str = "exchanges.yaml";

/// A home.
pub(crate) struct Home {
    /// The disk that is mounted over it, where it has one of its own. Unmounted when the home is down.
    pub(crate) disk: Option<Image>,
    folder: tempfile::TempDir,
    offset: ClaimedOffset,
    environment: BTreeMap<String, String>,
    /// The exchange that is collected.
    pub(crate) exchange: &'static str,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Returns the one document on standard output.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Returns the document of a run that must have ended well.
    pub(crate) fn good(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.document()
    }
}

impl Home {
    /// Makes the folder and claims ports; nothing runs yet. Binance spot is collected and nothing else: what most tests are about
    /// is not the exchange.
    pub(crate) fn new() -> Self {
        Self::of("binance_spot")
    }

    /// As [`Home::new`], for another exchange.
    pub(crate) fn of(exchange: &'static str) -> Self {
        let home = Self::bare(exchange);
        let others = mprism_settings::EXCHANGES.iter().filter(|id| **id != exchange);
        let others: Vec<String> = others.map(|id| format!("{id}: {{enabled: false}}")).collect();
        let yaml = format!("collector: {{exchanges: {{{}}}}}\n", others.join(", "));
        fs::write(home.beside().join(EXCHANGES), yaml).expect("written");
        home
    }

    /// Makes the folder and claims ports; every exchange is collected, as the defaults say.
    pub(crate) fn whole() -> Self {
        Self::bare("binance_spot")
    }

    fn bare(exchange: &'static str) -> Self {
        // Dependencies are fetched once per user, so the cache is the user's; no setting of the caller gets through.
        let is_kept = |name: &str| {
            ["HOME", "PATH", "XDG_CACHE_HOME", "TMPDIR"].contains(&name)
                || name.starts_with("PIP_")
                || name.to_lowercase().starts_with("npm_config_")
                || name.to_lowercase().ends_with("_proxy")
        };
        let environment = std::env::vars().filter(|(name, _)| is_kept(name)).collect();
        // Where `smoke` claims its ports too: they must not meet.
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let user = folder("HOME").unwrap_or_else(|| "/".into());
        let claims = mprism_deps::cache_folder(folder("XDG_CACHE_HOME").as_deref(), &user).join("offsets");
        Self {
            disk: None,
            folder: tempfile::tempdir().expect("temporary folder"),
            offset: claim_free_offset(&claims).expect("free ports"),
            environment,
            exchange,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Returns the folder around the home, for what a test needs beside it.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn port(&self, standard: u16) -> u16 {
        standard + self.offset.offset
    }

    pub(crate) fn address(&self, standard: u16) -> SocketAddr {
        ([127, 0, 0, 1], self.port(standard)).into()
    }

    /// Writes a file of settings.
    pub(crate) fn configure(&self, yaml: &str) {
        let folder = self.path().join("config");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("test.yaml"), yaml).expect("written");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Long runs are made with a release build: scripts/kill-loop.sh and its like.
        let program = std::env::var_os("MPRISM_TEST_PROGRAM");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_mprism").into()));
        command
            .args(arguments)
            .arg("--home")
            .arg(self.path())
            .args(["--port-offset", &self.offset.offset.to_string()])
            .args(self.config(arguments))
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Returns the argument that names the file of exchanges, where there is one and no other file is named.
    fn config(&self, arguments: &[&str]) -> Option<String> {
        let path = self.beside().join(EXCHANGES);
        let is_free = path.is_file() && !arguments.iter().any(|argument| argument.starts_with("--config"));
        is_free.then(|| format!("--config={}", path.display()))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().expect("started");
        Done {
            code: output.status.code().expect("not killed"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs a command that must end well and returns its document.
    pub(crate) fn good(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).good()
    }

    /// Runs one statement and returns its answer, without the line break.
    pub(crate) fn query(&self, sql: &str) -> String {
        let done = self.run(&["query", "--format", "TabSeparated", sql]);
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout.trim_end().to_owned()
    }

    pub(crate) fn write(&self, sql: &str) {
        let done = self.run(&["query", "--write", sql]);
        assert_eq!(done.code, 0, "{done:?}");
    }

    /// Returns what `status` says of a service.
    pub(crate) fn status(&self, service: &str) -> Value {
        let document = self.good(&["status"]);
        let services = document["services"].as_array().expect("a list");
        let found = services.iter().find(|found| found["name"] == service);
        found.unwrap_or_else(|| panic!("{service}: {document}")).clone()
    }

    pub(crate) fn process(&self, service: &str) -> ProcessIdentity {
        let status = self.status(service);
        let pid = status["pid"].as_u64().unwrap_or_else(|| panic!("runs: {status}"));
        ProcessIdentity::of(u32::try_from(pid).expect("a pid")).expect("alive")
    }

    /// Returns the supervisor's process.
    pub(crate) fn supervisor(&self) -> ProcessIdentity {
        let text = fs::read_to_string(self.path().join("run/supervisor.lock")).expect("there");
        let holder: Value = serde_json::from_str(&text).expect("a holder");
        ProcessIdentity::of(u32::try_from(holder["pid"].as_u64().expect("a pid")).expect("a pid")).expect("alive")
    }

    /// Leaves a running service behind: its supervisor is gone, somebody removed its lock, as people do, and nothing should be up
    /// any more. Only the registry knows whose it is.
    pub(crate) async fn leaves_behind(&self, service: &str) -> ProcessIdentity {
        let leftover = self.process(service);
        kill(&self.supervisor()).await;
        let run = self.path().join("run");
        fs::remove_file(run.join(format!("{service}.lock"))).expect("removed");
        let state = run.join("state.json");
        let text = fs::read_to_string(&state).expect("there");
        let mut registry: Value = serde_json::from_str(&text).expect("JSON");
        registry["desired"] = Value::Array(Vec::new());
        fs::write(&state, registry.to_string()).expect("written");
        leftover
    }

    /// Waits until a service serves with another process than before.
    pub(crate) async fn back(&self, service: &str, before: &ProcessIdentity) {
        self.until(&format!("{service} is back"), || {
            let status = self.status(service);
            let is_back = status["healthy"] == true && status["pid"] != before.pid;
            if is_back { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }

    pub(crate) async fn until<T>(&self, what: &str, condition: impl FnMut() -> Result<T, String>) -> T {
        self.until_within(PATIENCE, what, condition).await
    }

    pub(crate) async fn until_within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut condition: impl FnMut() -> Result<T, String>,
    ) -> T {
        let deadline = Instant::now() + patience;
        loop {
            match condition() {
                Ok(value) => return value,
                Err(so_far) if Instant::now() > deadline => {
                    panic!("{what}: not within {patience:?}; last: {so_far}\n{}", self.logs())
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    fn logs(&self) -> String {
        self.run(&["logs", "-n", "40", "--level", "warn"]).stdout
    }

    pub(crate) fn rows(&self) -> u64 {
        let exchange = self.exchange;
        self.query(&format!(
            "SELECT count() FROM marketprism_hot.trades WHERE exchange = '{exchange}'"
        ))
        .parse()
        .expect("a number")
    }

    /// Asks the simulator.
    pub(crate) async fn sim(&self, path: &str) -> String {
        http(reqwest::Method::GET, self.address(8090), path, "").await
    }

    /// Tells the simulator something.
    pub(crate) async fn tell_sim(&self, path: &str, body: &str) {
        http(reqwest::Method::POST, self.address(8090), path, body).await;
    }

    /// Returns how many trades the simulator has sent.
    pub(crate) async fn sent(&self) -> u64 {
        let counts: Value = serde_json::from_str(&self.sim("/truth/counts").await).expect("a document");
        let symbols = counts["trade"][self.exchange].as_object();
        symbols
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64())
            .sum()
    }

    /// Waits until rows grow again: the line works.
    pub(crate) async fn flows(&self) {
        let sent = self.sent().await;
        self.until("everything sent so far is stored", || {
            let rows = self.rows();
            if rows > sent {
                Ok(())
            } else {
                Err(format!("{rows} rows of {sent}"))
            }
        })
        .await;
    }

    /// Returns how many messages the broker has that are not stored yet; some, where it cannot be asked.
    pub(crate) fn on_their_way(&self) -> u64 {
        let health = self.run(&["health", "--json"]).document();
        let streams = health["streams"].as_array().cloned().unwrap_or_default();
        let pending = streams.iter().map(|stream| stream["pending"].as_u64().unwrap_or(1));
        match streams.is_empty() {
            // Somebody else's broker does not let us look.
            true => u64::from(self.status("nats")["state"] != "external"),
            false => pending.sum(),
        }
    }

    /// Stops sending, waits until nothing more arrives and every hole in trades was asked for, and compares. Where a market begins
    /// with the first stream of several, what was sent before its trades were listened to is nobody's.
    pub(crate) async fn settled_quietly(&self) -> Reconciled {
        self.settled_quietly_within(PATIENCE).await
    }

    /// As [`Home::settled_quietly`], where what was missed is so much that asking for it takes long.
    pub(crate) async fn settled_quietly_within(&self, patience: Duration) -> Reconciled {
        self.tell_sim("/control/pause", "").await;
        let mut before = (0, Instant::now());
        self.until_within(patience, "nothing more arrives", || {
            let (rows, on_their_way) = (self.rows(), self.on_their_way());
            let open =
                self.query("SELECT count() FROM marketprism_hot.gaps_current WHERE type = 'trade' AND state = 'open'");
            if rows != before.0 || on_their_way > 0 || open != "0" {
                before = (rows, Instant::now());
            }
            if before.1.elapsed() >= Duration::from_secs(1) {
                Ok(())
            } else {
                Err(format!("{rows} rows, {on_their_way} on their way, {open} open gaps"))
            }
        })
        .await;
        reconcile(self.address(8090), &format!("http://{}", self.address(8123)))
            .await
            .expect("both answer")
    }

    /// Stops sending, waits until nothing more arrives that could, and compares. `missing` are known to be lost.
    pub(crate) async fn settled(&self, missing: impl Fn(&Self) -> u64) -> Reconciled {
        self.tell_sim("/control/pause", "").await;
        let sent = self.sent().await;
        self.until("everything that was sent is stored", || {
            let (rows, missing) = (self.rows(), missing(self));
            let on_their_way = self.on_their_way();
            if rows + missing >= sent && on_their_way == 0 {
                Ok(())
            } else {
                Err(format!(
                    "{rows} rows and {missing} missing of {sent}, {on_their_way} on their way"
                ))
            }
        })
        .await;
        reconcile(self.address(8090), &format!("http://{}", self.address(8123)))
            .await
            .expect("both answer")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let down = self.run(&["down"]);
        // A test that fails already says why; nothing may be left running either way.
        assert!(down.code == 0 || std::thread::panicking(), "{down:?}");
    }
}

/// Asks a URL, which has to answer well.
pub(crate) async fn get(url: &str) -> String {
    mprism::commands::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(url).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
    let status = answer.status();
    let text = answer.text().await.expect("text");
    assert!(status.is_success(), "{url}: {status}: {text}");
    text
}

async fn http(method: reqwest::Method, address: SocketAddr, path: &str, body: &str) -> String {
    mprism::commands::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client
        .request(method, format!("http://{address}{path}"))
        .body(body.to_owned());
    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.unwrap_or_else(|e| panic!("{path}: {e}"));
    answer.text().await.expect("text")
}

/// Returns what integrity says of a type.
pub(crate) fn table<'a>(integrity: &'a Value, data_type: &str) -> &'a Value {
    let tables = integrity["tables"].as_array().expect("a list");
    let found = tables.iter().find(|table| table["type"] == data_type);
    found.unwrap_or_else(|| panic!("{data_type}: {integrity}"))
}

/// Sends a signal to exactly this life of a process.
pub(crate) fn signal(process: &ProcessIdentity, signal: Signal) {
    let handle = PidFd::open(process).expect("ours").expect("alive");
    handle.signal(signal).expect("sent");
}

/// Kills a process and waits until it is gone.
pub(crate) async fn kill(process: &ProcessIdentity) {
    let handle = PidFd::open(process).expect("ours").expect("alive");
    handle.signal(Signal::KILL).expect("sent");
    tokio::time::timeout(PATIENCE, handle.wait_exited())
        .await
        .expect("a killed process ends")
        .expect("watched");
}
