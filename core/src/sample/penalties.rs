//! Repetition, frequency and presence penalties over a window of the last tokens.

use std::collections::{HashMap, VecDeque};

use super::{Action, SampleOptions};
use crate::error::{PocketError, Result};

/// The last tokens, and how often each occurs among them.
#[derive(Debug, Clone, Default)]
pub struct History {
    window: usize,
    last: VecDeque<u32>,
    counts: HashMap<u32, u32>,
}

impl History {
    /// An empty history of at most `window` tokens.
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// Adds a token, and forgets the oldest where the window is full.
    pub(super) fn push(&mut self, id: u32) {
        if self.window == 0 {
            return;
        }
        if self.last.len() == self.window
            && let Some(oldest) = self.last.pop_front()
            && let Some(count) = self.counts.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
            }
        }
        self.last.push_back(id);
        *self.counts.entry(id).or_default() += 1;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.last.clear();
        self.counts.clear();
    }

    /// Each token of the window once, with its count, in no particular order.
    fn counts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.counts.iter().map(|(&id, &count)| (id, count))
    }
}

/// Whether any penalty is on.
pub(super) fn is_on(options: &SampleOptions) -> bool {
    options.penalty_window > 0
        && (options.repetition_penalty != 1.0
            || options.frequency_penalty != 0.0
            || options.presence_penalty != 0.0)
}

/// The stage for `options`, if any penalty is on.
///
/// # Errors
/// [`PocketError::InvalidArgument`] for a repetition penalty that is not above 0, or another that
/// is not finite.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let repetition = options.repetition_penalty;
    if !(repetition.is_finite() && repetition > 0.0) {
        return Err(PocketError::invalid(
            "repetition_penalty",
            format!("{repetition} is not a number above 0"),
        ));
    }
    let (frequency, presence) = (options.frequency_penalty, options.presence_penalty);
    for (name, value) in [
        ("frequency_penalty", frequency),
        ("presence_penalty", presence),
    ] {
        if !value.is_finite() {
            return Err(PocketError::invalid(name, format!("{value} is not finite")));
        }
    }
    if !is_on(options) {
        return Ok(None);
    }
    Ok(Some(Action::Logits(Box::new(move |logits, history| {
        for (id, count) in history.counts() {
            let Some(logit) = logits.get_mut(id as usize) else {
                continue;
            };
            // Dividing a negative logit would reward the repetition.
            if *logit <= 0.0 {
                *logit *= repetition;
            } else {
                *logit /= repetition;
            }
            *logit -= count as f32 * frequency + presence;
        }
    }))))
}
