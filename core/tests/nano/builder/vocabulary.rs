//! Two vocabularies that real tokenizers accept, of [`SIZE`] tokens each, with a chat template.

use pocketlm::gguf::WriteValue;

/// Tokens of either vocabulary.
pub const SIZE: usize = 320;

/// Token types of the GGUF specification.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// How text is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    /// Byte-level byte pair encoding (GPT-2) with the named pre-tokenizer, and ChatML.
    BytePair(&'static str),
    /// SentencePiece as Llama 2 has it: pieces with scores, a token for each byte.
    SentencePiece,
}

/// Pairs that the byte-level vocabulary joins, first come first served. `Ġ` is a space.
const MERGES: &[(&str, &str)] = &[
    ("t", "h"),
    ("th", "e"),
    ("Ġ", "the"),
    ("i", "n"),
    ("in", "g"),
    ("Ġ", "a"),
    ("a", "n"),
    ("an", "d"),
    ("Ġ", "and"),
    ("e", "r"),
    ("o", "n"),
    ("r", "e"),
    ("h", "e"),
    ("l", "l"),
    ("he", "ll"),
    ("hell", "o"),
    ("Ġ", "hello"),
    ("H", "e"),
    ("He", "ll"),
    ("Hell", "o"),
    ("w", "o"),
    ("r", "l"),
    ("wo", "rl"),
    ("worl", "d"),
    ("Ġ", "world"),
    ("i", "s"),
    ("Ġ", "is"),
    ("u", "s"),
    ("us", "er"),
    ("a", "s"),
    ("as", "s"),
    ("ass", "is"),
    ("assis", "t"),
    ("assist", "an"),
    ("assistan", "t"),
    ("s", "y"),
    ("s", "t"),
    ("sy", "st"),
    ("syst", "e"),
    ("syste", "m"),
];

/// Pieces of the SentencePiece vocabulary longer than one character, likeliest first. Each can be
/// reached by joining two others.
const PIECES: &[&str] = &[
    "▁t", "he", "▁a", "in", "▁the", "er", "on", "re", "▁s", "at", "nd", "▁w", "ll", "▁and", "or",
    "▁h", "▁he", "is", "▁is", "▁hell", "▁hello", "▁wor", "ld", "▁world",
];

/// Single characters of the SentencePiece vocabulary; others are spelled byte by byte.
const CHARACTERS: &str = "▁etaoinsrhldcumfpgwybvkxjqz.,!?'";

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
    message['content'] + '<|im_end|>\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const TURNS: &str = "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + \
    message['content'] + '<|end|>' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// The tokens in order of id, each with its type and score.
struct Tokens(Vec<(String, i32, f32)>);

impl Tokens {
    fn push(&mut self, text: impl Into<String>, kind: i32) -> u32 {
        self.0.push((text.into(), kind, 0.0));
        (self.0.len() - 1) as u32
    }

    /// Fills up to [`SIZE`] with tokens that are never text.
    fn reserve(&mut self) {
        assert!(self.0.len() <= SIZE, "{} tokens", self.0.len());
        for i in 0..SIZE - self.0.len() {
            self.push(format!("<|reserved_{i}|>"), UNUSED);
        }
    }
}

/// The metadata of a vocabulary.
pub fn metadata(vocabulary: Vocabulary) -> Vec<(String, WriteValue)> {
    match vocabulary {
        Vocabulary::BytePair(pre) => byte_pair(pre),
        Vocabulary::SentencePiece => sentence_piece(),
    }
}

fn byte_pair(pre: &str) -> Vec<(String, WriteValue)> {
    let mut tokens = Tokens(Vec::new());
    for byte in 0..=255 {
        tokens.push(byte_character(byte), NORMAL);
    }
    for (left, right) in MERGES {
        tokens.push(format!("{left}{right}"), NORMAL);
    }
    let end_of_text = tokens.push("<|endoftext|>", CONTROL);
    tokens.push("<|im_start|>", CONTROL);
    let end_of_turn = tokens.push("<|im_end|>", CONTROL);
    tokens.reserve();
    let merges: Vec<String> = MERGES.iter().map(|(l, r)| format!("{l} {r}")).collect();
    let mut out = arrays("gpt2", tokens);
    out.extend([
        key("pre", pre),
        key("merges", merges),
        key("bos_token_id", end_of_text),
        key("eos_token_id", end_of_turn),
        key("padding_token_id", end_of_text),
        key("add_bos_token", false),
        key("add_eos_token", false),
        ("tokenizer.chat_template".into(), CHATML.into()),
    ]);
    out
}

fn sentence_piece() -> Vec<(String, WriteValue)> {
    let mut tokens = Tokens(Vec::new());
    let unknown = tokens.push("<unk>", UNKNOWN);
    let bos = tokens.push("<s>", CONTROL);
    let eos = tokens.push("</s>", CONTROL);
    for byte in 0..=255u8 {
        tokens.push(format!("<0x{byte:02X}>"), BYTE);
    }
    for (rank, piece) in PIECES.iter().enumerate() {
        let id = tokens.push(*piece, NORMAL);
        tokens.0[id as usize].2 = -(rank as f32) - 1.0;
    }
    for (rank, character) in CHARACTERS.chars().enumerate() {
        let id = tokens.push(character, NORMAL);
        tokens.0[id as usize].2 = -(rank as f32) - 1000.0;
    }
    for text in [
        "<|endoftext|>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
    ] {
        tokens.push(text, CONTROL);
    }
    tokens.reserve();
    let mut out = arrays("llama", tokens);
    out.extend([
        key("unknown_token_id", unknown),
        key("bos_token_id", bos),
        key("eos_token_id", eos),
        key("add_bos_token", true),
        key("add_eos_token", false),
        key("add_space_prefix", true),
        ("tokenizer.chat_template".into(), TURNS.into()),
    ]);
    out
}

fn arrays(model: &str, tokens: Tokens) -> Vec<(String, WriteValue)> {
    let texts: Vec<String> = tokens.0.iter().map(|t| t.0.clone()).collect();
    let types: Vec<i32> = tokens.0.iter().map(|t| t.1).collect();
    let scores: Vec<f32> = tokens.0.iter().map(|t| t.2).collect();
    vec![
        key("model", model),
        key("tokens", texts),
        key("token_type", types),
        key("scores", scores),
    ]
}

fn key(name: &str, value: impl Into<WriteValue>) -> (String, WriteValue) {
    (format!("tokenizer.ggml.{name}"), value.into())
}

/// The character that stands for a byte in byte-level vocabularies: itself where it is printable,
/// otherwise the next of those from U+0100 on.
fn byte_character(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(0x100 + before).expect("a character below U+0200")
}
