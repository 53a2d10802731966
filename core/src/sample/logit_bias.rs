//! Logit bias: makes chosen tokens more or less likely, or impossible.

use super::{Action, SampleOptions};
use crate::error::{PocketError, Result};

/// The stage for `options`, if there is a bias.
///
/// # Errors
/// [`PocketError::InvalidArgument`] for a bias that is NaN or +∞.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let bias = options.logit_bias.clone();
    for (id, value) in &bias {
        if value.is_nan() || *value == f32::INFINITY {
            return Err(PocketError::invalid(
                "logit_bias",
                format!("the bias of token {id} is {value}"),
            ));
        }
    }
    if bias.iter().all(|(_, value)| *value == 0.0) {
        return Ok(None);
    }
    Ok(Some(Action::Logits(Box::new(move |logits, _| {
        for &(id, value) in &bias {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit += value;
            }
        }
    }))))
}
