//! Finding special tokens in text, before the rest is tokenized.
//!
//! The order matters: a longer token is cut out everywhere before a shorter one is looked for, and
//! among equals the one further left wins. llama.cpp does this with one search a token; here one
//! automaton finds, for each position, the longest token that ends there, and a heap settles the
//! order, in time linear in the text (times the depth to which tokens nest as suffixes).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::vocab::{Attributes, TOKENS, Vocab, key_name};
use crate::error::{PocketError, Result};

/// How control tokens spelled in the text are treated. User-defined tokens, which are text with an
/// id of its own, are found in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special<'a> {
    /// The text is only text: no control token is found in it.
    Text,
    /// Control tokens are found everywhere.
    Parse,
    /// Control tokens are found where they touch none of these byte ranges, which are only text.
    /// The ranges may overlap, come in any order and reach beyond the text.
    ParseOutside(&'a [Range<usize>]),
}

/// A stretch of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Bytes of text, not empty.
    Text(Range<usize>),
    /// A special token.
    Token(u32),
}

/// The most bytes that the special tokens of a vocabulary may have together. Real ones have less
/// than 100 KB; the automaton takes some 50 times as much memory.
const MAX_SPECIAL_BYTES: usize = 2 << 20;

/// The special tokens of a vocabulary, ready to be found.
#[derive(Debug)]
pub(super) struct SpecialTokens {
    automaton: Option<NFA>,
    /// Longest first, then by id: the order of precedence.
    tokens: Vec<Token>,
}

#[derive(Debug)]
struct Token {
    id: u32,
    len: usize,
    /// Found only where control tokens are.
    guarded: bool,
    strip_left: bool,
    strip_right: bool,
    /// The longest other token that this one ends with, as an index into the list.
    suffix: Option<u32>,
}

impl SpecialTokens {
    /// Collects the control, user-defined and unknown tokens.
    ///
    /// # Errors
    /// `CorruptModel` when their text is absurdly large.
    pub(super) fn new(vocab: &Vocab) -> Result<SpecialTokens> {
        let special = Attributes::CONTROL
            .with(Attributes::USER_DEFINED)
            .with(Attributes::UNKNOWN);
        let guarded = Attributes::CONTROL
            .with(Attributes::UNKNOWN)
            .with(Attributes::GUARDED);
        let mut found: Vec<(u32, &str)> = (0..vocab.len() as u32)
            .filter(|&id| vocab.attributes(id).any(special))
            .filter_map(|id| Some((id, vocab.text(id)?)))
            .collect();
        let bytes: usize = found.iter().map(|(_, text)| text.len()).sum();
        if bytes > MAX_SPECIAL_BYTES {
            return Err(PocketError::corrupt(
                format!("the special tokens have {bytes} bytes of text"),
                key_name(TOKENS),
            ));
        }
        found.sort_by_key(|&(id, text)| (Reverse(text.len()), id));
        let mut tokens: Vec<Token> = found
            .iter()
            .map(|&(id, text)| {
                let attributes = vocab.attributes(id);
                Token {
                    id,
                    len: text.len(),
                    guarded: attributes.any(guarded),
                    strip_left: attributes.any(Attributes::STRIP_LEFT),
                    strip_right: attributes.any(Attributes::STRIP_RIGHT),
                    suffix: None,
                }
            })
            .collect();
        if tokens.is_empty() {
            return Ok(SpecialTokens {
                automaton: None,
                tokens,
            });
        }
        let build_failed = |e: &dyn std::fmt::Display| {
            PocketError::corrupt(format!("special tokens: {e}"), key_name(TOKENS))
        };
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .build(found.iter().map(|(_, text)| text))
            .map_err(|e| build_failed(&e))?;
        // Run over a token's own text, the automaton ends where all tokens that are a suffix of it
        // are listed, the longest first.
        for (i, (_, text)) in found.iter().enumerate() {
            let mut state = start(&automaton).map_err(|e| build_failed(&e))?;
            for &byte in text.as_bytes() {
                state = automaton.next_state(Anchored::No, state, byte);
            }
            let shorter = (0..automaton.match_len(state))
                .map(|n| automaton.match_pattern(state, n).as_usize())
                .find(|&n| tokens[n].len < tokens[i].len);
            tokens[i].suffix = shorter.and_then(|n| u32::try_from(n).ok());
        }
        Ok(SpecialTokens {
            automaton: Some(automaton),
            tokens,
        })
    }

    /// The ids of the tokens that only [`Special::Parse`] finds.
    pub(super) fn guarded(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().filter(|t| t.guarded).map(|t| t.id)
    }

    /// Cuts `text` into special tokens and what is between them.
    pub(super) fn partition(&self, text: &str, special: Special<'_>) -> Vec<Fragment> {
        let claims = self.claims(text, special);
        let mut fragments = Vec::with_capacity(claims.len() * 2 + 1);
        let mut at = 0;
        for claim in claims {
            if at < claim.range.start {
                fragments.push(Fragment::Text(at..claim.range.start));
            }
            fragments.push(Fragment::Token(claim.id));
            at = claim.range.end;
        }
        if at < text.len() {
            fragments.push(Fragment::Text(at..text.len()));
        }
        fragments
    }

    /// The special tokens in `text`, in order and disjoint, with the white space they swallow.
    fn claims(&self, text: &str, special: Special<'_>) -> Vec<Claim> {
        let Some(automaton) = &self.automaton else {
            return Vec::new();
        };
        let Ok(mut state) = start(automaton) else {
            return Vec::new();
        };
        let admission = Admission::new(special);
        let mut candidates = Vec::new();
        for (i, &byte) in text.as_bytes().iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, byte);
            if automaton.is_special(state) && automaton.is_match(state) {
                let longest = automaton.match_pattern(state, 0).as_usize();
                let end = i + 1;
                if let Some(token) =
                    self.admitted(Some(longest), |t| admission.admits(t, end - t.len..end))
                {
                    candidates.push(Reverse((token, end)));
                }
            }
        }
        if candidates.is_empty() {
            return Vec::new();
        }
        // A token's index is its precedence, so the heap gives long ones first, and of one token
        // the leftmost.
        let mut heap = BinaryHeap::from(candidates);
        let mut claimed = Bits::new(text.len());
        let mut claims = Vec::new();
        while let Some(Reverse((index, end))) = heap.pop() {
            let token = &self.tokens[index];
            // Whatever is claimed already is at least as long, so it shows at one of the ends.
            if claimed.get(end - 1) {
                continue;
            }
            if claimed.get(end - token.len) {
                let shorter = self.admitted(token.suffix.map(|n| n as usize), |t| {
                    !claimed.get(end - t.len) && admission.admits(t, end - t.len..end)
                });
                if let Some(shorter) = shorter {
                    heap.push(Reverse((shorter, end)));
                }
                continue;
            }
            let mut range = end - token.len..end;
            let is_space = |i: usize| matches!(text.as_bytes().get(i), Some(b' ' | b'\t'..=b'\r'));
            while token.strip_left
                && range.start > 0
                && is_space(range.start - 1)
                && !claimed.get(range.start - 1)
            {
                range.start -= 1;
            }
            while token.strip_right && is_space(range.end) && !claimed.get(range.end) {
                range.end += 1;
            }
            claimed.set(range.clone());
            claims.push(Claim {
                id: token.id,
                range,
            });
        }
        claims.sort_unstable_by_key(|claim| claim.range.start);
        claims
    }

    /// The first token that `admits` admits, of `index` and its suffixes.
    fn admitted(&self, mut index: Option<usize>, admits: impl Fn(&Token) -> bool) -> Option<usize> {
        while let Some(i) = index {
            let token = self.tokens.get(i)?;
            if admits(token) {
                return Some(i);
            }
            index = token.suffix.map(|n| n as usize);
        }
        None
    }
}

fn start(
    automaton: &NFA,
) -> std::result::Result<aho_corasick::automaton::StateID, aho_corasick::MatchError> {
    automaton.start_state(Anchored::No)
}

/// A special token in the text, with the white space it swallows.
#[derive(Debug)]
struct Claim {
    id: u32,
    range: Range<usize>,
}

/// Where control tokens may be found.
enum Admission {
    Nowhere,
    Everywhere,
    /// Sorted and disjoint ranges where they may not.
    Outside(Vec<Range<usize>>),
}

impl Admission {
    fn new(special: Special<'_>) -> Self {
        let ranges = match special {
            Special::Text => return Self::Nowhere,
            Special::Parse => return Self::Everywhere,
            Special::ParseOutside(ranges) => ranges,
        };
        let mut sorted: Vec<Range<usize>> =
            ranges.iter().filter(|r| !r.is_empty()).cloned().collect();
        sorted.sort_unstable_by_key(|r| r.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Self::Outside(merged)
    }

    fn admits(&self, token: &Token, at: Range<usize>) -> bool {
        match self {
            _ if !token.guarded => true,
            Self::Nowhere => false,
            Self::Everywhere => true,
            Self::Outside(ranges) => {
                let after = ranges.partition_point(|r| r.end <= at.start);
                ranges.get(after).is_none_or(|r| r.start >= at.end)
            }
        }
    }
}

/// One bit a byte of the text.
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn get(&self, i: usize) -> bool {
        self.0
            .get(i / 64)
            .is_some_and(|word| word >> (i % 64) & 1 == 1)
    }

    fn set(&mut self, range: Range<usize>) {
        for i in range {
            if let Some(word) = self.0.get_mut(i / 64) {
                *word |= 1 << (i % 64);
            }
        }
    }
}
