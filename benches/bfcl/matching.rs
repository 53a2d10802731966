//! Whether a call is one of the possible answers, by the benchmark's rules for syntax trees: the
//! function's name is right, what is required is there, nothing is there that no answer has, types
//! are right, and each value is among those possible. Text is compared without case and without
//! spaces and `,./-_*^`; an argument may be left out when `""` is among its possible values; an
//! integer will do for a float.

use pocketlm::chat::ToolCall;
use serde_json::{Map, Value};

/// Checks `call` of one of `functions` against `possible`, `{name: {argument: [value, …]}}`.
pub fn check(call: &ToolCall, functions: &Value, possible: &Value) -> Result<(), String> {
    let answer = possible.as_object().and_then(|answer| answer.iter().next());
    let (name, answers) = answer.ok_or("the data set has no answer")?;
    let answers = answers.as_object().ok_or("the data set has no arguments")?;
    if call.name != *name {
        return Err(format!("{} instead of {name}", call.name));
    }
    let function = functions.as_array().into_iter().flatten();
    let function = function.into_iter().find(|f| f["name"] == **name);
    let parameters = &function.ok_or("the data set has no such function")?["parameters"];
    let given = call.arguments.as_object().ok_or("no arguments")?;
    for required in parameters["required"].as_array().into_iter().flatten() {
        if !required.as_str().is_some_and(|key| given.contains_key(key)) {
            return Err(format!("{required} is missing"));
        }
    }
    for (key, value) in given {
        let property = &parameters["properties"][key];
        let (Some(answers), true) = (
            answers.get(key).and_then(Value::as_array),
            property.is_object(),
        ) else {
            return Err(format!("{key} is unexpected"));
        };
        check_value(value, property, answers).map_err(|reason| format!("{key}: {reason}"))?;
    }
    match answers
        .iter()
        .find(|(key, a)| !given.contains_key(*key) && !may_be_left_out(a))
    {
        Some((key, _)) => Err(format!("{key} is left out")),
        None => Ok(()),
    }
}

fn may_be_left_out(answers: &Value) -> bool {
    answers
        .as_array()
        .is_some_and(|a| a.iter().any(|v| v == ""))
}

fn check_value(value: &Value, property: &Value, answers: &[Value]) -> Result<(), String> {
    let wanted = kind_named(property["type"].as_str().unwrap_or_default());
    // Some answers are of another type than the description says: the name of a variable, say.
    let answered = answers.iter().find(|a| **a != "").map(Kind::of);
    let is_wanted = Kind::of(value) == wanted || wanted == Kind::Float && value.is_i64();
    if !is_wanted && answered != Some(Kind::of(value)) {
        return Err(format!("{value} is of the wrong type"));
    }
    if is_wanted && wanted == Kind::List {
        let nested = kind_named(property["items"]["type"].as_str().unwrap_or("any"));
        let items = value.as_array().into_iter().flatten();
        let fits = |item: &Value| {
            let kind = Kind::of(item);
            nested == Kind::Any || kind == nested || nested == Kind::Float && kind == Kind::Integer
        };
        let answered = answers.iter().filter_map(Value::as_array).flatten();
        let answered: Vec<Kind> = answered.map(Kind::of).collect();
        if let Some(item) = items
            .into_iter()
            .find(|i| !fits(i) && !answered.contains(&Kind::of(i)))
        {
            return Err(format!("{item} is of the wrong type"));
        }
    }
    match answers.iter().any(|answer| equal(value, answer)) {
        true => Ok(()),
        false => Err(format!(
            "{value} is not among {}",
            Value::from(answers.to_vec())
        )),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Null,
    Boolean,
    Integer,
    Float,
    Text,
    List,
    Object,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(n) if n.is_f64() => Self::Float,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }
}

/// The types of the benchmark's descriptions; `any` is text there.
fn kind_named(name: &str) -> Kind {
    match name {
        "string" | "String" | "char" => Kind::Text,
        "integer" | "Integer" | "long" => Kind::Integer,
        "float" | "double" | "Float" => Kind::Float,
        "boolean" | "Boolean" => Kind::Boolean,
        "array" | "tuple" | "list" => Kind::List,
        "dict" | "object" => Kind::Object,
        _ => Kind::Any,
    }
}

/// Whether `value` is the possible answer `answer`.
fn equal(value: &Value, answer: &Value) -> bool {
    match (value, answer) {
        (Value::String(a), Value::String(b)) => plain(a) == plain(b),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => equal_object(a, b),
        _ => value == answer,
    }
}

/// In an object each value of the answer is a list of those possible.
fn equal_object(value: &Map<String, Value>, answer: &Map<String, Value>) -> bool {
    let matches = |(key, value): (&String, &Value)| match answer.get(key) {
        Some(Value::Array(possible)) => possible.iter().any(|p| equal(value, p)),
        _ => false,
    };
    let absent = answer.iter().filter(|(key, _)| !value.contains_key(*key));
    value.iter().all(matches)
        && absent
            .into_iter()
            .all(|(_, answers)| may_be_left_out(answers))
}

fn plain(text: &str) -> String {
    let kept = text.chars().filter(|c| !" ,./-_*^".contains(*c));
    kept.collect::<String>().to_lowercase().replace('\'', "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_rules_hold() {
        let functions = json!([{"name": "area", "parameters": {
            "type": "dict",
            "properties": {
                "base": {"type": "integer"},
                "height": {"type": "float"},
                "unit": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "where": {"type": "dict"},
            },
            "required": ["base"],
        }}]);
        let possible = json!({"area": {
            "base": [10],
            "height": [5.0, ""],
            "unit": ["Square-Metres", ""],
            "tags": [["a b", "c"], ""],
            "where": [{"city": ["Rome", "roma"], "zip": ["1", ""]}, ""],
        }});
        let verdict = |name: &str, arguments: Value| {
            check(&ToolCall::new("1", name, arguments), &functions, &possible)
        };
        for arguments in [
            json!({"base": 10}),
            json!({"base": 10, "height": 5, "unit": "squaremetres"}),
            json!({"base": 10, "tags": ["A-B", "C"], "where": {"city": "ROMA"}}),
        ] {
            assert_eq!(verdict("area", arguments.clone()), Ok(()), "{arguments}");
        }
        for arguments in [
            json!({}),
            json!({"base": 11}),
            json!({"base": "10"}),
            json!({"base": 10.0}),
            json!({"base": 10, "extra": 1}),
            json!({"base": 10, "height": 6}),
            json!({"base": 10, "tags": ["a b"]}),
            json!({"base": 10, "tags": "a b"}),
            json!({"base": 10, "where": {"city": "Paris"}}),
            json!({"base": 10, "where": {"zip": "1"}}),
        ] {
            assert!(verdict("area", arguments.clone()).is_err(), "{arguments}");
        }
        assert!(verdict("volume", json!({"base": 10})).is_err());
        let needed = json!({"area": {"base": [10], "unit": ["m"]}});
        let call = ToolCall::new("1", "area", json!({"base": 10}));
        assert!(check(&call, &functions, &needed).is_err());
    }
}
