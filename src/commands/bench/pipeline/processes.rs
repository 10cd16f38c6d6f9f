//! What processes take: CPU and resident memory, by the service that they belong to.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::commands::isolated::IsolatedHome;
use crate::error::CliError;

/// What the processes of a service have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) rss_bytes: u64,
}

/// The services of a home, by the pids of their workers.
#[derive(Debug)]
pub(super) struct Processes {
    services: HashMap<u32, String>,
}

/// One process as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: u32,
    usage: Usage,
}

impl Processes {
    /// Asks the home what runs, its supervisor too.
    pub(super) async fn of(home: &IsolatedHome) -> Result<Self, CliError> {
        let status = home.mprism(&["status"]).await?.document;
        let pid_of = |value: &Value| value.as_u64().and_then(|pid| u32::try_from(pid).ok());
        let services = status["services"].as_array().into_iter().flatten();
        let mut services: HashMap<u32, String> = services
            .filter_map(|service| Some((pid_of(&service["pid"])?, service["name"].as_str()?.to_owned())))
            .collect();
        let lock = home.settings()?.home.run().join("supervisor.lock");
        if let Ok(mprism_runtime::lock::LockState::Held(Some(holder))) = mprism_runtime::lock::probe(&lock) {
            services.insert(holder.pid, "supervisor".to_owned());
        }
        Ok(Self { services })
    }

    /// Returns what each service has taken until now, its children's share included.
    pub(super) fn look(&self) -> Result<BTreeMap<String, Usage>, CliError> {
        let failed = |e: std::io::Error| CliError::failed("bench", e).context("cannot read /proc");
        let mut processes = HashMap::new();
        for entry in fs::read_dir("/proc").map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // One that has just ended has nothing to tell.
            if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat"))
                && let Some(process) = parse(&stat)
            {
                processes.insert(pid, process);
            }
        }
        Ok(self.attribute(&processes))
    }

    /// Gives each process to the service nearest among its forebears.
    fn attribute(&self, processes: &HashMap<u32, Process>) -> BTreeMap<String, Usage> {
        let mut usages: BTreeMap<String, Usage> = BTreeMap::new();
        for (pid, process) in processes {
            let forebears = std::iter::successors(Some(*pid), |pid| {
                processes
                    .get(pid)
                    .map(|process| process.parent)
                    .filter(|parent| *parent > 0)
            });
            if let Some(service) = forebears.take(64).find_map(|pid| self.services.get(&pid)) {
                let usage = usages.entry(service.clone()).or_default();
                usage.cpu += process.usage.cpu;
                usage.rss_bytes += process.usage.rss_bytes;
            }
        }
        usages
    }
}

/// Reads `/proc/<pid>/stat` (proc_pid_stat(5)): fields 4, 14, 15 and 24.
fn parse(stat: &str) -> Option<Process> {
    // The command's name stands in brackets and may itself hold brackets and blanks: fields count from the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)?;
    let pages = number(24)?;
    Some(Process {
        parent: u32::try_from(number(4)?).ok()?,
        usage: Usage {
            cpu: Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64),
            rss_bytes: pages * rustix::param::page_size() as u64,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "77 (a ) b) S 5 77 77 0 -1 4194304 1 0 0 0 150 50 9 9 20 0 7 0 100 2000 30 0 0";
        let process = parse(stat).expect("a process");
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(process.parent, 5);
        assert_eq!(process.usage.cpu, Duration::from_secs_f64(200.0 / ticks));
        assert_eq!(process.usage.rss_bytes, 30 * rustix::param::page_size() as u64);
    }

    #[test]
    fn a_child_counts_for_its_service_and_a_stranger_for_nobody() {
        let process = |parent, ms| Process {
            parent,
            usage: Usage {
                cpu: Duration::from_millis(ms),
                rss_bytes: ms,
            },
        };
        let services = HashMap::from([(10, "supervisor".to_owned()), (20, "nats".to_owned())]);
        let all = HashMap::from([
            (1, process(0, 1_000)),
            (10, process(1, 1)),
            // The supervisor's child is a service of its own, with a child.
            (20, process(10, 20)),
            (21, process(20, 300)),
            (30, process(1, 4_000)),
        ]);
        let usages = Processes { services }.attribute(&all);
        let rss: Vec<(&str, u64)> = usages
            .iter()
            .map(|(name, usage)| (name.as_str(), usage.rss_bytes))
            .collect();
        assert_eq!(rss, [("nats", 320), ("supervisor", 1)]);
    }
}
