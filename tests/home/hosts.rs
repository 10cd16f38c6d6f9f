//! Three homes as three hosts: each listens on an address of its own, over TLS, and nobody is let in without a credential.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Home;

/// What one host knows of another: copies of files, as an operator makes them.
fn copied(from: &Home, to: &Home, name: &str, files: &[&str]) -> PathBuf {
    let folder = to.beside().join(name);
    fs::create_dir_all(&folder).expect("made");
    for file in files {
        let target = folder.join(Path::new(file).file_name().expect("a file"));
        fs::copy(from.path().join(file), &target).expect("copied");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).expect("closed");
    }
    folder
}

/// A service of another host, in the words of the settings.
fn worker(name: &str, address: &str, port: u16, files: &Path) -> String {
    let files = files.display();
    format!(
        "  {name}: {{mode: external, url: \"https://{address}:{port}\", ca_file: {files}/ca.pem, password_file: {files}/endpoints}}\n"
    )
}

fn service<'a>(health: &'a Value, name: &str) -> &'a Value {
    let services = health["services"].as_array().expect("a list");
    let found = services.iter().find(|service| service["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {health}"))
}

/// Expects that `health` of one service fails, and returns what it says is wrong, and what to type.
fn complaint(home: &Home, name: &str) -> (String, String) {
    let done = home.run(&["health", name, "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let document = done.document();
    let detail = service(&document, name)["detail"].as_str().expect("text").to_owned();
    let hints = document["error"]["hints"].to_string();
    (detail, hints)
}

#[tokio::test]
async fn three_homes_on_three_addresses_form_one_pipeline() {
    let (broker, storage, collector) = (Home::new(), Home::new(), Home::new());
    let always = "tls: {listeners: always}\n";
    let of_broker = |home: &Home, users: &[&str]| {
        let users: Vec<String> = users.iter().map(|user| format!("secrets/nats-{user}")).collect();
        let files: Vec<&str> = users.iter().map(String::as_str).chain(["tls/ca.pem"]).collect();
        copied(&broker, home, "broker", &files)
    };
    let nats = |files: &Path| {
        let (port, files) = (broker.port(4222), files.display());
        format!(
            "nats: {{mode: external, url: \"tls://127.0.0.2:{port}\", secrets_folder: {files}, tls: {{ca_file: {files}/ca.pem}}}}\n"
        )
    };
    let clickhouse = |user: &str, secret: &str, files: &Path| {
        let (port, files) = (storage.port(8123), files.display());
        format!(
            "clickhouse: {{mode: external, url: \"https://127.0.0.3:{port}\", user: {user}, password_file: {files}/{secret}, \
             tls: {{ca_file: {files}/ca.pem}}}}\n"
        )
    };
    let of_storage = ["secrets/clickhouse-reader", "secrets/endpoints", "tls/ca.pem"];

    // Credentials and certificates are made first, each on its own host; what a host knows of the others is copied.
    broker.configure(&format!("{always}nats: {{listen: 127.0.0.2}}\n"));
    let made = broker.good(&["init", "nats"]);
    assert!(made["steps"].to_string().contains("server.pem"), "{made}");
    let files = of_broker(&storage, &["hot", "operator"]);
    storage.configure(&format!(
        "{always}{}clickhouse: {{listen: 127.0.0.3}}\nhot: {{listen: 127.0.0.3}}\ncold: {{listen: 127.0.0.3}}\n",
        nats(&files)
    ));
    broker.good(&["start", "nats"]);
    storage.good(&["init", "storage", "nats"]);
    let (files, store) = (
        of_broker(&collector, &["collector"]),
        copied(&storage, &collector, "storage", &of_storage),
    );
    let of_hosts = |files: &Path, store: &Path| {
        let hot = worker("hot", "127.0.0.3", storage.port(8085), store);
        let cold = worker("cold", "127.0.0.3", storage.port(8086), store);
        format!(
            "{}{}services:\n{hot}{cold}",
            nats(files),
            clickhouse("reader", "clickhouse-reader", store)
        )
    };
    let whole = format!("{always}collector: {{listen: 127.0.0.4}}\n{}", of_hosts(&files, &store));
    collector.configure(&whole);
    storage.good(&["start", "storage"]);
    let started = collector.good(&["start", "--sim"]);
    let actions = started["services"].to_string();
    assert!(
        actions.contains(r#""action":"started""#) && actions.contains("somebody else runs it"),
        "{actions}"
    );

    // It flows, all of it and once.
    storage
        .until("rows are stored", || match storage.rows() {
            0 => Err("none".to_owned()),
            rows => Ok(rows),
        })
        .await;
    collector.tell_sim("/control/pause", "").await;
    let sent = collector.sent().await;
    storage
        .until("everything that was sent is stored", || match storage.rows() {
            rows if rows >= sent => Ok(()),
            rows => Err(format!("{rows} of {sent}")),
        })
        .await;
    storage
        .until("integrity passes", || {
            let done = storage.run(&["integrity", "--json"]);
            match done.document() {
                document if document["verdict"] == "pass" || document["verdict"] == "warn" => Ok(()),
                document => Err(document.to_string()),
            }
        })
        .await;

    collector.tell_sim("/control/resume", "").await;

    // Each host tells how all of it is.
    let of_collector = copied(&collector, &broker, "collector", &["secrets/endpoints", "tls/ca.pem"]);
    let store = copied(&storage, &broker, "storage", &of_storage);
    broker.configure(&format!(
        "{always}nats: {{listen: 127.0.0.2}}\n{}services:\n{}{}{}",
        clickhouse("reader", "clickhouse-reader", &store),
        worker("hot", "127.0.0.3", storage.port(8085), &store),
        worker("cold", "127.0.0.3", storage.port(8086), &store),
        worker("collector", "127.0.0.4", collector.port(8087), &of_collector),
    ));
    for home in [&broker, &collector] {
        let document = home
            .until("all of it is well", || {
                let health = home.run(&["health", "--json"]);
                if health.code == 0 {
                    Ok(health.document())
                } else {
                    Err(health.stdout)
                }
            })
            .await;
        for name in ["nats", "clickhouse", "hot", "collector", "cold"] {
            assert_eq!(service(&document, name)["healthy"], true, "{document}");
        }
    }
    let hot = collector.status("hot");
    assert_eq!(
        (&hot["state"], &hot["healthy"]),
        (&"external".into(), &true.into()),
        "{hot}"
    );
    assert_eq!(hot["address"], format!("127.0.0.3:{}", storage.port(8085)));
    // What runs elsewhere is neither stopped nor started from here; what is wrong there is told here.
    collector.good(&["stop", "hot", "nats"]);
    assert_eq!(storage.status("hot")["state"], "running");
    storage.good(&["stop", "hot"]);
    let (detail, _) = complaint(&broker, "hot");
    assert!(detail.contains("refused"), "{detail}");
    storage.good(&["start", "hot"]);
    broker.good(&["health", "hot"]);

    strangers_are_refused(&storage).await;
    wrong_credentials_are_told(&collector, &whole, &files);
    // Nothing secret in what is shown, nor in what is written down.
    let secret = fs::read_to_string(files.join("nats-collector")).expect("there");
    for text in [
        collector.run(&["config", "show"]).stdout,
        fs::read_to_string(collector.path().join("run/state.json")).expect("there"),
    ] {
        assert!(!text.contains(secret.trim()), "{text}");
    }
    // The cold worker of the storage host goes last, when nothing comes any more.
    collector.good(&["down"]);
}

/// Whoever shows no credential learns nothing, and whoever speaks no TLS is not spoken to.
async fn strangers_are_refused(storage: &Home) {
    mprism::commands::install_crypto_provider();
    let ca = fs::read(storage.path().join("tls/ca.pem")).expect("there");
    let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([ca])
        .build()
        .expect("a client");
    for (url, status) in [
        (
            format!("https://127.0.0.3:{}/?query=SELECT%201", storage.port(8123)),
            403,
        ),
        (format!("https://127.0.0.3:{}/health", storage.port(8085)), 401),
        (format!("https://127.0.0.3:{}/metrics", storage.port(8086)), 401),
    ] {
        let answer = client.get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e:?}"));
        assert_eq!(answer.status(), status, "{url}");
    }
    let plain = client.get(format!("http://127.0.0.3:{}/ping", storage.port(8123)));
    plain.send().await.expect_err("no TLS, no answer");
}

/// What is wrong is one line, and what to type stands below it.
fn wrong_credentials_are_told(collector: &Home, whole: &str, files: &Path) {
    let other = collector.beside().join("wrong");
    fs::create_dir(&other).expect("made");
    for name in ["nats-collector", "endpoints", "clickhouse-reader"] {
        fs::write(other.join(name), "0".repeat(64)).expect("written");
        fs::set_permissions(other.join(name), fs::Permissions::from_mode(0o600)).expect("closed");
    }
    // The certificate of another authority: that of this very host.
    fs::copy(collector.path().join("tls/ca.pem"), other.join("ca.pem")).expect("copied");
    let (files, wrong) = (files.display().to_string(), other.display().to_string());
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}: {whole}");
        collector.configure(&whole.replace(from, to));
    };
    changed(&format!("secrets_folder: {files}"), &format!("secrets_folder: {wrong}"));
    let (detail, hints) = complaint(collector, "nats");
    assert!(detail.contains("authorization violation"), "{detail}");
    assert!(hints.contains("nats.secrets_folder"), "{hints}");
    changed(&format!("{files}/ca.pem"), &format!("{wrong}/ca.pem"));
    let (detail, hints) = complaint(collector, "nats");
    assert!(detail.contains("UnknownIssuer"), "{detail}");
    assert!(hints.contains("nats.tls.ca_file"), "{hints}");
    let storage = collector.beside().join("storage").display().to_string();
    changed(
        &format!("{storage}/clickhouse-reader"),
        &format!("{wrong}/clickhouse-reader"),
    );
    let (detail, hints) = complaint(collector, "clickhouse");
    assert!(detail.contains("Authentication failed"), "{detail}");
    assert!(hints.contains("clickhouse.password_file"), "{hints}");
    changed(&format!("{storage}/endpoints"), &format!("{wrong}/endpoints"));
    let (detail, hints) = complaint(collector, "cold");
    assert!(detail.contains("authentication failed"), "{detail}");
    assert!(hints.contains("password_file"), "{hints}");
    collector.configure(whole);
}

#[test]
fn the_machines_own_nats_server_runs_with_our_configuration() {
    let theirs = mprism_testkit::dependency(mprism_deps::Dependency::NatsServer);
    let home = Home::new();
    let folder = home.beside().join("bin");
    fs::create_dir(&folder).expect("made");
    fs::copy(&theirs, folder.join("nats-server")).expect("copied");
    let home = home.with("PATH", "/usr/bin:/bin");
    home.configure("infra: {nats: {mode: native}}\n");
    let missing = home.run(&["init", "nats"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("no `nats-server` on the path"), "{missing:?}");
    let home = home.with("PATH", &format!("{}:/usr/bin:/bin", folder.display()));
    home.good(&["init", "nats"]);
    assert!(!home.path().join("bin/nats-server").exists(), "nothing is fetched");
    home.good(&["start", "nats"]);
    home.good(&["health", "nats"]);
    let worker = home.process("nats");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.pid)).expect("there");
    let child = children.split_whitespace().next().expect("a child");
    let runs = fs::read_link(format!("/proc/{child}/exe")).expect("alive");
    assert_eq!(runs, folder.join("nats-server"));
    // What would run ClickHouse's own server is its own service: refused before anything is changed.
    home.configure("infra: {clickhouse: {mode: native}}\n");
    let refused = home.run(&["start", "clickhouse"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("mprism runs no clickhouse-server"),
        "{refused:?}"
    );
    home.configure("infra: {nats: {mode: native}}\n");
}
