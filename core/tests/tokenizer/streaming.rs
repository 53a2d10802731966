//! Text from tokens, one at a time.

use pocketlm::tokenizer::{Special, Tokenizer};

use super::{Metadata, Random, VOCABULARIES, byte_alphabet, tokenizer, vocabulary};

#[test]
fn decoding_is_the_sum_of_the_stream() {
    let mut random = Random(3);
    for name in VOCABULARIES {
        let tokenizer = Tokenizer::from_gguf(&vocabulary(name)).expect("a tokenizer");
        for _ in 0..500 {
            // Any tokens, also some that are none.
            let n = 1 + random.below(20);
            let ids: Vec<u32> = (0..n)
                .map(|_| random.below(tokenizer.vocab_size() + 3) as u32)
                .collect();
            let mut detokenizer = tokenizer.detokenizer();
            let mut streamed: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
            streamed.push_str(&detokenizer.finish());
            assert_eq!(tokenizer.decode(&ids), streamed, "{name}: {ids:?}");

            let bytes: Vec<u8> = ids
                .iter()
                .flat_map(|&id| tokenizer.token_bytes(id))
                .collect();
            let whole = String::from_utf8_lossy(&bytes);
            let stripped = *name == "phi-3" && tokenizer.token_bytes(ids[0]).starts_with(b" ");
            assert_eq!(streamed, whole[usize::from(stripped)..], "{name}: {ids:?}");
        }
    }
}

#[test]
fn text_survives_the_way_there_and_back() {
    let mut random = Random(11);
    for name in ["falcon", "gpt-2", "phi-3"] {
        let tokenizer = Tokenizer::from_gguf(&vocabulary(name)).expect("a tokenizer");
        for _ in 0..500 {
            let text = random.text();
            let ids = tokenizer
                .encode(&text, false, Special::Text)
                .expect("encodes");
            // A sign for a space in the text cannot be told from a space.
            let expected = if name == "phi-3" {
                text.replace('▁', " ")
            } else {
                text
            };
            assert_eq!(tokenizer.decode(&ids), expected, "{name}");
        }
    }
}

#[test]
fn half_a_character_waits() {
    let tokenizer = Tokenizer::from_gguf(&vocabulary("gpt-2")).expect("a tokenizer");
    let ids = tokenizer
        .encode("a🦙b", false, Special::Text)
        .expect("encodes");
    let mut detokenizer = tokenizer.detokenizer();
    let pushed: Vec<String> = ids.iter().map(|&id| detokenizer.push(id)).collect();
    assert_eq!(pushed.concat(), "a🦙b");
    assert!(
        pushed.contains(&String::new()),
        "the llama is more than one token: {pushed:?}"
    );
    assert!(pushed.iter().all(|piece| !piece.contains('\u{fffd}')));
    assert_eq!(detokenizer.finish(), "");
}

/// A vocabulary of the 256 bytes.
fn bytes() -> Tokenizer {
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    tokens.push("ab".into());
    tokenizer(&Metadata::from([
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.merges".into(), ["a b"].into()),
    ]))
}

#[test]
fn invalid_utf_8_becomes_replacement_characters() {
    let tokenizer = bytes();
    // Bytes, what each push emits, what finish emits.
    let table: &[(&[u32], &[&str], &str)] = &[
        (&[0xe4, 0xbd, 0xa0], &["", "", "你"], ""),
        (&[0xe4, 0xbd], &["", ""], "\u{fffd}"),
        (&[0xe4, 0x41], &["", "\u{fffd}A"], ""),
        (&[0x80, 0x41], &["\u{fffd}", "A"], ""),
        (&[0xff, 0xc3, 0xa9], &["\u{fffd}", "", "é"], ""),
        (
            &[0xf0, 0x9f, 0xe4, 0xbd, 0xa0],
            &["", "", "\u{fffd}", "", "你"],
            "",
        ),
        (
            &[0xed, 0xa0, 0x80],
            &["", "\u{fffd}\u{fffd}", "\u{fffd}"],
            "",
        ), // a surrogate
        (&[9999, 0x41], &["", "A"], ""),
    ];
    for (ids, pushes, finish) in table {
        let mut detokenizer = tokenizer.detokenizer();
        let found: Vec<String> = ids.iter().map(|&id| detokenizer.push(id)).collect();
        assert_eq!(&found, pushes, "{ids:x?}");
        assert_eq!(detokenizer.finish(), *finish, "{ids:x?}");
        assert_eq!(detokenizer.finish(), "", "finish leaves nothing");
    }
}

#[test]
fn the_space_of_the_vocabulary_goes_where_the_text_starts() {
    let tokenizer = Tokenizer::from_gguf(&vocabulary("phi-3")).expect("a tokenizer");
    let ids = tokenizer
        .encode("Hello world", false, Special::Text)
        .expect("encodes");
    assert_eq!(tokenizer.decode(&ids), "Hello world");
    // After a first token the space is text: the same rule as llama.cpp's.
    let with_bos = tokenizer
        .encode("Hello world", true, Special::Text)
        .expect("encodes");
    assert_eq!(tokenizer.decode(&with_bos), " Hello world");
    let mut detokenizer = tokenizer.continuing_detokenizer();
    let continued: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
    assert_eq!(continued, " Hello world");
    // Byte-pair vocabularies have no such space.
    let gpt2 = Tokenizer::from_gguf(&vocabulary("gpt-2")).expect("a tokenizer");
    let ids = gpt2
        .encode(" Hello", false, Special::Text)
        .expect("encodes");
    assert_eq!(gpt2.decode(&ids), " Hello");
}

#[test]
fn control_tokens_are_no_text() {
    let tokenizer = Tokenizer::from_gguf(&vocabulary("phi-3")).expect("a tokenizer");
    let ids = tokenizer
        .encode("<|user|>Hi<|end|>", true, Special::Parse)
        .expect("encodes");
    assert_eq!(
        ids.iter().filter(|&&id| tokenizer.is_control(id)).count(),
        3
    );
    assert_eq!(tokenizer.decode(&ids), " Hi");
}

#[test]
fn tokenizers_and_detokenizers_cross_threads() {
    fn crosses<T: Send + Sync + Clone + 'static>(_: &T) {}
    let tokenizer = bytes();
    crosses(&tokenizer);
    crosses(&tokenizer.detokenizer());
}
