//! What is left to end after a service's process has ended: its children, and the lock that a child inherited.

use std::time::{Duration, Instant};

use mprism_runtime::lock::{self, LockState};
use mprism_runtime::process::ProcessIdentity;

use crate::control::deployment::UnitSpec;
use crate::control::ending::end;
use crate::control::{ports, processes};

/// How long leftovers may take to end after SIGTERM before they are killed.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// How long the kernel may take to give back ports and locks of processes that have ended.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How settling went.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Leftovers that were ended.
    pub(super) ended: Vec<ProcessIdentity>,
    /// What still stands in the way, if anything does.
    pub(super) obstacle: Option<String>,
}

/// Ends what is left of a service whose main process (`group`) has ended, and waits until its lock is free; with `ports_too`
/// also until its ports are.
pub(super) async fn settle(unit: &UnitSpec, group: Option<u32>, ports_too: bool) -> Settled {
    let leftovers = leftovers(unit, group);
    for leftover in &leftovers {
        if let Err(error) = end(leftover, LEFTOVER_GRACE).await {
            // What stays shows as a lock or a port that is still held.
            tracing::warn!(pid = leftover.pid, %error, "a leftover does not end");
        }
    }
    let deadline = Instant::now() + RELEASE_WITHIN;
    let obstacle = loop {
        let obstacle = obstacle(unit, ports_too);
        if obstacle.is_none() || Instant::now() >= deadline {
            break obstacle;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    Settled {
        ended: leftovers,
        obstacle,
    }
}

/// Returns the processes that a service's main process left behind. They are provably ours: in the group that it led, or
/// running another program than ours (nats-server) with the service's lock inherited.
fn leftovers(unit: &UnitSpec, group: Option<u32>) -> Vec<ProcessIdentity> {
    let mut found = group.map(processes::group_members).unwrap_or_default();
    if matches!(lock::probe(&unit.lock), Ok(LockState::Held(None))) {
        let us = ProcessIdentity::current();
        let inherited = processes::file_holders(&unit.lock);
        // Our own program opens the lock for a moment to look at it, and as a worker says so inside it: never a leftover.
        found.extend(inherited.into_iter().filter(|holder| holder.exe != us.exe));
    }
    found.sort_by_key(|process| process.pid);
    found.dedup();
    found
}

fn obstacle(unit: &UnitSpec, ports_too: bool) -> Option<String> {
    match lock::probe(&unit.lock) {
        Ok(LockState::Free | LockState::Stale(_)) => {}
        Ok(LockState::Held(_)) => return Some(format!("lock {} is still held", unit.lock.display())),
        Err(error) => return Some(mprism_runtime::log::chain(&error)),
    }
    // A container's ports are its engine's: they are free once it has stopped, and whoever stops it waits for that.
    if ports_too && unit.container.is_none() && !ports::all_free(&unit.listens) {
        return Some(format!("a port of {} is still held", unit.service));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::probe::ProbeSpec;
    use crate::control::service::Service;
    use mprism_runtime::lock::LockFile;
    use std::os::unix::process::CommandExt;

    /// A child that is started while a lock's descriptor is inheritable inherits it: these tests take turns.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    fn unit(lock: std::path::PathBuf) -> UnitSpec {
        UnitSpec {
            service: Service::Nats,
            managed: true,
            container: None,
            flags: Vec::new(),
            lock,
            listens: Vec::new(),
            elsewhere: None,
            probe: ProbeSpec::Worker(std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into()),
            version: None,
            drain_within: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn a_child_that_inherited_the_lock_is_ended_with_its_parent_gone() {
        let _turn = TURN.lock().await;
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("nats.lock");
        let lock = LockFile::open(&path).expect("free");
        let fd = lock.inheritable_fd().expect("a descriptor");
        let mut orphan = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("sleep runs");
        let gone = ProcessIdentity {
            pid: orphan.id(),
            start_ticks: 1,
            ..ProcessIdentity::current()
        };
        lock.record(&gone).expect("written");
        drop((lock, fd));
        let settled = settle(&unit(path), None, false).await;
        assert_eq!(settled.ended.len(), 1);
        assert_eq!(settled.ended[0].pid, orphan.id());
        assert_eq!(settled.obstacle, None);
        orphan.wait().expect("reaped");
    }

    #[tokio::test]
    async fn a_group_is_ended_and_strangers_are_not() {
        let _turn = TURN.lock().await;
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut member = std::process::Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .expect("sleep runs");
        let mut stranger = std::process::Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .expect("sleep runs");
        let settled = settle(&unit(folder.path().join("hot.lock")), Some(member.id()), true).await;
        assert_eq!(settled.ended.len(), 1);
        member.wait().expect("reaped");
        assert!(stranger.try_wait().expect("asked").is_none(), "a stranger lives on");
        stranger.kill().expect("ours");
        stranger.wait().expect("reaped");
    }
}
