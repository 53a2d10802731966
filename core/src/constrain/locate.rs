//! Where in a schema the engine's complaint comes from: it says what, not where.

use serde_json::{Value, json};

use super::schema::Place;

/// Parts compiled to find a fault, at most.
const TRIES: usize = 200;

/// Complaints that are about a keyword, which then ends the pointer.
const ABOUT: &[(&str, &[&str])] = &[
    ("oneOf", &["oneOf"]),
    ("min/maxProperties", &["minProperties", "maxProperties"]),
    ("minProperties", &["minProperties"]),
    ("minItems", &["minItems"]),
    ("minLength", &["minLength"]),
    ("patternProperty", &["patternProperties"]),
    ("circular references", &["$ref"]),
    ("Regex is empty", &["pattern", "format"]),
    ("if regex is empty", &["pattern", "format"]),
    ("multiple", &["multipleOf"]),
    (
        "range",
        &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
    ),
    ("inimum", &["minimum", "exclusiveMinimum"]),
];

/// The pointer of the innermost part that does not compile by itself, with the keyword that the
/// complaint names. `compiles` tries a schema and says what is wrong with it; `reason` is what is
/// wrong with the whole.
pub(super) fn fault(
    schema: &Value,
    places: &[Place],
    reason: &str,
    compiles: impl Fn(&Value) -> Result<(), String>,
) -> String {
    let (mut at, mut reason, mut tries) = (0, reason.to_owned(), 0);
    'inwards: loop {
        for (i, place) in places.iter().enumerate() {
            // References may lead back; places come after the one that leads to them.
            if i <= at || place.parent != at || place.pointer.contains(['~', '%']) {
                continue;
            }
            tries += 1;
            if tries > TRIES {
                break 'inwards;
            }
            if let Err(inner) = compiles(&part(schema, &place.pointer)) {
                (at, reason) = (i, inner);
                continue 'inwards;
            }
        }
        break;
    }
    let pointer = places.get(at).map_or("", |place| place.pointer.as_str());
    let members = schema.pointer(pointer);
    let holds = |keyword: &&&str| members.is_some_and(|m| m.get(**keyword).is_some());
    let about = ABOUT.iter().filter(|row| reason.contains(row.0));
    match about.flat_map(|row| row.1).find(holds) {
        Some(keyword) => format!("{pointer}/{keyword}"),
        None => pointer.to_owned(),
    }
}

/// A schema that is the part at `pointer` and can still see the rest.
fn part(schema: &Value, pointer: &str) -> Value {
    let mut whole = schema.clone();
    move_references(&mut whole);
    json!({ "$defs": { "whole": whole }, "$ref": format!("#/$defs/whole{pointer}") })
}

fn move_references(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members.iter_mut() {
                match inner {
                    Value::String(target) if name == "$ref" => {
                        if let Some(pointer) = target.strip_prefix('#') {
                            *target = format!("#/$defs/whole{pointer}");
                        }
                    }
                    inner => move_references(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}
