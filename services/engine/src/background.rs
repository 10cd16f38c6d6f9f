//! What merges parts gives way to what somebody waits for, and nothing else does for longer than it was told to.
//!
//! The library lowers the priority of its merging threads itself (`os_threads_nice_value_merge_mutate`), but only where the process
//! has `CAP_SYS_NICE`. Nobody needs that to lower the priority of a thread of their own.
//!
//! With that capability it lowers the priority of a statement's threads, too (`os_threads_nice_value_query`), and puts it back; but a
//! thread of its pool that began beside them inherits theirs, and would keep it for every later statement.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, getpriority_process, setpriority_process};

/// What the library calls a thread that merges or mutates parts.
const MERGING: &str = "MergeMutate";
/// What it calls one of its pool that has nothing to do.
const IDLE: &str = "ThreadPool";
/// The nice value of merges: such a thread gets a tenth of what another gets where both want all of a core, and all of one that is idle.
const NICE: i32 = 10;
/// Between looks at the threads.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Keeps the priorities of the library's threads as they should be, without end.
pub(crate) async fn keep_priorities() {
    loop {
        if let Err(error) = keep(Path::new("/proc/self/task")) {
            tracing::warn!(%error, "merges do not give way to statements");
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn keep(threads: &Path) -> io::Result<()> {
    for thread in std::fs::read_dir(threads)? {
        let thread = thread?;
        // A thread may end at any moment.
        let Ok(name) = std::fs::read_to_string(thread.path().join("comm")) else {
            continue;
        };
        let nice = match name.trim_end() {
            MERGING => NICE,
            IDLE => 0,
            _ => continue,
        };
        let id = thread.file_name().to_str().and_then(|id| id.parse().ok());
        // On Linux a process's priority is each thread's own, and a thread's id is taken for a process's.
        let Some(id) = id.and_then(Pid::from_raw) else { continue };
        if getpriority_process(Some(id)).is_ok_and(|now| now == nice) {
            continue;
        }
        match setpriority_process(Some(id), nice) {
            Err(error) if nice > 0 && error != rustix::io::Errno::SRCH => return Err(error.into()),
            // Who may not raise a priority has none that was lowered.
            _ => {}
        }
    }
    Ok(())
}
