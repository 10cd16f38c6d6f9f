//! Where an export goes: a file that is there when it is whole and not before, or standard output.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::ExportFormat;
use crate::error::CliError;
use crate::ui::Output;

/// How text is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

/// A file's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) format: ExportFormat,
    pub(super) compression: Option<Compression>,
}

impl Form {
    /// Decides the form: what was asked for, else what the name says.
    pub(super) fn of(path: &Path, asked: Option<ExportFormat>) -> Result<Self, CliError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let (name, compression) = if let Some(name) = name.strip_suffix(".gz") {
            (name, Some(Compression::Gzip))
        } else if let Some(name) = name.strip_suffix(".zst") {
            (name, Some(Compression::Zstd))
        } else {
            (name.as_str(), None)
        };
        let by_name = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("parquet") => Some(ExportFormat::Parquet),
            Some("csv") => Some(ExportFormat::Csv),
            Some("jsonl" | "ndjson") => Some(ExportFormat::Jsonl),
            _ => None,
        };
        let Some(format) = asked.or(by_name) else {
            let error = anyhow::anyhow!("`{}` does not say in which form to write", path.display());
            return Err(CliError::usage("no_format", error)
                .hint("end the name with .parquet, .csv or .jsonl, or say it: `--format parquet|csv|jsonl`"));
        };
        if format == ExportFormat::Parquet && compression.is_some() {
            let error = anyhow::anyhow!("`{}`: Parquet is compressed within", path.display());
            return Err(CliError::usage("no_format", error).hint("leave .gz and .zst to .csv and .jsonl"));
        }
        Ok(Self { format, compression })
    }
}

/// Where the bytes go.
#[derive(Debug)]
pub(super) enum Target {
    /// A file of another name in the same folder, removed with this value, and what it will be called.
    File {
        beside: NamedTempFile,
        path: PathBuf,
        replace: bool,
        written: u64,
    },
    /// Standard output.
    Stream { output: Output, written: u64 },
}

impl Target {
    /// Opens it. A file that is there is refused unless it may be replaced.
    pub(super) fn open(path: &Path, replace: bool) -> Result<Self, CliError> {
        if path == Path::new("-") {
            let output = Output::new();
            return Ok(Self::Stream { output, written: 0 });
        }
        let path = std::path::absolute(path).map_err(|e| failed(e, path))?;
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                let error = anyhow::anyhow!("{} is a folder", path.display());
                return Err(CliError::usage("not_a_file", error).hint("name a file in it"));
            }
            Ok(_) if !replace => return Err(is_there(&path)),
            _ => {}
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".partial")
            .tempfile_in(folder)
            .map_err(|e| failed(e, &path))?;
        Ok(Self::File {
            beside,
            path,
            replace,
            written: 0,
        })
    }

    /// Ends it: everything is on the disk, then the file gets its name. Returns how many bytes were written.
    pub(super) fn commit(self) -> Result<u64, CliError> {
        let (beside, path, replace, written) = match self {
            Self::Stream { written, .. } => return Ok(written),
            Self::File {
                beside,
                path,
                replace,
                written,
            } => (beside, path, replace, written),
        };
        beside.as_file().sync_all().map_err(|e| failed(e, &path))?;
        open_to_the_group(&beside).map_err(|e| failed(e, &path))?;
        let named = if replace {
            beside.persist(&path)
        } else {
            beside.persist_noclobber(&path)
        };
        match named {
            Ok(_) => Ok(written),
            // Somebody made it meanwhile.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(is_there(&path)),
            Err(error) => Err(failed(error.error, &path)),
        }
    }
}

/// A temporary file is its owner's alone; an export is as readable as what the user makes otherwise.
fn open_to_the_group(file: &NamedTempFile) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    let mode = 0o666 & !mask.bits();
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))
}

fn is_there(path: &Path) -> CliError {
    CliError::refused("file_exists", anyhow::anyhow!("{} is there already", path.display()))
        .hint("replace it: `--force`")
}

fn failed(error: io::Error, path: &Path) -> CliError {
    CliError::failed("output", error).context(format!("cannot write {}", path.display()))
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { beside, written, .. } => {
                let count = beside.write(bytes)?;
                *written += count as u64;
                Ok(count)
            }
            Self::Stream { output, written } => {
                // A reader that has left wants no more: that is its end, and ours.
                if !output.write(bytes)? {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                *written += bytes.len() as u64;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { beside, .. } => beside.flush(),
            Self::Stream { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str) -> Option<(ExportFormat, Option<Compression>)> {
        Form::of(Path::new(name), None)
            .ok()
            .map(|form| (form.format, form.compression))
    }

    #[test]
    fn the_name_says_the_form() {
        assert_eq!(form("a/b.parquet"), Some((ExportFormat::Parquet, None)));
        assert_eq!(form("B.CSV"), Some((ExportFormat::Csv, None)));
        assert_eq!(form("b.csv.gz"), Some((ExportFormat::Csv, Some(Compression::Gzip))));
        assert_eq!(
            form("b.ndjson.zst"),
            Some((ExportFormat::Jsonl, Some(Compression::Zstd)))
        );
        for name in ["b", "-", "b.txt", "b.gz", "b.parquet.gz"] {
            assert_eq!(form(name), None, "{name}");
        }
        let asked = Form::of(Path::new("-"), Some(ExportFormat::Csv)).expect("said");
        assert_eq!((asked.format, asked.compression), (ExportFormat::Csv, None));
    }

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.csv");
        let entries = || fs::read_dir(folder.path()).expect("there").count();
        let mut target = Target::open(&path, false).expect("new");
        target.write_all(b"half").expect("written");
        assert!(!path.exists() && entries() == 1);
        drop(target);
        assert_eq!(entries(), 0, "nothing half is left");
        let mut target = Target::open(&path, false).expect("new");
        target.write_all(b"whole").expect("written");
        assert_eq!(target.commit().expect("named"), 5);
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(Target::open(&path, false).expect_err("there").code, "file_exists");
        let late = Target::open(&path, true).expect("may be replaced");
        assert_eq!(
            fs::read(&path).expect("there"),
            b"whole",
            "until then the old one stays"
        );
        late.commit().expect("named");
        assert_eq!(fs::read(&path).expect("there"), b"");
    }
}
