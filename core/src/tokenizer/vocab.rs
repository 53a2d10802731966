//! The vocabulary of a GGUF file: texts, attributes and scores of the tokens, and the way back from
//! text to id.

use super::text_index::TextIndex;
use crate::error::{PocketError, Result};
use crate::gguf::Metadata;

/// Metadata key of the token texts.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
/// Metadata key of the token types.
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
/// Metadata key of the token scores.
const SCORES: &str = "tokenizer.ggml.scores";

/// How an error names a metadata key.
pub(super) fn key_name(key: &str) -> String {
    format!("metadata key `{key}`")
}

/// What a token is, as bits: llama.cpp gives some tokens more than one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attributes(u8);

impl Attributes {
    /// Ordinary text.
    pub(super) const NORMAL: Self = Self(1);
    /// Stands for text that the vocabulary cannot spell.
    pub(super) const UNKNOWN: Self = Self(1 << 1);
    /// Structure, never text.
    pub(super) const CONTROL: Self = Self(1 << 2);
    /// Text that is a token of its own wherever it appears.
    pub(super) const USER_DEFINED: Self = Self(1 << 3);
    /// One byte, spelled `<0x0A>`.
    pub(super) const BYTE: Self = Self(1 << 4);
    /// Swallows white space before it.
    pub(super) const STRIP_LEFT: Self = Self(1 << 5);
    /// Swallows white space after it.
    pub(super) const STRIP_RIGHT: Self = Self(1 << 6);
    /// Structure by the file's word, whatever other role it has been given: never found in text
    /// that is only text.
    pub(super) const GUARDED: Self = Self(1 << 7);

    /// From a GGUF token type. Types beyond the specification's, and "unused", have no role: such
    /// a token is never text and renders as nothing, as in llama.cpp.
    fn from_token_type(token_type: i32) -> Self {
        match token_type {
            1 => Self::NORMAL,
            2 => Self::UNKNOWN.with(Self::GUARDED),
            3 => Self::CONTROL.with(Self::GUARDED),
            4 => Self::USER_DEFINED,
            6 => Self::BYTE,
            _ => Self::default(),
        }
    }

    /// Both sets of bits.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any bit of `other` is set.
    pub(super) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Token texts, end to end in one string, and what is known of each.
#[derive(Debug)]
pub(super) struct Vocab {
    text: String,
    /// Where each text ends in `text`.
    ends: Vec<u32>,
    attributes: Vec<Attributes>,
    /// One a token, or empty where the file has none.
    scores: Vec<f32>,
    index: TextIndex,
    longest: usize,
}

impl Vocab {
    /// Reads and checks the vocabulary.
    ///
    /// An empty text becomes `[EMPTY_n]`, as in llama.cpp: real files have such tokens in padding
    /// rows. An unknown token type is kept as a token without a role.
    ///
    /// # Errors
    /// `CorruptModel`, naming the key: missing or mistyped arrays, types or scores that are not one
    /// a token, a score that is not a number, two tokens of the same text (llama.cpp aborts on
    /// these), or a token without a text.
    pub(super) fn read(metadata: &Metadata) -> Result<Vocab> {
        let tokens = metadata.require_strings(TOKENS)?;
        let count = tokens.len();
        let too_large = || PocketError::corrupt("more than 4 GiB of token text", key_name(TOKENS));
        if count == 0 {
            return Err(PocketError::corrupt("no tokens", key_name(TOKENS)));
        }
        let mut text = String::new();
        let mut ends = Vec::with_capacity(count);
        let mut longest = 0;
        for (id, token) in tokens.iter().enumerate() {
            let start = text.len();
            if token.is_empty() {
                text.push_str(&format!("[EMPTY_{id}]"));
            } else {
                text.push_str(token);
            }
            longest = longest.max(text.len() - start);
            ends.push(u32::try_from(text.len()).map_err(|_| too_large())?);
        }
        let one_each = |key: &str, found: usize| match found == count {
            true => Ok(()),
            false => Err(PocketError::corrupt(
                format!("{found} elements for {count} tokens"),
                key_name(key),
            )),
        };
        let attributes = match metadata.i32s(TOKEN_TYPES)? {
            Some(types) => {
                one_each(TOKEN_TYPES, types.len())?;
                types.into_iter().map(Attributes::from_token_type).collect()
            }
            None => vec![Attributes::NORMAL; count],
        };
        let scores = read_scores(metadata)?;
        if !scores.is_empty() {
            one_each(SCORES, scores.len())?;
        }
        let mut vocab = Vocab {
            text,
            ends,
            attributes,
            scores,
            index: TextIndex::with_capacity(count),
            longest,
        };
        vocab.fill_index()?;
        Ok(vocab)
    }

    fn fill_index(&mut self) -> Result<()> {
        let mut index = std::mem::replace(&mut self.index, TextIndex::with_capacity(0));
        for id in 0..self.len() as u32 {
            let text = self.text(id).unwrap_or_default();
            if let Err(first) = index.insert(text, id, |id| self.text(id)) {
                return Err(PocketError::corrupt(
                    format!("tokens {first} and {id} have the same text {text:?}"),
                    key_name(TOKENS),
                ));
            }
        }
        self.index = index;
        Ok(())
    }

    /// The number of tokens.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The length of all texts together, in bytes.
    pub(super) fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The longest text, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The text of a token as it is in the file.
    pub(super) fn text(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = id.checked_sub(1).map_or(0, |i| self.ends[i] as usize);
        self.text.get(start..end)
    }

    /// The token with exactly this text.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.index.find(text, |id| self.text(id))
    }

    /// The token with exactly this text, unless the file calls it a control or unknown token: text
    /// that merely spells one must not become one. (llama.cpp lets merges build them.)
    pub(super) fn text_id(&self, text: &str) -> Option<u32> {
        self.id(text)
            .filter(|&id| !self.attributes(id).any(Attributes::GUARDED))
    }

    /// The attributes of a token; none for an id outside the vocabulary.
    pub(super) fn attributes(&self, id: u32) -> Attributes {
        self.attributes
            .get(id as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Replaces the attributes of a token.
    pub(super) fn set_attributes(&mut self, id: u32, attributes: Attributes) {
        if let Some(slot) = self.attributes.get_mut(id as usize) {
            *slot = attributes;
        }
    }

    /// The score of a token, 0 where the file has none.
    pub(super) fn score(&self, id: u32) -> f32 {
        self.scores.get(id as usize).copied().unwrap_or(0.0)
    }

    /// The token that spells `byte` as `<0x0A>`.
    pub(super) fn byte_token(&self, byte: u8) -> Option<u32> {
        self.id(&format!("<0x{byte:02X}>"))
    }
}

/// Scores are floats; llama.cpp also reads integers.
fn read_scores(metadata: &Metadata) -> Result<Vec<f32>> {
    let integers = metadata
        .get(SCORES)
        .and_then(|v| v.as_array())
        .is_some_and(|a| a.iter().next().is_some_and(|v| v.as_integer().is_some()));
    let scores: Vec<f32> = if integers {
        let scores = metadata.i32s(SCORES)?.unwrap_or_default();
        scores.into_iter().map(|s| s as f32).collect()
    } else {
        metadata.f32s(SCORES)?.unwrap_or_default()
    };
    match scores.iter().position(|s| s.is_nan()) {
        Some(id) => Err(PocketError::corrupt(
            format!("the score of token {id} is not a number"),
            key_name(SCORES),
        )),
        None => Ok(scores),
    }
}
