//! Speculation changes how long an answer takes, never what it says.

use pocketlm::gguf::{Gguf, TensorType};
use pocketlm::{
    DeviceChoice, FinishReason, GenerateOptions, LoadOptions, LocalModel, PocketError, Response,
    SampleOptions, SessionOptions, Speculation,
};

use crate::nano::builder;

fn model(architecture: &str, ty: TensorType) -> LocalModel {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(2),
        ..LoadOptions::default()
    };
    let bytes = builder::model(architecture, ty);
    LocalModel::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), &options).expect("loads")
}

/// Options of an answer of `tokens` tokens, which the model does not end itself.
fn options(model: &LocalModel, sample: SampleOptions, tokens: usize) -> GenerateOptions {
    let mut options = GenerateOptions {
        sample,
        ..GenerateOptions::default()
    }
    .with_max_tokens(tokens);
    let ends = model.tokenizer().end_of_generation();
    options.sample.logit_bias = ends.iter().map(|id| (*id, f32::NEG_INFINITY)).collect();
    options
}

/// Two turns of a conversation that repeats itself.
fn turns(model: &LocalModel, options: &GenerateOptions) -> Vec<Response> {
    let session = model
        .session(SessionOptions::instructions("hello the world"))
        .expect("a session");
    ["and hello the world and hello the world and", "the world"]
        .map(|prompt| session.respond(prompt, options).expect("answers"))
        .into()
}

fn texts(responses: &[Response]) -> Vec<&str> {
    responses.iter().map(|r| r.text.as_str()).collect()
}

#[test]
fn every_kind_gives_the_same_answer() {
    let target = model("qwen2", TensorType::Q4K);
    // Other weights with the same vocabulary: its guesses are mostly wrong. The target itself as the
    // drafting model is mostly right.
    let stranger = model("qwen2", TensorType::Q8_0);
    let kinds = [
        Speculation::Auto,
        Speculation::Lookup,
        Speculation::Draft(stranger),
        Speculation::Draft(target.clone()),
    ];
    let seeded = |temperature: f32| SampleOptions {
        temperature,
        repetition_penalty: 1.1,
        seed: Some(7),
        ..SampleOptions::default()
    };
    for sample in [SampleOptions::greedy(), seeded(0.7), seeded(1.5)] {
        let mut options = options(&target, sample.clone(), 60);
        options.speculation = Speculation::Off;
        let plain = turns(&target, &options);
        assert_eq!(plain[0].usage.drafted_tokens, 0);
        for kind in &kinds {
            options.speculation = kind.clone();
            let guessed = turns(&target, &options);
            let at = sample.temperature;
            assert_eq!(
                texts(&guessed),
                texts(&plain),
                "{kind:?} at temperature {at}"
            );
            for (guessed, plain) in guessed.iter().zip(&plain) {
                assert_eq!(guessed.usage.generated_tokens, plain.usage.generated_tokens);
                assert!(guessed.usage.accepted_tokens <= guessed.usage.drafted_tokens);
            }
        }
    }
}

#[test]
fn guesses_come_true_where_the_text_repeats_itself() {
    let model = model("qwen2", TensorType::Q4K);
    // A bias that leaves only two tokens makes a text that repeats itself.
    let mut options = options(&model, SampleOptions::greedy(), 200);
    options
        .sample
        .logit_bias
        .extend((0..2).map(|id| (id, 100.0)));
    options.speculation = Speculation::Lookup;
    let answer = &turns(&model, &options)[0];
    assert_eq!(answer.finish, FinishReason::MaxTokens);
    // How many are tried depends on what passes cost here; that the first ones are does not.
    assert!(answer.usage.accepted_tokens > 0, "{:?}", answer.usage);
}

#[test]
fn limits_hold_in_the_middle_of_guesses() {
    let model = model("qwen2", TensorType::Q4K);
    for tokens in 1..20 {
        let mut options = options(&model, SampleOptions::greedy(), tokens);
        options.speculation = Speculation::Draft(model.clone());
        let answer = &turns(&model, &options)[0];
        assert_eq!(answer.usage.generated_tokens, tokens);
        assert_eq!(answer.finish, FinishReason::MaxTokens);
    }
}

#[test]
fn a_drafting_model_with_other_tokens_is_refused() {
    let target = model("qwen2", TensorType::Q4K);
    let other = model("gemma3", TensorType::Q4K);
    let mut options = options(&target, SampleOptions::greedy(), 4);
    options.speculation = Speculation::Draft(other);
    let session = target
        .session(SessionOptions::default())
        .expect("a session");
    match session.respond("hello", &options) {
        Err(PocketError::InvalidArgument { name, .. }) => assert_eq!(name, "speculation"),
        other => panic!("{other:?}"),
    }
    options.speculation = Speculation::Off;
    session
        .respond("hello", &options)
        .expect("the session goes on");
}
