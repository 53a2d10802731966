//! Arguments against the schemas of tools.

use pocketlm::chat::{ToolSpec, check_arguments};
use serde_json::{Value, json};

fn spec() -> ToolSpec {
    ToolSpec::new(
        "weather",
        "",
        json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["c", "f"]},
                "note": {"type": ["string", "null"]},
                "exact": {"type": "boolean"},
                "scale": {"type": "number"},
                "tags": {"type": "array"},
            },
            "required": ["city"],
            "additionalProperties": false,
        }),
    )
}

#[test]
fn arguments_are_checked_against_the_schema() {
    let spec = spec();
    for (arguments, checked) in [
        (json!({"city": "Rome"}), json!({"city": "Rome"})),
        (
            json!({"city": "Rome", "days": 3.0, "unit": "c", "note": null, "scale": 1}),
            json!({"city": "Rome", "days": 3.0, "unit": "c", "note": null, "scale": 1}),
        ),
        // Formats that write 5 and "5" alike.
        (
            json!({"city": 5, "days": "3", "exact": "true"}),
            json!({"city": "5", "days": 3, "exact": true}),
        ),
    ] {
        assert_eq!(check_arguments(&spec, &arguments), Ok(checked));
    }
    for (arguments, part) in [
        (json!([]), "no JSON object"),
        (json!({}), "missing required arguments: city"),
        (
            json!({"city": ["Rome"]}),
            "argument city is of type array, not string",
        ),
        (
            json!({"city": "Rome", "days": 2.5}),
            "days is of type number, not integer",
        ),
        (
            json!({"city": "Rome", "days": "two"}),
            "days is of type string",
        ),
        (
            json!({"city": "Rome", "unit": "k"}),
            "unit is \"k\", not one of \"c\", \"f\"",
        ),
        (
            json!({"city": "Rome", "tags": "a"}),
            "tags is of type string, not array",
        ),
        (
            json!({"city": "Rome", "town": 1}),
            "there is no argument town",
        ),
    ] {
        let error = check_arguments(&spec, &arguments).expect_err(part);
        assert!(error.contains(part), "{error} does not say {part}");
    }
    // A schema that says nothing allows everything.
    let open = ToolSpec::new("any", "", Value::Null);
    assert_eq!(
        check_arguments(&open, &json!({"a": 1})),
        Ok(json!({"a": 1}))
    );
}
