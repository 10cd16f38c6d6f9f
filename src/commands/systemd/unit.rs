//! The unit's text: a supervisor in the foreground that says when it is ready and that it lives, with as few rights as it needs.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::commands::Context;
use crate::error::CliError;

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    /// The machine's.
    System,
    /// A user's: it may take away fewer rights, because it has none to give.
    User,
}

/// Beyond the time that services have to be ready or to drain.
const GRACE: Duration = Duration::from_secs(30);

/// A unit of one home.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    manager: Manager,
    program: String,
    flags: Vec<String>,
    home: String,
    /// Folders beside the home that are written.
    outside: Vec<String>,
    user: String,
    start_s: u64,
    stop_s: u64,
}

impl Unit {
    /// Decides the unit of the home.
    ///
    /// # Errors
    /// Where the settings are not valid or our own program cannot be found.
    pub(super) fn of(manager: Manager, context: &Context) -> Result<Self, CliError> {
        let settings = context.settings()?;
        let program = std::env::current_exe()
            .map_err(|e| CliError::failed("no_program", e).context("cannot find the running program"))?;
        let mut flags = vec!["--home".to_owned(), settings.home.root().display().to_string()];
        if let Some(config) = context.sources(Vec::new()).config_file() {
            let path = std::path::absolute(config).map_err(|e| CliError::usage("no_config", e))?;
            flags.extend(["--config".to_owned(), path.display().to_string()]);
        }
        if settings.port_offset > 0 {
            flags.extend(["--port-offset".to_owned(), settings.port_offset.to_string()]);
        }
        let root = settings.home.root();
        // Whose files they are, they stay; a home that is still to be made belongs to who installs it.
        let owner = std::fs::metadata(root).map_or_else(|_| rustix::process::getuid().as_raw(), |found| found.uid());
        let stop = &settings.supervisor.stop_timeout;
        let drains = stop.collector + stop.hot + stop.clickhouse.max(stop.nats) + stop.sim;
        let named = [&settings.nats.data_folder, &settings.hot.lock, &settings.collector.lock];
        let outside = named.into_iter().filter(|path| !path.starts_with(root));
        let outside = outside.filter_map(|path| Some(path.parent()?.display().to_string()));
        Ok(Self {
            manager,
            program: program.display().to_string(),
            flags,
            home: root.display().to_string(),
            outside: outside.collect(),
            user: owner.to_string(),
            start_s: (settings.supervisor.ready_timeout + GRACE).as_secs(),
            stop_s: (drains + GRACE).as_secs(),
        })
    }
}

/// Quotes a word of a unit: blanks, quotes, and what systemd would replace.
fn quoted(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/:._-=@".contains(c));
    if is_plain {
        word.to_owned()
    } else {
        format!("\"{escaped}\"")
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: Vec<String> = self.flags.iter().map(|flag| quoted(flag)).collect();
        let target = match self.manager {
            Manager::System => "multi-user.target",
            Manager::User => "default.target",
        };
        write!(
            f,
            "[Unit]\n\
             Description=mprism market-data lake in {home}\n\
             Documentation=man:mprism(1)\n\
             StartLimitIntervalSec=300\n\
             StartLimitBurst=5\n",
            home = self.home.replace('%', "%%"),
        )?;
        if self.manager == Manager::System {
            f.write_str("Wants=network-online.target\nAfter=network-online.target\n")?;
        }
        write!(
            f,
            "\n[Service]\n\
             Type=notify\n\
             NotifyAccess=main\n\
             ExecStart={program} start --foreground {flags}\n\
             Restart=on-failure\n\
             RestartSec=5\n\
             # Wrong settings and things in the way do not mend themselves.\n\
             RestartPreventExitStatus=2 4\n\
             SuccessExitStatus=130 143\n\
             TimeoutStartSec={start}\n\
             TimeoutStopSec={stop}\n\
             WatchdogSec=30\n\
             # The supervisor drains its services; what is left then is killed.\n\
             KillMode=mixed\n\
             UMask=0077\n\
             LimitNOFILE=65536\n\
             LimitCORE=0\n\
             MemoryMax=90%\n\
             NoNewPrivileges=yes\n\
             LockPersonality=yes\n\
             RestrictRealtime=yes\n\
             RestrictSUIDSGID=yes\n\
             RestrictNamespaces=yes\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
             SystemCallArchitectures=native\n\
             SystemCallFilter=@system-service\n\
             # A call that is not allowed fails and does not kill: libraries try some and do without.\n\
             SystemCallErrorNumber=EPERM\n",
            program = quoted(&self.program),
            flags = flags.join(" "),
            start = self.start_s,
            stop = self.stop_s,
        )?;
        if self.manager == Manager::System {
            let mut writable = vec![quoted(&self.home)];
            writable.extend(self.outside.iter().map(|path| format!("-{path}")));
            write!(
                f,
                "User={user}\n\
                 CapabilityBoundingSet=\n\
                 AmbientCapabilities=\n\
                 ProtectSystem=strict\n\
                 ProtectHome=read-only\n\
                 ReadWritePaths={writable}\n\
                 PrivateTmp=yes\n\
                 PrivateDevices=yes\n\
                 ProtectClock=yes\n\
                 ProtectControlGroups=yes\n\
                 ProtectHostname=yes\n\
                 ProtectKernelLogs=yes\n\
                 ProtectKernelModules=yes\n\
                 ProtectKernelTunables=yes\n",
                user = self.user,
                writable = writable.join(" "),
            )?;
        }
        write!(f, "\n[Install]\nWantedBy={target}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_reach_the_program_as_they_were() {
        assert_eq!(quoted("/opt/mprism"), "/opt/mprism");
        assert_eq!(quoted("/a b/50%$x\""), "\"/a b/50%%$$x\\\"\"");
    }
}
