//! What `/proc` says about processes: groups, what they use, which files and sockets they hold open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mprism_runtime::process::ProcessIdentity;

/// What a process group uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// CPU time so far, user and system, in clock ticks of 10 ms.
    pub cpu_ticks: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
}

/// One line of `/proc/<pid>/stat`, as far as it is needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    cpu_ticks: u64,
    rss_pages: u64,
}

/// Returns what each of the process groups uses; groups that have ended are absent.
pub(super) fn group_usage(groups: &BTreeSet<u32>) -> BTreeMap<u32, GroupUsage> {
    let page_bytes = rustix::param::page_size() as u64;
    let mut usage: BTreeMap<u32, GroupUsage> = BTreeMap::new();
    for stat in pids().filter_map(stat) {
        if groups.contains(&stat.group) {
            let group = usage.entry(stat.group).or_default();
            group.cpu_ticks += stat.cpu_ticks;
            group.rss_bytes += stat.rss_pages * page_bytes;
        }
    }
    usage
}

/// Returns what this process alone uses.
pub fn own_usage() -> Option<GroupUsage> {
    let stat = stat(std::process::id())?;
    Some(GroupUsage {
        cpu_ticks: stat.cpu_ticks,
        rss_bytes: stat.rss_pages * rustix::param::page_size() as u64,
    })
}

/// Returns a line of `/proc/meminfo`, for example `MemTotal`, in bytes.
pub fn machine_memory(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// Returns the live processes of a process group.
pub(super) fn group_members(group: u32) -> Vec<ProcessIdentity> {
    pids()
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.group == group))
        .filter_map(ProcessIdentity::of)
        .collect()
}

/// What a process is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Its command line, shortened.
    pub command: String,
    /// The container that it runs in, by its short id.
    pub container: Option<String>,
    /// The systemd service that it belongs to.
    pub unit: Option<String>,
    /// The home that it names, where it is an mprism worker.
    pub home: Option<String>,
}

/// A longer command line is cut, in characters.
const COMMAND_MAX: usize = 120;

/// Returns what is known of a process, as far as we may look.
pub(super) fn about(pid: u32) -> About {
    let words = arguments(pid);
    let is_worker = words.get(1).is_some_and(|word| word == "worker");
    let home = words
        .iter()
        .position(|word| word == "--home")
        .and_then(|at| words.get(at + 1));
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    About {
        command: shortened(&words.join(" ")),
        container: container_of(&cgroup),
        unit: unit_of(&cgroup),
        home: home.filter(|_| is_worker).cloned(),
    }
}

/// Returns the words of a process's command line, the program first; none where it may not be read.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Returns one line without what steers terminals, and without credentials of addresses.
fn shortened(command: &str) -> String {
    let plain: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = mprism_runtime::redact::without_credentials(&plain);
    match plain.char_indices().nth(COMMAND_MAX) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

/// Finds a container's id (64 hexadecimal digits) in the paths of a process's control groups.
fn container_of(cgroup: &str) -> Option<String> {
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut words = cgroup.split(['/', '-', '.', ':', '\n']);
    words.find(is_id).map(|id| id[..12].to_owned())
}

/// Finds the innermost systemd service in the paths of a process's control groups.
fn unit_of(cgroup: &str) -> Option<String> {
    let services = cgroup.lines().flat_map(|line| line.rsplit('/'));
    let mut services = services.filter(|part| part.ends_with(".service") && !part.starts_with("user@"));
    services.next().map(str::to_owned)
}

/// Returns the processes that hold each of the sockets (by inode) open, as far as we may look.
pub(super) fn socket_holders(inodes: &BTreeSet<u64>) -> BTreeMap<u64, u32> {
    let mut holders = BTreeMap::new();
    for pid in pids() {
        if holders.len() == inodes.len() {
            break;
        }
        for target in open_files(pid) {
            let inode = target
                .to_str()
                .and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|i| i.parse().ok()).filter(|i| inodes.contains(i)) {
                holders.entry(inode).or_insert(pid);
            }
        }
    }
    holders
}

/// Returns the live processes that hold a file open.
pub(super) fn file_holders(path: &Path) -> Vec<ProcessIdentity> {
    let paths = BTreeSet::from([path.to_path_buf()]);
    holders_of(&paths).into_iter().filter_map(ProcessIdentity::of).collect()
}

/// Returns the processes that hold any of the files open, as far as we may look.
pub(super) fn holders_of(paths: &BTreeSet<PathBuf>) -> Vec<u32> {
    let there: BTreeSet<PathBuf> = paths.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    if there.is_empty() {
        return Vec::new();
    }
    pids()
        .filter(|pid| open_files(*pid).any(|target| there.contains(&target)))
        .collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Returns what a process has open, as far as we may look.
pub(super) fn open_files(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses a stat line; a zombie, which holds nothing any more, is none.
fn parse_stat(line: &str) -> Option<Stat> {
    // The command's name stands in brackets and may itself hold brackets and blanks: fields count from the last one.
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some(Stat {
        group: u32::try_from(number(2)?).ok()?,
        cpu_ticks: number(11)? + number(12)?,
        rss_pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_cannot_forge_fields() {
        let line = "42 (a) R 1 (b) S 1 77 77 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 1234 1000 321 184 0";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                group: 77,
                cpu_ticks: 300,
                rss_pages: 321
            })
        );
        assert_eq!(parse_stat(&line.replace(") S", ") Z")), None);
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn containers_and_services_are_found_in_control_groups() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(
            container_of(&format!("0::/system.slice/docker-{id}.scope\n")).as_deref(),
            Some(&id[..12])
        );
        assert_eq!(container_of("0::/user.slice/user-1000.slice\n"), None);
        let text = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/redis.service\n";
        assert_eq!(unit_of(text).as_deref(), Some("redis.service"));
        assert_eq!(unit_of("0::/user.slice/user@1000.service/session.scope\n"), None);
    }

    #[test]
    fn we_find_ourselves() {
        let us = ProcessIdentity::current();
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        assert!(file_holders(file.path()).contains(&us));
        let group = stat(us.pid).expect("alive").group;
        assert!(group_members(group).contains(&us));
        assert!(group_usage(&BTreeSet::from([group]))[&group].rss_bytes > 0);
    }
}
