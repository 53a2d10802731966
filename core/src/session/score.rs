//! Log-probabilities of a given continuation: the primitive of all evaluation.

use crate::error::{PocketError, Result};
use crate::sample::LogSoftmax;

use super::model::LocalModel;

/// Rows of logits held at once: 32 rows of 152,000 logits are 19 MB.
const ROWS: usize = 32;

/// What the model thought of one token of a continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionScore {
    /// The token.
    pub id: u32,
    /// Its natural log-probability.
    pub logprob: f64,
    /// How many tokens were likelier.
    pub rank: usize,
    /// The likeliest tokens with their log-probabilities, best first.
    pub top: Vec<(u32, f32)>,
}

impl LocalModel {
    /// Scores each token of `continuation` after `prompt` and the tokens before it.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for an empty prompt or an id outside the vocabulary,
    /// [`PocketError::ContextExceeded`], [`PocketError::DeviceLost`].
    pub fn score(
        &self,
        prompt: &[u32],
        continuation: &[u32],
        top: usize,
    ) -> Result<Vec<PositionScore>> {
        let vocab = self.inner.vocab;
        let Some((last, before)) = prompt.split_last() else {
            return Err(PocketError::invalid(
                "prompt_ids",
                "a prompt needs at least one token",
            ));
        };
        if let Some(id) = continuation.iter().find(|id| **id as usize >= vocab) {
            return Err(PocketError::invalid(
                "continuation_ids",
                format!("{id} is outside a vocabulary of {vocab}"),
            ));
        }
        let mut cache = self.new_cache()?;
        cache.reserve((prompt.len() + continuation.len()).saturating_sub(1))?;
        if !before.is_empty() {
            self.evaluate(before, &mut cache, 0)?;
        }
        // The row of a token is the output of the token before it.
        let inputs: Vec<u32> = std::iter::once(*last)
            .chain(continuation.iter().copied())
            .take(continuation.len())
            .collect();
        let mut scores = Vec::with_capacity(continuation.len());
        for (inputs, targets) in inputs.chunks(ROWS).zip(continuation.chunks(ROWS)) {
            let logits = self.evaluate(inputs, &mut cache, inputs.len())?;
            for (row, id) in logits.chunks_exact(vocab).zip(targets) {
                let row = LogSoftmax::new(row)?;
                // Ids were checked above, so both are there.
                if let (Some(logprob), Some(rank)) = (row.logprob(*id), row.rank(*id)) {
                    scores.push(PositionScore {
                        id: *id,
                        logprob,
                        rank,
                        top: row.top(top),
                    });
                }
            }
        }
        Ok(scores)
    }
}
