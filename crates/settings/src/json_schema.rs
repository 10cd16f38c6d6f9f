//! A JSON Schema of settings files, made of the table that validates them and of the reference's comments.

use serde_json::{Map, Value as Json, json};

use crate::error::Origin;
use crate::explain::Explained;
use crate::layers::{DEFAULT_YAML, Sources};
use crate::schema::{Kind, children, find};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const SIZE: &str = "^[0-9]+ ?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$";
const SPAN: &str = "^[0-9]+ ?(us|ms|s|m|h|d)$";

/// Returns the schema of a settings file, draft 2020-12.
pub fn json_schema() -> Json {
    // Without a home, files and environment everything is a default.
    let defaults = Explained::load(&Sources::default());
    let entries = defaults.map(|explained| explained.entries).unwrap_or_default();
    let default = |path: &str| {
        let entry = entries.iter().find(|entry| entry.key == path)?;
        let Origin::BuiltIn(line) = entry.origin else {
            return None;
        };
        Some((entry.value.clone(), comment(line)))
    };
    let mut schema = section("", &default);
    schema["$schema"] = json!(DIALECT);
    schema["title"] = json!("Settings of an mprism home");
    schema
}

fn section(path: &str, default: &dyn Fn(&str) -> Option<(Json, String)>) -> Json {
    let mut properties = Map::new();
    for name in children(path) {
        let child = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        let schema = match find(&child) {
            Some(field) => {
                let mut schema = of_kind(&field.kind);
                if let Some((value, comment)) = default(&child) {
                    schema["default"] = value;
                    if !comment.is_empty() {
                        schema["description"] = json!(comment);
                    }
                }
                schema
            }
            None => section(&child, default),
        };
        properties.insert(name.to_owned(), schema);
    }
    json!({"type": ["object", "null"], "additionalProperties": false, "properties": properties})
}

/// Returns the comment right above a line of the reference, the first of its own for what shares one.
fn comment(line: usize) -> String {
    let lines: Vec<&str> = DEFAULT_YAML.lines().collect();
    let above = lines.get(..line.saturating_sub(1)).unwrap_or_default().iter().rev();
    let mut comment: Vec<&str> = above.map_while(|line| line.trim().strip_prefix("# ")).collect();
    comment.reverse();
    comment.join(" ")
}

fn of_kind(kind: &Kind) -> Json {
    match kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Bytes(min, max) => json!({"anyOf": [
            {"type": "integer", "minimum": min, "maximum": max},
            {"type": "string", "pattern": SIZE},
        ]}),
        Kind::Span(..) => json!({"type": "string", "pattern": SPAN}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Or(word, other) => json!({"anyOf": [{"const": word}, of_kind(other)]}),
        Kind::Url(schemes) => json!({"type": ["string", "null"], "pattern": format!("^({})://", schemes.join("|"))}),
        Kind::Symbols => json!({
            "type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "string", "minLength": 2, "maxLength": 64},
        }),
        Kind::Words(words) => json!({
            "type": "array", "minItems": 1, "uniqueItems": true, "items": {"enum": words},
        }),
        Kind::LogFilter => json!({"type": "string", "minLength": 1}),
        Kind::Path => json!({"type": ["string", "null"], "pattern": "^/"}),
        Kind::User => json!({"type": ["string", "null"], "pattern": "^[^\\s:]{1,255}$"}),
        Kind::Address => json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
        Kind::Hosts => json!({
            "type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,253}$"},
        }),
        Kind::Subjects => json!({
            "type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": "^[^.]+\\.[^.]+\\.[^.]+\\.[^.]+$"},
        }),
        Kind::Reference => json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::shown;
    use crate::schema::FIELDS;
    use crate::values::Value;

    #[test]
    fn every_setting_stands_in_the_schema_with_its_default() {
        let schema = json_schema();
        for field in FIELDS {
            let pointer: String = field
                .path
                .split('.')
                .map(|name| format!("/properties/{name}"))
                .collect();
            let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{}", field.path));
            assert!(found.get("default").is_some(), "{}: {found}", field.path);
        }
        let port = &schema["properties"]["hot"]["properties"]["port"];
        assert_eq!(port["maximum"], 65_535);
        assert_eq!(port["description"], "/health, /stats and /metrics.");
        assert_eq!(shown(&Value::Integer(2 << 30), true).0, json!("2GiB"));
    }
}
