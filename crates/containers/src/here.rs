//! Whether an engine is on this machine, and sees the files that we see.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::net::UnixStream;

use crate::engine::Engine;

/// What listens on an engine's socket: the engine, or whoever starts it with the first question. Anything else may pass questions on
/// to another machine, as `ssh -L` does.
const LISTENERS: [&str; 3] = ["dockerd", "systemd", "podman"];

impl Engine {
    /// Returns whether the engine is on this machine and sees the files that we see: it listens on a Unix socket, as a process that is
    /// seen from here and that has our root folder. An address may lead anywhere, even one of the loopback; and from within a container
    /// an engine outside of it is not seen.
    pub async fn is_here(&self) -> bool {
        match self.host().strip_prefix("unix://") {
            Some(socket) => listens_here(Path::new(socket), &LISTENERS).await,
            None => false,
        }
    }
}

async fn listens_here(socket: &Path, listeners: &[&str]) -> bool {
    let Ok(stream) = UnixStream::connect(socket).await else {
        return false;
    };
    // The kernel tells a process that is outside of our container as 0.
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let Some(pid) = pid.filter(|pid| *pid > 0) else {
        return false;
    };
    let Ok(name) = fs::read_to_string(format!("/proc/{pid}/comm")) else {
        return false;
    };
    let root = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    // Only root may look at its root folder. Whoever may not sees the machine's processes, and is taken to see its files.
    let has_other_root = root(&Path::new("/proc").join(pid.to_string()).join("root"))
        .is_some_and(|theirs| root(Path::new("/")) != Some(theirs));
    listeners.contains(&name.trim()) && !has_other_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn whoever_passes_questions_on_is_no_engine_of_this_machine() {
        let folder = std::env::temp_dir().join(format!("mprism-here-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        let socket = folder.join("docker.sock");
        assert!(!listens_here(&socket, &LISTENERS).await, "nobody listens");
        let _listener = UnixListener::bind(&socket).expect("bound");
        assert!(!listens_here(&socket, &LISTENERS).await, "this is a test");
        let us = fs::read_to_string(format!("/proc/{}/comm", std::process::id())).expect("read");
        assert!(
            listens_here(&socket, &[us.trim()]).await,
            "seen, and in our root folder"
        );
        fs::remove_dir_all(&folder).expect("removed");
    }
}
