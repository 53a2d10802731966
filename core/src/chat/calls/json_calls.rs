//! Calls written as JSON: an object with a name and arguments, or an array of them, or several in a
//! row.

use serde_json::{Map, Value};

use super::{Reading, WrittenCall};

/// How deeply arguments may nest. Templates refuse what is much deeper (see `template.rs`).
const MAX_DEPTH: usize = 64;

/// What stands between values besides white space.
const SEPARATORS: [char; 2] = [',', ';'];
/// Brackets that models put behind a value although nothing is left to close.
const EXTRA: [char; 2] = ['}', ']'];

/// Reads text that is marked as calls: whatever is not JSON is a mistake.
pub(super) fn read<'a>(body: &'a str, _: &[String]) -> Reading<'a> {
    let mut calls = Vec::new();
    let mut rest = body.trim_start();
    loop {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) if value.is_object() || value.is_array() => {
                let end = values.byte_offset();
                collect(value, rest.get(..end).unwrap_or_default(), &mut calls);
                rest = rest.get(end..).unwrap_or_default();
            }
            Some(Ok(_)) => {
                calls.push(WrittenCall::unreadable(rest, "it is not a JSON object"));
                rest = "";
            }
            Some(Err(error)) => {
                calls.push(WrittenCall::unreadable(rest, error));
                rest = "";
            }
            None => calls.push(WrittenCall::unreadable(rest, "it is empty")),
        }
        rest = rest.trim_start_matches(|c: char| {
            c.is_whitespace() || SEPARATORS.contains(&c) || EXTRA.contains(&c)
        });
        if !rest.starts_with(['{', '[']) {
            return Reading::Calls { calls, rest };
        }
    }
}

/// Reads text that nothing marks as a call: it is one only when all of it is, and the tools are
/// among `tools`.
pub(super) fn read_unmarked<'a>(body: &'a str, tools: &[String]) -> Reading<'a> {
    match serde_json::from_str::<Value>(body.trim()) {
        Ok(value) if is_calls(&value, tools) => read(body, tools),
        _ => Reading::NotACall,
    }
}

/// Whether a text that may go on can be the beginning of what [`read_unmarked`] takes for calls.
pub(super) fn may_be_calls(body: &str) -> bool {
    let body = body.trim_start();
    let body = body.strip_prefix('[').unwrap_or(body).trim_start();
    match body.strip_prefix('{') {
        Some(fields) => {
            let key = fields.trim_start();
            ["\"name\"", "\"function\"", "\"type\"", "\"id\""]
                .iter()
                .any(|k| key.starts_with(k) || k.starts_with(key))
        }
        None => body.is_empty(),
    }
}

fn is_calls(value: &Value, tools: &[String]) -> bool {
    match value {
        Value::Array(items) => !items.is_empty() && items.iter().all(|v| is_calls(v, tools)),
        Value::Object(fields) => {
            let call = inner(fields);
            let known = name(call).is_some_and(|name| tools.iter().any(|t| t == name.trim()));
            known && arguments(call).is_some()
        }
        _ => false,
    }
}

/// The object with the name, which may be wrapped as in OpenAI's API.
fn inner(fields: &Map<String, Value>) -> &Map<String, Value> {
    let wrapped = fields.get("function").and_then(Value::as_object);
    wrapped.unwrap_or(fields)
}

fn name(call: &Map<String, Value>) -> Option<&str> {
    let name = call.get("name").or_else(|| call.get("function"))?;
    name.as_str().filter(|name| !name.trim().is_empty())
}

fn arguments(call: &Map<String, Value>) -> Option<&Value> {
    call.get("arguments").or_else(|| call.get("parameters"))
}

fn collect(value: Value, text: &str, calls: &mut Vec<WrittenCall>) {
    match value {
        Value::Array(items) => {
            for item in items {
                // An array in an array would be a mistake that the next level reports.
                match item {
                    Value::Object(fields) => calls.push(call(&fields)),
                    other => calls.push(WrittenCall::unreadable(
                        &other.to_string(),
                        "it is not a JSON object",
                    )),
                }
            }
            if calls.is_empty() {
                calls.push(WrittenCall::unreadable(text, "there is no call in it"));
            }
        }
        Value::Object(fields) => calls.push(call(&fields)),
        other => calls.push(WrittenCall::unreadable(
            &other.to_string(),
            "it is not a JSON object",
        )),
    }
}

fn call(fields: &Map<String, Value>) -> WrittenCall {
    let call = inner(fields);
    let id = fields.get("id").or_else(|| call.get("id"));
    let Some(name) = name(call) else {
        let text = Value::Object(fields.clone()).to_string();
        return WrittenCall::unreadable(&text, "it has no \"name\"");
    };
    let written = WrittenCall {
        id: id.and_then(Value::as_str).map(str::to_owned),
        name: name.trim().to_owned(),
        arguments: Value::Object(Map::new()),
        mistake: None,
    };
    match arguments(call) {
        None | Some(Value::Null) => written,
        Some(value) => with_arguments(written, value),
    }
}

/// The call with `value` as its arguments: an object, or text that holds one.
pub(super) fn with_arguments(call: WrittenCall, value: &Value) -> WrittenCall {
    let (arguments, mistake) = match value {
        Value::Object(_) if depth(value) > MAX_DEPTH => (
            Value::String(value.to_string()),
            Some(format!("the arguments nest deeper than {MAX_DEPTH}")),
        ),
        Value::Object(_) => (value.clone(), None),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(object @ Value::Object(_)) if depth(&object) <= MAX_DEPTH => (object, None),
            Ok(_) => (value.clone(), Some("the arguments are no object".into())),
            Err(error) => (value.clone(), Some(format!("the arguments: {error}"))),
        },
        other => (
            Value::String(other.to_string()),
            Some("the arguments are no object".into()),
        ),
    };
    WrittenCall {
        arguments,
        mistake: mistake.or(call.mistake),
        ..call
    }
}

fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut pending = vec![(value, 1)];
    while let Some((value, depth)) = pending.pop() {
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => pending.extend(items.iter().map(|v| (v, depth + 1))),
            Value::Object(fields) => pending.extend(fields.values().map(|v| (v, depth + 1))),
            _ => {}
        }
    }
    deepest
}

/// The name in a call that is not JSON: the string after the first `"name":`.
pub(super) fn name_in(text: &str) -> Option<String> {
    let (_, after) = text.split_once("\"name\"")?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    let name = value.strip_prefix('"')?.split('"').next()?;
    let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    (!name.is_empty() && name.len() <= 128 && name.chars().all(plain)).then(|| name.to_owned())
}
