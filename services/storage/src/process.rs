//! What this process takes of the machine.

/// What this process takes of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// Share of one core since it started.
    pub(crate) cpu_percent: f64,
}

/// The unit of times in `/proc/<pid>/stat`, in seconds: `USER_HZ` is 100 on every Linux of ours.
const TICK_S: f64 = 0.01;

/// Looks at this process, which has run for so many seconds; `None` where the kernel does not tell.
pub(crate) fn usage(uptime_s: f64) -> Option<Usage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may have blanks; what follows it begins with field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |field: usize| -> Option<u64> { fields.split_whitespace().nth(field - 3)?.parse().ok() };
    let (user, system) = (ticks(14)?, ticks(15)?);
    Some(Usage {
        rss_bytes: kib * 1_024,
        cpu_percent: (user + system) as f64 * TICK_S * 100.0 / uptime_s.max(TICK_S),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let usage = usage(1.0).expect("Linux tells");
        assert!(usage.rss_bytes > 1 << 20, "{usage:?}");
        assert!(usage.cpu_percent >= 0.0, "{usage:?}");
    }
}
