//! Time that grows with the text and not with its square, on the texts that tempt.

use std::time::{Duration, Instant};

use pocketlm::tokenizer::{PRETOKENIZERS, Special, Tokenizer};

use super::{Metadata, VOCABULARIES, byte_alphabet, tokenizer, vocabulary};

/// Characters of each text.
const LENGTH: usize = 200_000;

/// What a text may take: 50 times what it takes on a slow machine, a small part of what the square
/// of its length would.
const LIMIT: Duration = Duration::from_secs(5);

fn texts() -> Vec<(&'static str, String)> {
    let repeated = |part: &str| part.repeat(LENGTH / part.chars().count());
    vec![
        ("letters", repeated("a")),
        ("capitals", repeated("A")),
        ("capitals after one that is not ASCII", repeated("ÉAAAAAAA")),
        ("spaces", repeated(" ")),
        ("spaces and a letter", repeated(" ") + "a"),
        ("line breaks", repeated("\n")),
        ("spaces with line breaks", repeated(" \n")),
        ("tabs before a word", repeated("\t\t\t\tx")),
        ("wide spaces", repeated("\u{3000}")),
        ("digits", repeated("1")),
        ("apostrophes", repeated("'")),
        ("words without spaces", repeated("theirwordsrunon")),
        ("words with spaces", repeated(" word")),
        ("ideographs", repeated("你好世界")),
        ("marks", repeated("\u{301}")),
        ("symbols", repeated("-=/")),
        ("the start of a special token", repeated("<|endoftext|")),
        ("special tokens", repeated("<|endoftext|>")),
        ("signs for spaces", repeated("▁")),
        ("emoji", repeated("👨‍👩‍👧")),
    ]
}

fn timed(what: &str, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let took = start.elapsed();
    assert!(took < LIMIT, "{what}: {took:?}");
}

#[test]
fn every_row_splits_in_linear_time() {
    for (name, text) in texts() {
        for row in PRETOKENIZERS {
            timed(&format!("{:?}, {name}", row.names), || {
                row.split(&text);
            });
        }
    }
}

#[test]
fn every_family_encodes_long_texts() {
    for vocabulary_name in VOCABULARIES {
        let tokenizer = Tokenizer::from_gguf(&vocabulary(vocabulary_name)).expect("a tokenizer");
        for (name, text) in texts() {
            for special in [Special::Text, Special::Parse] {
                timed(&format!("{vocabulary_name}, {name}"), || {
                    let ids = tokenizer.encode(&text, true, special).expect("encodes");
                    tokenizer.decode(&ids);
                });
            }
        }
    }
}

/// Special tokens that nest and overlap as much as they can.
#[test]
fn nested_special_tokens() {
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    let mut types = vec![1; tokens.len()];
    for n in 2..300 {
        tokens.push("a".repeat(n));
        types.push(if n % 2 == 0 { 3 } else { 4 });
    }
    let tokenizer = tokenizer(&Metadata::from([
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.token_type".into(), types.into()),
        ("tokenizer.ggml.merges".into(), ["a a"].into()),
    ]));
    let text = "a".repeat(LENGTH);
    let middle = 1000..LENGTH - 1000;
    for special in [
        Special::Text,
        Special::Parse,
        Special::ParseOutside(&[middle]),
    ] {
        timed("nested", || {
            let ids = tokenizer.encode(&text, false, special).expect("encodes");
            assert!(ids.len() <= LENGTH / 299 + 10, "{}", ids.len());
        });
    }
}

/// Scores that let one symbol grow from the left, a character at a time.
#[test]
fn growing_pieces() {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".into(), "</s>".into(), "▁".into()];
    tokens.extend((1..1000).map(|n| "a".repeat(n)));
    let scores: Vec<f32> = (0..tokens.len()).map(|n| n as f32).collect();
    let tokenizer = tokenizer(&Metadata::from([
        ("tokenizer.ggml.model".into(), "llama".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.scores".into(), scores.into()),
    ]));
    let text = "a".repeat(LENGTH);
    timed("growing", || {
        let ids = tokenizer
            .encode(&text, false, Special::Text)
            .expect("encodes");
        assert!(ids.len() < LENGTH / 100, "{}", ids.len());
    });
}
