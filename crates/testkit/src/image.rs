//! A disk whose power can be cut: a file system in an image file. A copy of the file has what reached the disk and no more.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::absent;

/// An ext4 file system in a file, mounted over a folder; unmounted when dropped.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    folder: PathBuf,
}

impl Image {
    /// Makes an image of `bytes` in `file` and mounts it over a folder, or says that this is not permitted here.
    ///
    /// # Panics
    /// Where it is not permitted and `MPRISM_TEST_REQUIRE` names `loop`.
    pub fn make(file: &Path, bytes: u64, folder: &Path) -> Option<Self> {
        let made = File::create(file).and_then(|image| image.set_len(bytes));
        made.expect("an image file");
        let made = run(Command::new("mkfs.ext4").arg("-q").arg(file)).and_then(|()| mount(file, folder));
        match made {
            Ok(()) => Some(Self::mounted(file, folder)),
            Err(why) => {
                absent("loop", &why);
                None
            }
        }
    }

    /// Copies the image as it is now, which is what a power cut would leave.
    ///
    /// # Panics
    /// Where it cannot be copied.
    pub fn cut(&self, file: &Path) {
        let copied = Command::new("cp")
            .arg("--sparse=always")
            .arg(&self.file)
            .arg(file)
            .output();
        let copied = copied.expect("cp runs");
        assert!(copied.status.success(), "{copied:?}");
    }

    /// Mounts a copy that [`Image::cut`] made.
    ///
    /// # Panics
    /// Where it cannot be mounted: its journal has to be enough.
    pub fn open(file: &Path, folder: &Path) -> Self {
        mount(file, folder).expect("a copy of what could be mounted can be mounted");
        Self::mounted(file, folder)
    }

    fn mounted(file: &Path, folder: &Path) -> Self {
        Self {
            file: file.to_path_buf(),
            folder: folder.to_path_buf(),
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Lazily: a process that is still there, or a panic, must not keep the folder from being removed.
        if let Err(why) = run(Command::new("umount").arg("--lazy").arg(&self.folder)) {
            assert!(
                std::thread::panicking(),
                "{} stays mounted: {why}",
                self.folder.display()
            );
        }
    }
}

fn mount(file: &Path, folder: &Path) -> Result<(), String> {
    run(Command::new("mount").args(["-o", "loop"]).arg(file).arg(folder))
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}
