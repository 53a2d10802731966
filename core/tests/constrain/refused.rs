//! What cannot be enforced is refused, with its place.

use pocketlm::{OutputFormat, PocketError};
use serde_json::json;

use super::subjects;

#[test]
fn a_schema_names_the_place() {
    let object = |inner: serde_json::Value| json!({"type": "object", "properties": {"a": inner}});
    for (schema, place) in [
        (json!({"not": {"type": "string"}}), "/not"),
        (object(json!({"if": {}, "then": {}})), "/properties/a/if"),
        (
            object(json!({"type": "array", "uniqueItems": true})),
            "/properties/a/uniqueItems",
        ),
        (
            object(json!({"type": "string", "format": "iri"})),
            "/properties/a/format",
        ),
        (
            object(json!({"type": "string", "pattern": "(?=a)b"})),
            "/properties/a/pattern",
        ),
        (
            object(json!({"type": "string", "pattern": "(a"})),
            "/properties/a/pattern",
        ),
        (object(json!({"type": "text"})), "/properties/a/type"),
        (object(json!({"enum": []})), "/properties/a/enum"),
        (object(json!({"enum": "abc"})), "/properties/a/enum"),
        (object(json!(3)), "/properties/a"),
        (json!({"properties": []}), "/properties"),
        (json!({"$ref": "#/$defs/none"}), "/$ref"),
        (json!({"$ref": "https://example.com/schema"}), "/$ref"),
        (
            json!({"a/b~": 1, "properties": {"a/b~": {"not": {}}}}),
            "/properties/a~1b~0/not",
        ),
        (
            json!({"$ref": "#/$defs/x", "$defs": {"x": {"items": {"contains": {}}}}}),
            "/$defs/x/items/contains",
        ),
        (
            json!({"type": "object", "minProperties": 3}),
            "/minProperties",
        ),
        (
            object(json!({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 3}]})),
            "/properties/a/oneOf",
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}}),
            "/properties/a/minimum",
        ),
        (
            json!({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 3, "maxLength": 2}}),
            "/items/minLength",
        ),
        (json!(false), ""),
        (json!([]), ""),
        (json!("string"), ""),
    ] {
        let format = OutputFormat::JsonSchema(schema.clone());
        let error = subjects()[0]
            .grammars
            .compile(&format)
            .expect_err(&schema.to_string());
        assert_eq!(
            error,
            PocketError::SchemaUnsupported { path: place.into() },
            "{schema}"
        );
    }
}

#[test]
fn unused_definitions_and_unknown_words_do_no_harm() {
    for schema in [
        json!({"type": "string", "$defs": {"x": {"not": {}}}}),
        json!({"type": "integer", "x-order": 3, "nullable": true, "format": "int32"}),
        json!({"type": "object", "x-guidance": {"lenient": true, "whitespace_pattern": "("}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "null"}),
        json!(true),
        json!({}),
    ] {
        let format = OutputFormat::JsonSchema(schema.clone());
        let compiled = subjects()[0].grammars.compile(&format);
        assert!(compiled.is_ok(), "{schema}: {compiled:?}");
    }
}

#[test]
fn expressions_and_grammars_say_what_is_wrong() {
    let regex = |text: &str| OutputFormat::Regex(text.into());
    let lark = |text: &str| OutputFormat::Lark(text.into());
    for (format, option, says) in [
        (regex(""), "regex", "empty"),
        (regex("(a"), "regex", "unclosed group"),
        (regex("a\\"), "regex", "escape"),
        (regex("a(?=b)"), "regex", "look-around"),
        (regex(r"(a)\1"), "regex", "backreferences"),
        (regex("a{2,1}"), "regex", "repetition"),
        (lark(""), "lark", "empty"),
        (lark("start: other"), "lark", "other"),
        (lark("begin: \"a\""), "lark", "start"),
        (lark("start: \"a"), "lark", ""),
        (lark("start: <[5]>"), "lark", "tokens by number"),
        (lark("start: <|endoftext|>"), "lark", ""),
        (regex(&"a".repeat(100_000)), "regex", "the most is"),
        (
            lark(&format!("start: \"{}\"", "a".repeat(100_000))),
            "lark",
            "the most is",
        ),
    ] {
        match subjects()[0].grammars.compile(&format) {
            Err(PocketError::InvalidArgument { name, reason }) => {
                assert_eq!(name, option, "{format:?}");
                assert!(reason.contains(says), "{format:?}: {reason}");
                assert!(!reason.contains('\n'), "{format:?}: {reason}");
            }
            other => panic!("{format:?}: {other:?}"),
        }
    }
}
