//! Special tokens in text.

use std::ops::Range;

use pocketlm::tokenizer::{Special, Tokenizer};

use super::{Metadata, Random, byte_alphabet, from_json, ids, json, tokenizer, vocabulary};

#[test]
fn overlapping_tokens_as_llama_cpp_finds_them() {
    let vectors = json("llama_cpp_ids.json");
    let vocabularies = vectors["overlapping"].as_array().expect("vocabularies");
    assert!(vocabularies.len() >= 12);
    for vectors in vocabularies {
        let entries = vectors["metadata"].as_object().expect("metadata");
        let metadata: Metadata = entries
            .iter()
            .map(|(k, v)| (k.clone(), from_json(v)))
            .collect();
        let tokenizer = tokenizer(&metadata);
        for case in vectors["cases"].as_array().expect("cases") {
            let text = case[0].as_str().expect("text");
            let plain = tokenizer
                .encode(text, false, Special::Text)
                .expect("encodes");
            assert_eq!(plain, ids(&case[1]), "{text:?}");
            let parsed = tokenizer
                .encode(text, true, Special::Parse)
                .expect("encodes");
            assert_eq!(parsed, ids(&case[2]), "{text:?}, parsed");
        }
    }
}

/// Texts and token types of special tokens: 3 is a control token, 4 a user-defined one.
const SPECIALS: &[(&str, i32)] = &[
    ("<|a|>", 3),
    ("<|a|><|b|>", 3),
    ("|b|>", 3),
    ("<|b|>", 3),
    ("b|>", 4),
    ("aaa", 4),
    ("aa", 3),
    ("ab", 4),
];

/// The 256 bytes and [`SPECIALS`], with no merges to speak of.
fn bytes_and_specials() -> Tokenizer {
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    tokens.push("xy".into());
    let mut types = vec![1; tokens.len()];
    for (text, token_type) in SPECIALS {
        tokens.push((*text).into());
        types.push(*token_type);
    }
    tokenizer(&Metadata::from([
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.pre".into(), "gpt-2".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.token_type".into(), types.into()),
        ("tokenizer.ggml.merges".into(), ["x y"].into()),
    ]))
}

/// The rule itself, one search a token: longest first, then in the order of the vocabulary; of one
/// token the leftmost; nothing twice; control tokens not where text is literal.
fn by_the_rule(text: &str, special: Special<'_>) -> Vec<(usize, &'static str)> {
    let mut order = SPECIALS.to_vec();
    order.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
    let mut taken = vec![false; text.len()];
    let mut found = Vec::new();
    for (token, token_type) in order {
        for at in 0..text.len() {
            let range = at..at + token.len();
            let admitted = token_type == 4
                || match special {
                    Special::Text => false,
                    Special::Parse => true,
                    Special::ParseOutside(literal) => !literal
                        .iter()
                        .any(|l| l.start < range.end && range.start < l.end && !l.is_empty()),
                };
            if admitted
                && text.as_bytes()[at..].starts_with(token.as_bytes())
                && !taken[range.clone()].contains(&true)
            {
                taken[range].fill(true);
                found.push((at, token));
            }
        }
    }
    found.sort_unstable();
    found
}

/// The special tokens among `ids`, with their positions in the text.
fn found_specials(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<(usize, &'static str)> {
    let mut at = 0;
    let mut found = Vec::new();
    for &id in ids {
        let text = tokenizer.token_text(id).expect("a text");
        match SPECIALS.iter().find(|(token, _)| *token == text) {
            Some((token, _)) => {
                found.push((at, *token));
                at += token.len();
            }
            None => at += tokenizer.token_bytes(id).len(),
        }
    }
    found
}

#[test]
fn partition_follows_the_rule() {
    let tokenizer = bytes_and_specials();
    let mut random = Random(7);
    let mut specials_found = 0;
    for _ in 0..3000 {
        let n = random.below(10);
        let parts = [
            "<|a|>", "<|b|>", "<|", "a", "aa", "b", "|>", "b|>", "x", "|b",
        ];
        let text: String = (0..n).map(|_| random.pick(&parts)).collect();
        let literal: Vec<Range<usize>> = (0..random.below(4))
            .map(|_| {
                let start = random.below(text.len() + 2);
                start..start + random.below(4)
            })
            .collect();
        for special in [
            Special::Text,
            Special::Parse,
            Special::ParseOutside(&literal),
        ] {
            let ids = tokenizer.encode(&text, false, special).expect("encodes");
            let found = found_specials(&tokenizer, &ids);
            assert_eq!(found, by_the_rule(&text, special), "{text:?}, {special:?}");
            specials_found += found.len();
        }
    }
    assert!(specials_found > 10_000, "{specials_found}");
}

#[test]
fn literal_ranges_keep_control_tokens_out() {
    let tokenizer = bytes_and_specials();
    let text = "<|a|>x<|a|><|b|>";
    let specials = |literal: &[Range<usize>]| {
        let ids = tokenizer
            .encode(text, false, Special::ParseOutside(literal))
            .expect("encodes");
        found_specials(&tokenizer, &ids)
    };
    let all = [(0, "<|a|>"), (6, "<|a|><|b|>")];
    assert_eq!(specials(&[]), all);
    // A range that only touches a token leaves it alone; so does one beyond the text, or an empty one.
    let neighbour = 5..6;
    assert_eq!(specials(&[neighbour]), all);
    assert_eq!(specials(&[20..usize::MAX, 3..3]), all);
    // One byte of a token is enough.
    assert_eq!(specials(&[4..6, 0..1]), [(6, "<|a|><|b|>")]);
    // Where the long one may not be, the short ones may; user-defined tokens are text and stay.
    let inside = 6..7;
    assert_eq!(specials(&[inside]), [(0, "<|a|>"), (11, "<|b|>")]);
    let everything = 0..text.len();
    assert_eq!(specials(&[everything]), [(13, "b|>")]);
    let ids = tokenizer
        .encode(text, false, Special::Text)
        .expect("encodes");
    assert_eq!(found_specials(&tokenizer, &ids), [(13, "b|>")]);
}

#[test]
fn special_texts_are_the_control_tokens() {
    let tokenizer = bytes_and_specials();
    let mut texts: Vec<&str> = tokenizer.special_texts().collect();
    texts.sort_unstable();
    let mut control: Vec<&str> = SPECIALS.iter().filter(|s| s.1 == 3).map(|s| s.0).collect();
    control.sort_unstable();
    assert_eq!(texts, control);
}

/// Merging must not build a control token out of text that spells one.
#[test]
fn text_never_becomes_a_control_token() {
    // In these vocabularies merges could: `<` + `s` + `>` by score, `x y` by rank.
    let tokens = ["<unk>", "<s>", "</s>", "<", "s", ">", "<s", "s>", "▁"];
    let spm = tokenizer(&Metadata::from([
        ("tokenizer.ggml.model".into(), "llama".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        (
            "tokenizer.ggml.token_type".into(),
            [2, 3, 3, 1, 1, 1, 1, 1, 1].into(),
        ),
        (
            "tokenizer.ggml.scores".into(),
            vec![0.0f32; tokens.len()].into(),
        ),
    ]));
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    tokens.push("xy".into());
    let mut types = vec![1; 256];
    types.push(3);
    let bpe = tokenizer(&Metadata::from([
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.pre".into(), "llama-bpe".into()),
        ("tokenizer.ggml.tokens".into(), tokens.into()),
        ("tokenizer.ggml.token_type".into(), types.into()),
        ("tokenizer.ggml.merges".into(), ["x y"].into()),
        ("tokenizer.ggml.bos_token_id".into(), 256u32.into()),
    ]));
    for (tokenizer, text) in [
        (&spm, "<s>"),
        (&spm, "<unk>s"),
        (&bpe, "xy"),
        (&bpe, "xyxy"),
    ] {
        let everything = 0..text.len();
        for special in [Special::Text, Special::ParseOutside(&[everything])] {
            let ids = tokenizer.encode(text, false, special).expect("encodes");
            assert!(
                ids.iter().all(|&id| !tokenizer.is_control(id)),
                "{text:?}: {ids:?}"
            );
        }
        let parsed = tokenizer
            .encode(text, false, Special::Parse)
            .expect("encodes");
        assert!(tokenizer.special_texts().any(|t| text.contains(t)));
        assert_ne!(
            parsed,
            tokenizer
                .encode(text, false, Special::Text)
                .expect("encodes")
        );
    }
}

/// Phi-3's special tokens swallow the white space after them, its `<s>` does not.
#[test]
fn phi_3_swallows_space() {
    let tokenizer = Tokenizer::from_gguf(&vocabulary("phi-3")).expect("a tokenizer");
    let encode = |text: &str| {
        tokenizer
            .encode(text, false, Special::Parse)
            .expect("encodes")
    };
    assert_eq!(encode("<|user|> \n Hi"), encode("<|user|>Hi"));
    assert_ne!(encode("<s> \n Hi"), encode("<s>Hi"));
}

/// Which tokens end generation, where nothing but their texts says so.
#[test]
fn ends_of_generation_by_text() {
    // Texts with their token types, and those that end generation.
    type Case = (&'static [(&'static str, i32)], &'static [&'static str]);
    let table: &[Case] = &[
        (
            &[("<|im_start|>", 3), ("<|im_end|>", 3), ("<|endoftext|>", 3)],
            &["<|im_end|>", "<|endoftext|>"],
        ),
        (
            &[("<|eot_id|>", 3), ("<|eom_id|>", 3), ("<|end_of_text|>", 3)],
            &["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"],
        ),
        // A token that the file takes for text becomes a control token by its name.
        (&[("</s>", 1), ("<s>", 1)], &["</s>"]),
        (
            &[
                ("<|fim_pad|>", 3),
                ("<|repo_name|>", 4),
                ("<|file_sep|>", 3),
            ],
            &["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"],
        ),
        // Harmony ends a message, not the turn, with `<|end|>`.
        (
            &[
                ("<|return|>", 3),
                ("<|call|>", 3),
                ("<|end|>", 3),
                ("<|start|>", 3),
            ],
            &["<|return|>", "<|call|>"],
        ),
        (&[("<|call|>", 3), ("<|end|>", 3)], &["<|call|>", "<|end|>"]),
        // Where a turn ends otherwise, `</s>` is text.
        (
            &[("<turn|>", 3), ("<|tool_response>", 3), ("</s>", 1)],
            &["<turn|>", "<|tool_response>"],
        ),
    ];
    for (tokens, expected) in table {
        let mut texts: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
        texts.push("ab".into());
        let mut types = vec![1; texts.len()];
        for (text, token_type) in *tokens {
            texts.push((*text).into());
            types.push(*token_type);
        }
        let tokenizer = tokenizer(&Metadata::from([
            ("tokenizer.ggml.model".into(), "gpt2".into()),
            ("tokenizer.ggml.pre".into(), "gpt-2".into()),
            ("tokenizer.ggml.tokens".into(), texts.into()),
            ("tokenizer.ggml.token_type".into(), types.into()),
            ("tokenizer.ggml.merges".into(), ["a b"].into()),
        ]));
        let ends = tokenizer.end_of_generation().iter();
        let ends: Vec<&str> = ends
            .map(|&id| tokenizer.token_text(id).expect("a text"))
            .collect();
        assert_eq!(ends, *expected);
        for text in ends {
            assert!(
                tokenizer.is_control(tokenizer.token_id(text).expect("a token")),
                "{text}"
            );
        }
        for (text, token_type) in *tokens {
            // Whatever else a name means, a control token is not found in text that is only text.
            let ids = tokenizer
                .encode(text, false, Special::Text)
                .expect("encodes");
            assert!(*token_type != 3 || ids.len() > 1, "{text}");
        }
        // Harmony's marks are rendered, so that a parser can see them.
        let start = tokenizer.token_id("<|start|>");
        assert!(start.is_none_or(|id| tokenizer.token_bytes(id) == b"<|start|>"));
    }
}
