//! Thinking and its budget, on models that follow a script.

use pocketlm::gguf::Gguf;
use pocketlm::{
    DeviceChoice, FinishReason, GenerateOptions, LoadOptions, LocalModel, OutputFormat, Response,
    SessionOptions, Speculation,
};

use crate::nano::builder::script::{self, TEMPLATE};

fn load(template: &str, lines: &[&[&str]]) -> LocalModel {
    let bytes = script::script(template, &[], lines).to_bytes();
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..LoadOptions::default()
    };
    LocalModel::from_gguf(&Gguf::from_bytes(bytes).expect("a GGUF"), &options).expect("loads")
}

/// Opens its thinking itself, thinks `ababab…` without end, and answers behind `</think>\n\n`.
const ENDLESS: &[&[&str]] = &[
    &["go", "<think>", "a"],
    &["a", "b"],
    &["b", "a"],
    &["\n", "Answer."],
    &["</think>", "\n"],
];

fn ask(model: &LocalModel, options: &GenerateOptions) -> Response {
    let session = model.session(SessionOptions::default()).expect("a session");
    session.respond("go", options).expect("answers")
}

fn options(budget: Option<usize>) -> GenerateOptions {
    GenerateOptions {
        reasoning_budget: budget,
        ..GenerateOptions::greedy().with_max_tokens(40)
    }
}

#[test]
fn a_budget_ends_the_thinking_and_the_answer_follows() {
    let model = load(TEMPLATE, ENDLESS);
    for speculation in [Speculation::Off, Speculation::Lookup] {
        for budget in 0..12 {
            let options = GenerateOptions {
                speculation: speculation.clone(),
                ..options(Some(budget))
            };
            let response = ask(&model, &options);
            let thoughts: String = "ab".chars().cycle().take(budget).collect();
            assert_eq!(
                response.reasoning,
                thoughts + "\n",
                "{budget} {speculation:?}"
            );
            assert_eq!(response.text, "Answer.", "{budget} {speculation:?}");
            assert_eq!(response.finish, FinishReason::EndOfTurn);
            // <think>, the thoughts, \n </think> \n \n, the answer, the end.
            assert_eq!(response.usage.generated_tokens, 1 + budget + 4 + 2);
        }
        // Without one it goes on.
        let endless = GenerateOptions {
            speculation,
            ..options(None)
        };
        let response = ask(&model, &endless);
        assert_eq!(response.finish, FinishReason::MaxTokens);
        assert_eq!((response.reasoning.len(), response.text.as_str()), (39, ""));
    }
}

/// The same model with a prompt that opens its thinking.
fn load_open() -> LocalModel {
    let template = TEMPLATE.replace(
        "messages[-1].content }}{% endif",
        "messages[-1].content + '<think>' }}{% endif",
    );
    assert_ne!(template, TEMPLATE);
    let lines: &[&[&str]] = &[
        &["<think>", "a"],
        ENDLESS[1],
        ENDLESS[2],
        ENDLESS[3],
        ENDLESS[4],
    ];
    load(&template, lines)
}

#[test]
fn a_prompt_that_opens_the_thinking_is_closed_too() {
    let model = load_open();
    for (budget, thoughts) in [(0, ""), (1, "a\n"), (4, "abab\n")] {
        let response = ask(&model, &options(Some(budget)));
        assert_eq!(
            (response.reasoning.as_str(), response.text.as_str()),
            (thoughts, "Answer.")
        );
    }
    // The next turn reads the committed answer, whatever the budget was.
    let session = model.session(SessionOptions::default()).expect("a session");
    session.respond("go", &options(Some(0))).expect("answers");
    let response = session.respond("go", &options(Some(2))).expect("answers");
    assert_eq!(
        (response.reasoning.as_str(), response.text.as_str()),
        ("ab\n", "Answer.")
    );
    let transcript = session.transcript().expect("idle");
    assert_eq!(transcript[1].reasoning, None);
    assert_eq!(transcript[3].reasoning.as_deref(), Some("ab\n"));
}

#[test]
fn tokens_run_out_at_any_point_of_the_forced_end() {
    let model = load(TEMPLATE, ENDLESS);
    for most in 1..10 {
        let options = options(Some(3)).with_max_tokens(most);
        let response = ask(&model, &options);
        assert_eq!(response.usage.generated_tokens, most);
        assert_eq!(response.finish, FinishReason::MaxTokens);
        assert_eq!(response.text, if most < 9 { "" } else { "Answer." });
    }
}

#[test]
fn thinking_that_ends_in_time_is_left_alone() {
    // Qwen 3's own template; the newest token of its prompts is the one for `assistant\n`.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/chat/jinja/Qwen-Qwen3-0.6B.jinja");
    let template = std::fs::read_to_string(path).expect("a template");
    let lines: &[&[&str]] = &[&[
        "assistant\n",
        "<think>",
        "\nOne and one.",
        "</think>",
        "\n\n",
        "Two.",
    ]];
    let model = load(&template, lines);
    for budget in [None, Some(2), Some(100)] {
        let session = model.session(SessionOptions::default()).expect("a session");
        for _ in 0..2 {
            let response = session.respond("1+1?", &options(budget)).expect("answers");
            assert_eq!(response.reasoning, "\nOne and one.", "{budget:?}");
            assert_eq!(
                (response.text.as_str(), response.finish),
                ("Two.", FinishReason::EndOfTurn)
            );
        }
    }
}

#[test]
fn an_answer_with_a_format_follows_a_forced_end() {
    // A format holds from the first token on, unless the prompt itself opens the thinking.
    let model = load_open();
    let options = GenerateOptions {
        format: Some(OutputFormat::Regex("[0-9]{3}".into())),
        ..options(Some(2))
    };
    let response = ask(&model, &options);
    assert_eq!(response.reasoning, "ab\n");
    assert_eq!(response.text.len(), 3, "{:?}", response.text);
    assert!(response.text.bytes().all(|b| b.is_ascii_digit()));
}
