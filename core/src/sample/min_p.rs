//! Min-p: drops tokens that are much less likely than the best one.

use super::{Action, SampleOptions};
use crate::error::{PocketError, Result};

/// The stage for `options`, unless `min_p` is 0.
///
/// `p / p_max >= min_p` is `logit - logit_max >= ln(min_p)`, so no probability has to be computed.
///
/// # Errors
/// [`PocketError::InvalidArgument`] for a value outside 0 to 1.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let share = options.min_p;
    if !(0.0..=1.0).contains(&share) {
        return Err(PocketError::invalid(
            "min_p",
            format!("{share} is not between 0 and 1"),
        ));
    }
    if share == 0.0 {
        return Ok(None);
    }
    let distance = libm::log(f64::from(share));
    Ok(Some(Action::Candidates(Box::new(move |candidates| {
        let max = f64::from(candidates.max_logit());
        candidates.retain(|c| f64::from(c.logit) - max >= distance);
    }))))
}
