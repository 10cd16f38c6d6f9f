//! Every command there is: its help has an example, and with `--json` it gives one document that its schema allows, whether
//! it works or not.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::schemas;
use crate::support::{Done, Home};

/// Returns the words of every command that can be typed and does something.
fn leaves() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        let children: Vec<&clap::Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
        if children.is_empty() {
            found.push(path.to_vec());
        }
        for child in children {
            walk(child, &[path, &[child.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    walk(&mprism::cli::tree(), &[], &mut found);
    found
}

fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn every_command_has_help_with_examples_that_can_be_typed() {
    let home = Home::new();
    let mut commands = leaves();
    commands.extend([
        vec![],
        vec!["config".to_owned()],
        vec!["cold".to_owned()],
        vec!["deps".to_owned()],
        vec!["infra".to_owned()],
        vec!["systemd".to_owned()],
    ]);
    for command in &commands {
        let mut line: Vec<&str> = command.iter().map(String::as_str).collect();
        line.push("--help");
        let help = home.mprism(&line);
        assert_eq!(help.code, 0, "{command:?}");
        let (_, examples) = help
            .stdout
            .split_once("Examples:\n")
            .unwrap_or_else(|| panic!("{command:?}: no example"));
        let examples: Vec<&str> = examples
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert!(!examples.is_empty());
        for example in examples {
            let words: Vec<OsString> = words(example).into_iter().map(Into::into).collect();
            assert_eq!(words[0], "mprism", "{example}");
            mprism::cli::parse(&words).unwrap_or_else(|e| panic!("{example}: {e}"));
            let is_of_it = command
                .iter()
                .enumerate()
                .all(|(at, word)| words.get(at + 1).is_some_and(|w| *w == **word));
            assert!(is_of_it, "{example} is no example of {command:?}");
        }
    }
    for name in ["worker", "dashboard"] {
        let is_there = commands
            .iter()
            .any(|command| command.first().is_some_and(|word| word == name));
        assert!(!is_there, "{name} is not built");
    }
}

fn check(done: &Done, command: &str) {
    schemas::check(command, done.code, &done.stdout);
}

#[test]
fn every_command_gives_one_document_whether_it_works_or_not() {
    let home = Home::new().with("EDITOR", "true").with("PATH", "/usr/bin:/bin");
    let file = home.path().join("bundle.tar.gz").display().to_string();
    // What works in a home that was never made, as far as it goes without services.
    let lines: &[&[&str]] = &[
        &["init", "--dry-run"],
        &["up", "--sim", "--dry-run"],
        &["down"],
        &["start", "--dry-run"],
        &["stop"],
        &["restart", "--dry-run"],
        &["status"],
        &["health"],
        &["top", "--count", "1", "--interval", "200ms"],
        &["integrity"],
        &["verify"],
        &["repair"],
        &["repair", "--dry-run"],
        &["cold", "backfill"],
        &["diagnose"],
        &["diagnose", "--bundle", &file],
        &["clean"],
        &["clean", "--ports"],
        &["history"],
        &["config", "show"],
        &["config", "validate"],
        &["config", "path"],
        &["config", "edit"],
        &["config", "schema"],
        &["deps", "list"],
        &["deps", "verify"],
        &["deps", "install", "--offline", "--dry-run"],
        &["env"],
        &["query", "SELECT 1"],
        &[
            "export",
            "trade",
            "--from",
            "2026-11-01T00:00:00Z",
            "--to",
            "2026-11-02T00:00:00Z",
            "-o",
            "x.csv",
        ],
        &[
            "export",
            "trade",
            "--from",
            "2026-11-01T00:00:00Z",
            "--to",
            "2026-11-02T00:00:00Z",
            "-o",
            "x.csv",
            "--dry-run",
        ],
        &["infra", "up"],
        &["infra", "up", "--dry-run"],
        &["infra", "down", "--dry-run"],
        &["infra", "status"],
        &["infra", "logs"],
        &["infra", "compose"],
        &["infra", "compose", "--workers"],
        &["logs"],
        &["replay", "/nonexistent"],
        &["smoke", "--dry-run"],
        &["smoke", "--live", "--dry-run"],
        &["bench", "start", "--dry-run"],
        &["bench", "pipeline", "--dry-run"],
        &["bench", "transport", "--dry-run"],
        &["bench", "all", "--dry-run"],
        &["bench", "status", "--window", "1s"],
        &["bench", "all", "--baseline", "/nonexistent"],
        &["systemd", "print", "--user"],
        &["systemd", "install", "--user", "--dry-run"],
        &["systemd", "uninstall", "--user"],
        &["completions", "zsh"],
        &["man"],
    ];
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for leaf in leaves() {
        let command = leaf.join(" ");
        let runs = lines
            .iter()
            .filter(|line| line.iter().zip(&leaf).all(|(word, name)| word == name));
        let mut count = 0;
        for line in runs.filter(|line| line.len() >= leaf.len()) {
            let done = home.mprism(&[line, &["--json"][..]].concat());
            check(&done, &command);
            count += 1;
        }
        assert!(count > 0, "{command} is not run here");
        // Wrong usage.
        let mut wrong: Vec<&str> = leaf.iter().map(String::as_str).collect();
        wrong.extend(["--nonsense", "--json"]);
        let done = home.mprism(&wrong);
        assert_eq!(done.code, 2, "{command}");
        check(&done, &command);
        // Wrong settings, for what reads them.
        let done = home
            .with("METRICS_PORT", "many")
            .mprism(&[lines_of(lines, &leaf), &["--json"]].concat());
        check(&done, &command);
        seen.insert(command);
    }
    assert!(seen.len() >= 30, "{seen:?}");
}

fn lines_of<'a>(lines: &[&'a [&'a str]], leaf: &[String]) -> &'a [&'a str] {
    let is_of_it = |line: &&&[&str]| line.iter().zip(leaf).all(|(word, name)| word == name);
    lines.iter().find(is_of_it).copied().unwrap_or_default()
}

#[test]
fn what_the_documentation_says_to_type_can_be_typed_and_its_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md"), root.join("README.zh-CN.md")];
    files.extend(
        fs::read_dir(root.join("docs"))
            .expect("there")
            .map(|entry| entry.expect("there").path()),
    );
    let tree = mprism::cli::tree();
    let known: Vec<OsString> = tree.get_subcommands().map(|sub| sub.get_name().into()).collect();
    let mut commands = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("text");
        let place = file.display();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !path.is_empty() {
                let linked = file.parent().expect("a folder").join(path);
                assert!(linked.exists(), "{place}: {target} leads nowhere");
            }
        }
        let quoted = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.starts_with("mprism "))
            .map(str::to_owned);
        let typed = text
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .filter(|line| line.starts_with("mprism "));
        for line in quoted.chain(typed.map(str::to_owned)) {
            let plain = line
                .split(" > ")
                .next()
                .unwrap_or_default()
                .split("  #")
                .next()
                .unwrap_or_default()
                .replace('…', "x");
            let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
            let words: Vec<OsString> = words(&line).into_iter().map(Into::into).collect();
            let parsed = mprism::cli::parse(&words);
            // A command that is only named.
            let is_named = words.len() == 2 && known.contains(&words[1]);
            if let Err(error) = parsed {
                assert!(is_named, "{place}: `{line}`: {error}");
            }
            commands += 1;
        }
    }
    assert!(commands > 60, "{commands} found");
}

/// Returns headings and what stands in code: what has to be the same in every language of a document.
fn skeleton(text: &str) -> (Vec<usize>, Vec<String>) {
    let mut is_code = false;
    let (mut headings, mut typed) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code && line.starts_with('#') {
            headings.push(line.chars().take_while(|c| *c == '#').count());
        }
        if is_code && line.starts_with("$ ") {
            let command = line.split("  #").next().unwrap_or_default();
            typed.push(command.trim_end().to_owned());
        }
        if !is_code && line.starts_with("| `") {
            let first = line.split(" | ").next().unwrap_or_default();
            typed.extend(first.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    (headings, typed)
}

#[test]
fn the_chinese_readme_has_the_structure_and_the_commands_of_the_english_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let (english, chinese) = (skeleton(&english), skeleton(&chinese));
    assert_eq!(english.0, chinese.0, "headings");
    assert_eq!(english.1, chinese.1, "commands");
    assert!(english.1.len() > 20, "{english:?}");
}
