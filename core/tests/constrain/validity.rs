//! Every whole answer parses and is valid, at every temperature.

use pocketlm::OutputFormat;
use regex::Regex;
use serde_json::Value;

use super::validator::validate;
use super::{Noise, answer, cases, subjects};

const TEMPERATURES: &[f32] = &[0.0, 0.7, 1.5];
const SEEDS: u64 = 2;
const MAX_TOKENS: usize = 300;

#[test]
fn json_is_valid_under_every_schema() {
    let (mut whole, mut all) = (0, 0);
    for subject in subjects() {
        for (number, case) in (0u64..).zip(cases()) {
            let format = OutputFormat::JsonSchema(case.schema.clone());
            let compiled = subject.grammars.compile(&format);
            let constraint = compiled.unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let mut of_case = 0;
            for &temperature in TEMPERATURES {
                for seed in 0..SEEDS {
                    let noise = Noise::new(&subject.tokenizer, 100 * number + seed);
                    let what = format!("{}, {}, {temperature}, {seed}", subject.name, case.name);
                    let answer =
                        answer(subject, constraint.clone(), &noise, temperature, MAX_TOKENS)
                            .unwrap_or_else(|e| panic!("{what}: {e}"));
                    all += 1;
                    if !answer.is_whole {
                        continue;
                    }
                    of_case += 1;
                    let value: Value = serde_json::from_str(&answer.text)
                        .unwrap_or_else(|e| panic!("{what}: {e}: {}", answer.text));
                    validate(&case.schema, &value).unwrap_or_else(|e| panic!("{what}: {e}"));
                }
            }
            assert!(
                of_case > 0,
                "{}, {}: none came to an end",
                subject.name,
                case.name
            );
            whole += of_case;
        }
    }
    println!("{whole} of {all} answers came to an end");
    assert!(whole * 3 > all * 2, "{whole} of {all} came to an end");
}

#[test]
fn any_json_parses() {
    for subject in subjects() {
        let constraint = subject
            .grammars
            .compile(&OutputFormat::Json)
            .expect("compiles");
        let mut whole = 0;
        for &temperature in TEMPERATURES {
            for seed in 0..4 {
                let noise = Noise::new(&subject.tokenizer, 7_000 + seed);
                let answer = answer(subject, constraint.clone(), &noise, temperature, MAX_TOKENS)
                    .expect("an answer");
                if answer.is_whole {
                    whole += 1;
                    let value: Value = serde_json::from_str(&answer.text).expect("JSON");
                    assert!(value.is_object() || value.is_array());
                }
            }
        }
        assert!(whole > 0, "{}: none came to an end", subject.name);
    }
}

#[test]
fn regular_expressions_match_whole() {
    for (expression, text) in [
        (r"(yes|no)", "yes"),
        (r"^[A-Z]{3}-[0-9]{4}$", "ABC-1234"),
        (r"\d{4}-\d{2}-\d{2}", "2024-05-06"),
        (
            r"(ja|nein|vielleicht)( (ja|nein|vielleicht)){2}",
            "ja nein ja",
        ),
        (r"[α-ω]{2,5} [😀-😂]", "αβ 😁"),
        ("a/b\\$\n\"", "a/b$\n\""),
        (r"([0-9]{1,3}\.){3}[0-9]{1,3}", "10.0.0.1"),
    ] {
        let format = OutputFormat::Regex(expression.into());
        let oracle = Regex::new(&format!("^(?:{expression})$")).expect("an expression");
        for subject in subjects() {
            assert!(
                subject.takes(&format, text),
                "{}: {expression}",
                subject.name
            );
            assert!(!subject.takes(&format, &format!("{text}x")), "{expression}");
            assert!(!subject.takes(&format, &format!(" {text}")), "{expression}");
            for &temperature in TEMPERATURES {
                let constraint = subject.grammars.compile(&format).expect("compiles");
                let noise = Noise::new(&subject.tokenizer, 3);
                let answer = answer(subject, constraint, &noise, temperature, MAX_TOKENS)
                    .unwrap_or_else(|e| panic!("{expression}: {e}"));
                assert!(answer.is_whole, "{expression}");
                assert!(
                    oracle.is_match(&answer.text),
                    "{expression}: {:?}",
                    answer.text
                );
            }
        }
    }
}

/// Sums in brackets, and a reader of them by recursive descent.
const SUMS: &str = "start: sum\nsum: term (\" + \" term){0,2}\nterm: NUMBER | \"(\" sum \")\"\nNUMBER: /[0-9]{1,3}/\n";

fn read_sum(text: &str) -> Option<&str> {
    let mut rest = read_term(text)?;
    while let Some(more) = rest.strip_prefix(" + ") {
        rest = read_term(more)?;
    }
    Some(rest)
}

fn read_term(text: &str) -> Option<&str> {
    match text.strip_prefix('(') {
        Some(inner) => read_sum(inner)?.strip_prefix(')'),
        None => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            (1..=3).contains(&digits).then(|| &text[digits..])
        }
    }
}

#[test]
fn grammars_are_followed() {
    let format = OutputFormat::Lark(SUMS.into());
    for subject in subjects() {
        assert!(subject.takes(&format, "1 + (22 + 333)"));
        assert!(!subject.takes(&format, "1 + (22 + 333"));
        let mut whole = 0;
        for &temperature in TEMPERATURES {
            for seed in 0..4 {
                let constraint = subject.grammars.compile(&format).expect("compiles");
                let noise = Noise::new(&subject.tokenizer, seed);
                let answer =
                    answer(subject, constraint, &noise, temperature, 100).expect("an answer");
                if answer.is_whole {
                    whole += 1;
                    assert_eq!(read_sum(&answer.text), Some(""), "{}", answer.text);
                }
            }
        }
        assert!(whole > 0, "{}", subject.name);
    }
}
