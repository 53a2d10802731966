//! The matcher behind the pre-tokenizers: a handful of rules, tried in order at each position.
//!
//! Models publish their pre-tokenizer as a regular expression. Running those through a backtracking
//! engine costs time quadratic in a long run of white space (`\s+(?!\S)`, `\s*[\r\n]+`) or fails at
//! the engine's limit, so the alternatives are written as rules that each take time proportional to
//! what they match. A run of white space, on which several rules look ahead, is measured once.

use super::classes::{Classes, LETTER, MARK, NUMBER, SPACE, Set};

/// An alternative of a pre-tokenizer's expression.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// `'s|'t|'re|'ve|'m|'ll|'d`, in lower case or in any case.
    Contraction {
        /// Whether `'S` and the like match too.
        any_case: bool,
    },
    /// `lead? body{min,max} tail*`: the shape of most alternatives.
    Run(Run),
    /// `lead? (U* W+ | U+ W*)` with an optional contraction after it, where U is a letter that is
    /// not `a-z`, and W a letter that is not `A-Z`; the lead is anything but a letter, a digit or a
    /// line break.
    Cased {
        /// Whether marks count as letters.
        marks: bool,
        /// Whether a contraction may follow.
        contraction: bool,
    },
    /// `lead? (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`: words joined by single spaces.
    Phrase,
    /// `\s*[\r\n]+`: white space up to its last line break.
    LineBreaks,
    /// `\s+(?!\S)`: white space, less its last character when text follows.
    SpaceBeforeLast,
    /// `\s+`.
    Space,
    /// `\s+$`.
    SpaceAtEnd,
    /// `\s{512}(?!\S)|\s{256}(?!\S)|…|\s{4}(?!\S)|\s{1,2}(?!\S)|\s`.
    SpaceCascade,
}

/// `lead? body{min,max} tail*`, and perhaps a contraction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// One character before the body.
    pub(super) lead: Set,
    /// Whether the lead must be there.
    pub(super) lead_required: bool,
    /// The characters that count.
    pub(super) body: Set,
    /// The fewest characters of the body, at least 1.
    pub(super) min: usize,
    /// The most characters of the body.
    pub(super) max: usize,
    /// Characters taken after the body.
    pub(super) tail: Set,
    /// The most characters of the tail.
    pub(super) tail_max: usize,
    /// Whether `'s`, `'LL` and the like may follow the body.
    pub(super) contraction: bool,
}

impl Run {
    /// `body+`.
    pub(super) const fn of(body: Set) -> Run {
        Run {
            lead: Set::EMPTY,
            lead_required: false,
            body,
            min: 1,
            max: usize::MAX,
            tail: Set::EMPTY,
            tail_max: usize::MAX,
            contraction: false,
        }
    }

    /// With an optional character before the body.
    pub(super) const fn lead(self, lead: Set) -> Run {
        Run { lead, ..self }
    }

    /// With between `min` and `max` characters in the body.
    pub(super) const fn count(self, min: usize, max: usize) -> Run {
        Run { min, max, ..self }
    }

    /// With up to `tail_max` characters of `tail` after the body.
    pub(super) const fn tail(self, tail: Set, tail_max: usize) -> Run {
        Run {
            tail,
            tail_max,
            ..self
        }
    }
}

/// What may stand before a word: anything but a line break, a letter or a digit.
pub(super) const BEFORE_WORD: Set = Set::of(LETTER | NUMBER)
    .with(&[('\n', '\n'), ('\r', '\r')])
    .not();

/// Splits `text` by `rules` and hands the pieces to `emit` in order: each match is a piece, and so
/// is each stretch in which no rule matches.
pub(super) fn split<'t>(rules: &[Rule], text: &'t str, emit: &mut dyn FnMut(&'t str)) {
    let mut cursor = Cursor::new(text);
    let (mut at, mut unmatched) = (0, 0);
    while let Some(c) = cursor.char_at(at) {
        match rules.iter().find_map(|rule| cursor.matches(rule, at)) {
            Some(end) => {
                if unmatched < at {
                    emit(&text[unmatched..at]);
                }
                emit(&text[at..end]);
                (at, unmatched) = (end, end);
            }
            None => at += c.len_utf8(),
        }
    }
    if unmatched < at {
        emit(&text[unmatched..at]);
    }
}

/// A run of white space from some position on.
#[derive(Debug, Clone, Copy)]
struct SpaceRun {
    /// Where the measured run starts and ends.
    start: usize,
    end: usize,
    /// Where its last character starts.
    last: usize,
    /// The end of its last line break, 0 without one.
    line_break_end: usize,
}

/// The text with what is known about it.
struct Cursor<'t> {
    text: &'t str,
    classes: &'static Classes,
    run: SpaceRun,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            classes: Classes::get(),
            run: SpaceRun {
                start: 0,
                end: 0,
                last: 0,
                line_break_end: 0,
            },
        }
    }

    /// The character at a boundary.
    #[inline]
    fn char_at(&self, at: usize) -> Option<char> {
        let byte = *self.text.as_bytes().get(at)?;
        if byte.is_ascii() {
            return Some(byte.into());
        }
        self.text[at..].chars().next()
    }

    #[inline]
    fn contains(&self, set: &Set, c: char) -> bool {
        set.contains(c, self.classes.of(c))
    }

    /// The end of the match of `rule` at `at`, always beyond `at`.
    fn matches(&mut self, rule: &Rule, at: usize) -> Option<usize> {
        match rule {
            Rule::Contraction { any_case } => self.contraction(at, *any_case),
            Rule::Run(run) => self.run_rule(run, at),
            Rule::Cased { marks, contraction } => {
                let end = self.cased(at, *marks)?;
                let suffix = contraction.then(|| self.contraction(end, true)).flatten();
                Some(suffix.unwrap_or(end))
            }
            Rule::Phrase => self.phrase(at),
            Rule::LineBreaks => {
                let run = self.space_run(at)?;
                (run.line_break_end > at).then_some(run.line_break_end)
            }
            Rule::SpaceBeforeLast => {
                let run = self.space_run(at)?;
                let end = if run.end == self.text.len() {
                    run.end
                } else {
                    run.last
                };
                (end > at).then_some(end)
            }
            Rule::Space => Some(self.space_run(at)?.end),
            Rule::SpaceAtEnd => {
                let run = self.space_run(at)?;
                (run.end == self.text.len()).then_some(run.end)
            }
            Rule::SpaceCascade => self.space_cascade(at),
        }
    }

    /// The run of white space that `at` lies in, measured once however often it is asked for.
    fn space_run(&mut self, at: usize) -> Option<SpaceRun> {
        if !(self.run.start <= at && at < self.run.end) {
            let mut run = SpaceRun {
                start: at,
                end: at,
                last: at,
                line_break_end: 0,
            };
            while let Some(c) = self.char_at(run.end) {
                if self.classes.of(c) & SPACE == 0 {
                    break;
                }
                run.last = run.end;
                run.end += c.len_utf8();
                if matches!(c, '\r' | '\n') {
                    run.line_break_end = run.end;
                }
            }
            self.run = run;
        }
        (at < self.run.end).then_some(self.run)
    }

    /// The end of a contraction at `at`.
    fn contraction(&self, at: usize, any_case: bool) -> Option<usize> {
        let rest = self.text.as_bytes().get(at..)?;
        if *rest.first()? != b'\'' {
            return None;
        }
        let letter = |i: usize| {
            let b = rest.get(i).copied().unwrap_or(0);
            if any_case { b.to_ascii_lowercase() } else { b }
        };
        match (letter(1), letter(2)) {
            (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
            (b'r' | b'v', b'e') | (b'l', b'l') => Some(at + 3),
            _ => None,
        }
    }

    fn run_rule(&self, run: &Run, at: usize) -> Option<usize> {
        let first = self.char_at(at)?;
        if self.contains(&run.lead, first)
            && let Some(end) = self.body(run, at + first.len_utf8())
        {
            return Some(end);
        }
        if run.lead_required {
            return None;
        }
        self.body(run, at)
    }

    /// The end of body and tail that start at `at`.
    fn body(&self, run: &Run, at: usize) -> Option<usize> {
        let (mut end, count) = self.take(&run.body, at, run.max);
        if count < run.min {
            return None;
        }
        if run.contraction {
            end = self.contraction(end, true).unwrap_or(end);
        }
        Some(self.take(&run.tail, end, run.tail_max).0)
    }

    /// The end and the number of the characters of `set` from `at` on, at most `max`.
    #[inline]
    fn take(&self, set: &Set, at: usize, max: usize) -> (usize, usize) {
        let (mut end, mut count) = (at, 0);
        while count < max {
            match self.char_at(end) {
                Some(c) if self.contains(set, c) => end += c.len_utf8(),
                _ => break,
            }
            count += 1;
        }
        (end, count)
    }

    fn cased(&self, at: usize, marks: bool) -> Option<usize> {
        let letters = Set::of(if marks { LETTER | MARK } else { LETTER });
        let first = self.char_at(at)?;
        let (mixed, upper) = self.cased_word(at, &letters);
        if !self.contains(&BEFORE_WORD, first) {
            return mixed.or(upper);
        }
        let (mixed_after, upper_after) = self.cased_word(at + first.len_utf8(), &letters);
        // The alternatives in their order: with and without the lead for `U* W+`, then for `U+ W*`.
        mixed_after.or(mixed).or(upper_after).or(upper)
    }

    /// The ends of `U* W+` and `U+ W*` at `at`. The first ends before the capitals that no other
    /// letter follows: `U*` takes all it can and gives back until a W is there for `W+`.
    fn cased_word(&self, at: usize, letters: &Set) -> (Option<usize>, Option<usize>) {
        let (mut end, mut last_uncased) = (at, None);
        while let Some(c) = self.char_at(end) {
            if c.is_ascii_lowercase() || !self.contains(letters, c) {
                break;
            }
            end += c.len_utf8();
            if !c.is_ascii_uppercase() {
                last_uncased = Some(end);
            }
        }
        let upper_end = end;
        while let Some(c) = self.char_at(end) {
            if c.is_ascii_uppercase() || !self.contains(letters, c) {
                break;
            }
            end += c.len_utf8();
        }
        if end > upper_end {
            return (Some(end), Some(end));
        }
        (last_uncased, (upper_end > at).then_some(upper_end))
    }

    fn phrase(&self, at: usize) -> Option<usize> {
        let first = self.char_at(at)?;
        if self.contains(&BEFORE_WORD, first)
            && let Some(end) = self.joined_words(at + first.len_utf8())
        {
            return Some(end);
        }
        self.joined_words(at)
    }

    /// The end of `(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+` at `at`.
    fn joined_words(&self, at: usize) -> Option<usize> {
        let is_letter = |at: usize| {
            let c = self.char_at(at)?;
            (self.classes.of(c) & LETTER != 0).then(|| at + c.len_utf8())
        };
        let mut end = is_letter(at)?;
        while let Some(c) = self.char_at(end) {
            if self.classes.of(c) & (LETTER | MARK) != 0 {
                end += c.len_utf8();
            } else if c == ' '
                && let Some(after) = is_letter(end + 1)
            {
                end = after;
            } else {
                break;
            }
        }
        Some(end)
    }

    fn space_cascade(&mut self, at: usize) -> Option<usize> {
        let run = self.space_run(at)?;
        // Positions after 1, 2, … 513 characters tell which counts fit; no more are looked at.
        let mut ends = Vec::with_capacity(16);
        let mut end = at;
        while end < run.end && ends.len() < 513 {
            end += self.char_at(end)?.len_utf8();
            ends.push(end);
        }
        for count in [512, 256, 128, 64, 32, 16, 8, 4, 2, 1] {
            let fits = ends.len() > count || (ends.len() == count && run.end == self.text.len());
            if fits {
                return ends.get(count - 1).copied();
            }
        }
        ends.first().copied()
    }
}

/// Splits a run of digits into groups of three from its end; the group that comes first takes what
/// stands before the digits with it, because llama.cpp cuts only after each group.
pub(super) fn split_digit_groups<'t>(text: &'t str, emit: &mut dyn FnMut(&'t str)) {
    let classes = Classes::get();
    let is_number = |c: &(usize, char)| classes.of(c.1) & NUMBER != 0;
    let (mut start, mut chars) = (0, text.char_indices().peekable());
    while let Some(first) = chars.next() {
        if !is_number(&first) {
            continue;
        }
        // The ends of the characters of this run of digits.
        let mut ends = vec![first.0 + first.1.len_utf8()];
        while let Some((i, c)) = chars.next_if(is_number) {
            ends.push(i + c.len_utf8());
        }
        let phase = ends.len() % 3;
        for (i, &end) in ends.iter().enumerate() {
            if (i + 1) % 3 == phase {
                emit(&text[start..end]);
                start = end;
            }
        }
    }
    if start < text.len() {
        emit(&text[start..]);
    }
}

/// Splits before each group of three ASCII digits, counted from the end of a run of them:
/// `(?=(\d{3})+(?!\d))`.
pub(super) fn split_thousands<'t>(text: &'t str, emit: &mut dyn FnMut(&'t str)) {
    let bytes = text.as_bytes();
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit());
        let end = at + digits.count();
        for cut in (at..end).filter(|cut| (end - cut) % 3 == 0) {
            if start < cut {
                emit(&text[start..cut]);
                start = cut;
            }
        }
        at = end + 1;
    }
    if start < text.len() {
        emit(&text[start..]);
    }
}
