//! A MarketPrism that runs beside us: which of its processes are provably its own, and in which order they end.
//!
//! Proof is two things together: the command line that its scripts start, and a file of its own that the process holds open or
//! that names it: its lock, or its log or pid file below `services/`. A name, a pid or a port alone proves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mprism_runtime::process::ProcessIdentity;
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::ports::{self, PortHolder, TakenPort};
use super::processes::{self, arguments, open_files};
use super::service::Service;

/// The locks of its services, where no variable moves them.
const LOCKS: [&str; 3] = [
    "/tmp/marketprism_hot_storage.lock",
    "/tmp/marketprism_cold_storage.lock",
    "/tmp/marketprism_collector.lock",
];
/// Its broker's log and pid file, below its folder.
const BROKER_LOG: &str = "services/message-broker/logs/nats-server.log";
const BROKER_PID: &str = "services/message-broker/logs/nats-server.pid";
/// Where its scripts keep JetStream's data, where `NATS_STORE_DIR` does not say otherwise.
const STORE: &str = "/tmp/nats-jetstream";
/// Its scripts write a pid file right after they started the process; a file that is older or much younger names another life.
const PID_FILE_WITHIN: Duration = Duration::from_secs(60);

/// What a process of MarketPrism does, in the order in which they end: who produces first, who stores last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// `unified_collector_main.py`.
    Collector,
    /// `main.py --mode cold`.
    Cold,
    /// `main.py --mode hot`.
    Hot,
    /// Its ClickHouse server, in a container: one that runs beside it as a process is nobody's in particular.
    Store,
    /// Its nats-server.
    Broker,
}

impl Part {
    /// Every part, in the order in which they end.
    pub const ALL: [Self; 5] = [Self::Collector, Self::Cold, Self::Hot, Self::Store, Self::Broker];

    /// Returns what it is called here.
    pub fn service(self) -> Service {
        match self {
            Self::Collector => Service::Collector,
            Self::Cold => Service::Cold,
            Self::Hot => Service::Hot,
            Self::Store => Service::Clickhouse,
            Self::Broker => Service::Nats,
        }
    }

    /// Returns what people call it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Cold => "cold storage",
            Self::Hot => "hot storage",
            Self::Store => "ClickHouse server",
            Self::Broker => "message broker",
        }
    }

    /// Returns how long it may take to finish what it holds: its own scripts kill after two to fifteen seconds.
    pub(super) fn grace(self) -> Duration {
        Duration::from_secs(15)
    }
}

/// A process of a MarketPrism that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketPrism {
    /// What it does.
    pub part: Part,
    /// The process.
    pub process: ProcessIdentity,
    /// The file that proves whose it is.
    pub proof: PathBuf,
    /// Where its broker keeps its messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
}

impl MarketPrism {
    /// Returns whether it is what holds a port.
    pub fn holds(&self, taken: &TakenPort) -> bool {
        let holder = taken.holder.as_ref();
        holder.and_then(|holder| holder.process.as_ref()) == Some(&self.process)
    }
}

/// Returns what runs of a MarketPrism: who holds its locks or the locks that we share with it, who holds our ports, and the broker
/// beside any of them; in the order in which they end. Only looks.
pub fn marketprism(deployment: &Deployment) -> Vec<MarketPrism> {
    let shared = deployment.units.iter().map(|unit| unit.lock.clone());
    let locks: BTreeSet<PathBuf> = LOCKS.iter().map(PathBuf::from).chain(shared).collect();
    let mut pids: BTreeSet<u32> = processes::holders_of(&locks).into_iter().collect();
    let listens: Vec<_> = deployment.units.iter().flat_map(|unit| unit.listens.clone()).collect();
    let holders = ports::holders(&listens).into_iter().flatten();
    pids.extend(holders.filter_map(|holder| Some(holder.process?.pid)));
    let mut found: Vec<MarketPrism> = pids.iter().filter_map(|pid| part_of(*pid, &locks)).collect();
    let checkouts: BTreeSet<PathBuf> = pids.iter().filter_map(|pid| checkout_of(*pid)).collect();
    for checkout in checkouts {
        let broker = pid_in(&checkout.join(BROKER_PID)).filter(|pid| !pids.contains(pid));
        found.extend(broker.and_then(|pid| part_of(pid, &locks)));
    }
    found.sort_by_key(|found| (found.part, found.process.pid));
    found
}

/// Returns whether a process that holds a lock open is one of MarketPrism's.
pub(super) fn holds(process: &ProcessIdentity, lock: &Path) -> bool {
    part_of(process.pid, &BTreeSet::from([lock.to_path_buf()])).is_some_and(|found| found.process == *process)
}

/// Says of holders of our ports which of them are MarketPrism's.
pub(super) fn mark<'a>(holders: impl Iterator<Item = &'a mut PortHolder>, found: &[MarketPrism]) {
    for holder in holders {
        let is_it = |found: &&MarketPrism| Some(&found.process) == holder.process.as_ref();
        holder.marketprism = found.iter().find(is_it).map(|found| found.part);
    }
}

/// Returns what a process is of MarketPrism, if both its command line and a file say so.
fn part_of(pid: u32, locks: &BTreeSet<PathBuf>) -> Option<MarketPrism> {
    let process = ProcessIdentity::of(pid)?;
    let words = arguments(pid);
    let part = part_by_command(&process.exe, &words)?;
    let proof = proof(pid, part, locks)?;
    Some(MarketPrism {
        part,
        proof,
        store: (part == Part::Broker).then(|| store_of(pid, &words)),
        process,
    })
}

/// Returns what a command line starts: <https://docs.nats.io/running-a-nats-service/introduction/flags> for the broker's.
fn part_by_command(exe: &Path, words: &[String]) -> Option<Part> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let program = name(exe)?;
    if program.starts_with("nats-server") {
        let is_its = words.iter().any(|word| word == "-js") && words.iter().any(|word| word.starts_with("--store_dir"));
        return is_its.then_some(Part::Broker);
    }
    if !program.starts_with("python") {
        return None;
    }
    let script = words.iter().skip(1).find(|word| word.ends_with(".py"))?;
    match name(Path::new(script))?.as_str() {
        "unified_collector_main.py" => Some(Part::Collector),
        "main.py" => match option(words, &["--mode", "-m"])?.as_str() {
            "hot" => Some(Part::Hot),
            "cold" => Some(Part::Cold),
            _ => None,
        },
        _ => None,
    }
}

/// Returns an option's value, given as one word or as two.
pub fn option(words: &[String], names: &[&str]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if names.contains(&word.as_str()) {
            return words.next().cloned();
        }
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if names.contains(&name) && !value.is_empty() {
            return Some(value.to_owned());
        }
    }
    None
}

/// Returns a file that only a process of MarketPrism's has open, or that names it.
fn proof(pid: u32, part: Part, locks: &BTreeSet<PathBuf>) -> Option<PathBuf> {
    let logs = |file: &Path| {
        let text = file.to_string_lossy();
        ["message-broker", "data-storage-service", "data-collector"]
            .iter()
            .any(|module| text.contains(&format!("/services/{module}/logs/")))
    };
    let canonical: BTreeSet<PathBuf> = locks.iter().filter_map(|lock| fs::canonicalize(lock).ok()).collect();
    let mut open = open_files(pid);
    if part != Part::Broker {
        return open.find(|file| canonical.contains(file) || logs(file));
    }
    if let Some(log) = open.find(|file| file.ends_with(BROKER_LOG)) {
        return Some(log);
    }
    let named = checkout_of(pid)?.join(BROKER_PID);
    (pid_in(&named)? == pid).then_some(named)
}

/// Returns the folder that holds MarketPrism's `services`, as a process's working folder or script says.
fn checkout_of(pid: u32) -> Option<PathBuf> {
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let script = arguments(pid).into_iter().skip(1).find(|word| word.ends_with(".py"));
    let script = script.map(|script| cwd.join(script)).unwrap_or_default();
    let mut folders = cwd.ancestors().chain(script.ancestors());
    folders
        .find(|folder| folder.join("services/message-broker").is_dir())
        .map(Path::to_path_buf)
}

/// Returns the process that a pid file names, if it is the very one that was started when the file was written.
fn pid_in(file: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    let written = fs::metadata(file).ok()?.modified().ok()?;
    let process = ProcessIdentity::of(pid)?;
    let began = SystemTime::now().checked_sub(Duration::from_secs_f64(process.uptime_s()))?;
    // The kernel tells start times in hundredths of a second.
    let slack = Duration::from_millis(20);
    (written + slack >= began && written <= began + PID_FILE_WITHIN).then_some(pid)
}

fn store_of(pid: u32, words: &[String]) -> PathBuf {
    let said = option(words, &["--store_dir", "-sd"]).map_or_else(|| PathBuf::from(STORE), PathBuf::from);
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    cwd.join(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn its_own_command_lines_are_recognised_and_no_others() {
        let python = Path::new("/usr/bin/python3.11");
        let nats = Path::new("/usr/local/bin/nats-server");
        for (exe, line, expected) in [
            (
                python,
                "python3 unified_collector_main.py --mode launcher",
                Some(Part::Collector),
            ),
            (python, "venv/bin/python main.py --mode hot", Some(Part::Hot)),
            (
                python,
                "python3 -u /opt/mp/services/data-storage-service/main.py --mode=cold",
                Some(Part::Cold),
            ),
            (python, "python3 main.py", None),
            (python, "python3 manage.py --mode hot", None),
            (Path::new("/bin/cat"), "cat unified_collector_main.py", None),
            (
                nats,
                "nats-server -js -m 8222 -p 4222 --store_dir /tmp/nats-jetstream",
                Some(Part::Broker),
            ),
            (nats, "nats-server -p 4222", None),
            (nats, "nats-server -c /etc/nats-server.conf", None),
        ] {
            assert_eq!(part_by_command(exe, &words(line)), expected, "{line}");
        }
        let order = [Part::Collector, Part::Cold, Part::Hot, Part::Broker];
        assert!(order.is_sorted(), "who produces ends first");
    }

    #[test]
    fn a_pid_file_names_only_the_life_it_was_written_for() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("nats-server.pid");
        let mut sleeper = Command::new("sleep").arg("600").spawn().expect("sleep runs");
        fs::write(&file, format!("{}\n", sleeper.id())).expect("written");
        assert_eq!(pid_in(&file), Some(sleeper.id()));
        // Written long before this process began: its pid was another one's then.
        let then = SystemTime::now() - Duration::from_secs(3_600);
        let old = fs::File::options().write(true).open(&file).expect("there");
        old.set_modified(then).expect("set");
        assert_eq!(pid_in(&file), None);
        sleeper.kill().expect("ours");
        sleeper.wait().expect("reaped");
    }
}
