//! ClickHouse's clients of other languages: pinned, fetched once per user beside the other dependencies.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages of the environment that [`python_clients`] gives.
const PYTHON: [&str; 5] = [
    "clickhouse-connect==1.12.0",
    "clickhouse-sqlalchemy==0.3.2",
    "SQLAlchemy==2.0.58",
    "requests==2.34.2",
    "lz4==4.4.5",
];
/// The package of the folder that [`node_clients`] gives.
const NODE: &str = "@clickhouse/client@1.23.1";

/// Returns a Python that has clickhouse-connect and clickhouse-sqlalchemy.
///
/// # Panics
/// Where it cannot be made.
pub fn python_clients() -> PathBuf {
    let folder = once("python", &PYTHON.join("\n"), |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let options = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ];
        run(Command::new(folder.join("bin/python")).args(options).args(PYTHON));
    });
    folder.join("bin/python")
}

/// Returns a folder from which Node resolves `@clickhouse/client`.
///
/// # Panics
/// Where it cannot be made.
pub fn node_clients() -> PathBuf {
    once("node", NODE, |folder| {
        std::fs::create_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let options = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            ".",
        ];
        run(Command::new("npm").args(options).arg(NODE).current_dir(folder));
    })
}

/// Makes a folder of the cache once, whoever asks at the same time; `pins` says what is in it.
fn once(name: &str, pins: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = crate::cache();
    let fail = |path: &Path, e: std::io::Error| -> ! { panic!("{}: {e}", path.display()) };
    std::fs::create_dir_all(&cache).unwrap_or_else(|e| fail(&cache, e));
    let folder = cache.join(format!("test-clients-{name}"));
    let lock_path = cache.join(format!("test-clients-{name}.lock"));
    let lock = File::create(&lock_path).unwrap_or_else(|e| fail(&lock_path, e));
    lock.lock().unwrap_or_else(|e| fail(&lock_path, e));
    let said = folder.join("pins");
    if std::fs::read_to_string(&said).is_ok_and(|made_of| made_of == pins) {
        return folder;
    }
    // What a killed test left, or older pins made. A virtual environment works where it was made only, so it is not moved
    // into place: the file that says it is whole is written last.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap_or_else(|e| fail(&folder, e));
    }
    make(&folder);
    std::fs::write(&said, pins).unwrap_or_else(|e| fail(&said, e));
    folder
}

fn run(command: &mut Command) {
    let done = command.output();
    let done = done.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}: {said}", done.status);
}
