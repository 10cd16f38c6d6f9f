//! Units for systemd: what they say, what systemd says about them, and whose files are touched.

use std::fs;
use std::process::Command;

use mprism_testkit::absent;

use crate::support::Home;

#[test]
fn a_unit_is_hardened_and_right() {
    let home = Home::new();
    for (flag, rights) in [
        (
            "--system",
            &["CapabilityBoundingSet=\n", "ProtectSystem=strict", "PrivateTmp=yes"][..],
        ),
        ("--user", &[]),
    ] {
        let unit = home.mprism(&["systemd", "print", flag, "--port-offset", "100"]);
        assert_eq!(unit.code, 0, "{}", unit.stderr);
        let text = unit.stdout;
        let root = home.path().display().to_string();
        for line in [
            "Type=notify",
            "WatchdogSec=30",
            "KillMode=mixed",
            "RestartPreventExitStatus=2 4",
            "NoNewPrivileges=yes",
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=EPERM",
            "MemoryMax=90%",
        ] {
            assert!(text.lines().any(|found| found == line), "{flag}: {line}: {text}");
        }
        assert!(
            text.contains(&format!("start --foreground --home {root} --port-offset 100\n")),
            "{text}"
        );
        for right in rights {
            assert!(text.contains(right), "{right}: {text}");
        }
        if flag == "--system" {
            assert!(text.contains(&format!("ReadWritePaths={root}\n")), "{text}");
        }
        verify(&home, &text, flag);
    }
}

/// Has systemd itself read the unit.
fn verify(home: &Home, text: &str, flag: &str) {
    let Ok(found) = Command::new("systemd-analyze").arg("--version").output() else {
        return absent("systemd", "no systemd-analyze");
    };
    assert!(found.status.success());
    home.write("mprism.service", text);
    let unit = home.path().join("mprism.service");
    let mut command = Command::new("systemd-analyze");
    // A manager for users is looked for where users' managers are.
    command.env("XDG_RUNTIME_DIR", home.path());
    let done = command
        .args(["verify", "--man=no", flag])
        .arg(&unit)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("mprism")).collect();
    assert!(ours.is_empty(), "{flag}: {said}");
}

#[test]
fn a_unit_of_ours_is_installed_and_removed_and_a_strangers_is_kept() {
    let home = Home::new().with("PATH", "/nonexistent");
    let place = home.user().join(".config/systemd/user/mprism.service");
    let line = |verb: &'static str| ["systemd", verb, "--user", "--json"];
    let dry = home.mprism(&["systemd", "install", "--user", "--dry-run", "--json"]);
    assert_eq!(
        (dry.code, dry.document()["outcome"].clone()),
        (0, "would install".into())
    );
    assert!(!place.exists());
    let installed = home.mprism(&line("install"));
    assert_eq!(installed.code, 0, "{}", installed.stderr);
    assert!(
        installed.stderr.contains("systemctl"),
        "no systemd here is told: {}",
        installed.stderr
    );
    assert_eq!(installed.document()["path"], place.display().to_string());
    let text = fs::read_to_string(&place).expect("there");
    assert_eq!(dry.document()["unit"], text, "what was planned was written");
    assert_eq!(home.mprism(&line("install")).code, 0, "again is nothing");
    assert_eq!(fs::read_to_string(&place).expect("there"), text);
    let dry = home.mprism(&["systemd", "uninstall", "--user", "--dry-run", "--json"]);
    assert_eq!(dry.document()["outcome"], "would remove");
    assert_eq!(dry.document()["path"], place.display().to_string());
    assert!(place.exists());
    assert_eq!(home.mprism(&line("uninstall")).document()["outcome"], "removed");
    assert!(!place.exists());
    assert_eq!(
        home.mprism(&line("uninstall")).document()["outcome"],
        "was not installed"
    );
    fs::write(&place, "[Service]\nExecStart=/bin/true\n").expect("written");
    for verb in ["install", "uninstall"] {
        let refused = home.mprism(&line(verb));
        assert_eq!(
            (refused.code, refused.document()["error"]["code"].clone()),
            (4, "foreign_unit".into())
        );
    }
    assert!(fs::read_to_string(&place).expect("kept").contains("/bin/true"));
}
