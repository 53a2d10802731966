//! Stop strings: ends a stream of text where one of them appears, wherever the tokens break it.

use crate::error::{PocketError, Result};

/// What one piece of text led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopOutcome {
    /// Text that is now certain to come before any stop string.
    pub emit: String,
    /// Whether a stop string is complete. It and everything after it is dropped.
    pub stopped: bool,
}

/// Watches streamed text for stop strings.
///
/// Text is held back only while it may be the beginning of a stop string. The stream stops with the
/// first stop string to be complete; if several are complete at the same place, the longest counts.
/// So the outcome does not depend on how the text is cut into pieces. Time is linear in the text,
/// for a given list of stop strings.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    patterns: Vec<Pattern>,
    /// The end of the text so far, not emitted yet: what the longest partial match covers.
    held: String,
    stopped: Option<usize>,
}

/// One stop string and how much of it the text ends with (Knuth, Morris and Pratt, 1977).
#[derive(Debug, Clone)]
struct Pattern {
    text: Vec<u8>,
    /// For each proper prefix length, the length of the longest shorter prefix it ends with.
    fallback: Vec<usize>,
    matched: usize,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let text = text.as_bytes().to_vec();
        let mut fallback = vec![0; text.len() + 1];
        for end in 1..text.len() {
            let mut length = fallback[end];
            while length > 0 && text[length] != text[end] {
                length = fallback[length];
            }
            fallback[end + 1] = if text[length] == text[end] {
                length + 1
            } else {
                0
            };
        }
        Self {
            text,
            fallback,
            matched: 0,
        }
    }

    /// Moves on by one byte; true when the whole string is there.
    fn advance(&mut self, byte: u8) -> bool {
        while self.matched > 0 && self.text[self.matched] != byte {
            self.matched = self.fallback[self.matched];
        }
        if self.text[self.matched] == byte {
            self.matched += 1;
        }
        self.matched == self.text.len()
    }
}

impl StopStrings {
    /// Watches for `stop`. An empty list stops nothing and holds nothing back.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for an empty stop string, which would match everywhere.
    pub fn new<S: AsRef<str>>(stop: &[S]) -> Result<Self> {
        if stop.iter().any(|s| s.as_ref().is_empty()) {
            return Err(PocketError::invalid("stop", "a stop string is empty"));
        }
        Ok(Self {
            patterns: stop.iter().map(|s| Pattern::new(s.as_ref())).collect(),
            ..Self::default()
        })
    }

    /// Takes the next piece of text. After a stop every further piece is dropped.
    pub fn push(&mut self, delta: &str) -> StopOutcome {
        if self.stopped.is_some() {
            return StopOutcome {
                emit: String::new(),
                stopped: true,
            };
        }
        let held = self.held.len();
        self.held.push_str(delta);
        for at in held..self.held.len() {
            let byte = self.held.as_bytes()[at];
            let mut longest: Option<(usize, usize)> = None;
            for (index, pattern) in self.patterns.iter_mut().enumerate() {
                if pattern.advance(byte) {
                    longest = longest.max(Some((pattern.text.len(), index)));
                }
            }
            if let Some((length, index)) = longest {
                // A match lies within what is held: it was a partial match at every byte before.
                self.held.truncate((at + 1).saturating_sub(length));
                self.stopped = Some(index);
                return StopOutcome {
                    emit: std::mem::take(&mut self.held),
                    stopped: true,
                };
            }
        }
        // A partial match begins with the first byte of a stop string, so at a character.
        let keep = self.patterns.iter().map(|p| p.matched).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        StopOutcome {
            emit: std::mem::replace(&mut self.held, rest),
            stopped: false,
        }
    }

    /// Ends the stream and returns what was held back.
    pub fn finish(&mut self) -> String {
        for pattern in &mut self.patterns {
            pattern.matched = 0;
        }
        std::mem::take(&mut self.held)
    }

    /// Which stop string ended the stream, as an index into the list given to
    /// [`new`](StopStrings::new).
    pub fn matched(&self) -> Option<usize> {
        self.stopped
    }
}
