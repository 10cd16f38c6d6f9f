//! One plain file out of an archive, and nothing else.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// Opens `member` of a wheel or a gzipped tar and copies it to `out`, telling `progress` the bytes so far; its error ends it.
///
/// Returns `None` where the archive has no plain file of exactly that name, or one larger than `limit` bytes.
pub(crate) fn unpack(
    archive: &Path,
    member: &str,
    limit: u64,
    out: &mut File,
    progress: &dyn Fn(u64) -> io::Result<()>,
) -> io::Result<Option<u64>> {
    let file = BufReader::new(File::open(archive)?);
    if archive.extension().is_some_and(|e| e == "whl") {
        return from_zip(file, member, limit, out, progress);
    }
    let mut tar = tar::Archive::new(flate2::bufread::GzDecoder::new(file));
    for entry in tar.entries()? {
        let entry = entry?;
        // Compared as written: `./x`, `a/../x` and links of that name are other things.
        if entry.path_bytes() == member.as_bytes() {
            let plain = entry.header().entry_type().is_file() && entry.size() <= limit;
            return if plain {
                copy(entry, limit, out, progress).map(Some)
            } else {
                Ok(None)
            };
        }
    }
    Ok(None)
}

fn from_zip(
    file: BufReader<File>,
    member: &str,
    limit: u64,
    out: &mut File,
    progress: &dyn Fn(u64) -> io::Result<()>,
) -> io::Result<Option<u64>> {
    let mut zip = zip::ZipArchive::new(file).map_err(io::Error::other)?;
    let Ok(entry) = zip.by_name(member) else {
        return Ok(None);
    };
    if !entry.is_file() || entry.is_symlink() || entry.size() > limit {
        return Ok(None);
    }
    copy(entry, limit, out, progress).map(Some)
}

fn copy(from: impl Read, limit: u64, out: &mut File, progress: &dyn Fn(u64) -> io::Result<()>) -> io::Result<u64> {
    // One byte more than allowed is read, so that an archive that lies about its size is noticed.
    let mut from = from.take(limit + 1);
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(total);
        }
        out.write_all(&buffer[..read])?;
        total += read as u64;
        progress(total)?;
    }
}
