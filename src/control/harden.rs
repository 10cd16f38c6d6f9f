//! What a supervisor or a worker gives up before it does anything: privileges to gain, core dumps, readable files, strangers'
//! descriptors.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};

/// Flag of `/proc/self/fdinfo` that marks a descriptor which is closed on exec.
const CLOEXEC: u32 = 0o2_000_000;

/// Hardens this process and everything it will start. Call it before the first thread is made: one of the settings belongs to
/// the thread, not to the process.
///
/// # Errors
/// Where the kernel refuses.
pub fn harden() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    // Connections and parts of tables are many; what we may have we take.
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: files.maximum,
        ..files
    };
    rustix::process::setrlimit(Resource::Nofile, most)?;
    close_inherited()
}

/// Closes what the process inherited beyond standard input, output and error.
///
/// Everything that Rust opens is closed on exec, so what is not came from the program that started us (a shell's lock file, a
/// log of a CI runner), and would be kept open for as long as the workers live.
fn close_inherited() -> io::Result<()> {
    let numbers: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in numbers.into_iter().filter(|fd| *fd > 2) {
        if fdinfo_flags(fd).is_some_and(|flags| flags & CLOEXEC == 0) {
            nix::unistd::close(fd)?;
        }
    }
    Ok(())
}

fn fdinfo_flags(fd: RawFd) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_rust_opens_is_closed_on_exec() {
        let file = fs::File::open("/dev/null").expect("there");
        let flags = fdinfo_flags(file.as_raw_fd()).expect("open");
        assert_ne!(flags & CLOEXEC, 0);
        let inherited = rustix::io::dup(&file).expect("duplicated");
        let flags = fdinfo_flags(inherited.as_raw_fd()).expect("open");
        assert_eq!(flags & CLOEXEC, 0);
    }
}
