//! A validator of JSON Schema that shares nothing with the engine under test: written from the
//! specification (2020-12), for the keywords that the test schemas use.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::Regex;
use serde_json::Value;

/// What is wrong with `value` under `schema`, with the place in the value.
pub fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    Validator { root: schema }.check(schema, value, "")
}

struct Validator<'a> {
    root: &'a Value,
}

/// Numbers are equal by value, whatever their spelling.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(k, v): (&String, &Value)| b.get(k).is_some_and(|w| equal(v, w));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        other => panic!("type {other}"),
    }
}

impl Validator<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let rules = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{at}: nothing is allowed here")),
            Value::Object(rules) => rules,
            other => panic!("no schema: {other}"),
        };
        let fail = |keyword: &str| {
            Err(format!(
                "{at}: {value} breaks {keyword}: {}",
                rules[keyword]
            ))
        };
        for (keyword, rule) in rules {
            let holds = match keyword.as_str() {
                "$defs"
                | "description"
                | "title"
                | "$schema"
                | "required"
                | "items"
                | "prefixItems"
                | "properties"
                | "patternProperties"
                | "additionalProperties" => true,
                "$ref" => {
                    let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                    self.check(self.root.pointer(pointer).unwrap(), value, at)?;
                    true
                }
                "type" => match rule {
                    Value::String(name) => is_type(name, value),
                    Value::Array(names) => {
                        names.iter().any(|n| is_type(n.as_str().unwrap(), value))
                    }
                    other => panic!("type {other}"),
                },
                "const" => equal(rule, value),
                "enum" => rule.as_array().unwrap().iter().any(|v| equal(v, value)),
                "allOf" => {
                    for part in rule.as_array().unwrap() {
                        self.check(part, value, at)?;
                    }
                    true
                }
                "anyOf" => self.matches(rule, value, at) >= 1,
                "oneOf" => self.matches(rule, value, at) == 1,
                "minimum" => value.as_f64().is_none_or(|v| v >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|v| v <= rule.as_f64().unwrap()),
                "exclusiveMinimum" => value.as_f64().is_none_or(|v| v > rule.as_f64().unwrap()),
                "exclusiveMaximum" => value.as_f64().is_none_or(|v| v < rule.as_f64().unwrap()),
                "multipleOf" => value.as_f64().is_none_or(|v| {
                    let times = v / rule.as_f64().unwrap();
                    (times - times.round()).abs() < 1e-9
                }),
                "minLength" => length(value).is_none_or(|n| n >= count(rule)),
                "maxLength" => length(value).is_none_or(|n| n <= count(rule)),
                "pattern" => value
                    .as_str()
                    .is_none_or(|s| search(rule.as_str().unwrap(), s)),
                "format" => value
                    .as_str()
                    .is_none_or(|s| is_format(rule.as_str().unwrap(), s)),
                "minItems" => value.as_array().is_none_or(|a| a.len() >= count(rule)),
                "maxItems" => value.as_array().is_none_or(|a| a.len() <= count(rule)),
                "minProperties" => value.as_object().is_none_or(|o| o.len() >= count(rule)),
                "maxProperties" => value.as_object().is_none_or(|o| o.len() <= count(rule)),
                other => panic!("the validator does not know {other}"),
            };
            if !holds {
                return fail(keyword);
            }
        }
        if let Value::Object(members) = value {
            let required = rules.get("required").and_then(Value::as_array);
            for name in required.into_iter().flatten() {
                if !members.contains_key(name.as_str().unwrap()) {
                    return fail("required");
                }
            }
            for (name, member) in members {
                let at = format!("{at}/{name}");
                let mut declared = false;
                if let Some(schema) = rules.get("properties").and_then(|p| p.get(name)) {
                    declared = true;
                    self.check(schema, member, &at)?;
                }
                let patterns = rules.get("patternProperties").and_then(Value::as_object);
                for (pattern, schema) in patterns.into_iter().flatten() {
                    if search(pattern, name) {
                        declared = true;
                        self.check(schema, member, &at)?;
                    }
                }
                if let Some(schema) = rules.get("additionalProperties").filter(|_| !declared) {
                    self.check(schema, member, &at)?;
                }
            }
        }
        if let Value::Array(items) = value {
            let first = rules.get("prefixItems").and_then(Value::as_array);
            for (i, item) in items.iter().enumerate() {
                let schema = first.and_then(|f| f.get(i)).or_else(|| rules.get("items"));
                if let Some(schema) = schema {
                    self.check(schema, item, &format!("{at}/{i}"))?;
                }
            }
        }
        Ok(())
    }

    fn matches(&self, schemas: &Value, value: &Value, at: &str) -> usize {
        let schemas = schemas.as_array().unwrap().iter();
        schemas.filter(|s| self.check(s, value, at).is_ok()).count()
    }
}

fn count(rule: &Value) -> usize {
    rule.as_u64().unwrap() as usize
}

/// In characters.
fn length(value: &Value) -> Option<usize> {
    value.as_str().map(|s| s.chars().count())
}

/// `pattern` searches; `\d` means ASCII digits, as in ECMA-262.
fn search(pattern: &str, text: &str) -> bool {
    let pattern = pattern.replace(r"\d", "[0-9]");
    Regex::new(&pattern).unwrap().is_match(text)
}

fn whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$"))
        .unwrap()
        .is_match(text)
}

fn is_format(name: &str, text: &str) -> bool {
    match name {
        "date" => is_date(text),
        "time" => is_time(text),
        "date-time" => text
            .split_once(['T', 't'])
            .is_some_and(|(d, t)| is_date(d) && is_time(t)),
        "uuid" => whole("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "hostname" => text.len() <= 253 && text.split('.').all(is_label),
        "email" => text.rsplit_once('@').is_some_and(|(local, domain)| {
            local.len() <= 64
                && whole(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+", local)
                && !local.starts_with('.')
                && !local.ends_with('.')
                && !local.contains("..")
                && domain.split('.').all(is_label)
        }),
        "uri" => whole(
            r"[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*",
            text,
        ),
        "duration" => {
            let date = r"([0-9]+D|[0-9]+M([0-9]+D)?|[0-9]+Y([0-9]+M([0-9]+D)?)?)";
            let time = r"T([0-9]+S|[0-9]+M([0-9]+S)?|[0-9]+H([0-9]+M([0-9]+S)?)?)";
            whole(&format!("P({date}({time})?|{time}|[0-9]+W)"), text)
        }
        other => panic!("format {other}"),
    }
}

fn is_label(label: &str) -> bool {
    label.len() <= 63 && whole("[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", label)
}

fn is_date(text: &str) -> bool {
    if !whole("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) {
        return false;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<u32>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let clock = r"([01][0-9]|2[0-3]):[0-5][0-9]";
    whole(
        &format!(r"{clock}:[0-5][0-9](\.[0-9]+)?(Z|[+-]{clock})"),
        text,
    )
}

#[test]
fn the_validator_refuses_what_is_wrong() {
    use serde_json::json;
    for (schema, good, bad) in [
        (json!({"type": "integer", "minimum": 3}), json!(3), json!(2)),
        (json!({"type": "integer"}), json!(3.0), json!(3.5)),
        (json!({"enum": [1, "a"]}), json!(1.0), json!("b")),
        (json!({"multipleOf": 0.25}), json!(1.75), json!(1.8)),
        (json!({"maxLength": 2}), json!("éé"), json!("abc")),
        (json!({"pattern": "^a"}), json!("ab"), json!("ba")),
        (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1})),
        (
            json!({"additionalProperties": false}),
            json!({}),
            json!({"b": 1}),
        ),
        (
            json!({"properties": {"a": {"type": "null"}}}),
            json!({"b": 1}),
            json!({"a": 1}),
        ),
        (
            json!({"prefixItems": [true], "items": false}),
            json!([1]),
            json!([1, 2]),
        ),
        (
            json!({"items": {"type": "string"}}),
            json!(["a"]),
            json!(["a", 1]),
        ),
        (
            json!({"oneOf": [{"minimum": 0}, {"maximum": 5}]}),
            json!(9),
            json!(3),
        ),
        (
            json!({"maxProperties": 1}),
            json!({"a": 1}),
            json!({"a": 1, "b": 2}),
        ),
        (
            json!({"$ref": "#/$defs/x", "$defs": {"x": {"type": "null"}}}),
            json!(null),
            json!(0),
        ),
        (
            json!({"format": "date"}),
            json!("2024-02-29"),
            json!("2023-02-29"),
        ),
        (
            json!({"format": "date-time"}),
            json!("2024-01-01T10:00:00Z"),
            json!("2024-01-01 10:00"),
        ),
        (json!({"format": "ipv6"}), json!("::1"), json!(":1")),
        (
            json!({"format": "email"}),
            json!("a.b@c.de"),
            json!("a..b@c.de"),
        ),
        (json!({"format": "duration"}), json!("P1DT2H"), json!("P1H")),
    ] {
        assert_eq!(validate(&schema, &good), Ok(()), "{schema}");
        assert!(validate(&schema, &bad).is_err(), "{schema} allows {bad}");
    }
}
