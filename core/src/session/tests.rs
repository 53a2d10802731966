//! Turns that are disturbed at every point where they look up: afterwards it is as if they had
//! never been.

#[path = "../../tests/nano/builder/mod.rs"]
mod nano;

use crate::gguf::{Gguf, TensorType};
use crate::{
    ContextPolicy, DeviceChoice, Event, FinishReason, GenerateOptions, LoadOptions, LocalModel,
    ModelSession, Notice, PocketError, Response, SessionOptions,
};

use super::stream::Canceller;

fn model(context: Option<usize>) -> LocalModel {
    let bytes = nano::model("qwen2", TensorType::Q4K);
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        context,
        ..LoadOptions::default()
    };
    LocalModel::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), &options).expect("loads")
}

/// Greedy, and never ended by the model itself.
fn greedy(model: &LocalModel, tokens: usize) -> GenerateOptions {
    let mut options = GenerateOptions::greedy().with_max_tokens(tokens);
    let ends = model.tokenizer().end_of_generation();
    options.sample.logit_bias = ends.iter().map(|id| (*id, f32::NEG_INFINITY)).collect();
    options
}

/// A session after one turn.
fn begun(model: &LocalModel) -> ModelSession {
    let options = SessionOptions::instructions("the hello world is the world and the user");
    let session = model.session(options).expect("a session");
    let turn = session.respond("and hello", &greedy(model, 6));
    turn.expect("answers");
    session
}

/// The tokens in a session's cache after an answer: all but the last one, which may be there when
/// it was guessed.
fn tokens(session: &ModelSession, answer: &Response) -> Vec<u32> {
    let state = session.shared.idle().expect("idle");
    let cache = state.cache.as_ref().expect("a cache");
    let all = answer.usage.prompt_tokens + answer.usage.generated_tokens;
    cache.tokens()[..all - 1].to_vec()
}

/// The answer to a fixed question, and everything the model read and wrote for it.
fn next(session: &ModelSession) -> (String, Vec<u32>) {
    let options = greedy(&session.model, 8);
    let answer = session.respond("again", &options).expect("answers");
    let tokens = tokens(session, &answer);
    (answer.text, tokens)
}

/// How a turn ends that is run with `canceller`.
fn disturbed(session: &ModelSession, canceller: Canceller) -> Result<FinishReason, PocketError> {
    let options = greedy(&session.model, 12);
    let prompt = "this is the user and the system in the world";
    let stream = session.stream_until(prompt, &options, canceller);
    Ok(stream?.collect_response()?.finish)
}

#[test]
fn cancelled_at_every_look_up_a_turn_never_happened() {
    let model = model(None);
    let expected = next(&begun(&model));
    let mut looks = 0;
    loop {
        let session = begun(&model);
        let before = session.transcript().expect("idle");
        let finish = disturbed(&session, Canceller::after(looks)).expect("no error");
        if finish != FinishReason::Cancelled {
            break;
        }
        assert_eq!(session.transcript().expect("idle"), before, "look {looks}");
        assert_eq!(next(&session), expected, "cancelled at look {looks}");
        looks += 1;
    }
    // Some pieces of prompt and each token but the last.
    assert!(looks > 13, "only {looks} places were tried");
}

#[test]
fn a_turn_that_panics_anywhere_never_happened() {
    let model = model(None);
    let expected = next(&begun(&model));
    for look in 0..14 {
        let session = begun(&model);
        let before = session.transcript().expect("idle");
        match disturbed(&session, Canceller::panicking_after(look)) {
            Err(PocketError::Internal { reason }) => assert_eq!(reason, "as the test asked"),
            other => panic!("look {look}: {other:?}"),
        }
        assert_eq!(session.transcript().expect("idle"), before, "look {look}");
        assert_eq!(next(&session), expected, "panicked at look {look}");
    }
}

#[test]
fn a_turn_that_does_not_fit_or_is_not_listened_to_never_happened() {
    let model = model(None);
    let expected = next(&begun(&model));
    let session = begun(&model);
    let long = "hello the world ".repeat(100);
    let error = session.respond(&long, &greedy(&model, 4));
    assert!(matches!(error, Err(PocketError::ContextExceeded { .. })));
    assert_eq!(next(&session), expected);

    for looks in [0, 3, 9] {
        let session = begun(&model);
        let options = greedy(&model, 12);
        let stream = session.stream_until("hello", &options, Canceller::after(looks));
        drop(stream.expect("starts"));
        assert_eq!(session.transcript().expect("idle").len(), 3);
        assert_eq!(next(&session), expected);
    }
}

#[test]
fn shared_instructions_are_computed_once_and_change_nothing() {
    let model = model(None);
    let options = greedy(&model, 8);
    let ask = |instructions: &str, prompt: &str| {
        let session = model.session(SessionOptions::instructions(instructions));
        let session = session.expect("a session");
        let response = session.respond(prompt, &options).expect("answers");
        let tokens = tokens(&session, &response);
        (response, tokens)
    };
    let instructions = "the user and the assistant and the system";
    let (first, _) = ask(instructions, "hello");
    assert_eq!(first.usage.cached_tokens, 0);
    let (second, ids) = ask(instructions, "and the world");
    let system = model
        .tokenizer()
        .encode(instructions, false, crate::tokenizer::Special::Text);
    assert!(second.usage.cached_tokens >= system.expect("ids").len());
    model.inner.prefixes.clear();
    let (alone, alone_ids) = ask(instructions, "and the world");
    assert_eq!(alone.usage.cached_tokens, 0);
    assert_eq!((second.text, ids), (alone.text, alone_ids));
    let (other, _) = ask("is this another", "hello");
    assert!(other.usage.cached_tokens < 8, "{:?}", other.usage);
}

#[test]
fn the_oldest_turns_make_room_and_the_transcript_keeps_them() {
    let model = model(Some(160));
    let options = SessionOptions {
        overflow: ContextPolicy::KeepNewest,
        ..SessionOptions::instructions("hello the world")
    };
    let session = model.session(options).expect("a session");
    let generate = greedy(&model, 8);
    let mut dropped = 0;
    for turn in 0..12 {
        let prompt = format!("and the user {turn}");
        let stream = session.stream(&prompt, &generate).expect("starts");
        for event in stream {
            match event.expect("no error") {
                Event::Notice(Notice::TurnsDropped { turns }) => dropped += turns,
                Event::Done { finish, usage } => {
                    assert_eq!(finish, FinishReason::MaxTokens, "turn {turn}");
                    assert!(usage.prompt_tokens + 8 <= 160);
                }
                _ => {}
            }
        }
        assert_eq!(session.transcript().expect("idle").len(), 3 + 2 * turn);
    }
    assert!(dropped > 2, "{dropped} turns");
    // What is no longer sent cannot be gone back to and then sent again by accident.
    session.rewind(1).expect("rewinds");
    assert_eq!(session.transcript().expect("idle").len(), 3);
    session.respond("hello", &generate).expect("answers");
}
