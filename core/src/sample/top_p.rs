//! Top-p (nucleus): the smallest set of the most likely tokens that holds a given share of the
//! probability.

use super::{Action, SampleOptions};
use crate::error::{PocketError, Result};

/// The stage for `options`, unless `top_p` is 1.
///
/// # Errors
/// [`PocketError::InvalidArgument`] for a value outside 0 to 1.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let mass = options.top_p;
    if !(0.0..=1.0).contains(&mass) {
        return Err(PocketError::invalid(
            "top_p",
            format!("{mass} is not between 0 and 1"),
        ));
    }
    if mass == 1.0 {
        return Ok(None);
    }
    Ok(Some(Action::Candidates(Box::new(move |candidates| {
        let total = candidates.softmax();
        candidates.keep_mass(f64::from(mass) * total, |c, _| -f64::from(c.logit));
    }))))
}
