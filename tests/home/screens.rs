//! What an operator sees, kept in `tests/screens`: the real binary under real conditions. What differs from run to run (pids, ports,
//! paths, times, sizes, counts) is replaced by what it is. `MPRISM_WRITE_SCREENS=1` writes the files anew.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use mprism_runtime::process::ProcessIdentity;
use mprism_testkit::{Tmpfs, absent, same_as_file};

use crate::bad_input::Foreign;
use crate::redact::Redacted;
use crate::support::{Done, Home, kill};

/// Compares what a run printed with what it printed when somebody read it.
fn keep(home: &Home, name: &str, arguments: &[&str], done: &Done) {
    let redacted = Redacted::of(home);
    let mut text = format!("$ mprism {}\nexit code {}\n", arguments.join(" "), done.code);
    for (stream, said) in [("stdout", &done.stdout), ("stderr", &done.stderr)] {
        if !said.is_empty() {
            text.push_str(&format!("--- {stream}\n{}", redacted.text(said)));
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    same_as_file(&folder.join(format!("{name}.txt")), &text);
}

/// Runs a command and keeps its screen.
fn screen(home: &Home, name: &str, arguments: &[&str]) -> Done {
    let done = home.run(arguments);
    keep(home, name, arguments, &done);
    done
}

/// Runs a command and keeps only the lines of its answer that are about something: the others are about this machine.
fn screen_about(home: &Home, name: &str, arguments: &[&str], about: &[&str]) {
    let done = home.run(arguments);
    let is_about = |line: &&str| about.iter().any(|word| line.contains(word));
    let lines = done.stdout.lines().filter(is_about);
    let told = Done {
        stdout: lines.map(|line| format!("{line}\n")).collect(),
        ..done
    };
    keep(home, name, arguments, &told);
}

/// What health says of the data flow, as soon as it is what is waited for.
async fn until_health_is(home: &Home, verdict: &str, is_flow: impl Fn(&str) -> bool) {
    home.until_within(mprism_testkit::PATIENCE * 3, &format!("health is {verdict}"), || {
        let health = home.run(&["health", "--json"]).document();
        let flow = health["flow"].as_array().cloned().unwrap_or_default();
        let states = flow.iter().map(|flow| flow["state"].as_str().unwrap_or_default());
        let is_it = health["verdict"] == verdict && !flow.is_empty() && states.into_iter().all(&is_flow);
        if is_it { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_pipeline_that_works_stalls_and_is_stopped() {
    let home = Home::new();
    // The collector waits for longer than health does: a market that falls silent is told before anything is connected anew.
    home.configure("collector: {liveness: {silence: 10m}}\nsupervisor: {ready_timeout: 2m}\n");
    home.good(&["init"]);
    screen(&home, "start", &["start", "--sim"]);
    screen(&home, "start-again", &["start", "--sim"]);
    home.flows().await;
    until_health_is(&home, "healthy", |state| ["flowing", "off"].contains(&state)).await;
    screen(&home, "status", &["status"]);
    screen(&home, "health-healthy", &["health"]);

    screen(&home, "zh-start", &["start", "--sim", "--lang", "zh"]);
    screen(&home, "zh-status", &["status", "--lang", "zh"]);
    screen(&home, "zh-health", &["health", "--lang", "zh"]);
    let chinese = home.run(&["integrity", "--lang", "zh"]);
    assert_eq!(chinese.code, 0, "{chinese:?}");
    let heads = [
        "完整性：",
        "冷库延迟",
        "成交号没有空缺",
        "每个订单簿都接续前一个",
        "fsync 策略与配置一致",
    ];
    for head in heads {
        assert!(chinese.stdout.contains(head), "{head}: {}", chinese.stdout);
    }
    let document = home.good(&["status", "--lang", "zh"]);
    assert!(document.to_string().is_ascii(), "documents stay English: {document}");

    // The venue falls silent; nothing is wrong with the services.
    home.tell_sim("/control/pause", "").await;
    daemon_that_hangs(&home);
    until_health_is(&home, "degraded", |state| ["stalled", "off"].contains(&state)).await;
    screen(&home, "health-degraded", &["health"]);
    home.tell_sim("/control/resume", "").await;

    screen(&home, "stop", &["stop"]);
    screen(&home, "health-down", &["health"]);
    screen(&home, "status-down", &["status"]);
    screen(&home, "zh-health-down", &["health", "--lang", "zh"]);
    screen(&home, "zh-stop", &["stop", "--lang", "zh"]);
}

/// A Docker whose daemon accepts and never answers.
fn daemon_that_hangs(home: &Home) {
    if Command::new("docker").arg("--version").output().is_err() {
        return absent("docker", "no docker on the PATH");
    }
    let socket = home.beside().join("docker.sock");
    // The kernel accepts, and nobody ever answers.
    let listener = UnixListener::bind(&socket).expect("a socket");
    let arguments = ["diagnose"];
    let done = home
        .command(&arguments)
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .output()
        .expect("started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = text(&done.stdout);
    let docker: Vec<&str> = lines.lines().filter(|line| line.contains("docker")).collect();
    let done = Done {
        code: done.status.code().expect("not killed"),
        stdout: docker.join("\n") + "\n",
        stderr: text(&done.stderr),
    };
    keep(home, "docker-hangs", &arguments, &done);
    drop(listener);
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_with_what_to_type() {
    let home = Home::new();
    screen_about(&home, "diagnose-no-home", &["diagnose"], &["there is no home"]);

    home.configure("nats:\n  durabilty: strict\ncollector:\n  orderbook: {cadence: soon}\n");
    screen(&home, "config-typo", &["start"]);
    screen(&home, "zh-config-typo", &["start", "--lang", "zh"]);
    home.configure("supervisor: {backoff_min: 20ms, backoff_max: 40ms, failures_max: 3, ready_timeout: 2m}\n");
    home.good(&["init"]);

    // Somebody else has our port.
    let foreign = Foreign::on(home.port(8085));
    let taken = screen(&home, "port-foreign", &["start", "hot"]);
    assert!(taken.stderr.contains(&format!("kill {}", foreign.0.id())), "{taken:?}");
    let port = home.port(8085).to_string();
    screen_about(
        &home,
        "port-foreign-diagnose",
        &["diagnose"],
        &[&port, "finding", "holder"],
    );
    screen(&home, "zh-port-foreign", &["start", "hot", "--lang", "zh"]);
    screen(&home, "port-foreign-force", &["clean", "--ports", "--force"]);
    drop(foreign);

    // A leftover of ours has it, and only the registry still knows that.
    home.good(&["start", "clickhouse"]);
    let leftover = home.leaves_behind("clickhouse").await;
    screen(&home, "port-ours", &["start", "clickhouse"]);
    assert!(!leftover.is_alive());

    // Killed together with its supervisor, it leaves its name in its lock.
    let engine = home.process("clickhouse");
    kill(&home.supervisor()).await;
    kill(&engine).await;
    screen_about(
        &home,
        "lock-stale-diagnose",
        &["diagnose"],
        &["locks", "stale", "should be up"],
    );
    assert!(ProcessIdentity::of(engine.pid).as_ref() != Some(&engine));
    home.good(&["stop"]);
    screen(&home, "lock-stale", &["start", "clickhouse"]);
    home.good(&["stop"]);
    // Where a link stands, nobody knows what would be locked.
    let lock = home.path().join("run/marketprism_hot_storage.lock");
    let _may_be_absent = fs::remove_file(&lock);
    std::os::unix::fs::symlink("/etc/passwd", &lock).expect("linked");
    screen_about(&home, "lock-unusable-diagnose", &["diagnose"], &["symbolic"]);
    fs::remove_file(&lock).expect("removed");

    // The broker's store is a file: it ends again and again.
    let store = home.path().join("data/nats/jetstream");
    let _may_be_absent = fs::remove_dir_all(&store);
    fs::write(&store, "").expect("written");
    screen(&home, "crash-loop", &["start", "nats"]);
    screen(&home, "crash-loop-status", &["status", "nats"]);
    screen(&home, "zh-crash-loop-status", &["status", "nats", "--lang", "zh"]);
    screen_about(&home, "crash-loop-diagnose", &["diagnose"], &["given up", "finding"]);
    fs::remove_file(&store).expect("removed");
    home.good(&["start", "nats"]);
}

#[test]
fn a_disk_without_room_is_told_with_what_to_look_at() {
    let home = Home::new();
    fs::create_dir(home.path()).expect("made");
    let Some(_disk) = Tmpfs::mount(&home.path(), 8 << 20) else {
        return;
    };
    screen(&home, "disk-full", &["start", "--sim"]);
    screen(&home, "zh-disk-full", &["start", "--sim", "--lang", "zh"]);
    screen_about(&home, "disk-full-diagnose", &["diagnose"], &["are free"]);
}

/// A container of somebody else's that listens on a port of this machine: nats-server, which needs nothing around it.
struct Container(String);

impl Container {
    fn on(port: u16, folder: &Path) -> Option<Self> {
        if let Err(why) = docker(&["info", "--format", "{{.ServerVersion}}"]) {
            absent("docker", &why);
            return None;
        }
        let image = format!("mprism-test-foreign-{port}");
        let program = mprism_testkit::dependency(mprism_deps::Dependency::NatsServer);
        fs::create_dir(folder).expect("made");
        fs::copy(program, folder.join("nats-server")).expect("copied");
        let file = "FROM scratch\nCOPY nats-server /nats-server\nENTRYPOINT [\"/nats-server\"]\n";
        fs::write(folder.join("Dockerfile"), file).expect("written");
        docker(&["build", "--quiet", "--tag", &image, &folder.display().to_string()]).expect("built");
        let port = port.to_string();
        let run = ["run", "--detach", "--name", &image, "--network", "host", &image];
        docker(&[&run[..], &["--addr", "127.0.0.1", "--port", &port]].concat()).expect("started");
        Some(Self(image))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Either fails only where it is gone already.
        let _gone = docker(&["rm", "--force", &self.0]);
        let _gone = docker(&["rmi", "--force", &self.0]);
    }
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("docker")
        .args(arguments)
        .output()
        .map_err(|e| e.to_string())?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

#[tokio::test]
async fn a_port_that_a_container_holds_names_the_container() {
    let home = Home::new();
    home.good(&["init"]);
    let Some(container) = Container::on(home.port(4222), &home.beside().join("image")) else {
        return;
    };
    home.until("the container listens", || {
        std::net::TcpStream::connect(home.address(4222)).map_err(|e| e.to_string())
    })
    .await;
    let taken = screen(&home, "port-container", &["start", "nats"]);
    assert!(taken.stderr.contains("docker stop "), "{taken:?}");
    drop(container);
    home.good(&["start", "nats"]);
}
