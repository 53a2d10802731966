//! Vocabularies that lie: a typed error that names the key, or a tolerance that is said.

use pocketlm::PocketError;
use pocketlm::gguf::WriteValue;
use pocketlm::tokenizer::{Special, Tokenizer};

use super::{Metadata, Random, byte_alphabet, file, tokenizer};

/// A sound byte-pair vocabulary.
fn byte_pair() -> Metadata {
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    tokens.extend(["ab", "abc", "<|end|>"].map(String::from));
    let mut types = vec![1; tokens.len()];
    types[258] = 3;
    Metadata::from([
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.pre".into(), "qwen2".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.token_type".into(), types.into()),
        ("tokenizer.ggml.merges".into(), ["a b", "ab c"].into()),
        ("tokenizer.ggml.eos_token_id".into(), 258u32.into()),
    ])
}

/// A sound SentencePiece vocabulary.
fn sentence_piece() -> Metadata {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    tokens.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    tokens.extend(["▁", "a", "▁a"].map(String::from));
    let mut types = vec![2, 3, 3];
    types.extend([6; 256]);
    types.extend([1; 3]);
    Metadata::from([
        ("tokenizer.ggml.model".into(), "llama".into()),
        (
            "tokenizer.ggml.scores".into(),
            vec![-1.0f32; tokens.len()].into(),
        ),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.token_type".into(), types.into()),
    ])
}

/// A sound WordPiece vocabulary.
fn word_piece() -> Metadata {
    let mut tokens: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        .map(String::from)
        .into();
    tokens.extend(["▁a", "b", "▁b", "!"].map(String::from));
    Metadata::from([
        ("tokenizer.ggml.model".into(), "bert".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        (
            "tokenizer.ggml.token_type".into(),
            [3, 2, 3, 3, 1, 1, 1, 1].into(),
        ),
        ("tokenizer.ggml.bos_token_id".into(), 2u32.into()),
        ("tokenizer.ggml.seperator_token_id".into(), 3u32.into()),
        ("tokenizer.ggml.unknown_token_id".into(), 1u32.into()),
    ])
}

type Family = (&'static str, fn() -> Metadata);

const FAMILIES: &[Family] = &[
    ("byte pair", byte_pair),
    ("sentence piece", sentence_piece),
    ("word piece", word_piece),
];

#[test]
fn the_sound_ones_work() {
    for (name, family) in FAMILIES {
        let tokenizer = tokenizer(&family());
        assert!(
            !tokenizer
                .encode("ab a!", true, Special::Parse)
                .expect("encodes")
                .is_empty(),
            "{name}"
        );
    }
}

/// Asserts that `key` with `value` (or without the key) is refused by name.
fn refused(family: &str, mut metadata: Metadata, key: &str, value: Option<WriteValue>) {
    let shown = format!("{family}: {key} = {value:.100?}");
    let key = format!("tokenizer.ggml.{key}");
    match value {
        Some(value) => metadata.insert(key.clone(), value),
        None => metadata.remove(&key),
    };
    match Tokenizer::from_gguf(&file(&metadata)) {
        Err(PocketError::CorruptModel { what, location }) => {
            assert!(!what.is_empty());
            assert!(location.contains(&key), "{shown}: at {location}: {what}");
        }
        other => panic!("{shown}: {other:?}"),
    }
}

#[test]
fn contradictions_in_any_family_are_refused() {
    for (name, family) in FAMILIES {
        let count = tokenizer(&family()).vocab_size();
        let refused = |key: &str, value: Option<WriteValue>| refused(name, family(), key, value);
        refused("model", None);
        refused("model", Some(7u32.into()));
        refused("tokens", None);
        refused("tokens", Some("one string".into()));
        refused("tokens", Some(vec![1u32; count].into()));
        refused("tokens", Some(Vec::<String>::new().into()));
        refused("tokens", Some(vec!["same"; count].into()));
        refused("token_type", Some(vec![1i32; count - 1].into()));
        refused("token_type", Some(vec![1i32; count + 1].into()));
        refused("token_type", Some(vec!["1"; count].into()));
        refused("token_type", Some(vec![u64::MAX; count].into()));
        refused("scores", Some(vec![0.0f32; count - 1].into()));
        refused("scores", Some(vec![0.0f32; count + 1].into()));
        refused("scores", Some(vec![f32::NAN; count].into()));
        refused("scores", Some(vec!["0"; count].into()));
        refused("scores", Some(0.5f32.into()));
        for id in [
            "bos_token_id",
            "eos_token_id",
            "eot_token_id",
            "eom_token_id",
            "unknown_token_id",
            "fim_pre_token_id",
        ] {
            refused(id, Some((count as u32).into()));
            refused(id, Some(u32::MAX.into()));
            refused(id, Some((-1i32).into()));
            refused(id, Some("0".into()));
        }
    }
}

#[test]
fn contradictions_in_byte_pair_vocabularies_are_refused() {
    let refused =
        |key: &str, value: Option<WriteValue>| refused("byte pair", byte_pair(), key, value);
    refused("pre", Some(1u32.into()));
    refused("merges", None);
    refused("merges", Some("a b".into()));
    refused("merges", Some(vec![1u32].into()));
    for merge in [
        "",
        " ",
        "  ",
        "ab",
        "ab ",
        " ab",
        "a zz",
        "zz a",
        "b a",
        "a b c",
        "<|end|> a",
    ] {
        refused("merges", Some([merge].into()));
    }
    refused("add_bos_token", Some(true.into())); // there is none to add
    refused("add_bos_token", Some(1u32.into()));
    refused("add_eos_token", Some("yes".into()));
}

#[test]
fn a_byte_pair_vocabulary_without_bytes_is_refused() {
    let mut metadata = byte_pair();
    metadata.insert("tokenizer.ggml.merges".into(), Vec::<String>::new().into());
    let tokens: Vec<String> = (0..259).map(|n| format!("token{n}")).collect();
    refused("byte pair", metadata, "tokens", Some(tokens.into()));
}

#[test]
fn contradictions_in_other_vocabularies_are_refused() {
    refused(
        "sentence piece",
        sentence_piece(),
        "add_space_prefix",
        Some(1u32.into()),
    );
    refused("word piece", word_piece(), "bos_token_id", None); // 101 is out of range
    refused("word piece", word_piece(), "seperator_token_id", None);
    let mut tokens: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    tokens[4] = "x".repeat(513);
    refused("word piece", word_piece(), "tokens", Some(tokens.into()));
    let mut metadata = sentence_piece();
    metadata.insert("tokenizer.ggml.token_type".into(), vec![3i32; 262].into());
    let tokens: Vec<String> = (0..262)
        .map(|n| format!("{n}{}", "x".repeat(10_000)))
        .collect();
    refused("sentence piece", metadata, "tokens", Some(tokens.into()));
}

#[test]
fn what_real_files_have_is_tolerated() {
    // An empty text gets a name, an unknown type has no role, a bad byte token spells nothing.
    let mut metadata = sentence_piece();
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    tokens.extend(
        [
            "▁", "a", "", "<0x-1>", "<0xZZ>", "<0x100>", "<0x>", "<0x4é>", "odd", "<0x41>",
        ]
        .map(String::from),
    );
    metadata.insert("tokenizer.ggml.tokens".into(), tokens.clone().into());
    let types = [2, 3, 3, 1, 1, 1, 6, 6, 6, 6, 6, 99, 6];
    metadata.insert("tokenizer.ggml.token_type".into(), types.into());
    // Scores may be integers.
    metadata.insert(
        "tokenizer.ggml.scores".into(),
        vec![-1i32; tokens.len()].into(),
    );
    let tokenizer = tokenizer(&metadata);
    assert_eq!(tokenizer.token_text(5), Some("[EMPTY_5]"));
    assert_eq!(tokenizer.token_bytes(5), b"[EMPTY_5]");
    for id in 6..12 {
        assert_eq!(tokenizer.token_bytes(id), b"", "{id}");
    }
    assert_eq!(tokenizer.token_bytes(12), b"A");
    // Without tokens for its bytes a character is unknown, once.
    assert_eq!(
        tokenizer
            .encode("aé", false, Special::Text)
            .expect("encodes"),
        [3, 4, 0]
    );
    assert_eq!(
        tokenizer
            .encode("aA", false, Special::Text)
            .expect("encodes"),
        [3, 4, 12]
    );
    // Ids of tokens that nothing here uses are not read.
    metadata.insert("tokenizer.ggml.padding_token_id".into(), (-1i32).into());
    assert!(Tokenizer::from_gguf(&file(&metadata)).is_ok());
}

/// Bytes without a token are left out, and their neighbours do not merge across the gap.
#[test]
fn an_incomplete_byte_alphabet() {
    let mut metadata = byte_pair();
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    tokens[usize::from(b'-')] = "something else".into();
    tokens.extend(["ab", "abc", "<|end|>"].map(String::from));
    metadata.insert("tokenizer.ggml.tokens".into(), tokens.into());
    metadata.insert("tokenizer.ggml.pre".into(), "bloom".into());
    let tokenizer = tokenizer(&metadata);
    let [a, b] = [b'a', b'b'].map(u32::from);
    assert_eq!(
        tokenizer
            .encode("a-b", false, Special::Text)
            .expect("encodes"),
        [a, b]
    );
    assert_eq!(
        tokenizer
            .encode("ab", false, Special::Text)
            .expect("encodes"),
        [256]
    );
}

/// Whatever is changed, loading ends in a tokenizer that works or in a typed error.
#[test]
fn random_damage() {
    let mut random = Random(99);
    let (mut loaded, mut failed) = (0, 0);
    for round in 0..1500 {
        let (_, family) = FAMILIES[round % FAMILIES.len()];
        let mut metadata = family();
        let mut keys: Vec<String> = metadata.keys().cloned().collect();
        keys.extend(
            [
                "bos_token_id",
                "add_bos_token",
                "add_eos_token",
                "add_space_prefix",
            ]
            .map(|k| format!("tokenizer.ggml.{k}")),
        );
        for _ in 0..1 + random.below(2) {
            let key = keys[random.below(keys.len())].clone();
            let size = [0, 1, 8, 259, 262][random.below(5)];
            let value: WriteValue = match random.below(10) {
                0 => random.text().into(),
                1 => (random.below(300) as u32).into(),
                2 => (random.below(300) as i32 - 150).into(),
                3 => (random.below(2) == 0).into(),
                4 => (0..size).map(|_| random.text()).collect::<Vec<_>>().into(),
                5 => (0..size)
                    .map(|_| random.below(9) as i32 - 1)
                    .collect::<Vec<_>>()
                    .into(),
                6 => (0..size)
                    .map(|_| random.below(50) as f32)
                    .collect::<Vec<_>>()
                    .into(),
                7 => f32::NEG_INFINITY.into(),
                8 => [
                    "gpt2", "llama", "bert", "gemma4", "qwen2", "gpt-4o", "superbpe",
                ][random.below(7)]
                .into(),
                _ => {
                    metadata.remove(&key);
                    continue;
                }
            };
            metadata.insert(key, value);
        }
        match Tokenizer::from_gguf(&file(&metadata)) {
            Ok(tokenizer) => {
                loaded += 1;
                let text = random.text();
                for special in [Special::Text, Special::Parse] {
                    let ids = tokenizer.encode(&text, true, special).expect("encodes");
                    assert!(ids.iter().all(|&id| tokenizer.token_text(id).is_some()));
                    tokenizer.decode(&ids);
                }
            }
            Err(PocketError::CorruptModel { location, .. }) => {
                failed += 1;
                assert!(location.contains("tokenizer.ggml."), "{location}");
            }
            Err(PocketError::UnsupportedModel { .. }) => failed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(
        loaded > 100 && failed > 100,
        "{loaded} loaded, {failed} failed"
    );
}
