//! Formats in conversations, on nano models whose logits mean nothing.

use pocketlm::gguf::{Gguf, TensorType};
use pocketlm::{
    DeviceChoice, FinishReason, GenerateOptions, LoadOptions, LocalModel, OutputFormat,
    PocketError, SampleOptions, SessionOptions,
};
use serde_json::{Value, json};

use super::validator::validate;
use crate::nano::builder;

/// A byte-level and a SentencePiece vocabulary.
const RECIPES: &[&str] = &["qwen2", "gemma3"];

fn model(recipe: &str) -> LocalModel {
    let bytes = builder::model(recipe, TensorType::Q8_0);
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(2),
        ..LoadOptions::default()
    };
    LocalModel::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), &options).expect("loads")
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "mood": {"enum": ["good", "bad", "größer"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
        },
        "required": ["mood", "count", "tags"],
    })
}

fn options(format: OutputFormat, temperature: f32, seed: u64) -> GenerateOptions {
    GenerateOptions {
        sample: SampleOptions {
            temperature,
            seed: Some(seed),
            ..SampleOptions::neutral()
        },
        format: Some(format),
        ..GenerateOptions::default()
    }
}

#[test]
fn answers_are_valid_at_every_temperature() {
    for recipe in RECIPES {
        let model = model(recipe);
        for temperature in [0.0, 0.7, 1.5] {
            for seed in 0..5 {
                let session = model.session(SessionOptions::default()).expect("a session");
                let options = options(OutputFormat::JsonSchema(schema()), temperature, seed);
                let answer = session.respond("hello", &options).expect("answers");
                let what = format!("{recipe}, {temperature}, {seed}: {}", answer.text);
                assert_eq!(answer.finish, FinishReason::EndOfTurn, "{what}");
                let value: Value = serde_json::from_str(&answer.text).expect(&what);
                assert_eq!(validate(&schema(), &value), Ok(()), "{what}");
                let transcript = session.transcript().expect("idle");
                assert_eq!(transcript[1].content, answer.text);
            }
        }
    }
}

#[test]
fn a_forced_answer_is_the_whole_answer_and_the_next_turn_goes_on() {
    for recipe in RECIPES {
        let model = model(recipe);
        let session = model.session(SessionOptions::default()).expect("a session");
        let value = json!({"hello": "the world", "list": [1, 2, 3]});
        let format = OutputFormat::JsonSchema(json!({ "const": value }));
        let first = session
            .respond("hello", &options(format.clone(), 1.0, 1))
            .expect("answers");
        assert_eq!(
            first.text, r#"{"hello": "the world", "list": [1, 2, 3]}"#,
            "{recipe}"
        );
        assert_eq!(first.finish, FinishReason::EndOfTurn);
        let second = session
            .respond("again", &options(format, 1.0, 2))
            .expect("answers");
        assert_eq!(second.text, first.text);
        assert!(
            second.usage.cached_tokens >= first.usage.prompt_tokens,
            "{:?}",
            second.usage
        );
        // A conversation held with another format that forces the same text goes on the same.
        let mut greedy = GenerateOptions::greedy().with_max_tokens(8);
        let free = session.respond("and now", &greedy).expect("answers").text;
        let replay = model.session(SessionOptions::default()).expect("a session");
        for prompt in ["hello", "again"] {
            greedy.format = Some(OutputFormat::Regex(regex::escape(&first.text)));
            greedy.max_tokens = None;
            replay.respond(prompt, &greedy).expect("answers");
        }
        greedy = GenerateOptions::greedy().with_max_tokens(8);
        assert_eq!(
            replay.respond("and now", &greedy).expect("answers").text,
            free
        );
    }
}

#[test]
fn an_answer_that_is_cut_says_so() {
    let model = model("qwen2");
    let session = model.session(SessionOptions::default()).expect("a session");
    let mut options = options(OutputFormat::JsonSchema(schema()), 0.7, 3);
    let whole = session.respond("hello", &options).expect("answers");
    for tokens in 1..whole.usage.generated_tokens {
        let session = model.session(SessionOptions::default()).expect("a session");
        options.max_tokens = Some(tokens);
        let cut = session.respond("hello", &options).expect("answers");
        assert_eq!(cut.finish, FinishReason::MaxTokens, "{tokens}");
        assert_eq!(cut.usage.generated_tokens, tokens);
        let text = cut.text.trim_end_matches('\u{fffd}');
        assert!(
            whole.text.starts_with(text),
            "{} begins {}",
            cut.text,
            whole.text
        );
    }
    options.max_tokens = Some(whole.usage.generated_tokens);
    let session = model.session(SessionOptions::default()).expect("a session");
    let answer = session.respond("hello", &options).expect("answers");
    assert_eq!(answer.finish, FinishReason::EndOfTurn);
}

#[test]
fn a_format_without_an_end_fills_the_context_and_no_more() {
    let model = model("qwen2");
    let session = model.session(SessionOptions::default()).expect("a session");
    let endless = OutputFormat::Lark("start: \"hello \" start".into());
    let outcome = session.respond("hello", &options(endless, 0.0, 1));
    assert!(
        matches!(outcome, Err(PocketError::InvalidArgument { .. })),
        "{outcome:?}"
    );
    let long = OutputFormat::Regex("(hello ){1000}".into());
    let answer = session
        .respond("hello", &options(long, 0.0, 1))
        .expect("answers");
    assert_eq!(answer.finish, FinishReason::ContextFull);
    assert!(answer.text.starts_with("hello hello hello "));
}

#[test]
fn a_format_that_is_refused_leaves_the_session_as_it_was() {
    let model = model("qwen2");
    let session = model.session(SessionOptions::default()).expect("a session");
    let refused = OutputFormat::JsonSchema(json!({"properties": {"a": {"not": {}}}}));
    let error = session
        .respond("hello", &options(refused, 0.0, 1))
        .expect_err("refused");
    let path = "/properties/a/not".to_owned();
    assert_eq!(error, PocketError::SchemaUnsupported { path });
    assert!(session.transcript().expect("idle").is_empty());
    let yes = OutputFormat::Regex("yes".into());
    assert_eq!(
        session
            .respond("hello", &options(yes, 0.0, 1))
            .expect("answers")
            .text,
        "yes"
    );
}
