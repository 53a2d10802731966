//! A tokenizer's vocabulary as the grammar engine wants it: the bytes of each token in a trie, and
//! the way from bytes to the tokens that the model itself would use.

use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::{PocketError, Result};
use crate::tokenizer::{Special, Tokenizer};

/// Longer tokens are never part of constrained text, in bytes: the trie holds 1,024 levels. The
/// longest of the vocabularies in use are runs of 128 to 1,024 spaces.
const LONGEST: usize = 1000;

/// Nodes that the trie can count: its subtree sizes have 22 bits.
const MAX_NODES: usize = (1 << 22) - 1;

/// The trie, and what the engine asks of a tokenizer.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    trie: TokTrie,
    /// Tokens that begin with a space, with the token of the same bytes without it. Empty unless
    /// the vocabulary puts a space before each text.
    spaced: Vec<(TokenId, TokenId)>,
}

impl Vocabulary {
    /// Builds the trie. Control tokens, tokens that end generation and tokens that the file guards
    /// against being text have no bytes, so that no grammar can ask for them.
    ///
    /// # Errors
    /// `UnsupportedModel` when the tokens do not fit the trie.
    pub(super) fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let size = tokenizer.vocab_size();
        let mut words: Vec<Vec<u8>> = (0..size as u32)
            .map(|id| tokenizer.token_bytes(id))
            .collect();
        let guarded = tokenizer
            .special_texts()
            .filter_map(|text| tokenizer.token_id(text));
        let ends = tokenizer.end_of_generation();
        for id in guarded.chain(ends.iter().copied()) {
            if let Some(word) = words.get_mut(id as usize) {
                word.clear();
            }
        }
        for word in words.iter_mut().filter(|word| word.len() > LONGEST) {
            word.clear();
        }
        if size >= 1 << 24 || nodes(&words) > MAX_NODES {
            return Err(PocketError::unsupported(format!(
                "constrained output with a vocabulary of {size} tokens"
            )));
        }
        let first_end = ends.first().copied();
        let info = TokRxInfo::new(size as u32, first_end.unwrap_or(NO_END));
        let mut trie = TokTrie::from(&info, &words);
        if ends.len() > 1 {
            trie = trie.with_eos_tokens(ends);
        }
        let spaced = match tokenizer.adds_space_prefix() {
            true => spaced(&words, &trie),
            false => Vec::new(),
        };
        Ok(Self {
            tokenizer: tokenizer.clone(),
            trie,
            spaced,
        })
    }

    /// The number of tokens.
    pub(super) fn len(&self) -> usize {
        self.trie.vocab_size()
    }

    /// Whether a token ends generation.
    pub(super) fn is_end(&self, id: TokenId) -> bool {
        self.tokenizer.end_of_generation().contains(&id)
    }

    /// The bytes of a token; none for tokens that are not text.
    pub(super) fn bytes(&self, id: TokenId) -> &[u8] {
        match (id as usize) < self.len() {
            true => self.trie.token(id),
            false => &[],
        }
    }

    /// Tokens that begin with a space, each with the token of the same bytes without it.
    pub(super) fn spaced(&self) -> &[(TokenId, TokenId)] {
        &self.spaced
    }
}

/// The engine's mark for a vocabulary in which nothing ends generation.
const NO_END: TokenId = llguidance::toktrie::INVALID_TOKEN;

/// An upper bound of the trie's nodes: exact where the cheap one is not enough.
fn nodes(words: &[Vec<u8>]) -> usize {
    let bytes: usize = words.iter().map(Vec::len).sum();
    if bytes < MAX_NODES {
        return bytes;
    }
    let mut sorted: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    let shared = |pair: &[&[u8]]| {
        let both = pair[0].iter().zip(pair[1]);
        both.take_while(|(a, b)| a == b).count()
    };
    bytes - sorted.windows(2).map(shared).sum::<usize>() + words.len()
}

fn spaced(words: &[Vec<u8>], trie: &TokTrie) -> Vec<(TokenId, TokenId)> {
    let pair = |(id, word): (u32, &Vec<u8>)| {
        let rest = word.strip_prefix(b" ").filter(|rest| !rest.is_empty())?;
        Some((id, trie.token_id_at_bytes(rest)?))
    };
    (0u32..).zip(words).filter_map(pair).collect()
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    /// The tokens of bytes inside a text, as the model's tokenizer gives them. Where that does not
    /// give the same bytes back (a vocabulary that normalizes, or has no token for some byte), the
    /// longest tokens from the left.
    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let tokens = self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let ids = self.tokenizer.encode_continuing(text, Special::Text);
            ids.unwrap_or_default()
        });
        let spelled = tokens.iter().flat_map(|&id| self.bytes(id));
        match spelled.eq(bytes) {
            true => tokens,
            false => self.trie.greedy_tokenize(bytes),
        }
    }

    /// Text has no marks for special tokens here.
    fn tokenize_bytes_marker(&self, bytes: &[u8]) -> (Vec<TokenId>, usize) {
        (self.tokenize_bytes(bytes), 0)
    }
}
