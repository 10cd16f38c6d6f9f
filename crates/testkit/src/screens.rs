//! What somebody sees, kept in files.

use std::path::Path;

/// Compares what is seen with a file, or writes the file where `MPRISM_WRITE_SCREENS` is set: then the difference is read in review.
///
/// # Panics
/// Where they differ.
pub fn same_as_file(file: &Path, seen: &str) {
    if std::env::var_os("MPRISM_WRITE_SCREENS").is_some() {
        let folder = file.parent().expect("a folder");
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, seen));
        return written.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    let kept = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert!(
        kept == seen,
        "{} is not what is seen now; MPRISM_WRITE_SCREENS=1 writes it anew.\n--- kept\n{kept}\n--- seen\n{seen}",
        file.display()
    );
}
