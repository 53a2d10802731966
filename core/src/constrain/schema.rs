//! JSON Schemas before they are compiled: checked, bounded and tightened.
//!
//! *Checked*: a keyword that cannot be enforced is an error with its place, not a silent gap.
//! *Bounded*: what a schema from a stranger may make the engine recurse into or multiply.
//! *Tightened*: of the values that a schema allows a generator may choose, and some choices are
//! better. An object that declares its properties gets no others, unless it says so; a number stays
//! within what every reader of JSON holds exactly; a schema that only makes sense for objects means
//! an object. Every answer is still valid under the schema as it was written. Schemas that are
//! combined with others (`allOf`, or an applicator beside assertions) are left as they are, since
//! closing a part would contradict its neighbours.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::formats;
use super::keywords::Role;
use crate::error::{PocketError, Result};

/// JSON values in a schema, at most.
const MAX_VALUES: usize = 20_000;
/// Bytes of names and strings in a schema, at most.
const MAX_TEXT: usize = 1 << 20;
/// Bytes of one string: while it is forced, each step looks at all that is left of it.
const MAX_STRING: usize = 64 << 10;
/// Levels of values inside values.
const MAX_NESTING: usize = 128;
/// Levels of schemas inside schemas, those that references lead to included.
const MAX_DEPTH: usize = 200;
/// Members of one object: the engine recurses along properties.
const MAX_MEMBERS: usize = 2_000;
/// The longest `pattern`, in bytes.
const MAX_PATTERN: usize = 4 << 10;

/// Integers up to here are exact in every reader of JSON (RFC 8259, section 6).
const EXACT: f64 = 9_007_199_254_740_991.0;

/// A schema that is ready for the engine.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) schema: Value,
    /// Every subschema that can be reached, the root first, each after the one that leads to it.
    pub(super) places: Vec<Place>,
}

/// Where a subschema is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// JSON pointer.
    pub(super) pointer: String,
    /// The place that leads here; the root leads to itself.
    pub(super) parent: usize,
    /// Whether values must satisfy other schemas of this document at the same time.
    combined: bool,
}

/// Checks and tightens a schema.
///
/// # Errors
/// [`PocketError::SchemaUnsupported`] with the pointer of the keyword.
pub(super) fn prepare(schema: &Value) -> Result<Prepared> {
    check_size(schema)?;
    let mut walk = Walk {
        root: schema,
        places: Vec::new(),
        seen: HashMap::new(),
    };
    walk.visit(String::new(), 0, false, 0)?;
    let places = walk.places;
    let mut schema = match schema {
        Value::Bool(true) => json!({}),
        other => other.clone(),
    };
    let any = any_name(&schema);
    let mut used = false;
    for place in &places {
        if let Some(slot) = schema.pointer_mut(&place.pointer) {
            tighten(slot, place.combined, &any, &mut used);
        }
    }
    if used && let Some(root) = schema.as_object_mut() {
        let definitions = root.entry("$defs").or_insert_with(|| json!({}));
        if let Some(definitions) = definitions.as_object_mut() {
            definitions.insert(any.clone(), value_schema(&any));
        }
    }
    Ok(Prepared { schema, places })
}

/// The schema of any object or array.
pub(super) fn anything() -> Value {
    let name = "value";
    let value = reference(name);
    json!({
        "anyOf": [
            { "type": "object", "additionalProperties": value },
            { "type": "array", "items": value },
        ],
        "$defs": { name: value_schema(name) },
    })
}

/// The schema of any value, as the definition `name`.
fn value_schema(name: &str) -> Value {
    let value = reference(name);
    json!({ "anyOf": [
        { "type": ["null", "boolean", "string"] },
        { "type": "number", "minimum": -EXACT, "maximum": EXACT },
        { "type": "array", "items": value },
        { "type": "object", "additionalProperties": value },
    ]})
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A name that the schema's definitions leave free.
fn any_name(schema: &Value) -> String {
    let taken = |name: &str| schema.get("$defs").and_then(|d| d.get(name)).is_some();
    let mut name = String::from("any");
    while taken(&name) {
        name.push('_');
    }
    name
}

fn unsupported(path: impl Into<String>) -> PocketError {
    PocketError::SchemaUnsupported { path: path.into() }
}

/// The pointer of a member.
fn member(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Refuses a document that is too large or too deep, without recursion.
fn check_size(schema: &Value) -> Result<()> {
    let (mut values, mut text) = (0, 0);
    let mut stack = vec![(schema, String::new(), 0)];
    while let Some((value, pointer, depth)) = stack.pop() {
        values += 1;
        let members = match value {
            Value::Array(items) => items.len(),
            Value::Object(members) => {
                text += members.keys().map(String::len).sum::<usize>();
                members.len()
            }
            Value::String(s) => {
                text += s.len();
                0
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        };
        let is_wide = value.is_object() && members > MAX_MEMBERS;
        let is_long = value.as_str().is_some_and(|s| s.len() > MAX_STRING);
        if is_long
            || is_wide
            || depth > MAX_NESTING
            || values + members > MAX_VALUES
            || text > MAX_TEXT
        {
            return Err(unsupported(pointer));
        }
        match value {
            Value::Array(items) => {
                let inner = |(i, v)| (v, format!("{pointer}/{i}"), depth + 1);
                stack.extend(items.iter().enumerate().map(inner));
            }
            Value::Object(members) => {
                let inner = |(name, v): (&String, _)| (v, member(&pointer, name), depth + 1);
                stack.extend(members.iter().map(|(name, v)| inner((name, v))));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A walk over the subschemas that the root leads to.
struct Walk<'a> {
    root: &'a Value,
    places: Vec<Place>,
    /// Pointer to the index in `places`.
    seen: HashMap<String, usize>,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        pointer: String,
        parent: usize,
        combined: bool,
        depth: usize,
    ) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(unsupported(pointer));
        }
        let own = match self.seen.get(&pointer) {
            // Once more where it turns out to be combined: what it leads to is, too.
            Some(&own) if combined && !self.places[own].combined => {
                self.places[own].combined = true;
                own
            }
            Some(_) => return Ok(()),
            None => {
                self.seen.insert(pointer.clone(), self.places.len());
                self.places.push(Place {
                    pointer: pointer.clone(),
                    parent,
                    combined,
                });
                self.places.len() - 1
            }
        };
        let members = match self.root.pointer(&pointer) {
            Some(Value::Bool(_)) => return Ok(()),
            Some(Value::Object(members)) => members,
            _ => return Err(unsupported(pointer)),
        };
        let asserts = |(_, role): &(&String, Role)| !matches!(role, Role::Annotation);
        let roles = members.keys().map(|k| (k, Role::of(k)));
        let assertions = roles.clone().filter(asserts).count();
        let in_place = roles.filter(|(_, role)| role.is_applied_in_place()).count();
        let combined = combined || (in_place > 0 && assertions > 1);
        self.places[own].combined = combined;
        for (keyword, value) in members {
            let place = member(&pointer, keyword);
            check(keyword, value, members, &place)?;
            let wrong = || Err(unsupported(place.clone()));
            let mut inner: Vec<String> = Vec::new();
            let mut inner_combined = combined;
            match (Role::of(keyword), value) {
                (Role::Schema(_) | Role::SchemaOrList(_), Value::Object(_) | Value::Bool(_)) => {
                    inner.push(place);
                }
                (Role::SchemaOrList(_) | Role::List(_) | Role::InPlace, Value::Array(items)) => {
                    inner_combined |= keyword == "allOf";
                    inner.extend((0..items.len()).map(|i| format!("{place}/{i}")));
                }
                (Role::Map(_), Value::Object(schemas)) => {
                    inner.extend(schemas.keys().map(|name| member(&place, name)));
                }
                (Role::Reference, Value::String(target)) => match target_of(target) {
                    Some(target) if self.root.pointer(target).is_some() => {
                        inner.push(target.to_owned());
                    }
                    _ => return wrong(),
                },
                (Role::Refused, _) => return wrong(),
                (Role::Annotation | Role::Assertion(_) | Role::Values, _) => {}
                _ => return wrong(),
            }
            for pointer in inner {
                self.visit(pointer, own, inner_combined, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// The pointer that a reference holds: references lead into the document itself, and the engine
/// takes their segments as they are.
fn target_of(reference: &str) -> Option<&str> {
    let pointer = reference.strip_prefix('#')?;
    let plain = !pointer.contains(['~', '%']);
    (plain && (pointer.is_empty() || pointer.starts_with('/'))).then_some(pointer)
}

/// Checks what a keyword holds, where the engine would say less precisely what is wrong, or
/// nothing.
fn check(keyword: &str, value: &Value, members: &Map<String, Value>, place: &str) -> Result<()> {
    let is_sound = match (keyword, value) {
        ("format", Value::String(name)) => formats::also(name).is_some() || !may_be_text(members),
        ("pattern", Value::String(pattern)) => is_pattern(pattern),
        ("patternProperties", Value::Object(map)) => map.keys().all(|pattern| is_pattern(pattern)),
        ("required", Value::Array(names)) => {
            names.len() <= MAX_MEMBERS && names.iter().all(Value::is_string)
        }
        ("enum", Value::Array(values)) => !values.is_empty(),
        ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => !schemas.is_empty(),
        // Names that a schema leaves open may come twice, and a reader counts them once.
        ("minProperties", Value::Number(count)) => {
            let required = members.get("required").and_then(Value::as_array);
            let required = required.map_or(0, Vec::len) as u64;
            count.as_u64().is_some_and(|count| count <= required + 1)
        }
        ("type", Value::String(name)) => TYPES.contains(&name.as_str()),
        ("type", Value::Array(names)) => {
            let known = |v: &Value| v.as_str().is_some_and(|name| TYPES.contains(&name));
            !names.is_empty() && names.iter().all(known)
        }
        (
            "format" | "pattern" | "patternProperties" | "required" | "enum" | "minProperties"
            | "type",
            _,
        ) => false,
        _ => true,
    };
    match is_sound {
        true => Ok(()),
        false => Err(unsupported(place)),
    }
}

const TYPES: &[&str] = &[
    "null", "boolean", "integer", "number", "string", "array", "object",
];

fn is_pattern(pattern: &str) -> bool {
    pattern.len() <= MAX_PATTERN && regex_syntax::parse(pattern).is_ok()
}

/// Whether a schema's value may be a string.
fn may_be_text(members: &Map<String, Value>) -> bool {
    members
        .get("type")
        .is_none_or(|ty| names_type(ty, "string"))
}

/// Whether a `type` is or contains `name`.
fn names_type(ty: &Value, name: &str) -> bool {
    match ty {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|v| v == name),
        _ => false,
    }
}

/// Narrows one schema, not those inside of it. `any` is the definition of any value, `used` is set
/// when a reference to it was written.
fn tighten(schema: &mut Value, combined: bool, any: &str, used: &mut bool) {
    let Some(members) = schema.as_object_mut() else {
        if *schema == Value::Bool(true) && !combined {
            *used = true;
            *schema = reference(any);
        }
        return;
    };
    add_format(members);
    if combined || members.keys().any(|k| Role::of(k).is_applied_in_place()) {
        return;
    }
    if !members.contains_key("type") {
        let mut about: Vec<&str> = members.keys().filter_map(|k| Role::of(k).about()).collect();
        about.sort_unstable();
        about.dedup();
        match about[..] {
            [] => {
                *used = true;
                members.insert("$ref".into(), json!(format!("#/$defs/{any}")));
                return;
            }
            [one] => {
                members.insert("type".into(), json!(one));
            }
            _ => return,
        }
    }
    let ty = members["type"].clone();
    if names_type(&ty, "number") || names_type(&ty, "integer") {
        bound_numbers(members);
    }
    if names_type(&ty, "array") && !members.contains_key("items") {
        *used = true;
        members.insert("items".into(), reference(any));
    }
    if names_type(&ty, "object") && !members.contains_key("additionalProperties") {
        let open = match is_closed(members) {
            true => json!(false),
            false => {
                *used = true;
                reference(any)
            }
        };
        members.insert("additionalProperties".into(), open);
    }
}

/// Whether an object that does not speak of additional properties needs none.
fn is_closed(members: &Map<String, Value>) -> bool {
    let Some(declared) = members.get("properties").and_then(Value::as_object) else {
        return members.contains_key("patternProperties");
    };
    let required = members.get("required").and_then(Value::as_array);
    let is_declared = |name: &Value| name.as_str().is_some_and(|n| declared.contains_key(n));
    let all_declared = required.is_none_or(|names| names.iter().all(is_declared));
    all_declared && !members.contains_key("minProperties")
}

/// Keeps numbers where every reader holds integers exactly, on a side that is open.
fn bound_numbers(members: &mut Map<String, Value>) {
    let bound = |name: &str| members.get(name).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum"));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum"));
    if high.is_none() && low.is_none_or(|low| low < EXACT) {
        members.insert("maximum".into(), json!(EXACT));
    }
    if low.is_none() && high.is_none_or(|high| high > -EXACT) {
        members.insert("minimum".into(), json!(-EXACT));
    }
}

/// Adds what a format must match besides the engine's expression.
fn add_format(members: &mut Map<String, Value>) {
    let format = members.get("format").and_then(Value::as_str);
    let Some(also) = format
        .and_then(formats::also)
        .filter(|also| !also.is_empty())
    else {
        return;
    };
    let pattern = json!(also);
    if !members.contains_key("pattern") {
        members.insert("pattern".into(), pattern);
        return;
    }
    let all = members.entry("allOf").or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.push(json!({ "pattern": pattern }));
    }
}
