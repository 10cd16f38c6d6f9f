//! `mprism config`, and the tables of `docs/configuration.md` held against it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Home;

/// A line of one of the two tables.
struct Row {
    name: String,
    example: String,
    sets: Option<String>,
    to: String,
}

/// Returns the rows of the table below a heading.
fn table(heading: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(path).expect("there");
    let (_, section) = text.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().expect("some text");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    rows.map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(cell).collect();
        assert_eq!(cells.len(), 4, "{line}");
        Row {
            name: cells[0].clone(),
            example: cells[1].clone(),
            sets: Some(cells[2].clone()).filter(|sets| sets != "–"),
            to: cells[3].clone(),
        }
    })
    .collect()
}

fn setting(document: &Value, key: &str) -> Value {
    let settings = document["settings"].as_array().expect("a list");
    let found = settings.iter().find(|setting| setting["key"] == key);
    found.unwrap_or_else(|| panic!("{key}: {document}")).clone()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether what was said in vain is told with the reason that the documentation gives.
fn is_told(document: &Value, name: &str, to: &str) -> bool {
    let ignored = document["ignored"].as_array().expect("a list");
    ignored.iter().any(|vain| {
        let why = vain["why"].as_str().expect("a reason");
        vain["name"] == name && to == format!("no effect, because {why}")
    })
}

#[test]
fn every_variable_of_marketprism_does_what_the_table_says() {
    let rows = table("## MarketPrism's environment variables");
    let home = Home::new();
    home.write("their.yaml", "http_port: 9185\n");
    let file = home.path().join("their.yaml").display().to_string();
    for row in &rows {
        let example = row.example.replace("FILE", &file);
        let with = home.with(&row.name, &example);
        let done = with.mprism(&["config", "show", "--json"]);
        assert_eq!(done.code, 0, "{}: {}", row.name, done.stderr);
        let document = done.document();
        match row.sets.as_deref() {
            Some("--config") => {
                let port = setting(&document, "hot.port");
                assert_eq!(
                    (&port["value"], &port["origin"]["file"]),
                    (&json!(9185), &json!(file)),
                    "{}",
                    row.name
                );
            }
            Some(key) => {
                let found = setting(&document, key);
                assert_eq!(text(&found["value"]), row.to, "{}", row.name);
                assert_eq!(found["origin"]["layer"], "environment", "{}", row.name);
                assert_eq!(found["origin"]["name"], row.name.as_str());
            }
            None if row.to.starts_with("accepted; another") => {
                let wrong = home.with(&row.name, "other").mprism(&["config", "show", "--json"]);
                assert_eq!(wrong.code, 2, "{}", row.name);
                assert!(wrong.stderr.contains(&row.example), "{}", wrong.stderr);
            }
            None => {
                assert!(is_told(&document, &row.name, &row.to), "{}: {document}", row.name);
                let warnings = done.stderr.matches(&format!("{} has no effect", row.name)).count();
                assert_eq!(warnings, 1, "{}", done.stderr);
            }
        }
    }
    let documented: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(documented.len(), rows.len(), "each once");
    let idle = mprism_settings::variables_without_effect()
        .iter()
        .map(|(name, _)| *name);
    let known = mprism_settings::variables().into_iter().chain(idle);
    let known: BTreeSet<&str> = known.filter(|name| !name.starts_with("MPRISM_")).collect();
    assert_eq!(documented, known);
}

#[test]
fn every_key_of_marketprisms_files_does_what_the_table_says() {
    let rows = table("## MarketPrism's configuration files");
    for row in &rows {
        let home = Home::new();
        let names: Vec<&str> = row.name.split('.').collect();
        let mut yaml = String::new();
        for (depth, name) in names.iter().enumerate() {
            let value = if depth + 1 == names.len() {
                row.example.as_str()
            } else {
                ""
            };
            yaml += &format!("{}{name}: {value}\n", "  ".repeat(depth));
        }
        if names[0] == "nats" {
            // Alone it could be a file of ours.
            yaml += "retry: {}\n";
        }
        home.write("their.yaml", &yaml);
        let file = home.path().join("their.yaml").display().to_string();
        let done = home.mprism(&["--config", &file, "config", "show", "--json"]);
        assert_eq!(done.code, 0, "{yaml}: {}", done.stderr);
        let document = done.document();
        match row.sets.as_deref() {
            Some(key) => {
                let found = setting(&document, key);
                assert_eq!(text(&found["value"]), row.to, "{yaml}");
                assert_eq!(found["origin"]["file"], file);
                assert_eq!(found["origin"]["line"], names.len());
            }
            None => {
                assert!(is_told(&document, &row.name, &row.to), "{yaml}: {document}");
                assert!(done.stderr.contains("1 keys of MarketPrism's"), "{}", done.stderr);
            }
        }
    }
    // Every key that the binary knows stands in the table, or a key below it does.
    for key in mprism_settings::marketprism_keys() {
        let is_there = rows
            .iter()
            .any(|row| row.name == key || (key.ends_with('.') && row.name.starts_with(key)));
        assert!(
            is_there || key.ends_with("_storage.clickhouse_database"),
            "{key} is not documented"
        );
    }
}

#[test]
fn each_value_is_shown_with_who_said_it_and_no_secret() {
    let home = Home::new();
    home.write(
        "config/site.yaml",
        "nats:\n  mode: external\n  url: nats://bob:s3cret@lake:4222\nhot:\n  port: 9000\n",
    );
    let with = home.with("METRICS_PORT", "9999");
    let done = with.mprism(&["config", "show", "--port-offset", "100"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stdout.contains("s3cret"));
    let place = home.path().join("config/site.yaml").display().to_string();
    for (key, value, by) in [
        ("nats.url", "nats://***@lake:4222", format!("{place}:3")),
        ("hot.port", "9000", format!("{place}:5")),
        ("collector.metrics_port", "9999", "METRICS_PORT".to_owned()),
        ("clickhouse.port", "8123", "default".to_owned()),
        ("port_offset", "100", "--port-offset".to_owned()),
    ] {
        let line = done.stdout.lines().find(|line| line.starts_with(&format!("{key} ")));
        let words: Vec<&str> = line.unwrap_or_else(|| panic!("{key}")).split_whitespace().collect();
        assert_eq!(words, [key, value, &by]);
    }
    let few = home
        .mprism(&["config", "show", "hot", "nats.port", "--json"])
        .document();
    let keys = few["settings"].as_array().expect("a list");
    assert!(
        keys.iter()
            .all(|s| s["key"] == "nats.port" || text(&s["key"]).starts_with("hot.")),
        "{few}"
    );
    assert_eq!(home.mprism(&["config", "show", "nothing"]).code, 2);
}

#[test]
fn a_file_is_checked_by_itself_and_everything_wrong_is_told() {
    let home = Home::new();
    home.write("config/site.yaml", "sim: {rate: 0}\n");
    home.write(
        "new.yaml",
        "nats:\n  portt: 1\nhot:\n  batch:\n    rows_max: 0\nzzz: 1\n",
    );
    let file = home.path().join("new.yaml").display().to_string();
    let done = home.mprism(&["config", "validate", &file, "--json"]);
    assert_eq!(done.code, 2);
    let document = done.document();
    let problems = document["problems"].as_array().expect("a list").clone();
    let places: Vec<_> = problems
        .iter()
        .map(|p| (text(&p["key"]), p["origin"]["line"].clone()))
        .collect();
    assert_eq!(
        places,
        [
            ("nats.portt".to_owned(), json!(2)),
            ("hot.batch.rows_max".to_owned(), json!(5)),
            ("zzz".to_owned(), json!(6))
        ]
    );
    assert!(done.stderr.contains(&format!("{file}:2: ")) && done.stderr.contains("did you mean \"port\"?"));
    assert!(
        home.mprism(&["config", "validate"]).stderr.contains("site.yaml:1"),
        "all that the home reads"
    );
    home.write(
        "config/site.yaml",
        "nats: {mode: external, url: 'nats://bob:s3cret@lake:4222'}\n",
    );
    let open = home.mprism(&["config", "validate"]);
    assert_eq!(open.code, 0, "{}", open.stderr);
    assert!(
        open.stderr.contains("can be read by others") && !open.stderr.contains("s3cret"),
        "{}",
        open.stderr
    );
    let path = home.path().join("config/site.yaml");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closed");
    assert_eq!(home.mprism(&["config", "validate"]).stderr, "");
}

#[test]
fn an_editor_changes_the_file_only_for_a_valid_one() {
    let home = Home::new();
    let edit = |script: &str| home.with("EDITOR", script).mprism(&["config", "edit", "--json"]);
    let path = home.path().join("config/mprism.yaml");
    let saved = edit("echo 'hot: {port: 9001}' >>");
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    let first = fs::read_to_string(&path).expect("there");
    assert!(
        first.contains("# Settings of this home") && first.ends_with("hot: {port: 9001}\n"),
        "{first}"
    );
    let wrong = edit("echo 'nats: {prot: 1}' >>");
    assert_eq!(
        (wrong.code, wrong.document()["error"]["code"].clone()),
        (2, json!("invalid_settings"))
    );
    assert!(
        wrong.stderr.contains("mprism.yaml:") && wrong.stderr.contains("did you mean"),
        "{}",
        wrong.stderr
    );
    assert!(
        wrong.stderr.contains(".mprism.yaml.draft"),
        "the text is not lost: {}",
        wrong.stderr
    );
    let failed = edit("false");
    assert_eq!(
        (failed.code, failed.document()["error"]["code"].clone()),
        (1, json!("editor_failed"))
    );
    assert_eq!(edit("true").document()["outcome"], "unchanged");
    assert_eq!(fs::read_to_string(&path).expect("there"), first);
    let visual = home.with("VISUAL", "sed -i s/9001/9002/").with("EDITOR", "false");
    assert_eq!(visual.mprism(&["config", "edit"]).code, 0);
    assert_eq!(
        home.mprism(&["config", "show", "hot.port", "--json"]).document()["settings"][0]["value"],
        9002
    );
    let meanwhile = edit(&format!("echo '# more' >> {}; echo '# mine' >>", path.display()));
    assert_eq!(meanwhile.code, 4, "{}", meanwhile.stderr);
    let dry = home.mprism(&["config", "edit", "--dry-run", "--json"]).document();
    assert_eq!(dry["outcome"], "would edit");
}

#[test]
fn the_schema_agrees_with_the_validation() {
    let home = Home::new();
    let printed: Value = serde_json::from_str(&home.mprism(&["config", "schema"]).stdout).expect("JSON");
    let enveloped = home.mprism(&["config", "schema", "--json"]).document();
    assert_eq!(enveloped["schema"], printed);
    let schema = jsonschema::validator_for(&printed).expect("a schema");
    for (document, yaml) in [
        (
            json!({"nats": {"port": 4300, "url": null}}),
            "nats: {port: 4300, url: null}\n",
        ),
        (
            json!({"hot": {"batch": {"age_max": "5s"}}}),
            "hot: {batch: {age_max: 5s}}\n",
        ),
        (json!({"nats": {"portt": 4300}}), "nats: {portt: 4300}\n"),
        (json!({"hot": {"port": 70_000}}), "hot: {port: 70000}\n"),
        (
            json!({"hot": {"batch": {"age_max": "5"}}}),
            "hot: {batch: {age_max: '5'}}\n",
        ),
        (json!({"sim": {"rate": "max"}}), "sim: {rate: max}\n"),
        (json!({"sim": {"rate": "fast"}}), "sim: {rate: fast}\n"),
    ] {
        home.write("one.yaml", yaml);
        let file = home.path().join("one.yaml").display().to_string();
        let is_valid = home.mprism(&["config", "validate", &file]).code == 0;
        assert_eq!(schema.is_valid(&document), is_valid, "{yaml}");
    }
    let paths = home.mprism(&["config", "path", "--json"]).document();
    assert_eq!(paths["files"][0]["exists"], false);
}
