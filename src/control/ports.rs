//! Who holds a port: found from listening sockets only, never from mere connections.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use mprism_runtime::process::ProcessIdentity;
use serde::{Deserialize, Serialize};

use super::marketprism::Part;
use super::processes;

/// A program that listens where we want to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortHolder {
    /// The process, where we may see it.
    pub process: Option<ProcessIdentity>,
    /// Where it listens, which may be more than the address that we want.
    #[serde(default)]
    pub address: Option<SocketAddr>,
    /// Its user, by name where it has one.
    pub user: String,
    /// Its command line, shortened, without control characters.
    pub command: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// The container that it runs in, by its short id.
    pub container: Option<String>,
    /// The systemd service that it belongs to.
    pub unit: Option<String>,
    /// The home that it serves, where it is an mprism worker.
    pub home: Option<String>,
    /// What it is of a MarketPrism that runs.
    #[serde(default)]
    pub marketprism: Option<Part>,
}

/// An address that we want and cannot have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenPort {
    /// The address.
    pub address: SocketAddr,
    /// Who has it; `None` where nobody listens there (the port is bound without listening, or not ours to bind).
    pub holder: Option<PortHolder>,
    /// What the kernel says.
    pub reason: String,
}

/// A line of `/proc/net/tcp`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listening {
    address: SocketAddr,
    uid: u32,
    inode: u64,
}

/// Returns those of the addresses that cannot be bound now, each with its holder. Binding is the check: nothing else is
/// asked while all are free.
pub fn taken(addresses: &[SocketAddr]) -> Vec<TakenPort> {
    let refused: Vec<(SocketAddr, io::Error)> = addresses
        .iter()
        .filter_map(|address| TcpListener::bind(address).err().map(|error| (*address, error)))
        .collect();
    if refused.is_empty() {
        return Vec::new();
    }
    let addresses: Vec<SocketAddr> = refused.iter().map(|(address, _)| *address).collect();
    let taken = refused
        .iter()
        .zip(holders(&addresses))
        .map(|((address, error), holder)| TakenPort {
            address: *address,
            holder,
            reason: error.to_string(),
        });
    taken.collect()
}

/// Returns who listens on each of the addresses. Only looks: nothing is bound.
pub(super) fn holders(addresses: &[SocketAddr]) -> Vec<Option<PortHolder>> {
    let listening = listening();
    let on = |address: &SocketAddr| listening.iter().find(|l| covers(l.address, *address));
    let found: Vec<Option<&Listening>> = addresses.iter().map(on).collect();
    let inodes: BTreeSet<u64> = found.iter().flatten().map(|l| l.inode).collect();
    let pids = processes::socket_holders(&inodes);
    let holder = |l: &Listening| {
        let process = pids.get(&l.inode).and_then(|pid| ProcessIdentity::of(*pid));
        PortHolder {
            address: Some(l.address),
            ..describe(process, user_name(l.uid))
        }
    };
    found.into_iter().map(|found| found.map(holder)).collect()
}

/// Says what is known of a holder.
fn describe(process: Option<ProcessIdentity>, user: String) -> PortHolder {
    let Some(process) = process else {
        return PortHolder {
            user,
            ..PortHolder::default()
        };
    };
    let about = processes::about(process.pid);
    let uptime_ms = (process.uptime_s() * 1_000.0) as i64;
    PortHolder {
        since_ms: Some(mprism_runtime::clock::now_ms() - uptime_ms),
        user,
        command: about.command,
        container: about.container,
        unit: about.unit,
        home: about.home,
        process: Some(process),
        ..PortHolder::default()
    }
}

/// Returns whether all of the addresses can be bound now.
pub(super) fn all_free(addresses: &[SocketAddr]) -> bool {
    addresses.iter().all(|address| TcpListener::bind(address).is_ok())
}

/// Returns who runs this command.
pub fn our_user() -> String {
    user_name(rustix::process::getuid().as_raw())
}

/// Returns the group of whoever runs this command.
pub fn our_group() -> String {
    let gid = rustix::process::getgid().as_raw();
    match nix::unistd::Group::from_gid(gid.into()) {
        Ok(Some(group)) => group.name,
        _ => gid.to_string(),
    }
}

/// Returns the user's name, or the number where there is none.
pub(super) fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

/// Returns whether a listener at `there` keeps `wanted` from being bound.
fn covers(there: SocketAddr, wanted: SocketAddr) -> bool {
    there.port() == wanted.port()
        && (there.ip() == wanted.ip() || there.ip().is_unspecified() || wanted.ip().is_unspecified())
}

fn listening() -> Vec<Listening> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    text.iter()
        .flat_map(|text| text.lines().filter_map(parse_listening))
        .collect()
}

/// Parses a line of `/proc/net/tcp` or `tcp6` if its socket listens (state `0A`).
fn parse_listening(line: &str) -> Option<Listening> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    Some(Listening {
        address: SocketAddr::new(parse_ip(ip)?, u16::from_str_radix(port, 16).ok()?),
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses an address as the kernel prints it: words of 32 bits in the machine's byte order, which is little-endian on every
/// platform we run on.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let words = text.len() / 8;
    let mut bytes = Vec::with_capacity(16);
    for word in 0..words {
        let word = u32::from_str_radix(text.get(word * 8..word * 8 + 8)?, 16).ok()?;
        bytes.extend(word.to_le_bytes());
    }
    match words {
        1 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        // A mapped address is an IPv4 one that a dual-stack socket holds.
        4 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_are_holders() {
        let line = "   0: 0100007F:107E 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 47531 1 0 100 0 0 10 0";
        let found = parse_listening(line).expect("a listener");
        assert_eq!(found.address, "127.0.0.1:4222".parse().expect("an address"));
        assert_eq!((found.uid, found.inode), (1000, 47531));
        assert_eq!(parse_listening(&line.replace(" 0A ", " 01 ")), None, "a connection");
        let six = line.replace("0100007F", "00000000000000000000000001000000");
        let found = parse_listening(&six).expect("a listener");
        assert_eq!(found.address, "[::1]:4222".parse().expect("an address"));
        let mapped = line.replace("0100007F", "0000000000000000FFFF00000100007F");
        let found = parse_listening(&mapped).expect("a listener");
        assert_eq!(found.address, "127.0.0.1:4222".parse().expect("an address"));
    }

    #[test]
    fn a_wildcard_listener_covers_every_address_of_its_port() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert!(covers(address("0.0.0.0:80"), address("127.0.0.1:80")));
        assert!(covers(address("[::]:80"), address("127.0.0.1:80")));
        assert!(!covers(address("[::1]:80"), address("127.0.0.1:80")));
        assert!(!covers(address("127.0.0.1:81"), address("127.0.0.1:80")));
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let taken_ports = taken(&[address]);
        let holder = taken_ports[0].holder.as_ref().expect("somebody listens");
        assert_eq!(holder.process, Some(ProcessIdentity::current()));
        assert_eq!(holder.address, Some(address));
        drop(listener);
        // A process that another test starts at this moment has it until it runs its program.
        let since = std::time::Instant::now();
        while !taken(&[address]).is_empty() {
            assert!(since.elapsed() < mprism_testkit::PATIENCE, "{:?}", taken(&[address]));
            std::thread::yield_now();
        }
        assert!(all_free(&[address]));
        let everywhere = TcpListener::bind("0.0.0.0:0").expect("a free port");
        let there = everywhere.local_addr().expect("bound");
        let wanted = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), there.port());
        let holders = holders(&[wanted]);
        let holder = holders[0].as_ref().expect("it covers what we want");
        assert_eq!(holder.address, Some(there), "where it really listens");
    }
}
