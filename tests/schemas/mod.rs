//! Documents of commands held against the schemas beside this file.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/schemas")
        .join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Holds a run's document against the envelope's schema, and against its command's where it worked.
pub(crate) fn check(command: &str, code: i32, stdout: &str) -> Value {
    let document: Value = serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{command}: {e}: {stdout}"));
    let mut names = vec!["envelope".to_owned()];
    match (
        document.get("dry_run") == Some(&Value::Bool(true)),
        document.get("error"),
    ) {
        (true, None) => names.push("plan".to_owned()),
        (false, None) => names.push(command.replace(' ', "-")),
        (_, Some(_)) => {}
    }
    for name in names {
        let validator = jsonschema::validator_for(&schema(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let wrong = validator
            .iter_errors(&document)
            .map(|e| format!("{}: {e}", e.instance_path()));
        let wrong: Vec<String> = wrong.collect();
        assert!(wrong.is_empty(), "{command}: {wrong:?}: {document}");
    }
    assert_eq!(document["exit_code"], code, "{command}");
    assert_eq!(document["ok"], Value::Bool(code == 0), "{command}");
    assert_eq!(document.get("error").is_some(), code != 0, "{command}: {document}");
    document
}
