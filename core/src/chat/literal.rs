//! Keeps text that spells a control token from becoming one.
//!
//! A prompt mixes control tokens, which the template writes as text (`<|im_end|>`), with what
//! people, tools and web pages say. When the tokenizer then parses control tokens out of the whole,
//! anyone who can put `<|im_end|>` into a message can end the turn and speak as the system. So
//! before rendering, each such place in the input is wrapped in two Unicode noncharacters that
//! occur nowhere in the input; after rendering the marks are removed and the places they enclosed
//! are reported as literal.
//!
//! Marking is narrow on purpose. Wrapping whole messages would be simpler, but templates trim,
//! split and search their content, and a mark at its edge would change what they do.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;

use crate::error::{PocketError, Result};

/// The noncharacters U+FDD0..=U+FDEF, which Unicode sets aside for use inside a program.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// Beginnings and endings of special texts are looked for up to this length, in bytes.
const MAX_PARTIAL: usize = 256;

/// The texts that the tokenizer turns into control tokens, indexed for search.
pub(super) struct Specials {
    matcher: AhoCorasick,
    /// Sorted, to find the texts that begin with something.
    sorted: Vec<String>,
    /// The texts backwards, sorted, to find those that end with something.
    reversed: Vec<Vec<u8>>,
    /// All texts in one, between NUL characters, to find those that contain something.
    joined: String,
    longest: usize,
}

impl Specials {
    /// Indexes `texts`. Texts of nothing but white space are left out: vocabularies do list runs of
    /// line breaks among their added tokens, but they control nothing.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] when the texts are too many to index.
    pub(super) fn new(mut texts: Vec<String>) -> Result<Self> {
        texts.retain(|t| !t.trim().is_empty());
        texts.sort_unstable();
        texts.dedup();
        let matcher =
            AhoCorasick::new(&texts).map_err(|e| PocketError::invalid("special", e.to_string()))?;
        let mut reversed: Vec<Vec<u8>> = texts.iter().map(|t| t.bytes().rev().collect()).collect();
        reversed.sort_unstable();
        Ok(Self {
            matcher,
            joined: texts.join("\0"),
            longest: texts.iter().map(String::len).max().unwrap_or(0),
            sorted: texts,
            reversed,
        })
    }

    /// Every occurrence in `text`, overlapping ones too.
    fn occurrences(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        self.matcher.find_overlapping_iter(text).map(|m| m.range())
    }

    /// The length of the longest end of `text` with which some special text begins without being
    /// complete.
    fn partial_at_end(&self, text: &str) -> usize {
        let longest = text
            .len()
            .min(self.longest.saturating_sub(1))
            .min(MAX_PARTIAL);
        (1..=longest)
            .rev()
            .filter_map(|length| text.get(text.len() - length..))
            .find(|end| {
                let at = self.sorted.partition_point(|s| s.as_str() <= *end);
                self.sorted.get(at).is_some_and(|s| s.starts_with(end))
            })
            .map_or(0, str::len)
    }

    /// The length of the longest beginning of `text` with which some special text ends.
    fn partial_at_start(&self, text: &str) -> usize {
        let longest = text
            .len()
            .min(self.longest.saturating_sub(1))
            .min(MAX_PARTIAL);
        (1..=longest)
            .rev()
            .filter_map(|length| text.get(..length))
            .find(|start| {
                let start: Vec<u8> = start.bytes().rev().collect();
                let at = self.reversed.partition_point(|s| *s <= start);
                self.reversed.get(at).is_some_and(|s| s.starts_with(&start))
            })
            .map_or(0, str::len)
    }

    /// Whether `text` is the inside of some special text.
    fn is_inside(&self, text: &str) -> bool {
        text.len() < self.longest && !text.contains('\0') && self.joined.contains(text)
    }
}

/// Merges ranges that overlap or touch, in order of their start.
fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|r| r.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Where a text stands, which decides how much of it can become part of a control token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A message's content or reasoning, which the template writes between its own tokens: a
    /// special text may also begin or end in it, or enclose it.
    Prose,
    /// A name, an identifier, or a key or text in JSON. Templates compare these with each other and
    /// with constants, so that only complete special texts are marked, in each of them alike.
    Field,
}

/// Marks the texts of one render and finds the marks again in its output.
pub(super) struct Marks<'a> {
    specials: &'a Specials,
    open: char,
    close: char,
    /// What stood between marks, as bytes forwards and backwards.
    wrapped: BTreeSet<Vec<u8>>,
    wrapped_reversed: BTreeSet<Vec<u8>>,
    longest: usize,
}

impl<'a> Marks<'a> {
    /// Picks two noncharacters that none of `inputs` contains.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] when fewer than two are free.
    pub(super) fn new<'t>(
        specials: &'a Specials,
        inputs: impl Iterator<Item = &'t str>,
    ) -> Result<Self> {
        let mut free: Vec<char> = NONCHARACTERS.collect();
        for input in inputs {
            // They are rare: look each up only where one of their block occurs at all.
            if input.contains(|c| NONCHARACTERS.contains(&c)) {
                free.retain(|c| !input.contains(*c));
            }
        }
        match *free.as_slice() {
            [open, close, ..] => Ok(Self {
                specials,
                open,
                close,
                wrapped: BTreeSet::new(),
                wrapped_reversed: BTreeSet::new(),
                longest: 0,
            }),
            _ => Err(PocketError::invalid(
                "messages",
                "they use all noncharacters of U+FDD0..U+FDEF, and two are needed to mark control tokens",
            )),
        }
    }

    /// Wraps what could become a control token in `text`. Complete texts in `allowed` are left as
    /// they are.
    pub(super) fn mark(&mut self, text: &str, place: Place, allowed: &[&str]) -> String {
        let found = self.specials.occurrences(text);
        let found = found.filter(|at| !text.get(at.clone()).is_some_and(|t| allowed.contains(&t)));
        let mut ranges = merge(found.collect());
        if place == Place::Prose {
            let trimmed_end = text.trim_end();
            let start = text.len() - text.trim_start().len();
            let trimmed = trimmed_end.get(start..).unwrap_or_default();
            if !trimmed.is_empty() && self.specials.is_inside(trimmed) {
                ranges.push(start..trimmed_end.len());
            }
            // Templates may trim, so the edges are those with and without white space.
            for end in [text, trimmed_end] {
                let partial = self.specials.partial_at_end(end);
                ranges.push(end.len() - partial..end.len());
            }
            for start in [0, start] {
                let partial = text
                    .get(start..)
                    .map_or(0, |t| self.specials.partial_at_start(t));
                ranges.push(start..start + partial);
            }
            ranges.retain(|r| !r.is_empty());
            ranges = merge(ranges);
        }
        let mut out = String::with_capacity(text.len() + ranges.len() * 6);
        let mut copied = 0;
        for range in ranges {
            let (Some(before), Some(inside)) =
                (text.get(copied..range.start), text.get(range.clone()))
            else {
                continue;
            };
            out.push_str(before);
            out.push(self.open);
            out.push_str(inside);
            out.push(self.close);
            copied = range.end;
            self.remember(inside);
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }

    fn remember(&mut self, inside: &str) {
        // Inside JSON the same text may stand escaped.
        let json = serde_json::Value::from(inside).to_string();
        let json = json.get(1..json.len() - 1).unwrap_or_default();
        for text in [inside, json] {
            if !self.wrapped.contains(text.as_bytes()) {
                self.wrapped.insert(text.as_bytes().to_vec());
                self.wrapped_reversed.insert(text.bytes().rev().collect());
                self.longest = self.longest.max(text.len());
            }
        }
    }

    /// Removes the marks from `rendered`. Returns the text, and the ranges of it in which a special
    /// text owes at least one byte to the input: sorted, disjoint, each covering whole special
    /// texts.
    pub(super) fn strip(&self, rendered: &str) -> (String, Vec<Range<usize>>) {
        let mut text = String::with_capacity(rendered.len());
        let mut marked: Vec<Range<usize>> = Vec::new();
        let mut opened: Option<usize> = None;
        let mut segment = 0;
        for c in rendered.chars() {
            if c == self.open {
                if let Some(start) = opened.replace(text.len()) {
                    marked.push(self.after_lone_open(&text, start));
                }
                segment = text.len();
            } else if c == self.close {
                match opened.take() {
                    Some(start) if self.wrapped.contains(&text.as_bytes()[start..]) => {
                        marked.push(start..text.len());
                    }
                    // The template took the marked text apart: each mark speaks for itself.
                    Some(start) => {
                        marked.push(self.after_lone_open(&text, start));
                        marked.push(self.before_lone_close(&text, start));
                    }
                    None => marked.push(self.before_lone_close(&text, segment)),
                }
                segment = text.len();
            } else {
                text.push(c);
            }
        }
        if let Some(start) = opened {
            marked.push(self.after_lone_open(&text, start));
        }
        marked.retain(|r| !r.is_empty());
        let marked = merge(marked);
        if marked.is_empty() {
            return (text, Vec::new());
        }
        let touched = |found: &Range<usize>| {
            let next = marked.partition_point(|m| m.end <= found.start);
            marked.get(next).is_some_and(|m| m.start < found.end)
        };
        let literal = merge(self.specials.occurrences(&text).filter(touched).collect());
        (text, literal)
    }

    /// What is left, from `start` on, of a marked text whose closing mark is gone.
    fn after_lone_open(&self, text: &str, start: usize) -> Range<usize> {
        let tail: Vec<u8> = text.bytes().skip(start).take(self.longest).collect();
        start..start + longest_common_prefix(&self.wrapped, tail)
    }

    /// What is left, up to the end of `text` and not before `segment`, of a marked text whose
    /// opening mark is gone.
    fn before_lone_close(&self, text: &str, segment: usize) -> Range<usize> {
        let length = (text.len() - segment).min(self.longest);
        let tail: Vec<u8> = text.bytes().rev().take(length).collect();
        text.len() - longest_common_prefix(&self.wrapped_reversed, tail)..text.len()
    }
}

/// The most bytes that `text` and a member of `set` begin with alike. That member is a neighbour of
/// `text` in order.
fn longest_common_prefix(set: &BTreeSet<Vec<u8>>, text: Vec<u8>) -> usize {
    let above = set.range(text.clone()..).next();
    let below = set.range(..text.clone()).next_back();
    let common = |member: &Vec<u8>| member.iter().zip(&text).take_while(|(a, b)| a == b).count();
    above.map_or(0, common).max(below.map_or(0, common))
}
