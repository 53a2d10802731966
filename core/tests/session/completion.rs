//! Fill-in-the-middle: what is reused, what interrupts, what cannot.

use pocketlm::gguf::{Gguf, TensorType};
use pocketlm::{DeviceChoice, FinishReason, LoadOptions, LocalModel, PocketError, Response};

use super::{builder, greedy};

/// A nano model whose vocabulary has the tokens, by Qwen's names or by keys.
fn model(by_key: bool) -> LocalModel {
    let mut nano = builder::recipe("qwen2").build(builder::Weights::All(TensorType::Q4K));
    let key = |name: &str| format!("tokenizer.ggml.fim_{name}_token_id");
    for (i, name) in ["pre", "suf", "mid"].iter().enumerate() {
        nano.set(&key(name), 310u32 + i as u32);
    }
    if !by_key {
        let texts = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];
        let mut tokens: Vec<String> = tokens(&nano);
        for (i, text) in texts.iter().enumerate() {
            tokens[310 + i] = (*text).into();
        }
        nano.set("tokenizer.ggml.tokens", tokens);
        for name in ["pre", "suf", "mid"] {
            nano.remove(&key(name));
        }
    }
    load(nano.to_bytes())
}

/// The texts of a nano model's tokens.
fn tokens(nano: &builder::Nano) -> Vec<String> {
    let gguf = Gguf::from_bytes(nano.to_bytes()).expect("a GGUF");
    let tokens = gguf.metadata().require_strings("tokenizer.ggml.tokens");
    tokens.expect("tokens").iter().map(str::to_owned).collect()
}

fn load(bytes: Vec<u8>) -> LocalModel {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..LoadOptions::default()
    };
    LocalModel::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), &options).expect("loads")
}

#[test]
fn a_vocabulary_without_the_tokens_is_refused() {
    let model = super::model(None);
    for error in [
        model.completer().err(),
        super::session(&model)
            .complete("a", "b", &greedy(&model, 4))
            .err(),
    ] {
        match error {
            Some(PocketError::UnsupportedModel { what }) => {
                assert!(what.contains("fill-in-the-middle"), "{what}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn tokens_are_found_by_key_and_by_name() {
    for by_key in [true, false] {
        let model = model(by_key);
        let ids = model.tokenizer().special_ids();
        assert_eq!(
            (ids.fim_prefix, ids.fim_suffix, ids.fim_middle),
            (Some(310), Some(311), Some(312))
        );
        let completer = model.completer().expect("has the tokens");
        let response = completer.complete("hello the", " world", &greedy(&model, 5));
        let response = response
            .expect("starts")
            .collect_response()
            .expect("answers");
        // Two words, the space and word after them, and three tokens around them.
        assert_eq!(response.usage.prompt_tokens, 2 + 1 + 3);
        assert_eq!(response.finish, FinishReason::MaxTokens);
    }
}

#[test]
fn a_keystroke_computes_what_it_changed_and_answers_as_if_alone() {
    let model = model(true);
    let completer = model.completer().expect("has the tokens");
    let options = greedy(&model, 6);
    let typed = "hello the world and the user is the assistant in the system";
    let complete = |completer: &pocketlm::Completer, prefix: &str| -> Response {
        let stream = completer
            .complete(prefix, " and", &options)
            .expect("starts");
        stream.collect_response().expect("answers")
    };
    for end in 40..typed.len() {
        let prefix = &typed[..end];
        let warm = complete(&completer, prefix);
        let cold = complete(&model.completer().expect("has the tokens"), prefix);
        assert_eq!(warm.text, cold.text, "{prefix:?}");
        assert_eq!(cold.usage.cached_tokens, 0);
        if end > 40 {
            // The word that is being typed, the suffix and what is around them.
            let computed = warm.usage.prompt_tokens - warm.usage.cached_tokens;
            assert!(computed <= 14, "{computed} tokens for one keystroke");
            assert!(warm.usage.cached_tokens > 4);
        }
    }
}

#[test]
fn a_newer_keystroke_stops_the_older_one() {
    let model = model(true);
    let session = super::session(&model);
    let long = greedy(&model, 200);
    let stopped = (0..50).any(|_| {
        let old = session.complete("hello", "", &long).expect("starts");
        let new = session
            .complete("hello the", "", &greedy(&model, 3))
            .expect("starts");
        let new = new.collect_response().expect("answers");
        assert_eq!(new.finish, FinishReason::MaxTokens);
        old.collect_response().expect("no error").finish == FinishReason::Cancelled
    });
    assert!(stopped, "no completion was ever stopped by a newer one");
    assert_eq!(
        session.transcript().expect("idle").len(),
        1,
        "the chat is as it was"
    );
    model.close();
    let closed = session.complete("a", "b", &long);
    assert_eq!(closed.err(), Some(PocketError::Closed));
}

#[test]
fn long_texts_lose_their_far_ends() {
    let model = model(true);
    let completer = model.completer().expect("has the tokens");
    let (prefix, suffix) = ("hello the ".repeat(200), " world and".repeat(200));
    for max_tokens in [1, 16, 100, 10_000] {
        let stream = completer.complete(&prefix, &suffix, &greedy(&model, max_tokens));
        let response = stream.expect("starts").collect_response().expect("answers");
        let expected = match max_tokens {
            10_000 => FinishReason::ContextFull,
            _ => FinishReason::MaxTokens,
        };
        assert_eq!(response.finish, expected);
        assert!(response.usage.prompt_tokens > 100);
    }
}
