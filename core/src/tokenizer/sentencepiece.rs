//! SentencePiece vocabularies (Llama, Gemma, Mistral, Phi-3): `tokenizer.ggml.model` = `llama`.
//!
//! There are no merges in the file: any two neighbours whose texts make a token may become it, the
//! token with the best score first. The `tokenizers` crate cannot express that exactly, since its
//! merges need distinct ranks while scores may be equal (then the pair further left goes first) and
//! need both halves in the vocabulary; and listing the half a million ways in which Gemma's tokens
//! split would take longer than reading the file. So the merge loop is our own.
//!
//! Text is merged word by word where that cannot make a difference: no merge crosses a place whose
//! two characters are neighbours in no token.

use super::merge::{Merge, Merger, NO_TOKEN, Symbol};
use super::vocab::Vocab;

/// SentencePiece's sign for a space.
pub(super) const SPACE_SIGN: &str = "▁";

/// A SentencePiece tokenizer.
#[derive(Debug)]
pub(super) struct SentencePiece {
    /// Whether text at the start, or after a special token, gets a space before it.
    add_space_prefix: bool,
    /// The tokens of the 256 bytes.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    /// The characters that a space follows inside some token, sorted. Mostly there are few, since
    /// tokens have their spaces at the start.
    before_space: Vec<char>,
}

impl SentencePiece {
    pub(super) fn new(vocab: &Vocab, add_space_prefix: bool, unknown: Option<u32>) -> Self {
        let bytes = (0..=u8::MAX)
            .map(|byte| {
                let literal = byte.is_ascii().then(|| char::from(byte).to_string());
                vocab.byte_token(byte).or_else(|| vocab.text_id(&literal?))
            })
            .collect();
        let mut before_space = Vec::new();
        for text in (0..vocab.len() as u32).filter_map(|id| vocab.text(id)) {
            for (i, _) in text.match_indices(SPACE_SIGN) {
                before_space.extend(text.get(..i).and_then(|t| t.chars().next_back()));
            }
        }
        before_space.sort_unstable();
        before_space.dedup();
        Self {
            add_space_prefix,
            bytes,
            unknown,
            before_space,
        }
    }

    pub(super) fn add_space_prefix(&self) -> bool {
        self.add_space_prefix
    }

    /// Appends the ids of `text`, which starts the input or follows a special token where
    /// `is_start`. Characters that no token spells become their bytes, or the unknown token.
    pub(super) fn encode(
        &self,
        vocab: &Vocab,
        text: &str,
        is_start: bool,
        merger: &mut Merger,
        ids: &mut Vec<u32>,
    ) {
        let mut escaped = String::with_capacity(text.len() + text.len() / 2 + 3);
        if is_start && self.add_space_prefix {
            escaped.push_str(SPACE_SIGN);
        }
        for part in text.split_inclusive(' ') {
            match part.strip_suffix(' ') {
                Some(word) => {
                    escaped.push_str(word);
                    escaped.push_str(SPACE_SIGN);
                }
                None => escaped.push_str(part),
            }
        }
        let mut start = 0;
        for (space, _) in escaped.match_indices(SPACE_SIGN) {
            let before = escaped.get(start..space).unwrap_or_default();
            if let Some(c) = before.chars().next_back()
                && self.before_space.binary_search(&c).is_err()
            {
                self.encode_words(vocab, before, merger, ids);
                start = space;
            }
        }
        let rest = escaped.get(start..).unwrap_or_default();
        self.encode_words(vocab, rest, merger, ids);
    }

    /// As [`encode`](Self::encode) for text that has its signs for spaces and merges by itself.
    fn encode_words(&self, vocab: &Vocab, text: &str, merger: &mut Merger, ids: &mut Vec<u32>) {
        merger.clear();
        for c in text.chars() {
            merger.push(NO_TOKEN, c.len_utf8() as u32);
        }
        merger.run(|left, right| {
            let len = (left.len + right.len) as usize;
            if len > vocab.longest() {
                return None;
            }
            let start = left.start as usize;
            let id = vocab.text_id(text.get(start..start + len)?)?;
            Some(Merge {
                rank: rank(vocab.score(id)),
                id,
            })
        });
        for symbol in merger.symbols() {
            self.emit(vocab, text, symbol, ids);
        }
    }

    fn emit(&self, vocab: &Vocab, text: &str, symbol: &Symbol, ids: &mut Vec<u32>) {
        if symbol.id != NO_TOKEN {
            ids.push(symbol.id);
            return;
        }
        let start = symbol.start as usize;
        let text = text
            .get(start..start + symbol.len as usize)
            .unwrap_or_default();
        if let Some(id) = vocab.text_id(text) {
            ids.push(id);
            return;
        }
        let bytes = || {
            text.bytes()
                .map(|b| self.bytes.get(b as usize).copied().flatten())
        };
        match bytes().collect::<Option<Vec<u32>>>() {
            Some(bytes) => ids.extend(bytes),
            None => ids.extend(self.unknown),
        }
    }
}

/// A rank that is lower for a higher score; equal scores have equal ranks.
fn rank(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits(); // -0 and 0 are equal
    // Monotone in the float: negative floats order backwards by their bits.
    let ascending = if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    };
    !ascending
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn rank_orders_scores_backwards() {
        let scores = [
            f32::INFINITY,
            3.5,
            1e-40,
            0.0,
            -1e-40,
            -2.0,
            -1e9,
            f32::NEG_INFINITY,
        ];
        for pair in scores.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
        }
        assert_eq!(rank(0.0), rank(-0.0));
    }
}
