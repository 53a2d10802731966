//! Temperature: sharpens or flattens the distribution.

use super::{Action, SampleOptions};
use crate::error::{PocketError, Result};

/// The stage for `options`, unless the temperature is 1. At 0 only the most likely token stays, the
/// lowest one among equals.
///
/// # Errors
/// [`PocketError::InvalidArgument`] for a value that is negative or not finite.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let temperature = options.temperature;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(PocketError::invalid(
            "temperature",
            format!("{temperature} is not a number from 0 on"),
        ));
    }
    if temperature == 1.0 {
        return Ok(None);
    }
    if temperature == 0.0 {
        return Ok(Some(Action::Candidates(Box::new(|candidates| {
            candidates.keep_top(1);
        }))));
    }
    Ok(Some(Action::Candidates(Box::new(move |candidates| {
        // Differences to the maximum, so that a tiny temperature gives -∞ (probability 0) and never
        // NaN.
        let max = candidates.max_logit();
        candidates.map_logits(|logit| (logit - max) / temperature);
    }))))
}
