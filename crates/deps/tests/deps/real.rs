//! The real dependencies, from the real clients: fetched once per user, then there.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use mprism_deps::{Dependency, FetchOptions, Provider};

use crate::lab::ensure;

#[test]
fn what_is_pinned_is_what_is_had() {
    for dependency in Dependency::ALL {
        let path = mprism_testkit::dependency(dependency);
        let pin = dependency.pin().expect("pinned for this machine");
        pin.verify(&path).expect("every byte is as pinned");
        let mut magic = [0; 4];
        File::open(&path)
            .and_then(|mut file| file.read_exact(&mut magic))
            .expect("readable");
        assert_eq!(&magic, b"\x7fELF");
        let cache = path.ancestors().nth(2).expect("a cache");
        let offline = FetchOptions {
            cache: cache.to_path_buf(),
            provider: Provider::Auto,
            offline: true,
            search_path: "".into(),
            stall_max: mprism_deps::STALL_MAX,
            cancel: None,
        };
        let again = ensure(&pin, &offline).expect("no client is needed any more");
        assert_eq!((again.path, again.fetched), (path, false));
    }
}

#[test]
fn the_server_runs_and_says_its_version() {
    let path = mprism_testkit::dependency(Dependency::NatsServer);
    let pin = Dependency::NatsServer.pin().expect("pinned for this machine");
    let output = Command::new(path).arg("--version").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), format!("nats-server: v{}", pin.reports));
}
