//! Every text that a screen can show has its translation: the texts are taken from the sources of the screens themselves, so that
//! a new one without a translation fails here.

use super::chinese;

/// What the screens are made of. Only what stands before a file's tests counts.
const SOURCES: &[(&str, &str)] = &[
    ("status", include_str!("../../commands/status.rs")),
    ("health", include_str!("../../commands/health.rs")),
    ("lifecycle", include_str!("../../commands/lifecycle.rs")),
    ("foreground", include_str!("../../commands/foreground.rs")),
    ("deployment", include_str!("../../commands/deployment.rs")),
    ("sim", include_str!("../../commands/sim.rs")),
    ("store", include_str!("../../commands/store.rs")),
    ("up", include_str!("../../commands/up.rs")),
    ("prepare/plan", include_str!("../../commands/prepare/plan.rs")),
    ("prepare/room", include_str!("../../commands/prepare/room.rs")),
    ("integrity", include_str!("../../commands/integrity/mod.rs")),
    ("integrity/report", include_str!("../../commands/integrity/report.rs")),
    ("integrity/fix", include_str!("../../commands/integrity/fix.rs")),
    ("integrity/shape", include_str!("../../commands/integrity/shape.rs")),
    (
        "integrity/observe/transport",
        include_str!("../../commands/integrity/observe/transport.rs"),
    ),
    (
        "integrity/prove/continuity",
        include_str!("../../commands/integrity/prove/continuity.rs"),
    ),
    (
        "integrity/prove/duplicates",
        include_str!("../../commands/integrity/prove/duplicates.rs"),
    ),
    (
        "integrity/prove/parts",
        include_str!("../../commands/integrity/prove/parts.rs"),
    ),
    (
        "integrity/prove/presence",
        include_str!("../../commands/integrity/prove/presence.rs"),
    ),
    (
        "integrity/prove/replication",
        include_str!("../../commands/integrity/prove/replication.rs"),
    ),
    (
        "integrity/prove/schema",
        include_str!("../../commands/integrity/prove/schema.rs"),
    ),
    (
        "integrity/prove/time",
        include_str!("../../commands/integrity/prove/time.rs"),
    ),
    (
        "integrity/prove/transport",
        include_str!("../../commands/integrity/prove/transport.rs"),
    ),
    (
        "integrity/prove/values",
        include_str!("../../commands/integrity/prove/values.rs"),
    ),
    ("diagnose", include_str!("../../commands/diagnose/mod.rs")),
    ("diagnose/bundle", include_str!("../../commands/diagnose/bundle.rs")),
    ("diagnose/docker", include_str!("../../commands/diagnose/docker.rs")),
    ("diagnose/home", include_str!("../../commands/diagnose/home.rs")),
    ("diagnose/machine", include_str!("../../commands/diagnose/machine.rs")),
    ("diagnose/services", include_str!("../../commands/diagnose/services.rs")),
    ("control/error", include_str!("../../control/error.rs")),
    ("control/probe", include_str!("../../control/probe.rs")),
    ("control/rebuilding", include_str!("../../control/rebuilding.rs")),
    ("control/jobs", include_str!("../../control/supervisor/jobs.rs")),
    ("control/lives", include_str!("../../control/supervisor/lives.rs")),
    ("control/settle", include_str!("../../control/supervisor/settle.rs")),
    ("control/tasks", include_str!("../../control/supervisor/tasks.rs")),
];

/// How texts begin that are typed, run or asked, and so are the same in every language.
const TYPED: &[&str] = &[
    "mprism ",
    "docker ",
    "{.Names}",
    "systemctl ",
    "df -",
    "ls -",
    "free -",
    "iostat ",
    "findmnt ",
    "chmod ",
    "kill ",
    "ulimit ",
    "timedatectl ",
    "useradd ",
    "scripts/",
    "SELECT ",
    " UNION ALL ",
    "\nCode: ",
    "Code: ",
];
/// Numbers with their units, marks that others set, and what other phrases make together.
const NAMES: &[&str] = &["{} ms", " (deleted)", "{}{} with {}", "would write {}"];

/// One string literal, and what stands behind it.
struct Literal {
    text: String,
    behind: String,
}

/// Returns the string literals of Rust code, without those of comments and of what goes into logs.
fn literals(code: &str) -> Vec<Literal> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("tracing::") {
            let ends = [");\n", "),\n"].iter().filter_map(|end| rest.find(end)).min();
            rest = ends.map_or("", |end| &rest[end + 2..]);
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            rest = &rest[3..];
        } else if first == '"' {
            let (text, behind) = literal(&rest[1..]);
            let shown: String = behind.chars().take(12).collect();
            found.push(Literal { text, behind: shown });
            rest = behind;
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// Returns the text of a literal, what it leaves open as `{}`, and the code behind it.
fn literal(code: &str) -> (String, &str) {
    let (mut text, mut chars) = (String::new(), code.char_indices());
    let mut behind = "";
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                behind = &code[at + 1..];
                break;
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((at, '\n')) => {
                    let line = &code[at + 1..];
                    let indent = line.len() - line.trim_start().len();
                    chars.by_ref().take(indent).for_each(drop);
                }
                Some((_, other)) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    (with_open_places(&text), behind)
}

fn with_open_places(text: &str) -> String {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut parts = text.split('{');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, after) = part.split_once('}').unwrap_or(("", part));
        plain.push_str("{}");
        plain.push_str(after);
    }
    plain.replace('\u{1}', "{").replace('\u{2}', "}")
}

/// Whether a literal is something that a screen says: a sentence, or a word that has a tone.
fn is_said(literal: &Literal, place: &str) -> bool {
    let text = literal.text.as_str();
    let has_words = text.replace("{}", "").chars().filter(char::is_ascii_alphabetic).count() > 1;
    let is_typed = TYPED.iter().any(|typed| text.starts_with(typed)) || NAMES.contains(&text);
    // Columns and rules of tables are SQL; what they say is said in words.
    let is_sql = place == "integrity/shape" && text.contains(|c: char| "_='(".contains(c) || c == '>');
    let is_list = place == "integrity/shape" && text.contains(", ") && !text.contains("which");
    let behind = literal.behind.trim_start();
    let has_tone = behind.starts_with(", Tone::") || behind.starts_with(", tone");
    has_words && !is_typed && !is_sql && !is_list && (text.trim().contains(' ') || has_tone)
}

#[test]
fn every_text_of_the_screens_has_its_translation() {
    let catalogue = chinese::catalogue();
    let (mut checked, mut missing) = (0, Vec::new());
    for (place, code) in SOURCES {
        for literal in literals(code).iter().filter(|literal| is_said(literal, place)) {
            checked += 1;
            // A noun with its number, as `counted` makes it.
            let counted = format!("{{}} {}", literal.text);
            if !catalogue.knows(&literal.text) && !catalogue.knows(&counted) {
                missing.push(format!("{place}: {:?}", literal.text));
            }
        }
    }
    assert!(missing.is_empty(), "no translation:\n{}", missing.join("\n"));
    assert!(checked > 200, "{checked} texts were found");
}

#[test]
fn every_column_of_the_screens_has_its_translation() {
    let catalogue = chinese::catalogue();
    let mut columns = 0;
    for (place, code) in SOURCES {
        // A table's first argument is the list of its columns.
        for table in code
            .split("table(")
            .skip(1)
            .filter(|rest| rest.trim_start().starts_with("vec!["))
        {
            let list = table.split(']').next().unwrap_or_default();
            for column in literals(list).iter().filter(|column| !column.text.is_empty()) {
                columns += 1;
                let as_column = format!("column {}", column.text);
                let is_known = catalogue.knows(&column.text) || catalogue.knows(&as_column);
                assert!(is_known, "{place}: column {:?}", column.text);
            }
        }
    }
    assert!(columns > 30, "{columns} columns were found");
}

#[test]
fn literals_are_found_as_the_compiler_reads_them() {
    let code = "// \"no\"\nf(\"a {x:.1} of {}\", 1); tracing::warn!(x, \"log\");\ng(\"two \\\n        lines\", Tone::Bad);\n#[cfg(test)] \"t\"";
    let found: Vec<String> = literals(code).into_iter().map(|literal| literal.text).collect();
    assert_eq!(found, ["a {} of {}", "two lines"]);
}
