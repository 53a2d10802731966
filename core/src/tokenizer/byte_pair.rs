//! Byte-pair vocabularies with merges (GPT-2 and its descendants): `tokenizer.ggml.model` = `gpt2`.
//!
//! The BPE model of the `tokenizers` crate (0.23) gives the same ids, and was the first choice. It
//! is not used because it keeps the vocabulary twice as separate strings (24 MB for Qwen2.5, where
//! this takes 9 with everything else, and twice the time to load), panics on a merge whose result
//! is longer than every token, never frees the words it caches by thread, and merges across bytes
//! that have no token; the merge loop is needed for SentencePiece in any case.

use std::collections::HashMap;

use super::merge::{Merge, Merger, NO_TOKEN};
use super::pretokenizers::PreTokenizer;
use super::sentencepiece::SPACE_SIGN;
use super::text_index::SeededHash;
use super::vocab::{Attributes, TOKENS, Vocab, key_name};
use crate::error::{PocketError, Result};
use crate::gguf::Metadata;

/// Metadata key of the merges, best first, each as `left right`.
const MERGES: &str = "tokenizer.ggml.merges";

/// GPT-2's alphabet: each of the 256 bytes as a visible character. Bytes that print as themselves
/// in Latin-1 keep their character, the others take the characters from U+0100 on.
pub(super) fn byte_to_char(byte: u8) -> char {
    let prints = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&b| !prints(b)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character of GPT-2's alphabet stands for.
pub(super) fn char_to_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(u32::from(c)).ok(),
        // The 68 bytes without a visible character: 0..=0x20, 0x7f..=0xa0, 0xad.
        n @ 0x100..=0x120 => u8::try_from(n - 0x100).ok(),
        n @ 0x121..=0x142 => u8::try_from(n - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// Two ids as one key.
fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// A byte-pair tokenizer.
#[derive(Debug)]
pub(super) struct BytePair {
    pre: &'static PreTokenizer,
    /// [`pair`] of left and right to (rank, merged).
    merges: HashMap<u64, (u32, u32), SeededHash>,
    /// The tokens of the 256 bytes, [`NO_TOKEN`] where there is none.
    bytes: Vec<u32>,
}

impl BytePair {
    /// Reads the merges.
    ///
    /// # Errors
    /// `CorruptModel`, naming the key and the merge, for one without a space or with a part or a
    /// result that is no token.
    pub(super) fn read(
        metadata: &Metadata,
        pre: &'static PreTokenizer,
        vocab: &Vocab,
    ) -> Result<BytePair> {
        let lines = metadata.require_strings(MERGES)?;
        let mut merges = HashMap::with_capacity_and_hasher(lines.len(), SeededHash::new());
        let mut merged = String::new();
        for (rank, line) in (0u32..).zip(lines.iter()) {
            let bad = |what: &str| {
                PocketError::corrupt(format!("merge {rank}, {line:?}, {what}"), key_name(MERGES))
            };
            // The left part is not empty, so a space at the very start belongs to it.
            let first = line.chars().next().map_or(0, char::len_utf8);
            let (left, right) = line
                .get(first..)
                .and_then(|rest| rest.find(' '))
                .map(|i| (&line[..first + i], &line[first + i + 1..]))
                .ok_or_else(|| bad("has no two parts"))?;
            merged.clear();
            merged.push_str(left);
            merged.push_str(right);
            let ids = (vocab.id(left), vocab.id(right), vocab.id(&merged));
            let (Some(left), Some(right), Some(id)) = ids else {
                return Err(bad("names a token that is not in the vocabulary"));
            };
            // Text must not become a control token by merging.
            if !vocab.attributes(id).any(Attributes::GUARDED) {
                merges.entry(pair(left, right)).or_insert((rank, id));
            }
        }
        let bytes = (0..=u8::MAX)
            .map(|byte| match pre.plain_text {
                true => vocab.byte_token(byte),
                false => vocab.id(byte_to_char(byte).encode_utf8(&mut [0; 4])),
            })
            .map(|id| id.unwrap_or(NO_TOKEN))
            .collect::<Vec<u32>>();
        if bytes.iter().all(|&id| id == NO_TOKEN) {
            return Err(PocketError::corrupt(
                "no token stands for a byte",
                key_name(TOKENS),
            ));
        }
        Ok(BytePair { pre, merges, bytes })
    }

    /// Whether the vocabulary spells text as it is, with `▁` for a space.
    pub(super) fn is_plain_text(&self) -> bool {
        self.pre.plain_text
    }

    /// Appends the ids of `text`. A byte for which there is no token is left out, as in llama.cpp.
    pub(super) fn encode(
        &self,
        vocab: &Vocab,
        text: &str,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        if self.pre.plain_text {
            let text = text.replace(' ', SPACE_SIGN);
            self.pre.each_piece(&text, &mut |piece| {
                self.encode_plain(vocab, piece, merger, ids);
            });
            return;
        }
        let mut spelled = String::new();
        self.pre.each_piece(text, &mut |piece| {
            if self.pre.ignore_merges {
                spelled.clear();
                spelled.extend(piece.bytes().map(byte_to_char));
                if let Some(id) = vocab.text_id(&spelled) {
                    ids.push(id);
                    return;
                }
            }
            merger.clear();
            for byte in piece.bytes() {
                merger.push(self.byte(byte), 1);
            }
            self.merge(merger);
            ids.extend(merger.symbols().map(|s| s.id).filter(|&id| id != NO_TOKEN));
        });
    }

    /// As [`BytePair::encode`] for a piece of a vocabulary that spells text as it is.
    fn encode_plain(&self, vocab: &Vocab, piece: &str, merger: &mut Merger, ids: &mut Vec<u32>) {
        // Runs of line breaks are tokens that no merges lead to.
        if piece.starts_with('\n')
            && let Some(id) = vocab.text_id(piece)
        {
            ids.push(id);
            return;
        }
        merger.clear();
        for c in piece.chars() {
            let id = vocab.text_id(c.encode_utf8(&mut [0; 4]));
            merger.push(id.unwrap_or(NO_TOKEN), c.len_utf8() as u32);
        }
        self.merge(merger);
        for symbol in merger.symbols() {
            if symbol.id != NO_TOKEN {
                ids.push(symbol.id);
                continue;
            }
            let range = symbol.start as usize..(symbol.start + symbol.len) as usize;
            let bytes = piece.as_bytes().get(range).unwrap_or_default();
            ids.extend(
                bytes
                    .iter()
                    .map(|&b| self.byte(b))
                    .filter(|&id| id != NO_TOKEN),
            );
        }
    }

    fn merge(&self, merger: &mut Merger) {
        merger.run(|left, right| {
            let &(rank, id) = self.merges.get(&pair(left.id, right.id))?;
            Some(Merge { rank, id })
        });
    }

    fn byte(&self, byte: u8) -> u32 {
        self.bytes.get(byte as usize).copied().unwrap_or(NO_TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_is_a_bijection() {
        for byte in 0..=u8::MAX {
            assert_eq!(char_to_byte(byte_to_char(byte)), Some(byte));
        }
        for (byte, c) in [(b' ', 'Ġ'), (b'\n', 'Ċ'), (b'a', 'a'), (0xad, '\u{143}')] {
            assert_eq!(byte_to_char(byte), c);
        }
        assert_eq!(char_to_byte('▁'), None);
    }
}
