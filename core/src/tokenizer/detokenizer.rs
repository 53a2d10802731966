//! From tokens back to text, one token at a time.

use std::sync::Arc;

use super::byte_pair::char_to_byte;
use super::sentencepiece::SPACE_SIGN;
use super::vocab::Attributes;
use super::{Family, Inner};

/// Turns a stream of tokens into text. Never emits half a character: bytes that may be the start of
/// one wait for the next token, and bytes that cannot be UTF-8 become U+FFFD.
///
/// What all calls of [`push`](Self::push) and one of [`finish`](Self::finish) return, end to end,
/// is what [`Tokenizer::decode`](super::Tokenizer::decode) returns for the same tokens, unless
/// control tokens are [shown](Self::show).
#[derive(Debug, Clone)]
pub struct Detokenizer {
    inner: Arc<Inner>,
    /// Bytes that are not a whole character yet; at most 3 between calls.
    pending: Vec<u8>,
    /// Whether the next token is the first, and a space at its start is the vocabulary's and not
    /// the text's.
    strip_space: bool,
    /// Control tokens that are given out as the text that the vocabulary has for them, sorted.
    shown: Vec<u32>,
}

impl Detokenizer {
    pub(super) fn new(inner: Arc<Inner>, strip_space: bool) -> Self {
        Self {
            inner,
            pending: Vec::new(),
            strip_space,
            shown: Vec::new(),
        }
    }

    /// From now on gives out control tokens with these texts as text: some models mark their tool
    /// calls and their thinking with them. Texts that are no control token change nothing.
    pub fn show<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        let vocab = &self.inner.vocab;
        let ids = texts.into_iter().filter_map(|text| vocab.id(text));
        let control = ids.filter(|id| vocab.attributes(*id).any(Attributes::CONTROL));
        self.shown.extend(control);
        self.shown.sort_unstable();
        self.shown.dedup();
    }

    /// The text that `id` completes, empty where there is none (yet). Control tokens and ids
    /// outside the vocabulary are no text, but for those [shown](Self::show).
    pub fn push(&mut self, id: u32) -> String {
        let start = self.pending.len();
        match self.shown.binary_search(&id) {
            Ok(_) => {
                let text = self.inner.vocab.text(id).unwrap_or_default();
                self.pending.extend_from_slice(text.as_bytes());
            }
            Err(_) => self.inner.append_bytes(id, &mut self.pending),
        }
        if std::mem::take(&mut self.strip_space) && self.pending.get(start) == Some(&b' ') {
            self.pending.remove(start);
        }
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        let incomplete = loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    break 0;
                }
                Err(e) => {
                    let (valid, after) = rest.split_at(e.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(invalid) = e.error_len() else {
                        break after.len();
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = after.get(invalid..).unwrap_or_default();
                }
            }
        };
        let complete = self.pending.len() - incomplete;
        self.pending.drain(..complete);
        text
    }

    /// What was waiting for the rest of a character: U+FFFD, or nothing. Afterwards the
    /// detokenizer goes on inside the same text.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        rest
    }
}

impl Inner {
    /// Appends what `id` stands for to `bytes`.
    pub(super) fn append_bytes(&self, id: u32, bytes: &mut Vec<u8>) {
        let attributes = self.vocab.attributes(id);
        let Some(text) = self.vocab.text(id) else {
            return;
        };
        if attributes.any(Attributes::CONTROL.with(Attributes::UNKNOWN)) {
            return;
        }
        if attributes.any(Attributes::USER_DEFINED) {
            bytes.extend_from_slice(text.as_bytes());
        } else if attributes.any(Attributes::BYTE) {
            bytes.extend(byte_of(text));
        } else if attributes.any(Attributes::NORMAL) {
            match &self.family {
                Family::BytePair(family) if !family.is_plain_text() => {
                    append_spelled(text, bytes);
                }
                _ => bytes.extend_from_slice(text.replace(SPACE_SIGN, " ").as_bytes()),
            }
        }
    }
}

/// The byte that `<0x0A>` spells; none for any other text.
fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_byte = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_byte.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// Appends the bytes that a text in GPT-2's alphabet spells. A character outside of it, as added
/// tokens have, stands for itself.
fn append_spelled(text: &str, bytes: &mut Vec<u8>) {
    for c in text.chars() {
        match char_to_byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
