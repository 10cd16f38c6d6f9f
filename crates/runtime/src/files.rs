//! Files that are whole or not there, and folders that are ours.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Replaces a file in one step: temporary file, fsync, rename, fsync of the folder.
///
/// # Errors
/// Any error of the file system; the file at `path` is then what it was.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no file name"))?;
    let temporary = folder.join(format!(
        ".{}.{}.{:08x}",
        name.to_string_lossy(),
        std::process::id(),
        rand::random::<u32>()
    ));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    })();
    if written.is_err() {
        // The error that matters is the first one; a leftover temporary file is swept by `clean`.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes the names in a folder durable.
///
/// # Errors
/// Any error of the file system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a folder and its parents with `mode`, and checks that the folder is a real one and ours.
///
/// # Errors
/// Where the folder cannot be made, is a symlink, or belongs to another user.
pub fn ensure_folder(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            "not a real folder (a symlink?)",
        ));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        let text = format!("belongs to uid {}, not to us", found.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.permissions().mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Reads a small file that must be ours and nobody else's to read: a regular file, mode 0600 or stricter.
///
/// # Errors
/// Where the file cannot be read, follows a link, belongs to another user, or can be read by others.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let found = file.metadata()?;
    let ours = found.is_file() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0;
    if !ours {
        let text = "must be a regular file of ours with mode 0600";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    io::read_to_string(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("state");
        write_atomic(&path, b"old", 0o600).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        fs::create_dir(folder.path().join("taken")).expect("made");
        write_atomic(&folder.path().join("taken"), b"new", 0o600).expect_err("a folder is in the way");
        assert_eq!(fs::read(&path).expect("there"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("secret");
        write_atomic(&path, b"s3cret", 0o600).expect("written");
        assert_eq!(read_secret(&path).expect("ours"), "s3cret");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        read_secret(&link).expect_err("a link");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        read_secret(&path).expect_err("the group can read it");
    }

    #[test]
    fn a_symlink_is_not_a_folder_of_ours() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).expect("linked");
        ensure_folder(&link, 0o700).expect_err("a link");
        ensure_folder(&folder.path().join("a/b"), 0o700).expect("made");
    }
}
