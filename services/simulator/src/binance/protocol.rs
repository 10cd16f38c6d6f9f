//! The venue's control messages: what each is answered with.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Most streams of a connection.
pub(crate) const STREAMS_MAX: usize = 1_024;
const METHODS: &str = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY";

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    method: &'a RawValue,
    #[serde(default)]
    params: Option<Value>,
    #[serde(default)]
    id: Option<Value>,
}

/// Answers one text frame; `streams` and `combined` are the connection's own.
pub(crate) fn answer(text: &str, streams: &mut BTreeSet<String>, combined: &mut bool) -> String {
    match decide(text, streams, combined) {
        Ok(answer) => answer,
        Err((code, message)) => serde_json::json!({"code": code, "msg": message}).to_string(),
    }
}

fn decide(text: &str, streams: &mut BTreeSet<String>, combined: &mut bool) -> Result<String, (u8, String)> {
    let invalid = |why: &str| (2, format!("Invalid request: {why}"));
    let request = serde_json::from_str::<Request<'_>>(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => invalid(&error.to_string()),
        _ => (3, format!("Invalid JSON: {error}")),
    })?;
    let id = request.id.unwrap_or(Value::Null);
    if !valid_id(&id) {
        return Err(invalid("request ID must be an unsigned integer"));
    }
    let ok = |result: Value| format!(r#"{{"result":{result},"id":{id}}}"#);
    let params = match request.params {
        None => None,
        Some(Value::Array(params)) => Some(params),
        Some(_) => return Err(invalid("params must be an array")),
    };
    let method =
        serde_json::from_str::<String>(request.method.get()).map_err(|_| invalid("method must be a string"))?;
    match method.as_str() {
        "SUBSCRIBE" | "UNSUBSCRIBE" => {
            let params = params.ok_or_else(|| invalid("missing field `params`"))?;
            let names = params.into_iter().map(|name| match name {
                Value::String(name) => Ok(name),
                _ => Err(invalid("stream name must be a string")),
            });
            let names = names.collect::<Result<BTreeSet<_>, _>>()?;
            if method == "UNSUBSCRIBE" {
                streams.retain(|name| !names.contains(name));
            } else if streams.union(&names).count() > STREAMS_MAX {
                return Err(invalid("too many streams"));
            } else {
                streams.extend(names);
            }
            Ok(ok(Value::Null))
        }
        "LIST_SUBSCRIPTIONS" => match params {
            Some(params) if !params.is_empty() => Err(invalid("too many parameters")),
            _ => Ok(ok(streams.iter().cloned().collect())),
        },
        "SET_PROPERTY" | "GET_PROPERTY" => {
            let set = method == "SET_PROPERTY";
            let params = params.unwrap_or_default();
            if params.len() > 1 + usize::from(set) {
                return Err(invalid("too many parameters"));
            }
            let Some(Value::String(name)) = params.first() else {
                return Err(invalid("property name must be a string"));
            };
            if name != "combined" {
                return Ok(format!(r#"{{"code":0,"msg":"Unknown property","id":{id}}}"#));
            }
            if !set {
                return Ok(ok(Value::Bool(*combined)));
            }
            let Some(Value::Bool(value)) = params.get(1) else {
                return Err((1, "Invalid value type: expected Boolean".into()));
            };
            *combined = *value;
            Ok(ok(Value::Null))
        }
        other => {
            let start = request.method.get().as_ptr() as usize - text.as_ptr() as usize;
            let column = start + request.method.get().len();
            Err(invalid(&format!(
                "unknown variant {other}, expected one of {METHODS} at line 1 column {column}"
            )))
        }
    }
}

fn valid_id(id: &Value) -> bool {
    match id {
        Value::Null => true,
        Value::Number(number) => number.is_i64(),
        Value::String(text) => text.len() <= 36 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        _ => false,
    }
}
