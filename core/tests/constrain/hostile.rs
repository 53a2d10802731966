//! Formats made to cost time or memory: each ends in an answer or an error, soon.

use std::time::{Duration, Instant};

use pocketlm::{OutputFormat, PocketError};
use serde_json::{Value, json};

use super::{Noise, answer, subjects};

/// What compiling may take here, in a build with debug assertions on a busy machine.
const COMPILE: Duration = Duration::from_secs(4);
/// What thirty tokens may take.
const ANSWER: Duration = Duration::from_secs(6);

fn nested(depth: usize, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(json!({"type": "string"}), |inner, _| wrap(inner))
}

fn chain(length: usize, link: impl Fn(String) -> Value) -> Value {
    let mut definitions: serde_json::Map<String, Value> = (0..length)
        .map(|i| (format!("d{i}"), link(format!("#/$defs/d{}", i + 1))))
        .collect();
    definitions.insert(format!("d{length}"), json!({"type": "null"}));
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

fn properties(count: usize, required: bool) -> Value {
    let names = (0..count).map(|i| format!("p{i}"));
    let members: serde_json::Map<String, Value> = names
        .clone()
        .map(|name| (name, json!({"type": "integer"})))
        .collect();
    let required: Vec<String> = names.filter(|_| required).collect();
    json!({"type": "object", "properties": members, "required": required})
}

fn formats() -> Vec<(&'static str, OutputFormat)> {
    // Without `json!`, which would copy what is inside by recursion.
    let array = |inner| {
        let items = [("items".to_owned(), inner)];
        Value::Object(items.into_iter().collect())
    };
    let doubled = |inner: Value| json!({"allOf": [{"anyOf": [inner.clone(), {"type": "null"}]}, {"anyOf": [inner, {"type": "integer"}]}]});
    let schemas = [
        ("arrays in arrays", nested(60, array)),
        ("arrays in arrays, too deep", nested(5_000, array)),
        (
            "alternatives in alternatives",
            nested(60, |i| json!({"anyOf": [i, {"type": "null"}]})),
        ),
        ("combinations that double", nested(10, doubled)),
        ("itself", json!({"$ref": "#"})),
        (
            "itself in all of",
            json!({"allOf": [{"$ref": "#"}, {"type": "object"}]}),
        ),
        (
            "itself beside",
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "anyOf": [{"$ref": "#/$defs/a"}]}}}),
        ),
        (
            "itself in any of",
            json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        ),
        (
            "two of each other",
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        ),
        (
            "an endless object",
            json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        ),
        ("a long chain", chain(180, |to| json!({"$ref": to}))),
        (
            "a long chain of objects",
            chain(
                90,
                |to| json!({"type": "object", "properties": {"a": {"$ref": to}}}),
            ),
        ),
        ("a longer chain", chain(1_900, |to| json!({"$ref": to}))),
        (
            "a chain of combinations",
            chain(
                90,
                |to| json!({"allOf": [{"$ref": to}, {"type": ["null", "object"]}]}),
            ),
        ),
        ("many properties", properties(1_500, true)),
        ("many optional properties", properties(1_500, false)),
        ("too many properties", properties(30_000, true)),
        (
            "many required names",
            json!({"type": "object", "required": (0..1_500).map(|i| format!("r{i}")).collect::<Vec<_>>()}),
        ),
        (
            "many values",
            json!({"enum": (0..15_000).map(|i| format!("value {i}")).collect::<Vec<_>>()}),
        ),
        (
            "many alternatives",
            json!({"anyOf": (0..1_500).map(|i| json!({"type": "object", "properties": {format!("p{i}"): {"const": i}}, "required": [format!("p{i}")]})).collect::<Vec<_>>()}),
        ),
        (
            "many exclusive alternatives",
            json!({"oneOf": (0..700).map(|i| json!({"const": format!("v{i}")})).collect::<Vec<_>>()}),
        ),
        (
            "a billion items",
            json!({"type": "array", "items": {"type": "null"}, "maxItems": 1_000_000_000}),
        ),
        (
            "no less than a billion items",
            json!({"type": "array", "items": {"type": "null"}, "minItems": 1_000_000_000}),
        ),
        (
            "a billion characters",
            json!({"type": "string", "maxLength": 1_000_000_000}),
        ),
        (
            "no less than a billion characters",
            json!({"type": "string", "minLength": 1_000_000_000}),
        ),
        (
            "more than fits",
            json!({"type": "string", "minLength": u64::MAX}),
        ),
        (
            "powers in a pattern",
            json!({"type": "string", "pattern": "^((a{1,100}){1,100}){1,100}$"}),
        ),
        (
            "a search for what lies far behind",
            json!({"type": "string", "pattern": "a.{200}b"}),
        ),
        (
            "a pattern with a bound",
            json!({"type": "string", "pattern": "^(\\w+([.-]?\\w+)*@)+$", "minLength": 5_000, "maxLength": 10_000}),
        ),
        (
            "patterns for names",
            json!({"type": "object", "patternProperties": (0..40).map(|i| (format!("^x{i}_.*a.{{9}}b"), json!({"type": "integer"}))).collect::<serde_json::Map<_, _>>()}),
        ),
        (
            "tiny steps",
            json!({"type": "number", "multipleOf": 1e-9, "minimum": 0, "maximum": 1}),
        ),
        (
            "odd steps",
            json!({"type": "integer", "multipleOf": 1_000_003}),
        ),
        (
            "huge numbers",
            json!({"type": "number", "minimum": -1e300, "maximum": 1e300}),
        ),
        ("a long text", json!({"const": "x".repeat(60_000)})),
        ("a longer text", json!({"const": "x".repeat(500_000)})),
        ("properties", properties(300, true)),
    ];
    let expressions = [
        ("a billion letters", "a{1,1000000000}".to_owned()),
        ("powers", "((a{1,1000}){1,1000}){1,1000}".into()),
        ("stars in stars", "(((a*)*)*)*b".into()),
        ("a far condition", ".*a.{25}".into()),
        (
            "brackets",
            format!("{}a{}", "(".repeat(200), ")".repeat(200)),
        ),
        (
            "more brackets",
            format!("{}a{}", "(".repeat(30_000), ")".repeat(30_000)),
        ),
        ("a long text", "ab".repeat(30_000)),
        (
            "many alternatives",
            (0..6_000).map(|i| format!("w{i}|")).collect::<String>() + "w",
        ),
        ("nested classes", "[a[b[c[d[e]]]]]{1,500}".into()),
        ("all of Unicode", r"(\p{L}|\p{N}|\p{S}){1,5000}".into()),
    ];
    let grammars = [
        ("left recursion", "start: start \"a\" | \"a\"".to_owned()),
        ("ambiguity", "start: start start | \"a\" | \"aa\"".into()),
        ("a rule that is itself", "start: start".into()),
        ("rules in a ring", "start: a\na: b\nb: a".into()),
        ("nothing at all", "start: a\na: |a a".into()),
        ("a billion", "start: \"a\"{1000000000}".into()),
        (
            "powers",
            "start: a{1000}\na: b{1000}\nb: c{1000}\nc: \"x\"".into(),
        ),
        (
            "brackets",
            format!("start: {}\"a\"{}", "(".repeat(10_000), ")".repeat(10_000)),
        ),
        (
            "many rules",
            (0..3_000)
                .map(|i| format!("r{i}: r{}\n", i + 1))
                .collect::<String>()
                + "r3000: \"x\"\nstart: r0\n",
        ),
        (
            "a terminal of terminals",
            (0..1_500)
                .map(|i| format!("T{i}: T{} \"a\"\n", i + 1))
                .collect::<String>()
                + "T1500: \"x\"\nstart: T0\n",
        ),
        ("text that is no grammar", "\u{0}\u{1}%%%///".into()),
    ];
    let mut all: Vec<(&'static str, OutputFormat)> = Vec::new();
    all.extend(schemas.map(|(name, s)| (name, OutputFormat::JsonSchema(s))));
    all.extend(expressions.map(|(name, e)| (name, OutputFormat::Regex(e))));
    all.extend(grammars.map(|(name, g)| (name, OutputFormat::Lark(g))));
    all
}

#[test]
fn nothing_hangs_or_crashes() {
    let subject = &subjects()[0];
    for (name, format) in formats() {
        println!("{name}");
        let start = Instant::now();
        let compiled = subject.grammars.compile(&format);
        let took = start.elapsed();
        let kind = match format {
            OutputFormat::JsonSchema(_) => "schema",
            OutputFormat::Regex(_) => "regex",
            _ => "lark",
        };
        assert!(took < COMPILE, "{kind}, {name}: {took:?}");
        let outcome = compiled.and_then(|constraint| {
            let start = Instant::now();
            let noise = Noise::new(&subject.tokenizer, 1);
            let answer = answer(subject, constraint, &noise, 0.7, 30);
            let took = start.elapsed();
            assert!(took < ANSWER, "{kind}, {name}: {took:?} for 30 tokens");
            answer.map(|a| format!("{} tokens in {took:?}", a.ids.len()))
        });
        println!("{kind}, {name}: compiled in {took:?}, {outcome:?}");
        if let Err(error) = outcome {
            let is_typed = matches!(
                error,
                PocketError::SchemaUnsupported { .. } | PocketError::InvalidArgument { .. }
            );
            assert!(is_typed, "{kind}, {name}: {error}");
        }
    }
}
