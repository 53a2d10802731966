//! WordPiece vocabularies (BERT): `tokenizer.ggml.model` = `bert`.
//!
//! In a GGUF file a word's first piece starts with `▁` and the others have no prefix, where BERT's
//! own files have no prefix and `##`.

use std::collections::HashMap;

use super::classes::{CONTROL, Classes, MARK, PUNCTUATION, SPACE, SYMBOL};
use super::sentencepiece::SPACE_SIGN;
use super::vocab::{TOKENS, Vocab, key_name};
use crate::error::{PocketError, Result};

/// A WordPiece tokenizer.
#[derive(Debug)]
pub(super) struct WordPiece {
    trie: Trie,
    unknown: Option<u32>,
    lowercase: bool,
    strip_accents: bool,
}

impl WordPiece {
    /// Builds the tokenizer.
    ///
    /// # Errors
    /// `CorruptModel` for a token longer than [`MAX_PIECE`], or more than [`MAX_TEXT`] bytes of them.
    pub(super) fn new(
        vocab: &Vocab,
        unknown: Option<u32>,
        lowercase: bool,
        strip_accents: bool,
    ) -> Result<WordPiece> {
        let refuse = |what: String| Err(PocketError::corrupt(what, key_name(TOKENS)));
        if vocab.longest() > MAX_PIECE {
            return refuse(format!("a word piece of {} bytes", vocab.longest()));
        }
        if vocab.text_len() > MAX_TEXT {
            return refuse(format!("word pieces of {} bytes", vocab.text_len()));
        }
        let mut trie = Trie::default();
        for id in 0..vocab.len() as u32 {
            if let Some(text) = vocab.text(id)
                && vocab.text_id(text).is_some()
            {
                trie.insert(text.as_bytes(), id);
            }
        }
        Ok(WordPiece {
            trie,
            unknown,
            lowercase,
            strip_accents,
        })
    }

    /// Appends the ids of `text`: word by word the longest pieces from the left, or the unknown
    /// token for a word that does not come out even.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut word = String::from(SPACE_SIGN);
        let flush = |word: &mut String, ids: &mut Vec<u32>| {
            if word.len() > SPACE_SIGN.len() {
                self.encode_word(word, ids);
                word.truncate(SPACE_SIGN.len());
            }
        };
        let classes = Classes::get();
        for c in text.chars() {
            let c = if self.strip_accents {
                base(c, classes)
            } else {
                c
            };
            let class = classes.of(c);
            if class & SPACE != 0 {
                flush(&mut word, ids);
                continue;
            }
            if matches!(c, '\0' | '\u{fffd}')
                || class & CONTROL != 0
                || (self.strip_accents && class & MARK != 0)
            {
                continue;
            }
            let spelled = if self.lowercase { lower(c, class) } else { c };
            let stands_alone = class & PUNCTUATION != 0
                || (c < '\u{7f}' && class & SYMBOL != 0)
                || is_ideograph(c);
            if stands_alone {
                flush(&mut word, ids);
            }
            word.push(spelled);
            if stands_alone {
                flush(&mut word, ids);
            }
        }
        flush(&mut word, ids);
    }

    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let mut rest = word.as_bytes();
        while !rest.is_empty() {
            let Some((id, len)) = self.trie.longest_prefix(rest) else {
                ids.truncate(before);
                ids.extend(self.unknown);
                return;
            };
            ids.push(id);
            rest = rest.get(len..).unwrap_or_default();
        }
    }
}

/// The first character of the canonical decomposition. llama.cpp drops the rest, which for letters
/// are marks that would be dropped anyway; of a Hangul syllable only its initial remains.
fn base(c: char, classes: &Classes) -> char {
    let mut first = None;
    if !c.is_ascii() && classes.of(c) != 0 {
        unicode_normalization::char::decompose_canonical(c, |d| {
            first.get_or_insert(d);
        });
    }
    first.unwrap_or(c)
}

/// The lower case of a character by itself.
fn lower(c: char, class: u8) -> char {
    match class {
        0 => c,
        _ => c.to_lowercase().next().unwrap_or(c),
    }
}

/// The blocks whose characters are words of their own. The gap after U+2B81F is llama.cpp's, which
/// has it from BERT's published tokenizer.
fn is_ideograph(c: char) -> bool {
    matches!(
        c,
        '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b81f}'
            | '\u{2b920}'..='\u{2ceaf}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}

/// The longest piece that is accepted, in bytes: it bounds how far a search looks ahead. BERT's
/// vocabularies stay below 100.
const MAX_PIECE: usize = 512;

/// The most text that the pieces may have together, in bytes: it bounds the trie, which takes some
/// 20 times as much. The largest vocabularies, of half a million tokens, have 5 MB.
const MAX_TEXT: usize = 8 << 20;

/// Texts by their bytes.
#[derive(Debug, Default)]
struct Trie {
    /// (node, byte) to node; the root is node 0.
    children: HashMap<(u32, u8), u32>,
    /// Node to id.
    ids: HashMap<u32, u32>,
}

impl Trie {
    fn insert(&mut self, text: &[u8], id: u32) {
        let mut node = 0;
        for &byte in text {
            let fresh = self.children.len() as u32 + 1;
            node = *self.children.entry((node, byte)).or_insert(fresh);
        }
        self.ids.insert(node, id);
    }

    /// The id and the length of the longest text that `bytes` starts with.
    fn longest_prefix(&self, bytes: &[u8]) -> Option<(u32, usize)> {
        let (mut node, mut longest) = (0, None);
        for (i, &byte) in bytes.iter().enumerate() {
            match self.children.get(&(node, byte)) {
                Some(&child) => node = child,
                None => break,
            }
            if let Some(&id) = self.ids.get(&node) {
                longest = Some((id, i + 1));
            }
        }
        longest
    }
}
