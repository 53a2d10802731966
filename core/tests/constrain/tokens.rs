//! Tokens: which are text, which are forced, and where an answer begins.

use pocketlm::tokenizer::Special;
use pocketlm::{OutputFormat, PocketError};
use serde_json::json;

use super::{Noise, Subject, answer, subjects};

fn schema(value: serde_json::Value) -> OutputFormat {
    OutputFormat::JsonSchema(value)
}

/// A subject whose texts begin without a space, and one whose texts begin with one.
fn byte_level() -> &'static Subject {
    &subjects()[0]
}

fn sentence_piece() -> &'static Subject {
    &subjects()[1]
}

#[test]
fn what_is_forced_is_what_the_tokenizer_gives() {
    let value = json!({"first name": "Ada", "größe": [1, 2.5], "note": "naïve \"quotes\" \n"});
    let text = serde_json::to_string(&value).expect("JSON");
    let text = text.replace(":", ": ").replace(",", ", ");
    for subject in subjects() {
        let format = schema(json!({ "const": value }));
        let mut constraint = subject.grammars.compile(&format).expect("compiles");
        let ids = subject
            .tokenizer
            .encode_continuing(&text, Special::Text)
            .expect("ids");
        let (mut at, mut forced_tokens) = (0, 0);
        while !constraint.must_stop() {
            for id in constraint.forced().expect("tokens") {
                // A mask leaves nothing but the forced token.
                let mut logits = vec![0.0; subject.tokenizer.vocab_size()];
                constraint.mask(&mut logits).expect("a mask");
                let left: Vec<usize> = (0..logits.len()).filter(|&i| logits[i] == 0.0).collect();
                assert_eq!(left, [id as usize], "{}", subject.name);
                assert_eq!(id, ids[at], "{}: token {at}", subject.name);
                constraint.accept(id).expect("a forced token");
                (at, forced_tokens) = (at + 1, forced_tokens + 1);
            }
            if !constraint.must_stop() {
                constraint.accept(ids[at]).expect("the tokenizer's token");
                at += 1;
            }
        }
        assert_eq!(at, ids.len(), "{}", subject.name);
        assert!(
            forced_tokens * 4 > ids.len() * 3,
            "{}: {forced_tokens}",
            subject.name
        );
    }
}

#[test]
fn a_token_that_may_grow_is_not_forced() {
    let subject = byte_level();
    let ids = |text: &str| {
        subject
            .tokenizer
            .encode_continuing(text, Special::Text)
            .expect("ids")
    };
    let format = schema(json!({
        "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
    }));
    let mut constraint = subject.grammars.compile(&format).expect("compiles");
    let forced = constraint.forced().expect("tokens");
    // The quote that opens the value may merge with its beginning (`"A` is no token here, `"'` is).
    assert_eq!(forced, ids("{\"name\":"));
    for id in forced {
        constraint.accept(id).expect("a forced token");
    }
    assert!(constraint.forced().expect("tokens").is_empty());
    let mut logits = vec![0.0; subject.tokenizer.vocab_size()];
    constraint.mask(&mut logits).expect("a mask");
    let open = |text: &str| logits[ids(text)[0] as usize] == 0.0;
    assert!(open(" \""));
    assert!(open(" \"'"));
    assert!(!open("\""));
    assert!(!open(" {"));
}

#[test]
fn control_tokens_are_never_text() {
    // The Phi-3 vocabulary has control tokens whose texts could stand in a string.
    let subject = sentence_piece();
    let format = schema(json!({"type": "string"}));
    let mut constraint = subject.grammars.compile(&format).expect("compiles");
    let quote = subject
        .tokenizer
        .encode_continuing("\"", Special::Text)
        .expect("ids")[0];
    constraint.accept(quote).expect("a quote");
    let mut logits = vec![0.0; subject.tokenizer.vocab_size()];
    constraint.mask(&mut logits).expect("a mask");
    let mut controls = 0;
    for text in subject.tokenizer.special_texts() {
        let id = subject.tokenizer.token_id(text).expect("a token");
        assert_eq!(logits[id as usize], f32::NEG_INFINITY, "{text}");
        assert!(constraint.accept(id).is_err(), "{text}");
        controls += 1;
    }
    assert!(controls > 5, "{controls}");
    // The text of one may still be written, letter by letter.
    assert!(subject.takes(&format, "\"<|assistant|>\""));
}

#[test]
fn an_end_is_allowed_when_the_answer_is_whole() {
    let subject = byte_level();
    let end = subject.tokenizer.end_of_generation()[0];
    let ids = |text: &str| {
        subject
            .tokenizer
            .encode_continuing(text, Special::Text)
            .expect("ids")
    };
    let mut constraint = subject
        .grammars
        .compile(&OutputFormat::Regex("a+b?".into()))
        .expect("compiles");
    let masked = |constraint: &mut pocketlm::constrain::Constraint, id: u32| {
        let mut logits = vec![0.0; subject.tokenizer.vocab_size() + 7];
        constraint.mask(&mut logits).expect("a mask");
        assert!(
            logits[subject.tokenizer.vocab_size()..]
                .iter()
                .all(|l| *l == f32::NEG_INFINITY)
        );
        logits[id as usize] != 0.0
    };
    assert!(masked(&mut constraint, end));
    assert!(constraint.accept(end).is_err());
    constraint.accept(ids("a")[0]).expect("a letter");
    assert!(constraint.is_complete() && !constraint.must_stop());
    assert!(!masked(&mut constraint, end));
    let mut ended = constraint.clone();
    ended.accept(end).expect("an end");
    constraint.accept(ids("b")[0]).expect("a letter");
    assert!(constraint.is_complete() && constraint.must_stop());
    assert!(constraint.forced().expect("tokens").is_empty());
    assert!(!masked(&mut constraint, end));
    constraint.accept(end).expect("an end");
}

#[test]
fn a_wrong_token_changes_nothing() {
    let subject = byte_level();
    let id = |text: &str| {
        subject
            .tokenizer
            .encode_continuing(text, Special::Text)
            .expect("ids")[0]
    };
    let mut constraint = subject
        .grammars
        .compile(&OutputFormat::Regex("[0-9]{3}".into()))
        .expect("compiles");
    constraint.accept(id("1")).expect("a digit");
    for wrong in [
        id("a"),
        id(" 2"),
        id("2000"),
        u32::MAX,
        subject.tokenizer.vocab_size() as u32,
    ] {
        let error = constraint.accept(wrong).expect_err("not allowed");
        assert!(
            matches!(&error, PocketError::InvalidArgument { name, .. } if name == "token"),
            "{error}"
        );
    }
    constraint.accept(id("2")).expect("a digit");
    constraint.accept(id("3")).expect("a digit");
    assert!(constraint.must_stop());
    let error = constraint.mask(&mut [0.0; 5]).expect_err("too short");
    assert!(
        matches!(&error, PocketError::InvalidArgument { name, .. } if name == "logits"),
        "{error}"
    );
}

#[test]
fn an_answer_may_begin_with_the_space_of_the_vocabulary() {
    let subject = sentence_piece();
    assert!(subject.tokenizer.adds_space_prefix());
    let first = |text: &str| {
        subject
            .tokenizer
            .encode(text, false, Special::Text)
            .expect("ids")[0]
    };
    let spaced = first("{");
    assert_eq!(subject.tokenizer.token_bytes(spaced), b" {");
    let format =
        schema(json!({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}));
    let mut constraint = subject.grammars.compile(&format).expect("compiles");
    assert!(
        constraint.forced().expect("tokens").is_empty(),
        "with a space or without"
    );
    let mut logits = vec![0.0; subject.tokenizer.vocab_size()];
    constraint.mask(&mut logits).expect("a mask");
    assert_eq!(logits[spaced as usize], 0.0);
    assert_eq!(logits[first("[") as usize], f32::NEG_INFINITY);
    constraint.accept(spaced).expect("the token with a space");
    assert!(!constraint.forced().expect("tokens").is_empty());
    assert!(constraint.accept(spaced).is_err(), "only at the beginning");
    // Where spaces count there is none.
    let mut constraint = subject
        .grammars
        .compile(&OutputFormat::Regex("[{]x".into()))
        .expect("compiles");
    assert!(constraint.accept(spaced).is_err());
}

#[test]
fn answers_are_on_one_line_and_hold_only_what_was_declared() {
    let subject = byte_level();
    let format = schema(json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}));
    for (text, taken) in [
        ("{\"a\": 1, \"b\": \"x\"}", true),
        ("{\"a\": 1}", true),
        ("{}", true),
        ("{\"a\":1}", false),
        ("{\n\"a\": 1}", false),
        ("{\"a\": 1, \"c\": 2}", false),
        ("{\"\\u0061\": 1}", false),
        ("{\"a\": 12345678901234567890}", false),
        ("7", false),
    ] {
        assert_eq!(subject.takes(&format, text), taken, "{text}");
    }
    let open = schema(json!({
        "type": "object", "properties": {"a": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    }));
    assert!(subject.takes(&open, "{\"a\": 1, \"c\": \"x\"}"));
    assert!(!subject.takes(&open, "{\"a\": \"x\"}"));
    // The name `a` in another spelling must not get around its schema.
    assert!(!subject.takes(&open, "{\"\\u0061\": \"x\"}"));
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    let subject = byte_level();
    let text = || {
        let constraint = subject
            .grammars
            .compile(&OutputFormat::Json)
            .expect("compiles");
        let noise = Noise::new(&subject.tokenizer, 42);
        answer(subject, constraint, &noise, 1.0, 80)
            .expect("an answer")
            .ids
    };
    assert_eq!(text(), text());
}
