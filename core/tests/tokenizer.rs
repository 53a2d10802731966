//! Tokenizers: the same ids as llama.cpp, text back from ids, and what hostile vocabularies meet.

mod goldens;
mod hostile;
mod pretokens;
mod special;
mod speed;
mod streaming;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use pocketlm::gguf::{Gguf, WriteValue, Writer};
use pocketlm::tokenizer::Tokenizer;
use serde_json::Value;

/// The vocabularies in the repository: one of each family, and two byte-pair ones.
const VOCABULARIES: &[&str] = &["bert-bge", "falcon", "gpt-2", "phi-3"];

fn path(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tokenizer")).join(file)
}

fn text(file: &str) -> String {
    fs::read_to_string(path(file)).expect("a data file")
}

fn json(file: &str) -> Value {
    serde_json::from_str(&text(file)).expect("JSON")
}

/// A vocabulary from the repository.
pub fn vocabulary(name: &str) -> Gguf {
    let packed = fs::read(path(&format!("ggml-vocab-{name}.gguf.xz"))).expect("a data file");
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut packed.as_slice(), &mut bytes).expect("unpacks");
    Gguf::from_bytes(bytes).expect("a GGUF file")
}

/// Metadata of a file in the making.
type Metadata = BTreeMap<String, WriteValue>;

fn file(metadata: &Metadata) -> Gguf {
    let mut writer = Writer::new();
    for (key, value) in metadata {
        writer.metadata(key, value.clone());
    }
    Gguf::from_bytes(writer.to_bytes().expect("writes")).expect("reads")
}

fn tokenizer(metadata: &Metadata) -> Tokenizer {
    Tokenizer::from_gguf(&file(metadata)).expect("a tokenizer")
}

/// Metadata from JSON: strings, booleans, and arrays of strings, integers or floats.
fn from_json(value: &Value) -> WriteValue {
    match value {
        Value::Bool(v) => (*v).into(),
        Value::String(v) => v.as_str().into(),
        Value::Number(v) => (v.as_u64().expect("an integer") as u32).into(),
        Value::Array(items) => match items.first().expect("an element") {
            Value::String(_) => strings(value).into(),
            Value::Number(n) if n.is_f64() => {
                let floats = items.iter().map(|v| v.as_f64().expect("a float") as f32);
                floats.collect::<Vec<f32>>().into()
            }
            _ => {
                let integers = items.iter().map(|v| v.as_i64().expect("an integer") as i32);
                integers.collect::<Vec<i32>>().into()
            }
        },
        other => panic!("no metadata: {other}"),
    }
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().expect("an array");
    let string = |v: &Value| v.as_str().expect("a string").to_owned();
    items.iter().map(string).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    let items = value.as_array().expect("an array");
    items
        .iter()
        .map(|v| v.as_u64().expect("an id") as u32)
        .collect()
}

/// GPT-2's characters for the bytes.
fn byte_alphabet() -> Vec<char> {
    let mut others = (0x100..).filter_map(char::from_u32);
    (0..=255u8)
        .map(|b| match b {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(b),
            _ => others.next().expect("endless"),
        })
        .collect()
}

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Text of many scripts, signs and kinds of space.
    fn text(&mut self) -> String {
        const PARTS: &[&str] = &[
            "a",
            "B",
            "the",
            " the",
            "'s",
            "'LL",
            "don't",
            " ",
            "  ",
            "\t",
            "\n",
            "\r\n",
            "\n\n",
            "   ",
            "1",
            "234",
            "56789",
            "é",
            "É",
            "ß",
            "Ж",
            "ы",
            "你好",
            "か",
            "カ",
            "한",
            "ㄅ",
            "ไ",
            "ำ",
            "न",
            "ि",
            "،",
            "😀",
            "👨‍👩‍👧",
            "\u{301}",
            "\u{200b}",
            "½",
            "٣",
            "。",
            "！",
            "“",
            "…",
            "—",
            "!",
            "?!",
            "//",
            "/\n",
            "->",
            "_",
            "$",
            "<b>",
            "</s>",
            "\u{3000}",
            "\u{a0}",
            "\0",
            "\u{7f}",
            "\u{e000}",
            "\u{1c89}",
            "ABC",
            "aBc",
            "\"",
            "▁",
            "<0x41>",
        ];
        let n = 1 + self.below(12);
        (0..n).map(|_| self.pick(PARTS)).collect()
    }
}
