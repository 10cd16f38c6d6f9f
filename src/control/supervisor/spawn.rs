//! Starting a worker: its own process group, an environment of allowed names only, output into the home's logs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::OFlags;
use tokio::process::{Child, Command};

use crate::control::deployment::{Deployment, UnitSpec};
use crate::control::paths::HomePaths;

/// An output file larger than this is moved aside before the next start, in bytes.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Names a worker may see: where things are, language and time, proxies and certificates.
const ALLOWED_NAMES: [&str; 29] = [
    "ALL_PROXY",
    "DOCKER_HOST",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "RUST_BACKTRACE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "GOMAXPROCS",
    // MarketPrism's that set something.
    "AUTO_RESTART_ON_HEALTH_CRITICAL",
    "CLICKHOUSE_HTTP",
    "ENVIRONMENT",
    "HEALTH_CHECK_PORT",
    "LOG_LEVEL",
    "METRICS_PORT",
    "NATS_STORE_DIR",
    "NATS_URL",
    "REPL_LAG_WARN_MIN",
];

/// Beginnings of names a worker may see: ours, and those of MarketPrism that keep their meaning.
const ALLOWED_PREFIXES: [&str; 8] = [
    "CLICKHOUSE_",
    "COLLECTOR_",
    "HOT_STORAGE_",
    "LC_",
    "LSR_",
    "MARKETPRISM_",
    "MPRISM_",
    "XDG_",
];

/// How long a worker's allocator keeps memory that is free before it gives it back, in milliseconds. Its own second is as long as
/// the hot worker needs to write several batches: then it keeps all of them (measured: 77 MiB against 55 MiB).
const ALLOCATOR_PATIENCE: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "50");

/// Returns whether a variable of our environment is passed on.
pub(in crate::control) fn is_allowed(name: &str) -> bool {
    ALLOWED_NAMES.contains(&name) || ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns those variables of our environment that are passed on.
pub(in crate::control) fn allowed_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_allowed(name))
}

/// Starts the worker of a service.
///
/// # Errors
/// Where its output file cannot be opened or the program cannot be started.
pub(super) fn spawn(deployment: &Deployment, unit: &UnitSpec, paths: &HomePaths) -> io::Result<Child> {
    let output = open_output(&paths.output(unit.service))?;
    Command::new(&deployment.program)
        .arg("worker")
        .arg(unit.service.name())
        .args(&deployment.global_flags)
        .args(&unit.flags)
        .env_clear()
        .envs(allowed_environment())
        .env(ALLOCATOR_PATIENCE.0, ALLOCATOR_PATIENCE.1)
        .current_dir(paths.home())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .kill_on_drop(false)
        .spawn()
}

/// Opens the file of standard output and error, which no link may stand in for.
pub(in crate::control) fn open_output(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() > OUTPUT_BYTES_MAX) {
        fs::rename(path, path.with_extension("out.1"))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_shell_stay_in_the_shell() {
        for name in [
            "PATH",
            "MPRISM_HOME",
            "MARKETPRISM_NATS_URL",
            "LSR_MAX_DELIVER",
            "LC_ALL",
        ] {
            assert!(is_allowed(name), "{name}");
        }
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "LD_PRELOAD",
            "GITHUB_TOKEN",
            "SSH_AUTH_SOCK",
            "MARKETPRISM",
        ] {
            assert!(!is_allowed(name), "{name}");
        }
    }

    #[test]
    fn a_worker_sees_every_variable_that_says_a_setting() {
        for name in mprism_settings::variables() {
            assert!(is_allowed(name), "{name}");
        }
    }

    #[test]
    fn output_never_follows_a_link() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").expect("written");
        let link = folder.path().join("hot.out");
        std::os::unix::fs::symlink(&victim, &link).expect("linked");
        open_output(&link).expect_err("a link");
        fs::remove_file(&link).expect("removed");
        fs::write(&link, vec![b'x'; 2 << 20]).expect("written");
        open_output(&link).expect("a plain file");
        assert_eq!(fs::metadata(&link).expect("there").len(), 0);
        assert!(folder.path().join("hot.out.1").exists());
    }
}
