//! Which process is meant: a pid alone is not an identity, because pids are reused.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One life of one process on one boot of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_ticks: u64,
    /// The boot this process belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// What it runs; empty where that may not be read.
    pub exe: PathBuf,
}

impl ProcessIdentity {
    /// Returns the identity of the running process with this pid, or `None` where there is none (a zombie counts as none).
    pub fn of(pid: u32) -> Option<Self> {
        let start_ticks = start_ticks(pid)?;
        let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        Some(Self {
            pid,
            start_ticks,
            boot_id: boot_id(),
            exe,
        })
    }

    /// Returns our own identity.
    ///
    /// # Panics
    /// Never: a process can always read its own `/proc` entry, without which nothing here works.
    pub fn current() -> Self {
        Self::of(std::process::id()).expect("/proc/self/stat is readable")
    }

    /// Returns whether exactly this life of the process still goes on.
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id() && start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Returns how long the process has been running, in seconds.
    pub fn uptime_s(&self) -> f64 {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let since_boot: f64 = uptime.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0.0);
        // The kernel reports start times in USER_HZ, which is 100 on every Linux architecture we run on.
        (since_boot - self.start_ticks as f64 / 100.0).max(0.0)
    }
}

/// Returns the start time of a live process.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in brackets and may itself hold brackets and blanks: fields count from the last one.
    let fields = stat.rsplit_once(')')?.1;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A handle that names one process for as long as it is held: a reused pid cannot be hit through it.
#[derive(Debug)]
pub struct PidFd {
    fd: AsyncFd<OwnedFd>,
}

impl PidFd {
    /// Opens exactly this life of the process, or returns `None` where it has ended. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the kernel refuses a handle to a live process.
    pub fn open(identity: &ProcessIdentity) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Checked after opening: if the life matches now, the handle is of that life.
        if !identity.is_alive() {
            return Ok(None);
        }
        register(fd).map(|fd| Some(Self { fd }))
    }

    /// Sends a signal. A process that has ended meanwhile is success.
    ///
    /// # Errors
    /// Where we may not signal the process.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.fd.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended. Cancel safe.
    ///
    /// # Errors
    /// Where the handle cannot be watched.
    pub async fn wait_exited(&self) -> io::Result<()> {
        // A pidfd becomes readable when its process ends, and stays so.
        self.fd.readable().await.map(|_guard| ())
    }
}

/// Watches a descriptor that this module alone holds.
#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open")]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the `OwnedFd` is moved into the `AsyncFd`, which is never given away, and no code here replaces or closes it.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn another_life_of_the_same_pid_is_another_process() {
        let ours = ProcessIdentity::current();
        assert!(ours.is_alive());
        assert!(
            !ProcessIdentity {
                start_ticks: ours.start_ticks + 1,
                ..ours.clone()
            }
            .is_alive()
        );
        assert!(
            !ProcessIdentity {
                boot_id: "another boot".into(),
                ..ours
            }
            .is_alive()
        );
    }

    #[tokio::test]
    async fn a_process_is_signalled_and_its_end_noticed() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep runs");
        let identity = ProcessIdentity::of(child.id()).expect("alive");
        let handle = PidFd::open(&identity).expect("allowed").expect("alive");
        let stranger = ProcessIdentity {
            start_ticks: identity.start_ticks + 1,
            ..identity.clone()
        };
        assert!(PidFd::open(&stranger).expect("allowed").is_none());
        handle.signal(Signal::KILL).expect("ours");
        handle.wait_exited().await.expect("watched");
        assert!(!identity.is_alive(), "a zombie is not alive");
        child.wait().expect("reaped");
        handle.signal(Signal::KILL).expect("an ended process is success");
        assert!(PidFd::open(&identity).expect("allowed").is_none());
    }
}
