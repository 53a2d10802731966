//! Locally typical sampling: the tokens whose information is closest to what the distribution leads
//! one to expect.

use super::{Action, SampleOptions};
use crate::error::{PocketError, Result};

/// The stage for `options`, unless `typical_p` is 1.
///
/// With `H` the entropy of the distribution, tokens are taken in order of `|-ln p - H|` until their
/// probabilities sum to `typical_p`.
///
/// # Errors
/// [`PocketError::InvalidArgument`] for a value outside 0 (exclusive) to 1.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let mass = options.typical_p;
    if !(mass > 0.0 && mass <= 1.0) {
        return Err(PocketError::invalid(
            "typical_p",
            format!("{mass} is not above 0 and at most 1"),
        ));
    }
    if mass == 1.0 {
        return Ok(None);
    }
    Ok(Some(Action::Candidates(Box::new(move |candidates| {
        let max = f64::from(candidates.max_logit());
        let total = candidates.softmax();
        let log_total = libm::log(total);
        // -ln p = ln Σexp - logit, and H is its mean.
        let information = move |logit: f32| log_total - (f64::from(logit) - max);
        let weighted = candidates
            .items()
            .iter()
            .zip(candidates.weights())
            .map(|(c, w)| w * information(c.logit));
        let entropy = weighted.sum::<f64>() / total;
        candidates.keep_mass(f64::from(mass) * total, |c, _| {
            (information(c.logit) - entropy).abs()
        });
    }))))
}
