//! Top-k: the k most likely tokens.

use super::{Action, SampleOptions};
use crate::error::Result;

/// The stage for `options`, unless `top_k` is 0.
pub(super) fn build(options: &SampleOptions) -> Result<Option<Action>> {
    let k = options.top_k;
    if k == 0 {
        return Ok(None);
    }
    Ok(Some(Action::Candidates(Box::new(move |candidates| {
        candidates.keep_top(k);
    }))))
}
