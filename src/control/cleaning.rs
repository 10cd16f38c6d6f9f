//! What a home can be rid of: contents of stale locks, sockets and pid files that nobody answers for, temporary files of
//! writers that are gone, and, with consent, data. Looking, deciding and doing are apart.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mprism_runtime::files::sync_folder;
use mprism_runtime::lock::{self, LockState};
use mprism_runtime::process::ProcessIdentity;
use serde::Serialize;

use super::consent::Consent;
use super::deployment::Deployment;
use super::paths::HomePaths;
use super::service::Service;

/// One thing to be rid of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum CleanStep {
    /// A lock that nobody holds names a past holder: its contents go, the file stays.
    ForgetHolder {
        /// The lock.
        path: PathBuf,
        /// The pid that it names.
        pid: Option<u32>,
    },
    /// A socket, pid file or temporary file that nobody answers for.
    Remove {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: Leftover,
    },
    /// Data of a service.
    RemoveData {
        /// Whose.
        service: Service,
        /// The file or folder.
        path: PathBuf,
        /// How much it holds.
        bytes: u64,
    },
}

/// A file that nobody answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leftover {
    /// The supervisor's socket, without a supervisor.
    Socket,
    /// A pid file whose process is gone.
    PidFile,
    /// What a writer left that was killed before it could put its file in place.
    TemporaryFile,
}

/// Returns what can go without anybody missing it. Changes nothing.
///
/// `folders` are those of the home in which files are replaced in one step. What `stopping` hold now is stale by the time this is
/// done: these services are stopped before. The lock of commands, in which each leaves its name, is no step.
pub fn plan_clean(
    paths: &HomePaths,
    deployment: &Deployment,
    services: &[Service],
    stopping: &[Service],
    folders: &[PathBuf],
) -> Vec<CleanStep> {
    let units = deployment.units.iter().filter(|unit| services.contains(&unit.service));
    let mut locks: Vec<(PathBuf, bool)> = units
        .map(|unit| (unit.lock.clone(), stopping.contains(&unit.service)))
        .collect();
    let is_whole = deployment.units.iter().all(|unit| services.contains(&unit.service));
    if is_whole {
        // With its last service a supervisor leaves too.
        locks.push((paths.supervisor_lock(), !stopping.is_empty()));
    }
    let stale = |(path, is_stopping): (PathBuf, bool)| stale(path, is_stopping);
    let mut steps: Vec<CleanStep> = locks.into_iter().filter_map(stale).collect();
    if is_whole {
        steps.extend(orphaned_socket(paths));
        steps.extend(folders.iter().flat_map(|folder| litter(folder)));
    }
    steps
}

/// Returns what data of these services can go. Only what lies in the home is ours to remove.
pub fn plan_data(home: &Path, data: &[(Service, PathBuf)], services: &[Service]) -> Vec<CleanStep> {
    let wanted = data
        .iter()
        .filter(|(service, path)| services.contains(service) && path.starts_with(home));
    let there = wanted.filter(|(_, path)| fs::symlink_metadata(path).is_ok());
    let step = |(service, path): &(Service, PathBuf)| CleanStep::RemoveData {
        service: *service,
        path: path.clone(),
        bytes: size(path),
    };
    there
        .map(step)
        .filter(|step| !matches!(step, CleanStep::RemoveData { bytes: 0, .. }))
        .collect()
}

/// Does one step. What has changed since it was planned is left alone.
///
/// # Errors
/// Where the file system refuses, or somebody holds the lock by now.
pub fn clean(step: &CleanStep, consent: Option<&Consent>) -> io::Result<()> {
    match step {
        CleanStep::ForgetHolder { path, .. } => lock::forget(path).map_err(io::Error::other),
        CleanStep::Remove { path, .. } => absent_is_fine(fs::remove_file(path)),
        CleanStep::RemoveData { path, .. } => match consent {
            Some(consent) => remove_data(path, consent),
            None => Err(io::Error::other("nobody agreed to it")),
        },
    }
}

/// Removes data in one step as far as others can see: what is half removed is under a name that nobody reads.
fn remove_data(path: &Path, _consent: &Consent) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.file_type().is_symlink() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("not a file or folder of ours"));
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".removed-{:08x}", rand::random::<u32>()));
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    if found.is_dir() {
        fs::remove_dir_all(&aside)
    } else {
        fs::remove_file(&aside)
    }
}

fn stale(path: PathBuf, is_stopping: bool) -> Option<CleanStep> {
    match lock::probe(&path) {
        Ok(LockState::Held(_)) if !is_stopping => None,
        Ok(LockState::Stale(holder) | LockState::Held(holder)) => Some(CleanStep::ForgetHolder {
            path,
            pid: holder.map(|holder| holder.pid),
        }),
        _ => None,
    }
}

fn orphaned_socket(paths: &HomePaths) -> Option<CleanStep> {
    let path = paths.run().join(HomePaths::socket_name());
    let is_socket = fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket());
    let is_served = matches!(lock::probe(&paths.supervisor_lock()), Ok(LockState::Held(_)));
    (is_socket && !is_served).then_some(CleanStep::Remove {
        path,
        what: Leftover::Socket,
    })
}

/// Finds pid files and temporary files of processes that are gone.
fn litter(folder: &Path) -> Vec<CleanStep> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let step = |entry: fs::DirEntry| {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let (pid, what) = match name.strip_suffix(".pid") {
            Some(_) => (fs::read_to_string(&path).ok()?.trim().parse().ok()?, Leftover::PidFile),
            None => (temporary_of(&name)?, Leftover::TemporaryFile),
        };
        // Another program may have the pid by now; then the file stays, which costs nothing.
        ProcessIdentity::of(pid)
            .is_none()
            .then_some(CleanStep::Remove { path, what })
    };
    files.filter_map(step).collect()
}

/// Returns whose temporary file a name is: a dot, the name, the pid of who writes it and eight random hexadecimal digits, with dots
/// between them, as files that are replaced in one step are written.
fn temporary_of(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix('.')?.rsplitn(3, '.');
    let (random, pid, _name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_random = random.len() == 8 && random.bytes().all(|b| b.is_ascii_hexdigit());
    pid.parse().ok().filter(|_| is_random)
}

fn size(path: &Path) -> u64 {
    let Ok(found) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !found.is_dir() {
        return found.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| size(&entry.path())).sum()
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_files_of_processes_that_are_gone_are_litter() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let us = std::process::id();
        for name in [
            ".state.json.4194304.0123abcd".to_owned(),
            format!(".state.json.{us}.0123abcd"),
            "state.json".to_owned(),
            ".mprism.yaml.draft".to_owned(),
            ".hidden.notes.txt".to_owned(),
        ] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        fs::write(folder.path().join("old.pid"), "4194304\n").expect("written");
        fs::write(folder.path().join("new.pid"), us.to_string()).expect("written");
        let mut found: Vec<String> = litter(folder.path())
            .iter()
            .filter_map(|step| match step {
                CleanStep::Remove { path, .. } => Some(path.file_name()?.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect();
        found.sort();
        assert_eq!(found, [".state.json.4194304.0123abcd", "old.pid"]);
    }

    #[test]
    fn data_goes_with_consent_only_and_never_through_a_link() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = folder.path().join("home");
        let outside = folder.path().join("outside");
        for path in [home.join("data/nats"), outside.clone()] {
            fs::create_dir_all(&path).expect("made");
            fs::write(path.join("block"), "rows").expect("written");
        }
        let data = [
            (Service::Nats, home.join("data/nats")),
            (Service::Clickhouse, outside.clone()),
            (Service::Sim, home.join("missing")),
        ];
        let all = [Service::Sim, Service::Nats, Service::Clickhouse];
        let steps = plan_data(&home, &data, &all);
        assert_eq!(steps.len(), 1, "what lies elsewhere is not ours: {steps:?}");
        assert!(matches!(&steps[0], CleanStep::RemoveData { bytes: 4, .. }), "{steps:?}");
        clean(&steps[0], None).expect_err("nobody agreed");
        let consent = Consent::flag(true);
        clean(&steps[0], consent.as_ref()).expect("removed");
        assert_eq!(fs::read_dir(home.join("data")).expect("there").count(), 0);
        std::os::unix::fs::symlink(&outside, home.join("data/nats")).expect("linked");
        clean(&steps[0], consent.as_ref()).expect_err("a link");
        assert!(outside.join("block").exists());
    }
}
