//! What a container uses, as the kernel counts it for its control group: the process that keeps a container is none of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mprism_runtime::files;
use serde::{Deserialize, Serialize};

use super::processes::GroupUsage;

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Nanoseconds in a clock tick of 10 ms.
const NANOS_PER_TICK: u64 = 10_000_000;

/// The control group of a container: the folders in which the kernel counts its memory and its CPU time. They are named after the
/// container, so that they are never another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlGroup {
    memory: PathBuf,
    cpu: PathBuf,
}

impl ControlGroup {
    /// Finds the control group of the container `id`, whose first process on this machine is `pid`. `None` where that process is
    /// not seen here, or is of no such container: its engine is on another machine, or we are in a container ourselves.
    pub fn of(id: &str, pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Self::named(&text, id)
    }

    /// Finds the folders in what `/proc/<pid>/cgroup` says: `number:controllers:path`, without controllers for version 2.
    fn named(text: &str, id: &str) -> Option<Self> {
        let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let folder = |below: &str, path: &str| Path::new(ROOT).join(below).join(path.trim_start_matches('/'));
        let of = |controller: &str| {
            let mut counted =
                lines().filter(|(names, path)| names.split(',').any(|n| n == controller) && path.contains(id));
            let counted = counted.next().map(|(_, path)| folder(controller, path));
            let mut unified = lines().filter(|(names, path)| names.is_empty() && path.contains(id));
            counted.or_else(|| unified.next().map(|(_, path)| folder("", path)))
        };
        // An engine without a name has the empty one, which is everywhere.
        let (memory, cpu) = (of("memory").filter(|_| !id.is_empty())?, of("cpuacct")?);
        Some(Self { memory, cpu })
    }

    /// Returns what the container uses; `None` once it is gone.
    pub fn usage(&self) -> Option<GroupUsage> {
        let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let field = |path: PathBuf, name: &str| {
            let text = fs::read_to_string(path).ok()?;
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
        };
        let memory = |file: &str, inactive: &str| {
            let used = number(self.memory.join(file))?;
            // Pages of files that the kernel takes back before anything else count for nobody, as in `docker stats`.
            let cache = field(self.memory.join("memory.stat"), inactive).unwrap_or(0);
            Some(used.saturating_sub(cache))
        };
        let rss_bytes = memory("memory.current", "inactive_file")
            .or_else(|| memory("memory.usage_in_bytes", "total_inactive_file"))?;
        let nanos = field(self.cpu.join("cpu.stat"), "usage_usec")
            .map(|micros| micros * 1_000)
            .or_else(|| number(self.cpu.join("cpuacct.usage")))?;
        Some(GroupUsage {
            cpu_ticks: nanos / NANOS_PER_TICK,
            rss_bytes,
        })
    }

    /// Writes down whose usage a supervisor tells where a service runs in a container.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn note(&self, path: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        files::write_atomic(path, &bytes, 0o600)
    }

    /// Reads what was written down; `None` where nothing was that can be understood.
    pub(super) fn noted(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn both_versions_name_the_container_and_nothing_else_counts() {
        let two = format!("0::/system.slice/docker-{ID}.scope\n");
        let found = ControlGroup::named(&two, ID).expect("version 2");
        let folder = PathBuf::from(format!("{ROOT}/system.slice/docker-{ID}.scope"));
        assert_eq!((&found.memory, &found.cpu), (&folder, &folder));
        let one = format!("4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n0::/\n");
        let found = ControlGroup::named(&one, ID).expect("version 1");
        assert_eq!(found.memory, PathBuf::from(format!("{ROOT}/memory/docker/{ID}")));
        assert_eq!(found.cpu, PathBuf::from(format!("{ROOT}/cpuacct/docker/{ID}")));
        assert_eq!(ControlGroup::named("0::/user.slice/session.scope\n", ID), None);
        assert_eq!(ControlGroup::named(&two, ""), None);
    }

    #[test]
    fn usage_is_read_in_the_words_of_both_versions() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        let group = ControlGroup {
            memory: folder.path().to_path_buf(),
            cpu: folder.path().to_path_buf(),
        };
        assert_eq!(group.usage(), None, "it is gone");
        write("memory.usage_in_bytes", "5000\n");
        write("memory.stat", "inactive_file 1\ntotal_inactive_file 1000\n");
        write("cpuacct.usage", "2500000000\n");
        let usage = GroupUsage {
            cpu_ticks: 250,
            rss_bytes: 4_000,
        };
        assert_eq!(group.usage(), Some(usage));
        write("memory.current", "9000\n");
        write("memory.stat", "anon 1\ninactive_file 2000\n");
        write("cpu.stat", "usage_usec 1230000\nuser_usec 1\n");
        let usage = GroupUsage {
            cpu_ticks: 123,
            rss_bytes: 7_000,
        };
        assert_eq!(group.usage(), Some(usage));
        let path = folder.path().join("noted.json");
        group.note(&path).expect("written");
        assert_eq!(ControlGroup::noted(&path), Some(group));
    }
}
