//! Calls out of a stream of text, whatever the borders of its pieces.

use std::mem;

use super::boundary::{Found, find_anywhere, find_unquoted, value_end};
use super::{CallFormat, End, Opening, Place, Reading, WrittenCall};

/// A piece of output, told apart.
#[derive(Debug, Clone, PartialEq)]
pub enum CallPiece {
    /// Part of the answer.
    Text(String),
    /// A call.
    Call(WrittenCall),
}

/// Splits the output of one turn into text and calls. The result is the same for any division of
/// the output into pieces, up to where one `Text` ends and the next begins.
pub struct CallParser {
    format: &'static CallFormat,
    tools: Vec<String>,
    /// White space before what may be a call, then what may be a call; or the text after `open`.
    held: String,
    open: Option<Open>,
    /// Whether nothing but white space came since the beginning or the last call.
    fresh: bool,
    called: bool,
}

/// A call that has begun.
struct Open {
    opening: &'static Opening,
    /// What stands before it and is text only if this is no call.
    gap: String,
}

impl CallParser {
    /// A parser for one turn of a model that writes calls in `format` and may call `tools`.
    pub fn new(format: &'static CallFormat, tools: impl IntoIterator<Item = String>) -> Self {
        Self {
            format,
            tools: tools.into_iter().collect(),
            held: String::new(),
            open: None,
            fresh: true,
            called: false,
        }
    }

    /// What can be told of the output so far after `delta`.
    pub fn push(&mut self, delta: &str) -> Vec<CallPiece> {
        self.held.push_str(delta);
        self.advance(false)
    }

    /// What was held back when the output ends by itself: a call that is not closed counts.
    pub fn finish(&mut self) -> Vec<CallPiece> {
        self.advance(true)
    }

    /// What was held back when the output was cut off: a call that is not closed is text.
    pub fn cut_off(&mut self) -> String {
        let Some(open) = self.open.take() else {
            let behind_calls = self.only_behind_calls();
            let held = mem::take(&mut self.held);
            return if behind_calls { String::new() } else { held };
        };
        self.held.drain(..open.opening.kept());
        open.gap + open.opening.text + &mem::take(&mut self.held)
    }

    fn advance(&mut self, ended: bool) -> Vec<CallPiece> {
        let mut out = Vec::new();
        loop {
            match self.open.take() {
                Some(open) => {
                    if !self.read(open, ended, &mut out) {
                        return out;
                    }
                }
                None => match self.find_opening() {
                    Some((at, opening)) => self.begin(at, opening, &mut out),
                    None => {
                        self.pass_text(ended, &mut out);
                        return out;
                    }
                },
            }
        }
    }

    /// Where white space and separators at the start of `held` end.
    fn lead(&self) -> usize {
        let between = |c: char| {
            c.is_whitespace() || self.called && self.fresh && self.format.separators.contains(&c)
        };
        self.held.len() - self.held.trim_start_matches(between).len()
    }

    /// Whether nothing came since a call but what may stand between calls, which is no answer.
    fn only_behind_calls(&self) -> bool {
        self.called && self.fresh && self.lead() == self.held.len()
    }

    /// Whether `opening` counts at `at`.
    fn counts(&self, opening: &Opening, at: usize) -> bool {
        opening.place == Place::Anywhere || self.fresh && at == self.lead()
    }

    /// The first opening in `held`.
    fn find_opening(&self) -> Option<(usize, &'static Opening)> {
        let openings = self.format.openings.iter();
        let found = openings.filter_map(|opening| {
            let at = match opening.place {
                Place::Anywhere => self.held.find(opening.text)?,
                Place::Start => self.lead(),
            };
            let here = self.held.get(at..)?.starts_with(opening.text);
            (here && self.counts(opening, at)).then_some((at, opening))
        });
        found.min_by_key(|&(at, _)| at)
    }

    fn begin(&mut self, at: usize, opening: &'static Opening, out: &mut Vec<CallPiece>) {
        let text = self.text_before(at);
        let rest = self
            .held
            .split_off(at + opening.text.len() - opening.kept());
        let mut before = mem::replace(&mut self.held, rest);
        before.truncate(at);
        let gap = before.split_off(text);
        self.emit(before, out);
        self.open = Some(Open { opening, gap });
    }

    /// Bytes of `held` before `at` that are text: less the white space at the end, and nothing at
    /// all where only separators stand between calls.
    fn text_before(&self, at: usize) -> usize {
        match self.lead() >= at {
            true => 0,
            false => self.held.get(..at).unwrap_or_default().trim_end().len(),
        }
    }

    /// Goes on in a call that has begun; false when more text is needed.
    fn read(&mut self, open: Open, ended: bool, out: &mut Vec<CallPiece>) -> bool {
        let opening = open.opening;
        if !(opening.may_be)(&self.held) {
            self.release(open, out);
            return true;
        }
        let Some((end, resume)) = self.end_of(opening, ended) else {
            self.open = Some(open);
            return false;
        };
        let body = self.held.get(..end).unwrap_or_default();
        match (opening.read)(body, &self.tools) {
            Reading::NotACall => self.release(open, out),
            Reading::Calls { calls, rest } => {
                let after = self.held.get(resume..).unwrap_or_default();
                self.held = format!("{rest}{after}");
                out.extend(calls.into_iter().map(CallPiece::Call));
                (self.fresh, self.called) = (true, true);
            }
        }
        true
    }

    /// Where the text of a call ends and where the text after it begins.
    fn end_of(&self, opening: &Opening, ended: bool) -> Option<(usize, usize)> {
        let all = self.held.len();
        match opening.end {
            End::Value => value_end(&self.held).map(|end| (end, end)),
            End::Mark { closers, quotes } => {
                let marks = closers.iter().copied().chain([opening.text]);
                let found = match find_unquoted(&self.held, marks.clone(), quotes) {
                    Found::At(at, mark) => Some((at, mark)),
                    // Quotes do not match, so marks count even if they seem to be inside.
                    Found::InString if ended => find_anywhere(&self.held, marks),
                    Found::InString | Found::Nowhere => None,
                };
                found.map(|(at, mark)| match closers.contains(&mark) {
                    true => (at, at + mark.len()),
                    false => (at, at),
                })
            }
        }
        .or(ended.then_some((all, all)))
    }

    /// Gives out the beginning of what is no call as text.
    fn release(&mut self, open: Open, out: &mut Vec<CallPiece>) {
        self.held.drain(..open.opening.kept());
        self.emit(open.gap + open.opening.text, out);
    }

    /// Gives out what cannot be the beginning of a call.
    fn pass_text(&mut self, ended: bool, out: &mut Vec<CallPiece>) {
        let behind_calls = self.only_behind_calls();
        let keep = match ended {
            true => 0,
            false => self.undecided(),
        };
        let tail = self.held.split_off(self.held.len() - keep);
        let text = mem::replace(&mut self.held, tail);
        if !(ended && behind_calls) {
            self.emit(text, out);
        }
    }

    /// Bytes at the end of `held` that may belong to a call: the beginning of an opening, and the
    /// white space before it.
    fn undecided(&self) -> usize {
        let held = self.held.as_str();
        let partial = self.format.openings.iter().filter_map(|opening| {
            let longest = opening.text.len().min(held.len() + 1) - 1;
            (1..=longest).rev().find(|&n| {
                held.ends_with(opening.text.get(..n).unwrap_or("\0"))
                    && self.counts(opening, held.len() - n)
            })
        });
        let before = held.len() - partial.max().unwrap_or(0);
        held.len() - self.text_before(before)
    }

    fn emit(&mut self, text: String, out: &mut Vec<CallPiece>) {
        if text.is_empty() {
            return;
        }
        self.fresh &= text.trim().is_empty();
        match out.last_mut() {
            Some(CallPiece::Text(last)) => last.push_str(&text),
            _ => out.push(CallPiece::Text(text)),
        }
    }
}

impl Opening {
    /// Bytes of the opening that belong to the text after it.
    fn kept(&self) -> usize {
        match self.end {
            End::Value => 1,
            End::Mark { .. } => 0,
        }
    }
}
