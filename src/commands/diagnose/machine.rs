//! The machine below a home: disk, memory, limits, clock, user.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use mprism_runtime::clock;
use mprism_settings::Settings;
use serde::Serialize;

use super::Findings;
use crate::commands::deployment::{OPEN_FILES_MIN, open_files_max};
use crate::control::machine_memory;
use crate::report::bytes;

/// Writes that are measured, and for how long at most.
const FDATASYNCS: usize = 50;
const FDATASYNC_WITHIN: Duration = Duration::from_millis(500);
/// A slower disk than this is worth knowing, in milliseconds.
const FDATASYNC_MS_MAX: f64 = 20.0;
/// Less free memory than this is little, in bytes.
const MEMORY_MIN: u64 = 512 << 20;
/// Less room than this stops everything, in bytes.
const ROOM_MIN: u64 = 256 << 20;
/// Fewer inodes than this are few.
const INODES_MIN: u64 = 10_000;
/// A clock that may be more wrong than this is too wrong for event times, in microseconds.
const CLOCK_ERROR_US_MAX: i64 = 1_000_000;

/// What the machine has.
#[derive(Serialize)]
pub(super) struct Machine {
    kernel: String,
    container: bool,
    user: String,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    open_files_max: Option<u64>,
    disk: Option<Disk>,
    /// How long it takes until 4 KiB are on the disk for good.
    fdatasync: Option<Fdatasync>,
    clock: Option<Clock>,
}

#[derive(Serialize)]
struct Disk {
    bytes: u64,
    free_bytes: u64,
    inodes: u64,
    free_inodes: u64,
    read_only: bool,
}

#[derive(Serialize)]
struct Fdatasync {
    ms_p50: f64,
    ms_max: f64,
}

#[derive(Serialize)]
struct Clock {
    synchronised: bool,
    error_us_max: i64,
}

impl Machine {
    pub(super) fn look(settings: &Settings) -> Self {
        let quality = clock::quality().ok();
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            container: is_container(),
            user: crate::control::our_user(),
            memory_bytes: machine_memory("MemTotal"),
            memory_available_bytes: machine_memory("MemAvailable"),
            open_files_max: open_files_max(),
            disk: disk(settings.home.root()),
            fdatasync: fdatasync(settings.home.root()),
            clock: quality.map(|quality| Clock {
                synchronised: quality.is_synchronised,
                error_us_max: quality.error_us_max,
            }),
        }
    }
}

/// Says what is worth a look about the machine, and what it has.
pub(super) fn examine(settings: &Settings, findings: &mut Findings) -> Machine {
    let machine = Machine::look(settings);
    let root = settings.home.root().display().to_string();
    if let Some(disk) = &machine.disk {
        let free = bytes(disk.free_bytes);
        let look = format!("df -h {root}");
        if disk.read_only {
            findings.error(
                "disk_read_only",
                &root,
                "the disk is mounted read-only",
                format!("findmnt --target {root}"),
            );
        } else if disk.free_bytes < ROOM_MIN {
            findings.error("disk_full", &root, format!("only {free} are free"), look);
        } else if disk.free_bytes < settings.collector.spool.free_bytes_min {
            let least = bytes(settings.collector.spool.free_bytes_min);
            let text = format!("{free} are free; below {least} (collector.spool.free_bytes_min) the collector pauses");
            findings.warn("disk_low", &root, text, look);
        }
        if disk.inodes > 0 && disk.free_inodes < INODES_MIN {
            let text = format!("only {} inodes are free", disk.free_inodes);
            findings.warn("inodes_low", &root, text, format!("df -i {root}"));
        }
    }
    if let Some(sync) = machine.fdatasync.as_ref().filter(|sync| sync.ms_p50 > FDATASYNC_MS_MAX) {
        let text = format!(
            "4 KiB take {:.0} ms to be on the disk for good: about {:.0} messages a second with nats.durability strict",
            sync.ms_p50,
            1_000.0 / sync.ms_p50
        );
        findings.warn("disk_slow", &root, text, "iostat -x 1");
    }
    if let Some(available) = machine
        .memory_available_bytes
        .filter(|available| *available < MEMORY_MIN)
    {
        findings.warn(
            "memory_low",
            "memory",
            format!("only {} are available", bytes(available)),
            "free -h",
        );
    }
    if let Some(limit) = machine.open_files_max.filter(|limit| *limit < OPEN_FILES_MIN) {
        let text = format!("open-file limit {limit} < {OPEN_FILES_MIN}");
        findings.error("open_files", "limits", text, "ulimit -n 65536");
    }
    match &machine.clock {
        None => findings.info(
            "clock_unknown",
            "clock",
            "the kernel does not say how right the clock is",
        ),
        Some(clock) if !clock.synchronised => findings.warn(
            "clock_unsynchronised",
            "clock",
            "nothing keeps the clock right; delays and integrity's checks of time will be off",
            "timedatectl set-ntp true",
        ),
        Some(clock) if clock.error_us_max > CLOCK_ERROR_US_MAX => findings.warn(
            "clock_error",
            "clock",
            format!("the clock may be wrong by {} ms", clock.error_us_max / 1_000),
            "timedatectl timesync-status",
        ),
        Some(_) => {}
    }
    if rustix::process::geteuid().is_root() && !machine.container {
        findings.warn(
            "root",
            "user",
            "mprism runs as root and needs no right of root's",
            "useradd --system --create-home mprism",
        );
    }
    machine
}

fn disk(home: &Path) -> Option<Disk> {
    let place = home.ancestors().find(|path| path.exists())?;
    let found = rustix::fs::statvfs(place).ok()?;
    Some(Disk {
        bytes: found.f_blocks.saturating_mul(found.f_frsize),
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        inodes: found.f_files,
        free_inodes: found.f_favail,
        read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// Measures the disk below a home that exists, in a file without a name.
fn fdatasync(home: &Path) -> Option<Fdatasync> {
    let mut file = tempfile::tempfile_in(home).ok()?;
    let began = Instant::now();
    let mut took = Vec::new();
    while took.len() < FDATASYNCS && began.elapsed() < FDATASYNC_WITHIN {
        let one = Instant::now();
        file.write_all(&[0; 4_096]).ok()?;
        file.sync_data().ok()?;
        took.push(one.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    Some(Fdatasync {
        ms_p50: *took.get(took.len() / 2)?,
        ms_max: *took.last()?,
    })
}

/// Returns whether we run in a container, by the marks that Docker, Podman and Kubernetes leave.
fn is_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    let cgroup = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let names = ["docker", "kubepods", "libpod", "/lxc/"];
    marks.iter().any(|mark| Path::new(mark).exists()) || names.iter().any(|name| cgroup.contains(name))
}
