//! A Docker Engine of a test's own: its own socket, its own folder, nobody else's containers; and images made of files of this
//! machine, because none can be pulled.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use mprism_deps::Dependency;
use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use mprism_testkit::{PATIENCE, absent, dependency, until};
use serde_json::Value;

/// nats-server, and nothing but it and what its health check needs.
pub(crate) const NATS_IMAGE: &str = "test/nats:1";
/// A server that ends as soon as it is started.
pub(crate) const BROKEN_IMAGE: &str = "test/nats:broken";
/// A server without a program.
pub(crate) const EMPTY_IMAGE: &str = "test/nats:empty";
/// mprism, as the Dockerfile makes it.
pub(crate) const MPRISM_IMAGE: &str = "test/mprism:1";

/// A running engine.
pub(crate) struct Engine {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Engine {
    /// Starts an engine, or says why there is none here.
    pub(crate) async fn start() -> Option<Self> {
        let missing = ["dockerd", "docker", "wget", "ldd", "objcopy"]
            .into_iter()
            .find(|program| on_path(program).is_none());
        if let Some(program) = missing {
            absent("docker", &format!("there is no {program}"));
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            absent("docker", "only root can start an engine of its own");
            return None;
        }
        let mut engine = Self {
            folder: tempfile::tempdir().expect("temporary folder"),
            daemon: None,
        };
        engine.begin().await;
        Some(engine)
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) async fn begin(&mut self) {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(at("log"))
            .expect("a log");
        // Plain storage, and no rules of a firewall: published ports are carried by the engine's own proxy.
        let daemon = Command::new("dockerd")
            .args([
                "--storage-driver=vfs",
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
            ])
            .args(["--host", &self.host()])
            .args([
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn();
        self.daemon = Some(daemon.expect("dockerd starts"));
        until("the engine answers", async || {
            match self.run(&["version"]).status.success() {
                true => Ok(()),
                false => Err(fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()),
            }
        })
        .await;
    }

    /// Ends the daemon as an operator does; containers end with it.
    pub(crate) fn end(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        if let Some(process) = ProcessIdentity::of(daemon.id())
            && let Ok(Some(handle)) = PidFd::open(&process)
        {
            let _gone = handle.signal(Signal::TERM);
        }
        let _status = daemon.wait();
    }

    /// Returns `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .args(arguments)
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_BUILDKIT", "0");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("docker runs")
    }

    /// Runs a command that must end well, and returns what it prints.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Returns what the engine knows of a container.
    pub(crate) fn inspect(&self, container: &str) -> Value {
        let text = self.good(&["inspect", container]);
        serde_json::from_str::<Value>(&text).expect("JSON")[0].take()
    }

    /// Makes the image of the broker, and two that do not work.
    pub(crate) fn make_broker_images(&self) {
        let wget = on_path("wget").expect("looked for");
        let server = dependency(Dependency::NatsServer);
        let changes = ["ENTRYPOINT [\"/nats-server\"]", "ENV PATH=/usr/bin"];
        let check = (wget, "usr/bin/wget".to_owned());
        self.import(EMPTY_IMAGE, std::slice::from_ref(&check), &changes);
        let broken = (on_path("false").expect("everywhere"), "nats-server".to_owned());
        self.import(BROKEN_IMAGE, &[broken, check.clone()], &changes);
        self.import(NATS_IMAGE, &[(server, "nats-server".to_owned()), check], &changes);
    }

    /// Makes the images of both servers.
    pub(crate) fn make_images(&self) {
        self.make_broker_images();
        // What the Dockerfile's base has to have: what its commands are, and what mprism and the engine link.
        let tools = ["sh", "mkdir", "chown"].map(|name| (on_path(name).expect(name), format!("bin/{name}")));
        let folder = self.folder.path().join("context");
        fs::create_dir_all(&folder).expect("made");
        let program = folder.join("mprism");
        let stripped = Command::new("objcopy")
            .args(["--strip-debug", env!("CARGO_BIN_EXE_mprism")])
            .arg(&program)
            .status();
        assert!(stripped.expect("objcopy runs").success());
        let linked = [program, dependency(Dependency::Libchdb)];
        let libraries = linked.iter().flat_map(|file| libraries(file));
        let libraries = libraries.map(|path| (path.clone(), path.display().to_string()));
        // Clients that can speak TLS do not begin without anybody to believe.
        let authorities = "/etc/ssl/certs/ca-certificates.crt";
        let authorities = (PathBuf::from(authorities), authorities.to_owned());
        let files: Vec<(PathBuf, String)> = tools.into_iter().chain(libraries).chain([authorities]).collect();
        self.import("test/base:1", &files, &["ENV PATH=/usr/local/bin:/usr/bin:/bin"]);
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("Dockerfile")
            .display()
            .to_string();
        let context = folder.display().to_string();
        let base = "RUNTIME_IMAGE=test/base:1";
        self.good(&[
            "build",
            "-q",
            "-t",
            MPRISM_IMAGE,
            "--target",
            "prebuilt",
            "--build-arg",
            base,
            "-f",
            &file,
            &context,
        ]);
    }

    /// Makes an image of files and of what they link.
    fn import(&self, image: &str, files: &[(PathBuf, String)], changes: &[&str]) {
        let path = self.folder.path().join("image.tar");
        let mut archive = tar::Builder::new(fs::File::create(&path).expect("made"));
        let mut all: BTreeSet<(String, PathBuf)> = BTreeSet::new();
        for (file, name) in files {
            all.insert((name.trim_start_matches('/').to_owned(), file.clone()));
            for library in libraries(file) {
                all.insert((
                    library.display().to_string().trim_start_matches('/').to_owned(),
                    library,
                ));
            }
        }
        // What is not in the archive the engine makes for itself, and for nobody else to enter.
        let folders = all.iter().flat_map(|(name, _)| Path::new(name).ancestors().skip(1));
        let folders: BTreeSet<&Path> = folders.filter(|folder| !folder.as_os_str().is_empty()).collect();
        for folder in folders {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive
                .append_data(&mut header, folder, std::io::empty())
                .expect("packed");
        }
        for (name, file) in &all {
            archive.append_path_with_name(file, name).expect("packed");
        }
        archive.into_inner().and_then(|mut file| file.flush()).expect("written");
        let name = path.display().to_string();
        let mut arguments = vec!["import"];
        for change in changes {
            arguments.extend(["--change", *change]);
        }
        arguments.extend([name.as_str(), image]);
        self.good(&arguments);
        fs::remove_file(&path).expect("removed");
    }

    /// Waits until a condition on a container holds.
    pub(crate) async fn until(&self, what: &str, container: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(what, async || {
            let found = self.inspect(container);
            if holds(&found) {
                Ok(found)
            } else {
                Err(found["State"].to_string())
            }
        })
        .await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.daemon.is_none() {
            return;
        }
        // Whatever a test that failed left: bridges outlive their engine.
        let containers = self.run(&["ps", "-aq"]);
        for id in String::from_utf8_lossy(&containers.stdout).split_whitespace() {
            let _gone = self.run(&["rm", "-f", id]);
        }
        let _pruned = self.run(&["network", "prune", "-f"]);
        self.end();
    }
}

/// Returns the libraries that a program or a library is loaded with; none of what is linked whole.
fn libraries(file: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(file).output().expect("ldd runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(PathBuf::from).filter(|path| path.is_file()).collect()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Kills the first process of a container and waits until that life is over.
pub(crate) async fn kill_container(engine: &Engine, container: &str) {
    let before = engine.inspect(container);
    let pid = before["State"]["Pid"].as_u64().expect("it runs");
    let process = ProcessIdentity::of(u32::try_from(pid).expect("a pid")).expect("alive");
    let handle = PidFd::open(&process).expect("ours").expect("alive");
    handle.signal(Signal::KILL).expect("sent");
    tokio::time::timeout(PATIENCE, handle.wait_exited())
        .await
        .expect("it ends")
        .expect("watched");
    let count = before["RestartCount"].clone();
    engine
        .until("the engine starts it again", container, |now| {
            now["RestartCount"] != count && now["State"]["Running"] == true
        })
        .await;
}
