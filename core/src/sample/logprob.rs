//! Log-probabilities of a model's raw distribution, for scoring and inspection. Sums are in f64 and
//! in order.

use super::candidates::{Candidates, all_masked, not_a_logit};
use crate::error::Result;

/// The log-softmax of one row of logits, evaluated where it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct LogSoftmax<'a> {
    logits: &'a [f32],
    /// ln Σ exp(logit).
    log_sum: f64,
}

impl<'a> LogSoftmax<'a> {
    /// Computes the normalization of `logits`, one logit per token of the vocabulary.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`](crate::error::PocketError::InvalidArgument) for a logit
    /// that is NaN or +∞, and when all are -∞.
    pub fn new(logits: &'a [f32]) -> Result<Self> {
        let mut max = f32::NEG_INFINITY;
        for (id, &logit) in (0u32..).zip(logits) {
            if logit.is_nan() || logit == f32::INFINITY {
                return Err(not_a_logit(id, logit));
            }
            max = max.max(logit);
        }
        if max == f32::NEG_INFINITY {
            return Err(all_masked());
        }
        let max = f64::from(max);
        let sum: f64 = logits.iter().map(|&l| libm::exp(f64::from(l) - max)).sum();
        Ok(Self {
            logits,
            log_sum: max + libm::log(sum),
        })
    }

    /// The natural logarithm of the probability of `id`; `None` outside the vocabulary.
    pub fn logprob(&self, id: u32) -> Option<f64> {
        let logit = *self.logits.get(id as usize)?;
        Some(f64::from(logit) - self.log_sum)
    }

    /// How many tokens come before `id`: 0 for the most likely. Among equals the lowest token comes
    /// first. `None` outside the vocabulary.
    pub fn rank(&self, id: u32) -> Option<usize> {
        let logit = *self.logits.get(id as usize)?;
        let comes_before = |&(other, &l): &(u32, &f32)| l > logit || (l == logit && other < id);
        Some((0u32..).zip(self.logits).filter(comes_before).count())
    }

    /// The `count` most likely tokens with the logarithms of their probabilities, the most likely
    /// first. Tokens masked with -∞ are left out.
    pub fn top(&self, count: usize) -> Vec<(u32, f32)> {
        let mut candidates = Candidates::default();
        if count == 0 || candidates.fill(self.logits).is_err() {
            return Vec::new();
        }
        candidates.keep_top(count);
        let logprob = |logit: f32| (f64::from(logit) - self.log_sum) as f32;
        let top = candidates.items().iter();
        top.map(|c| (c.id, logprob(c.logit))).collect()
    }
}

/// The `count` most likely tokens of `logits` with the logarithms of their probabilities, the most
/// likely first.
///
/// # Errors
/// As [`LogSoftmax::new`].
pub fn top_logprobs(logits: &[f32], count: usize) -> Result<Vec<(u32, f32)>> {
    Ok(LogSoftmax::new(logits)?.top(count))
}

/// The token with the highest logit, the lowest one among equals.
///
/// # Errors
/// As [`LogSoftmax::new`].
pub fn argmax(logits: &[f32]) -> Result<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (id, &logit) in (0u32..).zip(logits) {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(not_a_logit(id, logit));
        }
        if logit > best.map_or(f32::NEG_INFINITY, |(_, l)| l) {
            best = Some((id, logit));
        }
    }
    best.map(|(id, _)| id).ok_or_else(all_masked)
}
