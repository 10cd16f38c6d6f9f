//! A real nats-server for tests.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mprism_deps::Dependency;

/// A nats-server with JetStream in a folder of its own; ended when dropped.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    arguments: Vec<String>,
    address: SocketAddr,
    child: Child,
}

impl NatsServer {
    /// Starts a server that stores in `folder` and waits until it accepts connections.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(folder: &Path, address: SocketAddr) -> Self {
        Self::with(folder, address, Vec::new())
    }

    /// As [`NatsServer::start`], with lines of configuration.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn configured(folder: &Path, address: SocketAddr, lines: &str) -> Self {
        let config = folder.join("nats.conf");
        std::fs::write(&config, lines).expect("written");
        Self::with(
            folder,
            address,
            vec!["--config".to_owned(), config.display().to_string()],
        )
    }

    fn with(folder: &Path, address: SocketAddr, mut arguments: Vec<String>) -> Self {
        let program = crate::dependency(Dependency::NatsServer);
        arguments.extend([
            "--addr".to_owned(),
            address.ip().to_string(),
            "--port".to_owned(),
            address.port().to_string(),
            "--jetstream".to_owned(),
            "--store_dir".to_owned(),
            folder.display().to_string(),
            "--log".to_owned(),
            folder.join("nats.log").display().to_string(),
        ]);
        let child = spawn(&program, &arguments, address);
        Self {
            program,
            arguments,
            address,
            child,
        }
    }

    /// Returns the address for clients.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it without warning.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("ours to kill");
        self.child.wait().expect("reaped");
    }

    /// Starts it again on the same folder and address.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.arguments, self.address);
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Either fails only where it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(program: &Path, arguments: &[String], address: SocketAddr) -> Child {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server runs");
    let deadline = Instant::now() + crate::PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(child.try_wait().expect("asked").is_none(), "nats-server ended at once");
        assert!(Instant::now() < deadline, "nats-server does not listen on {address}");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}
