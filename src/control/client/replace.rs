//! A supervisor that runs a program which was replaced meanwhile makes room for the next one; its services live on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use mprism_runtime::lock::{self, LockState};
use mprism_runtime::process::ProcessIdentity;

use crate::control::ending::end;
use crate::control::error::ControlError;
use crate::control::paths::HomePaths;
use crate::control::processes;

/// How long it may take to write down what the next one needs.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// What became of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// None runs, or the one that runs is of this program.
    Unneeded,
    /// It has left; the next command starts the next one, which adopts its services.
    Left {
        /// Its process.
        pid: u32,
    },
    /// It is a command in the foreground, of a container or of systemd: only whoever started it can start it again.
    Foreground {
        /// Its process.
        pid: u32,
    },
}

/// Ends the home's supervisor if it runs another program than we do. Its services go on, and are adopted by the next one.
///
/// # Errors
/// Where it does not end.
pub async fn replace_supervisor(paths: &HomePaths) -> Result<Replaced, ControlError> {
    let Ok(LockState::Held(Some(process))) = lock::probe(&paths.supervisor_lock()) else {
        return Ok(Replaced::Unneeded);
    };
    if runs_our_program(&process) {
        return Ok(Replaced::Unneeded);
    }
    let pid = process.pid;
    let words = processes::arguments(pid);
    if !words
        .iter()
        .skip(1)
        .take(2)
        .map(String::as_str)
        .eq(["worker", "supervisor"])
    {
        return Ok(Replaced::Foreground { pid });
    }
    end(&process, LEAVE_WITHIN)
        .await
        .map_err(|error| ControlError::Supervisor {
            reason: format!("pid {pid} runs a replaced program and does not end: {error}"),
        })?;
    Ok(Replaced::Left { pid })
}

/// Whether a process runs the very file that we run: a path says nothing, because another file may have its name by now.
fn runs_our_program(process: &ProcessIdentity) -> bool {
    let file = |pid: &str| fs::metadata(Path::new("/proc").join(pid).join("exe")).ok();
    match (file(&process.pid.to_string()), file("self")) {
        (Some(theirs), Some(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
        _ => false,
    }
}
