//! A small real file system: one that runs full, or takes no writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::absent;

/// A file system in memory, mounted over a folder; unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts `bytes` of room over a folder, or says that this is not permitted here.
    ///
    /// # Panics
    /// Where it is not permitted and `MPRISM_TEST_REQUIRE` names `mount`.
    pub fn mount(folder: &Path, bytes: usize) -> Option<Self> {
        let options = format!("size={bytes},mode=0755");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "mprism-test"], folder);
        match mounted {
            Ok(()) => Some(Self {
                path: folder.to_path_buf(),
            }),
            Err(why) => {
                absent("mount", &why);
                None
            }
        }
    }

    /// Returns the folder that it is mounted over.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets nobody write any more: not even root, whom no mode stops.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn make_read_only(&self) {
        let remounted = run("mount", &["-o", "remount,ro"], &self.path);
        remounted.expect("what could be mounted can be mounted again");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is still there, or a panic, must not keep the folder from being removed.
        if let Err(why) = run("umount", &["--lazy"], &self.path) {
            assert!(std::thread::panicking(), "{} stays mounted: {why}", self.path.display());
        }
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let done = Command::new(program).args(arguments).arg(folder).output();
    let done = done.map_err(|e| format!("{program}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
}
