//! The table of pre-tokenizers: every row against its published expression, and every name against
//! llama.cpp.

use std::collections::HashSet;

use pocketlm::PocketError;
use pocketlm::tokenizer::{PRETOKENIZERS, PreTokenizer, Special, Tokenizer};

use super::{Metadata, Random, byte_alphabet, file, from_json, ids, json, strings, tokenizer};

#[test]
fn rows_split_as_their_expressions_do() {
    let vectors = json("pretokens.json");
    let texts = strings(&vectors["texts"]);
    let pieces = vectors["pieces"].as_object().expect("rows");
    for row in PRETOKENIZERS {
        let names = row.names;
        let name = names.iter().find(|name| pieces.contains_key(**name));
        let expected = &pieces[*name.unwrap_or_else(|| panic!("no vectors for {names:?}"))];
        for (text, lengths) in texts.iter().zip(expected.as_array().expect("texts")) {
            let found: Vec<u32> = row.split(text).iter().map(|p| p.len() as u32).collect();
            assert_eq!(found, ids(lengths), "{names:?}: {:?}", row.split(text));
        }
    }
}

#[test]
fn pieces_are_the_text() {
    let mut random = Random(1);
    for _ in 0..200 {
        let text = random.text();
        for row in PRETOKENIZERS {
            let pieces = row.split(&text);
            assert!(
                pieces.iter().all(|piece| !piece.is_empty()),
                "{:?}: {pieces:?}",
                row.names
            );
            assert_eq!(pieces.concat(), text, "{:?}", row.names);
        }
    }
}

#[test]
fn names_are_unique_and_found() {
    let mut seen = HashSet::new();
    for row in PRETOKENIZERS {
        for name in row.names {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(std::ptr::eq(PreTokenizer::named(name).expect("a row"), row));
        }
    }
    assert!(PreTokenizer::named("gpt-5").is_none());
}

/// A vocabulary in which cuts show: every two bytes are a token, and merge unless a cut is between
/// them. `an` has no merge.
fn pairs() -> Metadata {
    let alphabet = byte_alphabet();
    let spell = |n: usize| (alphabet[n >> 8], alphabet[n & 255]);
    let order: Vec<(char, char)> = (0..65536).map(|n| spell(n * 40503 % 65536)).collect();
    let mut tokens: Vec<String> = alphabet.iter().map(char::to_string).collect();
    tokens.extend(order.iter().map(|(a, b)| format!("{a}{b}")));
    let merges = order.iter().filter(|pair| **pair != ('a', 'n'));
    Metadata::from([
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        (
            "tokenizer.ggml.merges".into(),
            merges
                .map(|(a, b)| format!("{a} {b}"))
                .collect::<Vec<_>>()
                .into(),
        ),
        ("tokenizer.ggml.bos_token_id".into(), 0u32.into()),
        ("tokenizer.ggml.eos_token_id".into(), 1u32.into()),
    ])
}

#[test]
fn names_give_the_ids_of_llama_cpp() {
    let vectors = &json("llama_cpp_ids.json")["pretokenizers"];
    let texts = strings(&vectors["texts"]);
    let mut metadata = pairs();
    for row in PRETOKENIZERS.iter().filter(|row| !row.plain_text) {
        metadata.insert("tokenizer.ggml.pre".into(), row.names[0].into());
        let tokenizer = tokenizer(&metadata);
        for name in row.names {
            let expected = vectors["ids"][name]
                .as_array()
                .unwrap_or_else(|| panic!("no ids for {name}"));
            assert!(!expected.is_empty());
            for (text, expected) in texts.iter().zip(expected) {
                let found = tokenizer
                    .encode(text, true, Special::Text)
                    .expect("encodes");
                assert_eq!(found, ids(expected), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn plain_text_vocabularies() {
    let vectors = &json("llama_cpp_ids.json")["plain_text"];
    let metadata = Metadata::from([
        ("tokenizer.ggml.model".into(), "gemma4".into()),
        (
            "tokenizer.ggml.tokens".into(),
            from_json(&vectors["tokens"]),
        ),
        (
            "tokenizer.ggml.token_type".into(),
            from_json(&vectors["types"]),
        ),
        (
            "tokenizer.ggml.merges".into(),
            from_json(&vectors["merges"]),
        ),
        ("tokenizer.ggml.bos_token_id".into(), 2u32.into()),
        ("tokenizer.ggml.eos_token_id".into(), 1u32.into()),
    ]);
    let tokenizer = tokenizer(&metadata);
    let cases = vectors["cases"].as_array().expect("cases");
    assert!(cases.len() > 20);
    for case in cases {
        let text = case[0].as_str().expect("text");
        let plain = tokenizer
            .encode(text, false, Special::Text)
            .expect("encodes");
        assert_eq!(plain, ids(&case[1]), "{text:?}");
        assert_eq!(tokenizer.decode(&plain), text);
        let parsed = tokenizer
            .encode(text, true, Special::Parse)
            .expect("encodes");
        assert_eq!(parsed, ids(&case[2]), "{text:?}, parsed");
    }
}

#[test]
fn unknown_names_are_unsupported_by_name() {
    let mut metadata = pairs();
    for (key, value) in [
        ("tokenizer.ggml.pre", "gpt-5"),
        ("tokenizer.ggml.pre", ""),
        ("tokenizer.ggml.model", "t5"),
        ("tokenizer.ggml.model", "rwkv"),
        ("tokenizer.ggml.model", "none"),
        ("tokenizer.ggml.model", "no_vocab"),
        ("tokenizer.ggml.model", "plamo2"),
    ] {
        metadata.insert(key.into(), value.into());
        match Tokenizer::from_gguf(&file(&metadata)) {
            Err(PocketError::UnsupportedModel { what }) => {
                assert!(what.contains(&format!("`{value}`")), "{what}")
            }
            other => panic!("{key} = {value}: {other:?}"),
        }
    }
}
