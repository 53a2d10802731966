//! The ids of llama.cpp and of real models.

use pocketlm::gguf::Gguf;
use pocketlm::tokenizer::{Special, Tokenizer};

use super::{VOCABULARIES, ids, json, text, vocabulary};
use crate::golden::real_model;

/// Runs llama.cpp's own test vectors, and returns how many there were.
fn run_vectors(name: &str, gguf: &Gguf) -> usize {
    let tokenizer = Tokenizer::from_gguf(gguf).expect("a tokenizer");
    let inputs = text(&format!("ggml-vocab-{name}.gguf.inp"));
    let outputs = text(&format!("ggml-vocab-{name}.gguf.out"));
    let inputs: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
    let outputs: Vec<&str> = outputs.split('\n').collect();
    assert_eq!(inputs.len(), outputs.len(), "{name}");
    for (input, output) in inputs.iter().zip(outputs) {
        let expected: Vec<u32> = output
            .split_whitespace()
            .map(|id| id.parse().expect("an id"))
            .collect();
        let found = tokenizer
            .encode(input, false, Special::Text)
            .expect("encodes");
        assert_eq!(found, expected, "{name}: {input:?}");
    }
    inputs.len()
}

#[test]
fn llama_cpp_vectors() {
    for name in VOCABULARIES {
        assert_eq!(run_vectors(name, &vocabulary(name)), 47);
    }
    // Qwen2's vocabulary is too large for the repository, but its models have it.
    if let Some(path) = real_model("qwen2.5-coder-0.5b-instruct-q4_k_m") {
        assert_eq!(run_vectors("qwen2", &Gguf::open(&path).expect("opens")), 47);
    }
}

#[test]
fn llama_cpp_ids_of_random_text() {
    let sections = json("llama_cpp_ids.json");
    for name in VOCABULARIES {
        let section = &sections["vocabularies"][name];
        let tokenizer = Tokenizer::from_gguf(&vocabulary(name)).expect("a tokenizer");
        assert_eq!(
            tokenizer.end_of_generation(),
            ids(&section["end_of_generation"]),
            "{name}"
        );
        let cases = section["cases"].as_array().expect("cases");
        assert!(cases.len() >= 60);
        for case in cases {
            let text = case[0].as_str().expect("text");
            let plain = tokenizer
                .encode(text, false, Special::Text)
                .expect("encodes");
            assert_eq!(plain, ids(&case[1]), "{name}: {text:?}");
            let parsed = tokenizer
                .encode(text, true, Special::Parse)
                .expect("encodes");
            assert_eq!(parsed, ids(&case[2]), "{name}: {text:?}, parsed");
        }
    }
}

#[test]
fn special_ids_by_key_and_by_text() {
    // Name, bos, eos, end of turn, whether a text begins with bos.
    let table = [
        ("bert-bge", Some(101), None, None, true),
        ("falcon", Some(11), Some(11), Some(11), false),
        ("gpt-2", Some(50256), Some(50256), Some(50256), false),
        ("phi-3", Some(1), Some(32000), Some(32007), true),
    ];
    assert_eq!(table.map(|row| row.0), VOCABULARIES);
    for (name, bos, eos, eot, adds_bos) in table {
        let tokenizer = Tokenizer::from_gguf(&vocabulary(name)).expect("a tokenizer");
        assert_eq!(tokenizer.bos(), bos, "{name}");
        assert_eq!(tokenizer.eos(), eos, "{name}");
        assert_eq!(tokenizer.special_ids().eot, eot, "{name}");
        assert_eq!(tokenizer.adds_bos(), adds_bos, "{name}");
        for id in 0..tokenizer.vocab_size() as u32 {
            let text = tokenizer.token_text(id).expect("a text");
            assert_eq!(tokenizer.token_id(text), Some(id), "{name}: {text:?}");
        }
        assert_eq!(tokenizer.token_text(tokenizer.vocab_size() as u32), None);
    }
}

/// Chat prompts as the reference rendered and tokenized them, and its answers.
#[test]
fn prompts_of_real_models() {
    for model in [
        "gemma-3-270m-q4_k_m",
        "qwen2.5-coder-0.5b-instruct-q4_k_m",
        "qwen2.5-coder-1.5b-instruct-q4_k_m",
    ] {
        let Some(path) = real_model(model) else {
            continue;
        };
        let tokenizer =
            Tokenizer::from_gguf(&Gguf::open(&path).expect("opens")).expect("a tokenizer");
        let golden = json(&format!("../golden/{model}.json"));
        let cases = golden["cases"].as_array().expect("cases");
        assert!(!cases.is_empty());
        for case in cases {
            let rendered = case["rendered"].as_str().expect("text");
            let found = tokenizer
                .encode(rendered, true, Special::Parse)
                .expect("encodes");
            assert_eq!(found, ids(&case["prompt_ids"]), "{model}: {rendered:?}");

            let mut detokenizer = tokenizer.continuing_detokenizer();
            let mut answer: String = ids(&case["token_ids"])
                .iter()
                .map(|&id| detokenizer.push(id))
                .collect();
            answer.push_str(&detokenizer.finish());
            assert_eq!(answer, case["text"].as_str().expect("text"), "{model}");
        }
    }
}
