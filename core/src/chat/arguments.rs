//! Whether the arguments of a call are what the tool asks for, before it is called.

use serde_json::{Map, Value};

use super::message::ToolSpec;

/// Checks `arguments` against the top level of the tool's JSON schema: that they are an object, that
/// what is required is there, that each is of its type and among the values of its `enum`, and,
/// where the schema says so, that there are no others.
///
/// Text that the schema wants as a number or truth value, or the reverse, is converted where nothing
/// is lost: some formats write `5` and `"5"` alike. What lies deeper is the tool's to check.
///
/// # Errors
/// What is wrong, in a sentence for the model.
pub fn check_arguments(spec: &ToolSpec, arguments: &Value) -> Result<Value, String> {
    let Value::Object(given) = arguments else {
        return Err("the arguments are no JSON object".into());
    };
    let schema = &spec.parameters;
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = |key: &str| schema.get(key).and_then(Value::as_array);
    let required = names("required").into_iter().flatten();
    let missing: Vec<&str> = required
        .filter_map(Value::as_str)
        .filter(|name| !given.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "missing required arguments: {}",
            missing.join(", ")
        ));
    }
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let mut checked = Map::with_capacity(given.len());
    for (name, value) in given {
        let value = match properties.and_then(|p| p.get(name)) {
            Some(property) => check(name, value, property)?,
            None if closed => return Err(format!("there is no argument {name}")),
            None => value.clone(),
        };
        checked.insert(name.clone(), value);
    }
    Ok(Value::Object(checked))
}

fn check(name: &str, value: &Value, property: &Value) -> Result<Value, String> {
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = types.is_empty() || types.iter().any(|t| is_type(value, t));
    let value = match fits {
        true => value.clone(),
        false => types
            .iter()
            .find_map(|t| convert(value, t))
            .ok_or_else(|| {
                let (is, wanted) = (type_name(value), types.join(" or "));
                format!("argument {name} is of type {is}, not {wanted}")
            })?,
    };
    match property.get("enum").and_then(Value::as_array) {
        Some(allowed) if !allowed.contains(&value) => {
            let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
            let allowed = allowed.join(", ");
            Err(format!("argument {name} is {value}, not one of {allowed}"))
        }
        _ => Ok(value),
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        // JSON schema counts 3.0 as an integer.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(is_whole),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        // A name that JSON schema does not have forbids nothing.
        _ => true,
    }
}

fn is_whole(x: f64) -> bool {
    x.fract() == 0.0
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The value as another type, where the two are written alike.
fn convert(value: &Value, name: &str) -> Option<Value> {
    match (value, name) {
        (Value::Number(_) | Value::Bool(_), "string") => Some(Value::String(value.to_string())),
        (Value::String(text), "number" | "integer" | "boolean") => {
            let value: Value = serde_json::from_str(text.trim()).ok()?;
            is_type(&value, name).then_some(value)
        }
        _ => None,
    }
}
