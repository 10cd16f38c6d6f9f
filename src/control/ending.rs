//! Ending exactly one life of one process: TERM, a wait, KILL, through a handle that no reused pid can stand in for.

use std::io;
use std::time::Duration;

use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};

/// Ends a process. One that has ended already, or whose pid is another one's by now, is success and gets no signal.
///
/// # Errors
/// Where we may not signal it, or it does not end within twice the grace period.
pub(super) async fn end(process: &ProcessIdentity, grace: Duration) -> io::Result<()> {
    let Some(handle) = PidFd::open(process)? else {
        return Ok(());
    };
    handle.signal(Signal::TERM)?;
    if let Ok(ended) = tokio::time::timeout(grace, handle.wait_exited()).await {
        return ended;
    }
    handle.signal(Signal::KILL)?;
    // What keeps a killed process is the kernel: a dead disk, for example.
    match tokio::time::timeout(grace, handle.wait_exited()).await {
        Ok(ended) => ended,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it does not end, not even killed",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const GRACE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_deaf_process_is_killed_and_a_recycled_pid_is_left_alone() {
        let mut victim = Command::new("sleep").arg("600").spawn().expect("sleep runs");
        let now = ProcessIdentity::of(victim.id()).expect("alive");
        let recycled = ProcessIdentity {
            start_ticks: now.start_ticks - 1,
            ..now.clone()
        };
        end(&recycled, GRACE).await.expect("there is nothing to end");
        assert!(
            victim.try_wait().expect("asked").is_none(),
            "another life of that pid lives on"
        );
        end(&now, GRACE).await.expect("ours");
        victim.wait().expect("reaped");

        let mut deaf = Command::new("sh")
            .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
            .spawn()
            .expect("sh runs");
        let identity = ProcessIdentity::of(deaf.id()).expect("alive");
        end(&identity, Duration::from_millis(100)).await.expect("killed");
        deaf.wait().expect("reaped");
    }
}
