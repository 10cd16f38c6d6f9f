//! A server program that the machine has already: where it is, and whether it is new enough.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::anyhow;

use crate::error::CliError;

const NATS_SERVER: &str = "nats-server";
/// The oldest nats-server that is run: durables of several subjects and the fsync interval are since 2.10.
const NATS_SERVER_MIN: (u32, u32) = (2, 10);

/// Returns the machine's own nats-server: the first on the path.
///
/// # Errors
/// Where there is none.
pub(crate) fn nats_server() -> Result<PathBuf, CliError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(NATS_SERVER, &path).ok_or_else(|| {
        CliError::failed("no_nats_server", anyhow!("no `{NATS_SERVER}` on the path"))
            .context("infra.nats.mode `native` runs the machine's own nats-server")
            .hint("install it: `apt-get install nats-server`, or leave it to mprism: `infra: {nats: {mode: embedded}}`")
    })
}

/// Refuses a nats-server that lacks what mprism needs, and returns its version.
///
/// # Errors
/// Where there is none, it does not tell its version, or is too old.
pub(crate) fn check_nats_server() -> Result<String, CliError> {
    let program = nats_server()?;
    let version = version_of(&program)?;
    if is_new_enough(&version) {
        return Ok(version);
    }
    let (major, minor) = NATS_SERVER_MIN;
    let text = format!("{} is {version}, older than {major}.{minor}", program.display());
    Err(CliError::failed("old_nats_server", anyhow!(text))
        .hint("upgrade it, or leave it to mprism: `infra: {nats: {mode: embedded}}`"))
}

fn version_of(program: &Path) -> Result<String, CliError> {
    let failed = |e: anyhow::Error| {
        CliError::failed("no_nats_server", e)
            .context(format!("{} does not tell its version", program.display()))
            .hint("see what it says: `nats-server --version`")
    };
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(e.into()))?;
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = told.rsplit_once('v').map(|(_, version)| version.trim().to_owned());
    version
        .filter(|_| output.status.success())
        .ok_or_else(|| failed(anyhow!("it said \"{told}\" ({})", output.status)))
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= NATS_SERVER_MIN,
        _ => false,
    }
}

fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_on_the_path_is_taken_and_old_ones_are_told() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for name in ["a", "b", "c"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        let file = |name: &str, mode: u32| {
            let path = folder.path().join(name).join(NATS_SERVER);
            std::fs::write(&path, "#!/bin/sh\necho nats-server: v2.9.10\n").expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
            path
        };
        file("a", 0o644);
        let (program, _later) = (file("b", 0o755), file("c", 0o755));
        let path = std::env::join_paths(["a", "b", "c"].map(|name| folder.path().join(name))).expect("a path");
        assert_eq!(find(NATS_SERVER, &path), Some(program.clone()));
        assert_eq!(version_of(&program).expect("told"), "2.9.10");
        for (version, is_enough) in [
            ("2.9.10", false),
            ("2.10.0", true),
            ("2.15.1", true),
            ("3.0", true),
            ("x", false),
        ] {
            assert_eq!(is_new_enough(version), is_enough, "{version}");
        }
    }
}
