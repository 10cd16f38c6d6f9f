//! Completions and pages of the manual.

use std::fs;
use std::path::Path;

use crate::support::Home;

#[test]
fn completions_are_those_that_are_kept() {
    let home = Home::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (shell, file) in [("bash", "mprism.bash"), ("zsh", "_mprism"), ("fish", "mprism.fish")] {
        let made = home.mprism(&["completions", shell]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        let path = folder.join(file);
        if std::env::var_os("MPRISM_WRITE_COMPLETIONS").is_some() {
            fs::create_dir_all(&folder).expect("made");
            fs::write(&path, &made.stdout).expect("written");
        }
        let kept = fs::read_to_string(&path).expect("kept");
        assert!(
            kept == made.stdout,
            "{file} is old; MPRISM_WRITE_COMPLETIONS=1 writes it anew"
        );
        for word in ["collector", "clickhouse", "storage", "diagnose", "port-offset"] {
            assert!(made.stdout.contains(word), "{shell}: {word}");
        }
        let marks = ["mprism__worker", "'worker:", "One worker in the foreground"];
        let is_hidden = marks.iter().all(|mark| !made.stdout.contains(mark));
        assert!(is_hidden, "{shell}: what is hidden is not completed");
    }
    assert_eq!(home.mprism(&["completions", "tcsh"]).code, 2);
}

#[test]
fn bash_completes_services() {
    let Ok(found) = std::process::Command::new("bash").arg("--version").output() else {
        return mprism_testkit::absent("bash", "no bash");
    };
    assert!(found.status.success());
    let home = Home::new();
    let script = home.mprism(&["completions", "bash"]).stdout;
    home.write("mprism.bash", &script);
    let line = format!(
        "source {}; COMP_WORDS=(mprism start coll); COMP_CWORD=2; COMP_LINE='mprism start coll'; COMP_POINT=17; _mprism mprism coll start; \
         echo \"${{COMPREPLY[*]}}\"",
        home.path().join("mprism.bash").display()
    );
    let done = std::process::Command::new("bash")
        .args(["-c", &line])
        .output()
        .expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "collector", "{done:?}");
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = Home::new();
    let main = home.mprism(&["man"]).stdout;
    assert!(
        main.contains(".TH mprism 1") && main.contains("diagnose") && !main.contains("One worker in the"),
        "{main}"
    );
    for command in mprism::cli::tree().get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let page = home.mprism(&["man", command.get_name()]);
        assert_eq!(page.code, 0, "{}: {}", command.get_name(), page.stderr);
    }
    let start = home.mprism(&["man", "start"]);
    assert!(
        start.stdout.contains(".TH mprism-start 1") && start.stdout.contains("foreground"),
        "{}",
        start.stdout
    );
    assert_eq!(home.mprism(&["man", "nothing"]).code, 2);
}
