//! A home that stores in a server of somebody else's, which has no fences: ClickHouse's own, as far as it can be had here. The engine
//! plays it, and does nothing for its writers that a server would not do.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mprism_deps::Dependency;
use mprism_engine::EngineOptions;
use tokio_util::sync::CancellationToken;

use crate::support::{Home, kill};

/// Where this program listens as a server, and where its data is; nothing is in it otherwise.
const SERVER: &str = "MPRISM_TEST_CLICKHOUSE";
const USER: &str = "lake";
const PASSWORD: &str = "s3cret of the lake";

/// A server in a process of its own. Ended when dropped.
struct Server(Child);

impl Server {
    fn start(home: &Home) -> Self {
        let data = home.beside().join("clickhouse");
        let told = format!("{} {}", home.address(8123), data.display());
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["server::the_server_itself", "--exact", "--nocapture"])
            .env(SERVER, told)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("started"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_itself() {
    let Ok(told) = std::env::var(SERVER) else { return };
    let (listen, data) = told.split_once(' ').expect("two words");
    let options = EngineOptions {
        listen: listen.parse::<SocketAddr>().expect("an address"),
        library: mprism_testkit::dependency(Dependency::Libchdb),
        data: PathBuf::from(data),
        writer_user: USER.into(),
        writer_password: PASSWORD.into(),
        remote: None,
        allowed_hosts: Vec::new(),
        readers_from_anywhere: false,
        readers_max: 8,
        reader_wait: Duration::from_secs(5),
        reader_memory_max: 1 << 30,
        writers_max: 16,
        body_bytes_max: 1 << 30,
        fences: false,
    };
    let served = mprism_engine::run(options, CancellationToken::new()).await;
    panic!("it serves until it is killed: {served:?}");
}

#[tokio::test]
async fn a_home_stores_in_a_server_that_has_no_fences() {
    let home = Home::new();
    let server = Server::start(&home);
    let url = format!("http://{}", home.address(8123));
    let password = home.beside().join("password");
    fs::write(&password, PASSWORD).expect("written");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("closed");
    let of = |login: &str| format!("clickhouse: {{mode: external, url: \"{url}\", {login}}}\n");
    home.until("the server answers", || {
        let done = std::net::TcpStream::connect(home.address(8123));
        done.map(|_| ()).map_err(|e| e.to_string())
    })
    .await;

    // Who may only read there is told what to type, before anything is stored.
    home.configure(&of("user: default"));
    let refused = home.run(&["init", "storage", "--json"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let error = &refused.document()["error"];
    assert_eq!(error["code"], "no_store", "{error}");
    assert!(error["hints"].to_string().contains("TO default`"), "{error}");

    home.configure(&of(&format!("user: {USER}, password_file: {}", password.display())));
    let made = home.good(&["init"]);
    assert!(made["tables"].to_string().contains("\"trades\""), "{made}");
    assert_eq!(
        home.good(&["init"])["tables"].as_array().map(Vec::len),
        Some(0),
        "made once"
    );
    home.good(&["start", "--sim"]);
    assert_eq!(home.status("clickhouse")["state"], "external");
    home.flows().await;
    for _ in 0..2 {
        let hot = home.process("hot");
        kill(&hot).await;
        home.back("hot", &hot).await;
        home.flows().await;
    }
    home.until("it is healthy", || {
        let done = home.run(&["health", "--json"]);
        match done.code {
            0 => Ok(()),
            _ => Err(done.stdout),
        }
    })
    .await;
    let found = home.settled_quietly().await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    home.until("integrity passes", || {
        let done = home.run(&["integrity", "--json"]);
        match done.code {
            0 => Ok(()),
            _ => Err(done.stdout),
        }
    })
    .await;
    let found = home.run(&["diagnose", "--json"]);
    assert!(!found.stdout.contains("fence"), "nothing is wrong with it: {found:?}");
    home.good(&["down"]);
    drop(server);
}
