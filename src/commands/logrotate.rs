//! logrotate beside the workers' own cap: MarketPrism's policy, for the system where we may install it, else for the user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mprism_runtime::files::write_atomic;
use mprism_settings::{HomeFolders, default_home};

use crate::commands::Context;

/// The first line of a file of ours; one without it is somebody else's.
const MARK: &str = "# Made by mprism for ";
/// Where the system's logrotate looks.
const SYSTEM: &str = "/etc/logrotate.d";

/// Returns the policy for a home's logs: <https://man7.org/linux/man-pages/man8/logrotate.8.html>.
pub(crate) fn policy(home: &HomeFolders) -> String {
    let logs = home.logs().display().to_string();
    let (user, group) = (crate::control::our_user(), crate::control::our_group());
    format!(
        "{MARK}{root}\n\
         \"{logs}/*.log\" \"{logs}/*.out\" {{\n\
         \x20   daily\n\
         \x20   rotate 7\n\
         \x20   compress\n\
         \x20   missingok\n\
         \x20   notifempty\n\
         \x20   copytruncate\n\
         \x20   dateext\n\
         \x20   dateformat -%Y%m%d\n\
         \x20   su {user} {group}\n\
         \x20   create 0644 {user} {group}\n\
         }}\n",
        root = home.root().display()
    )
}

/// Installs the policy of the user's own home: only one home's policy has a place that logrotate looks at. Another home's is
/// in its `config` folder, for whoever wants to install it. Tells what was done.
pub(crate) fn install(context: &Context) {
    if default_home(&context.environment).as_deref() != Some(context.home.root()) {
        return;
    }
    let system = Path::new(SYSTEM);
    let told = if rustix::process::geteuid().is_root() && system.is_dir() {
        install_for_system(&context.home, system)
    } else {
        install_for_user(context)
    };
    match told {
        Ok(Some(place)) => context.printer.note(&format!("logs rotate daily: {}", place.display())),
        Ok(None) => {}
        Err(why) => context.printer.warn(&format!("logs rotate by size only: {why}")),
    }
}

/// Writes the system's file, unless it is there. Returns where it is now, if it was written.
fn install_for_system(home: &HomeFolders, folder: &Path) -> Result<Option<PathBuf>, String> {
    write_ours(&folder.join("mprism"), &policy(home))
}

/// Has systemd run logrotate for the user, where it runs for users.
fn install_for_user(context: &Context) -> Result<Option<PathBuf>, String> {
    let units = context.user_config().ok_or("HOME is not set")?.join("systemd/user");
    let path = context.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let program = path
        .split(':')
        .map(|folder| Path::new(folder).join("logrotate"))
        .find(|program| program.is_file());
    let program = program.ok_or("there is no logrotate on the PATH")?;
    if !systemctl(&["show-environment"]) {
        return Err("no systemd runs for this user".to_owned());
    }
    let (state, policy) = (context.home.run().join("logrotate.state"), context.home.logrotate());
    let service = format!(
        "{MARK}{root}\n[Unit]\nDescription=Rotate the logs of mprism\n\n[Service]\nType=oneshot\n\
         ExecStart=\"{}\" --state \"{}\" \"{}\"\n",
        program.display(),
        state.display(),
        policy.display(),
        root = context.home.root().display()
    );
    let timer = format!(
        "{MARK}{root}\n[Unit]\nDescription=Rotate the logs of mprism daily\n\n[Timer]\nOnCalendar=daily\nPersistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        root = context.home.root().display()
    );
    fs::create_dir_all(&units).map_err(|e| format!("{}: {e}", units.display()))?;
    let service = write_ours(&units.join("mprism-logrotate.service"), &service)?;
    let timer = write_ours(&units.join("mprism-logrotate.timer"), &timer)?;
    if service.is_none() && timer.is_none() {
        return Ok(None);
    }
    let is_running = systemctl(&["daemon-reload"]) && systemctl(&["enable", "--now", "mprism-logrotate.timer"]);
    if is_running {
        Ok(timer.or(service))
    } else {
        Err("the timer cannot be enabled".to_owned())
    }
}

fn systemctl(arguments: &[&str]) -> bool {
    let ran = Command::new("systemctl").arg("--user").args(arguments).output();
    ran.is_ok_and(|output| output.status.success())
}

/// Writes a file that is ours or not there yet. Returns where, if it had to be written.
fn write_ours(path: &Path, text: &str) -> Result<Option<PathBuf>, String> {
    match fs::read_to_string(path) {
        Ok(found) if found == text => return Ok(None),
        Ok(found) if !found.starts_with(MARK) => return Err(format!("{} was not made by mprism", path.display())),
        _ => {}
    }
    let written = write_atomic(path, text.as_bytes(), 0o644);
    written
        .map(|()| Some(path.to_path_buf()))
        .map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_file_is_written_once_and_a_strangers_is_kept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = HomeFolders::new("/srv/lake");
        let place = folder.path().join("mprism");
        assert_eq!(install_for_system(&home, folder.path()), Ok(Some(place.clone())));
        assert_eq!(install_for_system(&home, folder.path()), Ok(None));
        let text = fs::read_to_string(&place).expect("there");
        for directive in [
            "daily",
            "rotate 7",
            "compress",
            "missingok",
            "notifempty",
            "copytruncate",
            "dateext",
        ] {
            assert!(text.lines().any(|line| line.trim() == directive), "{directive}: {text}");
        }
        assert!(text.contains("\"/srv/lake/logs/*.log\""));
        fs::write(&place, "theirs").expect("written");
        install_for_system(&home, folder.path()).expect_err("somebody else's");
        assert_eq!(fs::read_to_string(&place).expect("there"), "theirs");
    }
}
