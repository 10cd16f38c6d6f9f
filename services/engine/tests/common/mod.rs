//! An engine in a process of its own, and a client that says exactly what a test wants said.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part of this")]

mod http;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use mprism_deps::Dependency;
use mprism_engine::EngineOptions;
use serde::{Deserialize, Serialize};

pub(crate) use http::{Call, Reply, encode, receive};

pub(crate) const WRITER: &str = "writer";
pub(crate) const PASSWORD: &str = "correct horse";

/// Carries the child's orders; without it the child's test returns at once.
const ORDERS: &str = "MPRISM_TEST_ENGINE";

/// What a test may choose about its engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) data: PathBuf,
    pub(crate) library: PathBuf,
    pub(crate) readers_max: usize,
    pub(crate) reader_wait_ms: u64,
    pub(crate) body_bytes_max: u64,
    pub(crate) fences: bool,
}

/// A running engine; killed when dropped.
pub(crate) struct Engine {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Kept open: the child's last words go there.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

/// A data folder that outlives its engines.
pub(crate) struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn orders(&self) -> Orders {
        Orders {
            data: self.path().join("data"),
            library: mprism_testkit::dependency(Dependency::Libchdb),
            readers_max: 8,
            reader_wait_ms: 10_000,
            body_bytes_max: 1 << 30,
            fences: true,
        }
    }

    pub(crate) fn start(&self) -> Engine {
        Engine::start(&self.orders())
    }
}

impl Engine {
    pub(crate) fn start(orders: &Orders) -> Self {
        let orders = serde_json::to_string(orders).expect("plain data");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "common::engine_child", "--nocapture"])
            .env(ORDERS, orders)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let address = stdout
            .by_ref()
            .lines()
            .find_map(|line| {
                line.expect("text")
                    .split_once("serving on ")
                    .map(|(_, address)| address.to_owned())
            })
            .expect("the child says where it serves")
            .parse()
            .expect("an address");
        let engine = Self {
            child,
            stdin,
            _stdout: stdout,
            address,
        };
        let reply = engine.get("/ping");
        assert_eq!((reply.status, reply.text()), (200, "Ok.\n".to_owned()));
        engine
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("our child");
    }

    /// Cancels its token.
    pub(crate) fn begin_stop(&mut self) {
        self.stdin.take();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("our child")
    }

    pub(crate) fn stop(mut self) {
        self.begin_stop();
        let status = self.wait();
        assert!(status.success(), "{status}");
    }

    /// Resident memory now, in bytes.
    pub(crate) fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory it ever had, in bytes.
    pub(crate) fn peak_rss(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("Linux");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .expect("a value")
            .parse()
            .expect("a number");
        kib << 10
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success());
    }

    pub(crate) fn send(&self, call: Call<'_>) -> Reply {
        call.send(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(Call::new("GET", path))
    }

    /// Asks as the anonymous reader.
    pub(crate) fn read(&self, statement: &str) -> Reply {
        self.send(Call::new("POST", "/").body(statement))
    }

    /// Asks as the anonymous reader and wants an answer.
    pub(crate) fn answer(&self, statement: &str) -> String {
        let reply = self.read(statement);
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        reply.text().trim_end().to_owned()
    }

    /// Says something as the writer.
    pub(crate) fn write(&self, statement: &str) -> Reply {
        self.send(Call::new("POST", "/").writer().body(statement))
    }

    /// Says something as the writer and wants it done.
    pub(crate) fn done(&self, statement: &str) {
        let reply = self.write(statement);
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
    }

    /// The writer's own client.
    pub(crate) fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default()
            .with_url(format!("http://{}", self.address))
            .with_user(WRITER)
            .with_password(PASSWORD)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Waits until `done`; fails after `seconds`.
pub(crate) fn until(what: &str, seconds: u64, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(seconds);
    while !done() {
        assert!(std::time::Instant::now() < end, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The engine itself: one data folder a process is all that the library allows.
#[test]
fn engine_child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).expect("our own text");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let listen = listener.local_addr().expect("bound");
    writeln!(std::io::stdout(), "\nserving on {listen}").expect("a pipe");
    let options = EngineOptions {
        listen,
        library: orders.library,
        data: orders.data,
        writer_user: WRITER.into(),
        writer_password: PASSWORD.into(),
        remote: None,
        allowed_hosts: vec!["lake.internal".into()],
        readers_from_anywhere: false,
        readers_max: orders.readers_max,
        reader_wait: Duration::from_millis(orders.reader_wait_ms),
        reader_memory_max: 1 << 30,
        writers_max: 4,
        body_bytes_max: orders.body_bytes_max,
        fences: orders.fences,
    };
    let shutdown = tokio_util::sync::CancellationToken::new();
    std::thread::spawn({
        let shutdown = shutdown.clone();
        move || {
            // Ends when the test drops its end.
            let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            shutdown.cancel();
        }
    });
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime");
        mprism_engine::serve(listener, options, shutdown).await
    });
    served.expect("the engine serves until it is told to end");
}
